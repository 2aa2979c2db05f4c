"""Fits energy and time per datum as sums of physical terms, none of which can be negative.

`wattsweep.analysis.regression` says how coefficients are estimated, `wattsweep.analysis.terms` what of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wattsweep.analysis.fit import Coefficient, EnergyModelFit, Group, Interval, Prediction
from wattsweep.analysis.nodes import Threads, hardware_of
from wattsweep.analysis.regression import ROUGHLY, solve, solve_weighted
from wattsweep.analysis.terms import MODEL_NAMES, Floats, ModelName, Quantity, Sample, Term, features, terms_of
from wattsweep.analysis.trees import predict_by_trees, tree_features
from wattsweep.analysis.validation import (
    DATASET,
    SAME_NETWORK,
    SIZE,
    Indices,
    codes,
    expanded_percentiles,
    held_out_errors,
    random_parts,
    ratio_bounds,
    relative_errors,
    resamples,
    seen_by_part,
)
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError
from wattsweep.hardware import HardwareProfile

TARGET = "energy_per_datum_j_median"
GROUPING = ["engine", "device", "cpu_model", "power_origin"]
FEWEST_FOR_TREES = 20
NOT_POSITIVE = "net energy is not positive"
TOLD_APART = 1e-6
SEEN = ("n_parameters", "depth", "n_train", "n_inputs", "n_outputs", "batch_size", "epochs")

Predictor = Callable[[Floats], Floats]
"""From weights [weightings, experiments] to predictions of every experiment under each, of the same shape."""


def fit_groups(
    experiments: pd.DataFrame, config: AnalysisConfig, threads: Threads | None = None
) -> list[EnergyModelFit]:
    """Every model for every group of experiments.parquet (engine, device, CPU model, origin of power).

    `threads` says how many CPU threads trained on each (device, CPU model), as `nodes.threads_of` tells of the runs;
    what it lacks is taken to have had the whole node. A group with too little data gives a fit with the status "not
    fitted" and the reason.
    """
    fits = []
    labels = experiments[GROUPING].fillna("").astype(str)
    for key, members in experiments.groupby([labels[name] for name in GROUPING], sort=True):
        group = Group(*(str(part) for part in key))
        hardware, assumed = hardware_of(group.device, group.cpu_model, config.hardware, threads or {})
        # On products so small, threads that wait for each other take longer than one does.
        with threadpool_limits(1):
            for model in MODEL_NAMES:
                fit = _fit_or_reason(members, model, group, config, hardware)
                fits.append(replace(fit, hardware_assumed=assumed))
    return fits


def fit_energy_model(
    experiments: pd.DataFrame,
    model: ModelName,
    group: Group,
    config: AnalysisConfig,
    hardware: HardwareProfile | None = None,
) -> EnergyModelFit:
    """One model on the experiments of one group, which trained on `hardware`; without it, on what describes the group.

    Experiments without a positive net energy are left out and counted. Errors are measured on held-out experiments
    too: at random, in `folds` parts, a dataset at a time, and a size at a time, each predicted by a fit of the others.
    Experiments that are the same network on the same data (all shapes of depth 2, say) are never apart, and are
    resampled together for the intervals of the coefficients (`intervals`), over `bootstrap_samples` resamples.

    Terms that are 0 for every experiment, or that these experiments cannot tell from the terms before them, are left
    out.

    Raises AnalysisError where fewer experiments are left than terms + 1, or fewer distinct networks than folds.
    """
    if hardware is None:
        hardware, _ = hardware_of(group.device, group.cpu_model, config.hardware, {})
    quantity: Quantity = "time" if model == "runtime" else "energy"
    kept, excluded = usable(experiments)
    terms, inputs = _inputs(model, Sample(kept, hardware))
    networks = codes(kept, SAME_NETWORK)
    _require_enough(len(kept), networks, inputs.shape[1] if terms else FEWEST_FOR_TREES, excluded, config)
    measured = _measured(kept, quantity)
    rng = np.random.default_rng(config.seed)
    parts = {
        "held_out": random_parts(networks, config.folds, rng),
        "by_dataset": _with_twins(codes(kept, DATASET), networks),
        "by_size": _with_twins(codes(kept, SIZE), networks),
    }
    coefficients: tuple[Coefficient, ...] = ()
    predict: Predictor
    if terms:
        values = solve(inputs, measured)
        in_sample = inputs @ values
        drawn = resamples(networks, config.bootstrap_samples, rng)
        spread = solve_weighted(inputs, measured, drawn, values, ROUGHLY)
        lower, upper = intervals(inputs, values, spread, networks, config.confidence)
        coefficients = _described(terms, quantity, values, lower, upper, inputs, in_sample)

        def predict(weights: Floats) -> Floats:
            return solve_weighted(inputs, measured, weights) @ inputs.T
    else:

        def predict(weights: Floats) -> Floats:
            return predict_by_trees(inputs, measured, weights, config.seed)

        in_sample = predict(np.ones((1, len(kept))))[0]

    held_out = {name: _held_out(predict, part) for name, part in parts.items() if part.max() > 0}
    errors = {
        name: held_out_errors(predicted, measured, parts[name], config.confidence)
        for name, predicted in held_out.items()
    }
    fit = EnergyModelFit(
        status="fitted",
        reason="",
        model=model,
        quantity=quantity,
        group=group,
        hardware=hardware,
        n_experiments=len(kept),
        excluded=excluded,
        folds=config.folds,
        bootstrap_samples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
        coefficients=coefficients,
        in_sample=relative_errors(in_sample, measured),
        interval=_interval(measured, held_out, config.confidence),
        seen={name: (float(kept[name].min()), float(kept[name].max())) for name in SEEN},
        held_out=errors.get("held_out"),
        by_dataset=errors.get("by_dataset"),
        by_size=errors.get("by_size"),
    )
    return fit if fit.baseline else replace(fit, predictions=_predictions(kept, measured, in_sample, held_out))


def intervals(
    inputs: Floats, values: Floats, spread: Floats, networks: Indices, confidence: float
) -> tuple[Floats, Floats]:
    """Ends of the intervals of coefficients `values`, from their resampled values `spread` [resamples, terms]."""
    # A coefficient is known from experiments in which its term is a large share of the prediction.
    unit = values.copy()
    unit[unit == 0] = spread.max(axis=0)[unit == 0]
    shares = inputs * unit / np.maximum(inputs @ values, 1e-300)[:, None]
    lower, upper = expanded_percentiles(spread, shares**2, networks, confidence)
    return lower, upper


def usable(experiments: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The experiments that can be fitted, and counts of the others by reason."""
    energy = experiments[TARGET].to_numpy(dtype=np.float64)
    origin = experiments["power_origin"].to_numpy()
    n_refused = experiments["n_refused"].to_numpy()
    missing = np.isnan(energy)
    diverged = experiments["n_diverged"].to_numpy() > 0
    counts = {
        "power was not measured": int(np.sum(missing & (origin == "none"))),
        "energy was refused": int(np.sum(missing & (origin != "none") & (n_refused > 0))),
        "net energy is missing": int(np.sum(missing & (origin != "none") & (n_refused == 0))),
        NOT_POSITIVE: int(np.sum(energy <= 0)),
        "training diverged": int(np.sum((energy > 0) & diverged)),
    }
    return experiments[(energy > 0) & ~diverged], {reason: n for reason, n in counts.items() if n}


