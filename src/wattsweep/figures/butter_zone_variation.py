"""Variation of test loss over repetitions, over parameters and epochs: the twin of BUTTER's butter zone."""

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm

from wattsweep.figures.butter_zone import Panel, contours, minimum_marks, panels_of, zone_frame
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import GRADIENT, Figure

TITLE = "How repetitions differ in test loss, over parameters and epochs"
CLAIM = "BUTTER: repetitions agree best around the butter zone, and differ more where training goes on past it."

LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Coefficient of variation: standard deviation over repetitions / mean."""


def draw(inputs: FigureInputs) -> Figure:
    """As the butter zone, but colour is the coefficient of variation of test loss over repetitions, capped at 0.5.

    Star and dashed line are where the median loss is least, as there.
    """
    grid = panels_of(inputs, "test_loss_cv")
    losses = _losses(inputs)
    figure, axes_of = zone_frame(grid, TITLE, inputs)
    if not axes_of:
        return figure
    norm = BoundaryNorm(LEVELS, mpl.colormaps[GRADIENT].N, extend="max")
    for panel in grid.panels:
        axes = axes_of[panel.dataset, panel.column]
        contours(axes, panel, panel.values, LEVELS, norm, extend="max")
        loss = losses.get((panel.dataset, panel.column))
        if loss is not None and loss.values.shape == panel.values.shape:
            minimum_marks(axes, panel, loss.values)
    bar = figure.colorbar(ScalarMappable(norm, GRADIENT), ax=list(axes_of.values()), location="right", aspect=30)
    bar.set_label("standard deviation / mean of test loss")
    bar.set_ticks(LEVELS, labels=[f"{level:g}" for level in LEVELS])
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """The variation at the epoch of least loss of each size, against that at the last epoch."""
    losses = _losses(inputs)
    at_least, at_end = [], []
    for panel in panels_of(inputs, "test_loss_cv").panels:
        loss = losses.get((panel.dataset, panel.column))
        if loss is None or loss.values.shape != panel.values.shape:
            continue
        place = np.argmin(np.where(np.isnan(loss.values), np.inf, loss.values), axis=1)
        risen = place < 0.98 * (loss.values.shape[1] - 1)
        at_least += list(panel.values[np.arange(len(place)), place][risen])
        at_end += list(panel.values[:, -1][risen])
    known = np.isfinite(at_least) & np.isfinite(at_end)
    if known.sum() < 6:
        return Finding(
            CLAIM,
            "not enough data",
            f"{known.sum()} networks have several repetitions and a test loss that rose again, where 6 are needed.",
        )
    first, last = np.array(at_least)[known], np.array(at_end)[known]
    return Finding(
        CLAIM,
        overall([bool(np.median(last) > np.median(first))]),
        f"the coefficient of variation is {np.median(first):.1%} at the least loss and {np.median(last):.1%} at the "
        f"last epoch, medians of {known.sum()} networks whose test loss rose again.",
    )


def _losses(inputs: FigureInputs) -> dict[tuple[str, str], Panel]:
    return {(panel.dataset, panel.column): panel for panel in panels_of(inputs, "test_loss_median").panels}
