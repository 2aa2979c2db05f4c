"""How it was done, in sentences that a paper can take over, from the tables and the fits."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

import wattsweep
from wattsweep.analysis import EnergyModelFit
from wattsweep.report.numbers import count, counted, duration, percent, si

Facts = Mapping[str, Any]


def methods_paragraph(
    runs: pd.DataFrame, experiments: pd.DataFrame, power: Sequence[Facts], fits: Sequence[EnergyModelFit]
) -> str:
    """One paragraph; empty where nothing ran."""
    if runs.empty:
        return ""
    return " ".join([_trained(runs, experiments), *_measured(runs, power), *_fitted(fits)])


def _trained(runs: pd.DataFrame, experiments: pd.DataFrame) -> str:
    engines = " and ".join(sorted(runs["engine"].unique()))
    versions = " and ".join(sorted(str(one) for one in runs["tensorflow_version"].dropna().unique()))
    pairs = zip(runs["device"], runs["cpu_model"], strict=True)
    processors = " and ".join(sorted({_processor(device, model) for device, model in pairs}))
    threads = sorted({str(one) for one in runs["threads"].dropna().unique()} - {""})
    datasets = experiments["dataset"].nunique()
    low, high = experiments["n_parameters"].min(), experiments["n_parameters"].max()
    repetitions = runs.groupby("experiment_id").size()
    return (
        f"We trained {counted(experiments['experiment_id'].nunique(), 'configuration')} of fully connected networks "
        f"({count(low)} to {count(high)} trainable parameters, depths {experiments['depth'].min()} to "
        f"{experiments['depth'].max()}, {counted(experiments['shape'].nunique(), 'shape')} of BUTTER, arXiv "
        "2207.12547) "
        f"on {counted(datasets, 'dataset')}, {count(repetitions.median())} runs each in the median and "
        f"{count(len(runs))} in all, with wattsweep {wattsweep.__version__} (engine {engines}, TensorFlow {versions}) "
        f"on {processors}{f' with {threads[0]} CPU threads' if len(threads) == 1 else ''}."
    )


def _processor(device: str | None, model: str | None) -> str:
    known = model or "an unknown processor"
    return known if device in ("", "cpu", None) else f"{device} ({known})"


def _measured(runs: pd.DataFrame, power: Sequence[Facts]) -> list[str]:
    found = []
    for one in power:
        kind = {"measured": "measured", "simulated": "simulated, not measured,", "modelled": "modelled, not measured,"}
        found.append(
            f"Power of the {one['power_scope'] or 'node'} was {kind.get(one['power_origin'], one['power_origin'])} by "
            f"{one['power_source']}, which updates every {duration(one['refresh_s'])}, over blocks of repetitions of "
            f"one configuration trained back to back ({duration(one['block_s'])} in the median, valid samples covering "
            f"{percent(one['coverage'])})."
        )
    refused = int((runs["energy_status"] == "refused").sum())
    if power:
        found.append(
            "Net energy is the energy of a run beyond that of the idle node, which was measured around each block "
            f"({' and '.join(si(one['idle_w'], 'W') for one in power)} in the median); half the width of its interval "
            f"is {' and '.join(percent(one['doubt'], 0) for one in power)} of it in the median. "
            + (f"{counted(refused, 'run')} had their energy refused." if refused else "No energy was refused.")
        )
    else:
        found.append("Power was not measured.")
    return found


def _fitted(fits: Sequence[EnergyModelFit]) -> list[str]:
    found = []
    for fit in fits:
        if fit.fitted and fit.model == "settings":
            errors = ", ".join(f"{percent(one.mape)} {name}" for name, one in fit.errors.items())
            found.append(
                f"An energy model of {len(fit.coefficients)} physical terms, fitted to {count(fit.n_experiments)} "
                f"configurations by non-negative robust least squares, predicts net energy per training row and epoch "
                f"with a mean absolute percentage error of {errors}."
            )
    return found
