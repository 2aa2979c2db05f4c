"""Energy and time of settings that were never run, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wattsweep.analysis.fit import EnergyModelFit, Group
from wattsweep.analysis.terms import Floats, Sample, terms_of
from wattsweep.datasets import split_counts
from wattsweep.errors import AnalysisError
from wattsweep.planning import Plan
from wattsweep.workload import split_workload

NET, TIME = "settings", "runtime"
"""The models that need nothing but settings."""

SHOWN_SETTINGS = ("dataset_source", "dataset", "shape", "size", "depth", "epochs", "batch_size", "hardware")


@dataclass(frozen=True, slots=True)
class FitPair:
    """The fits of energy and of time of one group."""

    energy: EnergyModelFit
    time: EnergyModelFit

    @property
    def group(self) -> Group:
        """What both are for."""
        return self.energy.group


def choose_fits(fits: Sequence[EnergyModelFit], engine: str, device: str = "", cpu_model: str = "") -> FitPair:
    """The fits for an engine on the device and CPU whose names contain these texts.

    Where measured and other power was fitted, measured is taken. Raises AnalysisError where no group fits, or several.
    """
    pairs, refused = [], []
    for energy in fits:
        group = energy.group
        named = device.casefold() in group.device.casefold() and cpu_model.casefold() in group.cpu_model.casefold()
        if energy.model == NET and group.engine == engine and named:
            times = [one for one in fits if (one.model, one.group) == (TIME, group)]
            pairs += [FitPair(energy, time) for time in times if energy.fitted and time.fitted]
            refused += [f"{_words(group)}: {one.reason}" for one in (energy, *times) if not one.fitted]
    known = "; ".join(sorted({_words(fit.group) for fit in fits if fit.fitted})) or "none"
    if not pairs:
        asked = (
            f"engine {engine}" + (f", device {device}" if device else "") + (f", CPU {cpu_model}" if cpu_model else "")
        )
        why = f" Not fitted: {'; '.join(dict.fromkeys(refused))}." if refused else ""
        raise AnalysisError(
            f"no model was fitted for {asked}: fitted groups are {known}; run such experiments first.{why}"
        )
    measured = [pair for pair in pairs if pair.group.power_origin == "measured"]
    pairs = measured or pairs
    if len(pairs) > 1:
        raise AnalysisError(f"several groups were fitted ({known}): choose one with --device or --cpu-model")
    return pairs[0]


def planned_experiments(plan: Plan) -> pd.DataFrame:
    """The experiments of a plan as the rows that features are made of, with `runs`, the repetitions asked for."""
    rows = []
    for planned in plan.experiments:
        settings = planned.experiment.settings
        facts = plan.datasets[settings.dataset_source, settings.dataset]
        n_train, n_test = split_counts(facts.n_observations, settings.test_split)
        work = split_workload(planned.widths, planned.n_inputs, settings.batch_size, n_train, n_test)
        rows.append(
            {name: getattr(settings, name) for name in SHOWN_SETTINGS}
            | {
                "experiment_id": planned.experiment.experiment_id,
                "runs": planned.experiment.repetitions,
                "n_inputs": planned.n_inputs,
                "n_outputs": planned.widths[-1],
                "n_train": n_train,
                "n_test": n_test,
                "n_parameters": planned.n_parameters,
                "widths": list(planned.widths),
                "macs_per_epoch": work.macs_per_epoch,
            }
        )
    return pd.DataFrame(rows)


def predict(fit: EnergyModelFit, experiments: pd.DataFrame) -> Floats:
    """Energy in J (time in s) per datum of experiments, [experiments, 3]: prediction, lower and upper end.

    The interval is that of an experiment the fit did not see, whose size or data may be new. Raises AnalysisError for a
    fit without coefficients, or one that needs measured time.
    """
    if fit.hardware is None or not fit.coefficients or fit.interval is None or fit.model == "settings+time":
        raise AnalysisError(f"{fit.summary()}: it cannot predict; take the models {NET} and {TIME}")
    sample = Sample(experiments, fit.hardware)
    values = {coefficient.name: coefficient.value for coefficient in fit.coefficients}
    terms = [term for term in terms_of(fit.model, fit.hardware) if values.get(term.name, 0.0) > 0]
    per_datum = np.zeros(len(experiments))
    for term in terms:
        per_datum += values[term.name] * term.feature(sample)
    return np.column_stack([per_datum, per_datum * fit.interval.lower, per_datum * fit.interval.upper])


def predict_runs(pair: FitPair, experiments: pd.DataFrame) -> pd.DataFrame:
    """The experiments with net energy (J) and training time (s) of one run: `energy_net_j`, `training_s`, and `_lower`
    and `_upper` of each; `beyond_fit` tells those that lie outside the range of what was fitted in some setting.
    """
    found = experiments.copy()
    data = (experiments["epochs"] * experiments["n_train"]).to_numpy(dtype=np.float64)
    for name, fit in (("energy_net_j", pair.energy), ("training_s", pair.time)):
        per_run = predict(fit, experiments) * data[:, None]
        for end, column in zip(("", "_lower", "_upper"), per_run.T, strict=True):
            found[name + end] = column
    outside = np.zeros(len(experiments), dtype=bool)
    for name, (least, most) in pair.energy.seen.items():
        values = experiments[name].to_numpy(dtype=np.float64)
        outside |= (values < least) | (values > most)
    found["beyond_fit"] = outside
    return found


def trained_by(experiments: pd.DataFrame, group: Group) -> pd.Series:
    """Whether each experiment may train on a group's device: `hardware` is any, cpu or gpu."""
    kind = "cpu" if group.device in ("cpu", "") else "gpu"
    return experiments["hardware"].isin(["any", kind])


def _words(group: Group) -> str:
    return f"{group.engine} on {group.device or 'unknown'} ({group.cpu_model or 'unknown CPU'}), {group.power_origin}"
