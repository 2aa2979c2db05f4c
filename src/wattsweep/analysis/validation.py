"""How far predictions are off, on what they did not see, and how often their interval holds the truth."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

from wattsweep.analysis.fit import Errors
from wattsweep.analysis.terms import Floats

Indices = NDArray[np.intp]

SAME_NETWORK = ["dataset_source", "dataset", "widths", "batch_size", "epochs"]
DATASET = ["dataset_source", "dataset"]
SIZE = ["size"]
FEWEST_NETWORKS = 3.0


def codes(experiments: pd.DataFrame, columns: Sequence[str]) -> Indices:
    """A number for each experiment, from 0, the same for those that are equal in these columns."""
    if experiments.empty:
        return np.empty(0, dtype=np.intp)
    keys = experiments[list(columns)].astype(str).agg(" ".join, axis=1)
    numbers, _ = pd.factorize(keys, sort=True)
    return np.asarray(numbers, dtype=np.intp)


def random_parts(networks: Indices, n_parts: int, rng: np.random.Generator) -> Indices:
    """A part for each experiment, at random, with all of a network in one part."""
    return np.asarray((rng.permutation(int(networks.max()) + 1) % n_parts)[networks], dtype=np.intp)


def seen_by_part(parts: Indices) -> Floats:
    """Weights [parts, experiments]: 0 for what a part holds out, 1 for the others."""
    return np.asarray(parts[None, :] != np.arange(int(parts.max()) + 1)[:, None], dtype=np.float64)


def resamples(networks: Indices, n_samples: int, rng: np.random.Generator) -> Floats:
    """Weights [n_samples, experiments]: how often each experiment's network is drawn, with replacement."""
    n_networks = int(networks.max()) + 1
    counts = rng.multinomial(n_networks, np.full(n_networks, 1.0 / n_networks), size=n_samples)
    return counts[:, networks].astype(np.float64)


def expanded_percentiles(resampled: Floats, weights: Floats, networks: Indices, confidence: float) -> Floats:
    """Lower and upper ends [2, coefficients] of the intervals of coefficients, from resamples [n, coefficients].

    Percentiles further out than those of the confidence, as a t distribution is wider than a normal one (Hesterberg,
    What Teachers Should Know about the Bootstrap, The American Statistician 69, 2015): the ends are at the normal
    distribution's share below sqrt(n / (n - 1)) t, with n not all networks, but about as many as a coefficient is
    known from: (sum w)^2 / sum w^2, with the weights [experiments, coefficients] added up over each network.
    """
    totals = np.zeros((int(networks.max()) + 1, weights.shape[1]))
    np.add.at(totals, networks, weights)
    squares = (totals**2).sum(axis=0)
    n = totals.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1.0)
    n = np.maximum(n, FEWEST_NETWORKS)
    share = norm.cdf(np.sqrt(n / (n - 1)) * t.ppf((1 - confidence) / 2, n - 1))
    ends = [np.quantile(column, [low, 1 - low]) for column, low in zip(resampled.T, share, strict=True)]
    return np.array(ends, dtype=np.float64).T


def ratio_bounds(ratios: Floats, confidence: float) -> tuple[float, float]:
    """Bounds that hold measured / predicted of a further experiment with this confidence.

    Order statistics of n ratios that are exchangeable with it, the k-th and the (n + 1 - k)-th with k =
    floor((n + 1) (1 - confidence) / 2): split conformal prediction (Vovk, Gammerman, Shafer, Algorithmic Learning in a
    Random World, 2005). Where n is too small for the confidence, the extremes.
    """
    ordered = np.sort(ratios)
    k = max(1, int((len(ordered) + 1) * (1 - confidence) / 2 + 1e-9))
    return float(ordered[k - 1]), float(ordered[-k])


def relative_errors(predicted: Floats, measured: Floats, coverage: float | None = None) -> Errors:
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
        coverage=coverage,
    )


def held_out_errors(predicted: Floats, measured: Floats, parts: Indices, confidence: float) -> Errors:
    """The errors of predictions of held-out parts, with the coverage of their intervals.

    The interval of an experiment is made of the ratios of the other parts, so it has not seen its own.
    """
    # A prediction of nothing has no ratio to be scaled by; its interval is empty, so it counts as not covered.
    ratios = np.divide(measured, predicted, out=np.full_like(measured, np.inf), where=predicted > 0)
    covered = np.zeros(len(measured), dtype=bool)
    for own, others in _each(parts):
        lower, upper = ratio_bounds(ratios[others], confidence)
        covered[own] = (ratios[own] >= lower) & (ratios[own] <= upper)
    return relative_errors(predicted, measured, float(covered.mean()))


def _each(parts: Indices) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for part in range(int(parts.max()) + 1):
        own = parts == part
        yield own, ~own
