"""How the best test loss, when it is reached and how fast, follow from the number of parameters.

The three equations of BUTTER (arXiv 2207.12547), x being log10 of the parameters:

1. minimizing epoch t: t^(-1/3) = m x + b
2. minimum loss f: log10(f) = c (x - s0)^(-p) + phi
3. descent slope a: a = -l (x - s1)^2 + a0

Which function to use when:

- t, f and a of one curve of test loss: `descent`; of every experiment of a table: `descents`.
- one of the equations on points at hand: `fit_minimizing_epoch`, `fit_minimum_loss`, `fit_descent_slope`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from wattsweep.analysis.generalisation_fits import (
    CurveFit,
    Parameter,
    fit_descent_slope,
    fit_minimizing_epoch,
    fit_minimum_loss,
)

Floats = NDArray[np.float64]

N_POINTS, WINDOW, ORDER = 3000, 101, 1
"""Points that a curve is resampled on, evenly in log10(epoch), and the window (points) and order of its smoothing."""

LEAST_EPOCHS = 10
HEAD, TAIL = 0.1, 0.9
"""The descent is where between these shares of the whole fall of log10(loss) have been made."""

AT_END = 0.95
"""A minimum past this share of the trained epochs may not be the last word: training ended before the loss rose."""


@dataclass(frozen=True, slots=True)
class Descent:
    """What a curve of test loss says: when it is least (epochs), how low, and how steeply it came down.

    `slope` is d log10(loss) / d log10(epoch) of the straight line of least squares through the descent, `risen`
    whether training went on long enough past the minimum to know it for one.
    """

    minimizing_epoch: float
    minimum_loss: float
    slope: float
    risen: bool


def smoothed(test_loss: Floats) -> tuple[Floats, Floats]:
    """log10(epoch) and log10(loss) of a curve [epochs], resampled and smoothed; both [N_POINTS].

    Savitzky-Golay filter of window 101 and order 1 over points evenly spaced in log10(epoch), from BUTTER. Raises
    ValueError where a loss is not finite and above 0.
    """
    if not (np.isfinite(test_loss) & (test_loss > 0)).all():
        raise ValueError("every loss must be finite and above 0")
    at = np.linspace(0.0, np.log10(len(test_loss)), N_POINTS)
    log_loss = np.interp(at, np.log10(np.arange(1, len(test_loss) + 1)), np.log10(test_loss))
    return at, np.asarray(savgol_filter(log_loss, WINDOW, ORDER), dtype=np.float64)


def descent(test_loss: Floats) -> Descent | None:
    """The minimum and the slope of a curve of test loss [epochs]; None where it never falls or is too short.

    A curve ends where its loss first is not finite.
    """
    loss = np.asarray(test_loss, dtype=np.float64)
    bad = ~(np.isfinite(loss) & (loss > 0))
    loss = loss[: int(np.argmax(bad))] if bad.any() else loss
    if len(loss) < LEAST_EPOCHS:
        return None
    at, log_loss = smoothed(loss)
    least = int(np.argmin(log_loss))
    fallen = (log_loss[0] - log_loss[: least + 1]) / (log_loss[0] - log_loss[least]) if least else np.zeros(1)
    start = int(np.argmax(fallen >= HEAD))
    end = int(np.argmax(fallen >= TAIL)) + 1
    if end - start < 2:
        return None
    slope = float(np.polyfit(at[start:end], log_loss[start:end], 1)[0])
    epoch = float(10 ** at[least])
    return Descent(epoch, float(10 ** log_loss[least]), slope, risen=epoch < AT_END * len(loss))


def descents(experiments: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The experiments that have a curve with a descent, one row each, with `descent`'s four numbers as columns.

    `curves` is as `wattsweep.analysis.curves.read_curves` gives it; the median over repetitions is taken.
    """
    medians = dict(zip(curves["experiment_id"], curves["test_loss_median"], strict=True))
    once = experiments.drop_duplicates("experiment_id")
    found = {name: descent(medians[name]) for name in once["experiment_id"] if name in medians}
    known = once[once["experiment_id"].isin([name for name, one in found.items() if one is not None])]
    numbers = [one for name in known["experiment_id"] if (one := found[name]) is not None]
    return known.assign(
        minimizing_epoch=[one.minimizing_epoch for one in numbers],
        minimum_loss=[one.minimum_loss for one in numbers],
        slope=[one.slope for one in numbers],
        risen=[one.risen for one in numbers],
    )


__all__ = [
    "CurveFit",
    "Descent",
    "Parameter",
    "descent",
    "descents",
    "fit_descent_slope",
    "fit_minimizing_epoch",
    "fit_minimum_loss",
    "smoothed",
]
