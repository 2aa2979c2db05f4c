"""Medians and quartiles along an axis."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

COLUMNS = ["x", "q1", "median", "q3", "n"]
GAP = pd.DataFrame({name: [np.nan] for name in COLUMNS})


def quartiles(x: ArrayLike, y: ArrayLike) -> pd.DataFrame:
    """Quartiles of y [n] at each distinct x [n]: columns x, q1, median, q3 and n, by growing x."""
    frame = pd.DataFrame({"x": np.asarray(x, dtype=np.float64), "y": np.asarray(y, dtype=np.float64)})
    grouped = frame.groupby("x", sort=True)["y"]
    found = pd.DataFrame({name: grouped.quantile(q) for name, q in (("q1", 0.25), ("median", 0.5), ("q3", 0.75))})
    return found.assign(n=grouped.size()).reset_index()


def octave(x: ArrayLike, width: float = 1.0) -> Floats:
    """The middle of the bin, `width` powers of two wide, of each x [n]."""
    return np.asarray(2 ** (np.round(np.log2(np.asarray(x, dtype=np.float64)) / width) * width))


def running_quartiles(x: ArrayLike, y: ArrayLike, *, octaves: float = 2.0, least: int = 5) -> pd.DataFrame:
    """Quartiles of y [n] in a window `octaves` wide that moves along x [n] by half an octave.

    Columns as `quartiles`; windows of fewer than `least` points are left out.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    order = np.argsort(xs, kind="stable")
    logs, ys = np.log2(xs[order]), ys[order]
    rows = []
    if len(logs):
        for middle in np.arange(np.floor(2 * logs[0]) / 2, logs[-1] + 0.5, 0.5):
            low, high = np.searchsorted(logs, [middle - octaves / 2, middle + octaves / 2])
            if high - low >= least:
                rows.append(
                    [2 ** np.clip(middle, logs[0], logs[-1]), *np.quantile(ys[low:high], [0.25, 0.5, 0.75]), high - low]
                )
    return pd.DataFrame(rows, columns=COLUMNS, dtype=np.float64)


def quartiles_by_level(
    x: ArrayLike, y: ArrayLike, ends: Sequence[tuple[str, float]], *, octaves: float = 2.0, least: int = 5
) -> pd.DataFrame:
    """`running_quartiles` of y [n] within each level of memory, with a row of nan between two of them.

    x [n] are bytes of one unit, `ends` where each level is full. Units differ between levels, so a line across the end
    of one would join what has no common measure.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    edges = [0.0, *(n_bytes for _, n_bytes in ends), np.inf]
    parts = []
    for low, high in pairwise(edges):
        inside = (xs > low) & (xs <= high)
        parts += [running_quartiles(xs[inside], ys[inside], octaves=octaves, least=least), GAP]
    return pd.concat(parts[:-1], ignore_index=True)


def growth(x: ArrayLike, y: ArrayLike) -> float:
    """The power with which y [n] grows with x [n]: the slope of the straight line of least squares in log-log.

    nan where x has no two different values.
    """
    logs = np.log(np.asarray(x, dtype=np.float64))
    if len(logs) < 2 or np.ptp(logs) == 0:
        return float("nan")
    return float(np.polyfit(logs, np.log(np.asarray(y, dtype=np.float64)), 1)[0])