def _fit_or_reason(
    members: pd.DataFrame, model: ModelName, group: Group, config: AnalysisConfig, hardware: HardwareProfile
) -> EnergyModelFit:
    try:
        return fit_energy_model(members, model, group, config, hardware)
    except AnalysisError as error:
        kept, excluded = usable(members)
        return EnergyModelFit(
            status="not fitted",
            reason=str(error),
            model=model,
            quantity="time" if model == "runtime" else "energy",
            group=group,
            hardware=hardware,
            n_experiments=len(kept),
            excluded=excluded,
            folds=config.folds,
            bootstrap_samples=config.bootstrap_samples,
            confidence=config.confidence,
            seed=config.seed,
        )


def _inputs(model: ModelName, sample: Sample) -> tuple[tuple[Term, ...], Floats]:
    """The terms of a model that the data tell of, and their features; no terms where the model has none."""
    if sample.experiments.empty:
        return (), np.empty((0, 0))
    terms = terms_of(model, sample.hardware)
    if not terms:
        return (), tree_features(sample)
    inputs = features(terms, sample)
    told = _told_apart(inputs / inputs.sum(axis=1, keepdims=True))
    return tuple(terms[number] for number in told), inputs[:, told]


def _told_apart(inputs: Floats) -> list[int]:
    """The terms that are no sum of multiples of those before them, by Gram and Schmidt on columns of length 1."""
    kept: list[int] = []
    basis: list[Floats] = []
    for number, column in enumerate(inputs.T):
        length = np.linalg.norm(column)
        if length == 0:
            continue
        rest = column / length
        for _ in range(2):
            for one in basis:
                rest = rest - (one @ rest) * one
        left = np.linalg.norm(rest)
        if left > TOLD_APART:
            kept.append(number)
            basis.append(rest / left)
    return kept


