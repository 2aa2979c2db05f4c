"""Fits energy per datum as a sum of physical terms, none of which can be negative.

The least relative squares: minimise sum over experiments of (sum of terms / measured - 1)^2, by non-negative least
squares (Lawson and Hanson, Solving Least Squares Problems, 1974) on rows divided by the measured value.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from wattsweep.analysis.fit import Coefficient, EnergyModelFit, Errors, Group, Prediction
from wattsweep.analysis.terms import MODELS, Floats, ModelName, Term, features
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError

TARGET = "energy_per_datum_j_median"
GROUPING = ["engine", "device", "cpu_model", "power_origin"]
SAME_NETWORK = ["dataset_source", "dataset", "widths", "batch_size", "epochs"]

ROUNDING = 1e-9
"""A term that explains less than this share of the largest is what rounding left of 0."""

Indices = NDArray[np.intp]


def fit_groups(experiments: pd.DataFrame, config: AnalysisConfig) -> list[EnergyModelFit]:
    """Every model for every group of experiments.parquet (engine, device, CPU model, origin of power).

    A group with too little data gives a fit with the status "not fitted" and the reason.
    """
    fits = []
    labels = experiments[GROUPING].fillna("").astype(str)
    for key, members in experiments.groupby([labels[name] for name in GROUPING], sort=True):
        group = Group(*(str(part) for part in key))
        for model in MODELS:
            fits.append(_fit_or_reason(members, model, group, config))
    return fits


def fit_energy_model(
    experiments: pd.DataFrame, model: ModelName, group: Group, config: AnalysisConfig
) -> EnergyModelFit:
    """One model on the experiments of one group.

    Experiments without a positive net energy are left out and counted. Errors are measured on held-out experiments
    too: the experiments fall into `folds` parts at random, and each part is predicted by a fit of the others.
    Experiments that are the same network on the same data (all shapes of depth 2, say) stay in one part, and are
    resampled together for the intervals of the coefficients, percentiles over `bootstrap_samples` resamples.

    Raises AnalysisError where fewer experiments are left than terms + 1, or fewer distinct networks than folds.
    """
    terms = MODELS[model]
    kept, excluded = usable(experiments)
    _require_enough(kept, terms, excluded, config)
    inputs = features(terms, kept)
    measured = kept[TARGET].to_numpy(dtype=np.float64)
    networks = _network_codes(kept)
    rng = np.random.default_rng(config.seed)

    coefficients = solve(inputs, measured)
    in_sample = inputs @ coefficients
    held_out = np.empty_like(measured)
    for test in _folds(networks, config.folds, rng):
        held_out[test] = inputs[test] @ solve(inputs[~test], measured[~test])
    resampled = np.array(
        [solve(inputs[rows], measured[rows]) for rows in _resamples(networks, config.bootstrap_samples, rng)]
    )
    tail = 50 * (1 - config.confidence)
    lower, upper = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return EnergyModelFit(
        status="fitted",
        reason="",
        model=model,
        group=group,
        n_experiments=len(kept),
        excluded=excluded,
        folds=config.folds,
        bootstrap_samples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
        coefficients=_described(terms, coefficients, lower, upper, inputs, in_sample),
        in_sample=relative_errors(in_sample, measured),
        held_out=relative_errors(held_out, measured),
        predictions=tuple(
            Prediction(str(name), float(m), float(i), float(h))
            for name, m, i, h in zip(kept["experiment_id"], measured, in_sample, held_out, strict=True)
        ),
    )


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
        "net energy is not positive": int(np.sum(energy <= 0)),
        "training diverged": int(np.sum((energy > 0) & diverged)),
    }
    return experiments[(energy > 0) & ~diverged], {reason: n for reason, n in counts.items() if n}


def solve(inputs: Floats, measured: Floats) -> Floats:
    """The non-negative coefficients [terms] of least relative squares, of inputs [experiments, terms]."""
    rows = inputs / measured[:, None]
    # Terms differ by many orders of magnitude; the solver's tolerance is absolute.
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(rows / scale, np.ones(len(measured)))
    solution[solution < ROUNDING * solution.max()] = 0.0
    return np.asarray(solution / scale, dtype=np.float64)


def relative_errors(predicted: Floats, measured: Floats) -> Errors:
    """The errors of predictions, relative to the measured values."""
    ratio = predicted / measured
    error = np.abs(ratio - 1)
    return Errors(
        n=len(ratio),
        mape=float(error.mean()),
        median=float(np.median(error)),
        bias=float((ratio - 1).mean()),
        spread=float(ratio.std()),
        within_10=float(np.mean(error <= 0.1)),
    )


def _fit_or_reason(members: pd.DataFrame, model: ModelName, group: Group, config: AnalysisConfig) -> EnergyModelFit:
    try:
        return fit_energy_model(members, model, group, config)
    except AnalysisError as error:
        kept, excluded = usable(members)
        return EnergyModelFit(
            status="not fitted",
            reason=str(error),
            model=model,
            group=group,
            n_experiments=len(kept),
            excluded=excluded,
            folds=config.folds,
            bootstrap_samples=config.bootstrap_samples,
            confidence=config.confidence,
            seed=config.seed,
        )


def _require_enough(
    kept: pd.DataFrame, terms: Sequence[Term], excluded: dict[str, int], config: AnalysisConfig
) -> None:
    left_out = ", ".join(f"{n} left out because {reason}" for reason, n in excluded.items())
    found = f"{len(kept)} experiments have a positive net energy" + (f" ({left_out})" if left_out else "")
    if len(kept) <= len(terms):
        raise AnalysisError(f"{found}; a model of {len(terms)} terms needs {len(terms) + 1}: widen the sweep")
    n_networks = int(_network_codes(kept).max()) + 1
    if n_networks < config.folds:
        raise AnalysisError(
            f"{found}, of {n_networks} distinct networks, fewer than analysis.folds = {config.folds}: "
            "widen the sweep or lower analysis.folds"
        )


def _network_codes(experiments: pd.DataFrame) -> Indices:
    """A number for each experiment, the same for those that are the same network on the same data."""
    keys = experiments[SAME_NETWORK].astype(str).agg(" ".join, axis=1)
    codes, _ = pd.factorize(keys, sort=True)
    return np.asarray(codes, dtype=np.intp)


def _folds(networks: Indices, n_folds: int, rng: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Which experiments are held out in each fold."""
    part = rng.permutation(int(networks.max()) + 1) % n_folds
    for fold in range(n_folds):
        yield part[networks] == fold


def _resamples(networks: Indices, n_samples: int, rng: np.random.Generator) -> Iterator[Indices]:
    """The rows of each resample of networks, with replacement."""
    n_networks = int(networks.max()) + 1
    members = [np.flatnonzero(networks == network) for network in range(n_networks)]
    for _ in range(n_samples):
        yield np.concatenate([members[network] for network in rng.integers(n_networks, size=n_networks)])


def _described(
    terms: Sequence[Term], values: Floats, lower: Floats, upper: Floats, inputs: Floats, predicted: Floats
) -> tuple[Coefficient, ...]:
    with np.errstate(invalid="ignore"):
        shares = np.nan_to_num(inputs * values / predicted[:, None]).mean(axis=0)
    return tuple(
        Coefficient(term.name, term.unit, term.description, *map(float, numbers))
        for term, *numbers in zip(terms, values, lower, upper, shares, strict=True)
    )
