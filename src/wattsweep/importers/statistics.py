"""Statistics over the repetitions of an experiment, by the rules of BUTTER's summary.

Quartiles are interpolated between runs, a value that is not finite counting as the greatest; least, greatest, mean and
standard deviation (of n - 1) are of finite values only. A run that was stopped has no values past its end.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = dict[str, NDArray[np.float32] | NDArray[np.uint16]]

QUARTERS = (("q1", 0.25), ("median", 0.5), ("q3", 0.75))


def stacked(curves: Sequence[NDArray[np.float32]]) -> tuple[Floats, NDArray[np.int64]]:
    """The curves [runs, epochs of the longest], nan past their ends, and how many runs reach each epoch [epochs]."""
    lengths = np.array([len(curve) for curve in curves])
    values = np.full((len(curves), int(lengths.max(initial=0))), np.nan)
    for row, curve in zip(values, curves, strict=True):
        row[: len(curve)] = curve
    return values, np.asarray((lengths[:, None] > np.arange(values.shape[1])).sum(axis=0), dtype=np.int64)


def trajectory(values: Floats, reached: NDArray[np.int64]) -> Values:
    """Every statistic at each epoch, by its published name, of values [runs, epochs]; nan where there is none."""
    finite = np.isfinite(values)
    n = finite.sum(axis=0)
    known = np.where(finite, values, 0.0)
    some = np.maximum(n, 1)
    mean = known.sum(axis=0) / some
    squares = np.where(finite, (values - mean) ** 2, 0.0).sum(axis=0)
    spread = np.sqrt(squares / np.maximum(n - 1, 1))
    told: Values = {
        "num_finite": n.astype(np.uint16),
        "min": _known(np.where(finite, values, np.inf).min(axis=0, initial=np.inf), n > 0),
        "max": _known(np.where(finite, values, -np.inf).max(axis=0, initial=-np.inf), n > 0),
        "avg": _known(mean, n > 0),
        "stddev": _known(spread, n > 1),
    }
    ordered = np.sort(np.where(finite, values, np.inf), axis=0)
    for name, share in QUARTERS:
        quantile = _quantile(ordered, share, reached)
        told[name] = _known(quantile, np.isfinite(quantile))
    return told


def best(values: Floats, sign: int) -> tuple[Floats, Floats]:
    """Epoch (from 1) and value of each run's best, [runs with a finite value]; sign 1: the least, -1: the greatest."""
    finite = np.isfinite(values)
    ranked = np.where(finite, sign * values, np.inf)
    rows = np.flatnonzero(finite.any(axis=1))
    places = ranked[rows].argmin(axis=1)
    return places + 1.0, values[rows, places]


def spread_of(values: Floats) -> dict[str, float | None]:
    """Least, quartiles, greatest and mean of finite values, by their published names; None where there is none."""
    if len(values) == 0:
        return dict.fromkeys(("min", "q1", "median", "q3", "max", "avg"))
    quarters = dict(zip(("q1", "median", "q3"), np.percentile(values, [25, 50, 75]).tolist(), strict=True))
    return {"min": float(values.min()), **quarters, "max": float(values.max()), "avg": float(values.mean())}


def _known(values: Floats, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(known, values, np.nan).astype(np.float32)


def _quantile(ordered: Floats, share: float, reached: NDArray[np.int64]) -> Floats:
    """The quantile at each epoch of the first `reached` of ordered values [runs, epochs]."""
    place = share * np.maximum(reached - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(reached - 1, 0))
    at = np.arange(ordered.shape[1])
    below, above, rest = ordered[low, at], ordered[high, at], place - low
    with np.errstate(invalid="ignore"):
        between = below + (above - below) * rest
    return np.asarray(np.where(rest == 0, below, between), dtype=np.float64)