def _measured(kept: pd.DataFrame, quantity: Quantity) -> Floats:
    if quantity == "energy":
        return kept[TARGET].to_numpy(dtype=np.float64)
    seconds = kept["training_s_median"] / (kept["epochs"] * kept["n_train"])
    return seconds.to_numpy(dtype=np.float64)


def _require_enough(
    n_kept: int, networks: Indices, n_terms: int, excluded: Mapping[str, int], config: AnalysisConfig
) -> None:
    left_out = ", ".join(f"{n} left out because {reason}" for reason, n in excluded.items())
    found = f"{n_kept} experiments have a positive net energy" + (f" ({left_out})" if left_out else "")
    if n_kept <= n_terms:
        noisy = excluded.get(NOT_POSITIVE, 0) > n_kept
        quiet = ", and measure longer (power.min_window) on nodes that do nothing else" if noisy else ""
        raise AnalysisError(f"{found}; a model of {n_terms} terms needs {n_terms + 1}: widen the sweep{quiet}")
    n_networks = int(networks.max()) + 1
    if n_networks < config.folds:
        raise AnalysisError(
            f"{found}, of {n_networks} distinct networks, fewer than analysis.folds = {config.folds}: "
            "widen the sweep or lower analysis.folds"
        )


def _with_twins(parts: Indices, networks: Indices) -> Indices:
    """Parts in which equal networks are together: two sizes may have come to one network."""
    first = np.full(int(networks.max()) + 1, np.iinfo(np.intp).max)
    np.minimum.at(first, networks, parts)
    _, numbers = np.unique(first[networks], return_inverse=True)
    return np.asarray(numbers, dtype=np.intp)


def _held_out(predict: Predictor, parts: Indices) -> Floats:
    predictions = predict(seen_by_part(parts))
    return np.asarray(predictions[parts, np.arange(len(parts))])


def _interval(measured: Floats, held_out: Mapping[str, Floats], confidence: float) -> Interval:
    """The widest interval of any holding-out: what is predicted later may be a new size, or new data."""
    bounds = [ratio_bounds(measured / np.maximum(one, 1e-300), confidence) for one in held_out.values()]
    return Interval(confidence, min(low for low, _ in bounds), max(high for _, high in bounds))


def _predictions(
    kept: pd.DataFrame, measured: Floats, in_sample: Floats, held_out: Mapping[str, Floats]
) -> tuple[Prediction, ...]:
    unknown = np.full(len(kept), None)
    columns = [held_out["held_out"], held_out.get("by_dataset", unknown), held_out.get("by_size", unknown)]
    return tuple(
        Prediction(str(name), *(None if number is None else float(number) for number in numbers))  # type: ignore[arg-type]
        for name, *numbers in zip(kept["experiment_id"], measured, in_sample, *columns, strict=True)
    )


def _described(
    terms: Sequence[Term],
    quantity: Quantity,
    values: Floats,
    lower: Floats,
    upper: Floats,
    inputs: Floats,
    predicted: Floats,
) -> tuple[Coefficient, ...]:
    with np.errstate(invalid="ignore"):
        shares = np.nan_to_num(inputs * values / predicted[:, None]).mean(axis=0)
    return tuple(
        Coefficient(term.name, term.unit(quantity), term.description, *map(float, numbers))
        for term, *numbers in zip(terms, values, lower, upper, shares, strict=True)
    )
