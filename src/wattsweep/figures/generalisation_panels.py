"""What the three figures of BUTTER's equations share: a panel for each dataset, a mark and a curve for each shape."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from wattsweep.analysis.generalisation import CurveFit
from wattsweep.analysis.groups import network_shape
from wattsweep.errors import AnalysisError
from wattsweep.figures.findings import Finding
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import (
    FAINT_INK,
    MARKERS,
    SHAPE_COLOURS,
    SHAPE_LINES,
    Axes,
    Figure,
    frame,
    height_for,
    legend,
    log_axis,
    nothing_to_draw,
)
from wattsweep.networks import SHAPES

DEPTH = 3
MOST_PANELS = 12
GOOD_FIT = 0.8
NO_DESCENT = "No experiments with curves in which the test loss comes down over 10 epochs or more."


@dataclass(frozen=True, slots=True)
class Quantity:
    """One of the three quantities: its column, its axis, the fit of it, and the equation in words.

    `risen_only`: whether the fit leaves out networks whose loss had not risen again when training ended.
    """

    column: str
    title: str
    label: str
    logarithmic: bool
    fit: Callable[..., CurveFit]
    risen_only: bool
    claim: str


@dataclass(frozen=True, eq=False)
class Fitted:
    """The points of a dataset and shape, the fit through them, or why there is none."""

    dataset: str
    shape: str
    points: pd.DataFrame
    fit: CurveFit | None
    why: str


def fits_of(inputs: FigureInputs, quantity: Quantity) -> tuple[list[Fitted], int]:
    """The points and fits of each dataset and shape, and their depth: 3, or the commonest where no network has 3."""
    return inputs.once(quantity.column, lambda: _fits_of(inputs, quantity))


def _fits_of(inputs: FigureInputs, quantity: Quantity) -> tuple[list[Fitted], int]:
    data = inputs.descents
    if data.empty:
        return [], DEPTH
    depth = DEPTH if (data["depth"] == DEPTH).any() else int(data["depth"].mode().iloc[0])
    data = data[data["depth"] == depth].assign(shape=network_shape(data))
    found = []
    for (_, dataset, shape), points in data.groupby(["dataset_source", "dataset", "shape"], sort=True):
        used = points[points["risen"]] if quantity.risen_only else points
        try:
            fit, why = quantity.fit(used["n_parameters"], used[quantity.column]), ""
        except AnalysisError as error:
            fit, why = None, str(error)
        found.append(Fitted(str(dataset), str(shape), points, fit, why))
    return found, depth


def draw(inputs: FigureInputs, quantity: Quantity) -> Figure:
    """The figure of one quantity."""
    found, depth = fits_of(inputs, quantity)
    if not found:
        return nothing_to_draw(title=quantity.title, origins=inputs.experiments["power_origin"], why=NO_DESCENT)
    datasets = sorted({one.dataset for one in found})
    notes = [f"Networks of {depth} layers."]
    if inputs.with_curves.n_other:
        notes.append(f"{inputs.with_curves.n_other} experiments of other settings are not shown.")
    if len(datasets) > MOST_PANELS:
        notes.append(f"{len(datasets) - MOST_PANELS} further datasets are not shown.")
        datasets = datasets[:MOST_PANELS]
    groups = [
        ("shape", _handles(found)),
        ("", _open_handle() if not all(one.points["risen"].all() for one in found) else []),
    ]
    columns = min(3, len(datasets))
    rows = math.ceil(len(datasets) / columns)
    figure = frame(
        max(3.3 * columns + 2.0, 8.0),
        max(2.9 * rows + 0.9, height_for(groups)),
        title=quantity.title,
        origins=inputs.experiments["power_origin"],
        note=" ".join(notes),
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, dataset in zip(panels.flat, datasets, strict=False):
        for one in found:
            if one.dataset == dataset:
                _points(axes, one, quantity)
        axes.set_title(dataset)
        log_axis(axes, "x")
        if quantity.logarithmic:
            log_axis(axes, "y", None)
    for axes in panels.flat[len(datasets) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(quantity.label)
    for column in panels.T:
        [axes for axes in column if axes.get_visible()][-1].set_xlabel("trainable parameters")
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs, quantity: Quantity, parameter: str) -> Finding:
    """In how many panels the equation explains its quantity, with the parameter that says most."""
    found, depth = fits_of(inputs, quantity)
    fits = [one.fit for one in found if one.fit is not None]
    if not fits:
        why = f"{found[0].why} ({found[0].dataset}, {found[0].shape})." if found else NO_DESCENT
        return Finding(quantity.claim, "not enough data", why)
    good = np.array([fit.r_squared for fit in fits]) >= GOOD_FIT
    values = [fit.parameter(parameter) for fit in fits]
    known = [one for one in values if np.isfinite([one.lower, one.upper]).all()]
    middle = sorted(known, key=lambda one: one.value)[len(known) // 2] if known else None
    words = (
        f"the equation explains {GOOD_FIT:.0%} of the variance or more in {good.sum()} of {len(fits)} fits of depth "
        f"{depth} (R² {np.median([fit.r_squared for fit in fits]):.2f} in the median)"
    )
    if middle is not None:
        words += f"; {parameter} is {middle.value:.3g} ({middle.lower:.3g} to {middle.upper:.3g}) in the median fit"
    skipped = len(found) - len(fits)
    words += f"; {skipped} sets of networks were too few to fit." if skipped else "."
    return Finding(
        quantity.claim, "holds" if good.mean() >= 0.8 else "holds in part" if good.any() else "does not hold", words
    )


def _points(axes: Axes, one: Fitted, quantity: Quantity) -> None:
    colour, line = SHAPE_COLOURS[one.shape], SHAPE_LINES[one.shape]
    for risen in (True, False):
        mine = one.points[one.points["risen"] == risen]
        axes.plot(
            mine["n_parameters"],
            mine[quantity.column],
            marker=MARKERS[one.shape],
            markersize=4.5,
            linestyle="",
            color=colour,
            markerfacecolor=colour if risen else "white",
            alpha=0.85,
        )
    if one.fit is not None:
        x = np.logspace(*one.fit.span, 120)
        axes.plot(x, one.fit(x), color=colour, linestyle=line, linewidth=1.4)


def _handles(found: list[Fitted]) -> list[Line2D]:
    present = {one.shape for one in found}
    return [
        Line2D(
            [],
            [],
            marker=MARKERS[shape],
            color=SHAPE_COLOURS[shape],
            linestyle=SHAPE_LINES[shape],
            markersize=5.5,
            label=shape,
        )
        for shape in SHAPES
        if shape in present
    ]


def _open_handle() -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color=FAINT_INK,
            markerfacecolor="white",
            label="loss had not\nrisen again",
        )
    ]
