"""Predicted / measured energy for each kind of hardware: figure 7 of BUTTER-E."""

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from wattsweep.analysis import EnergyModelFit
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.kinds import is_gpu, processor_words, wrapped
from wattsweep.figures.style import (
    FAINT_INK,
    INK,
    PALETTE,
    Axes,
    Figure,
    frame,
    lightened,
    nothing_to_draw,
)

TITLE = "Predicted / measured energy, in sample and held out"
CLAIM = (
    "BUTTER-E: a linear model gives in sample a ratio predicted / measured with a standard deviation of 0.28 on a CPU "
    "and 0.08 on a GPU."
)
SPREADS = {False: 0.28, True: 0.08}
MODEL = "settings"
RANGE = (0.0, 2.0)
MOST_PANELS = 6


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each group that the model was fitted to, from settings alone.

    Filled: each experiment by the fit of the others; the outline: by the fit of all. What lies beyond 2 stands at 2.
    """
    fits = _fits(inputs)
    if not fits:
        return nothing_to_draw(
            title=TITLE,
            origins=inputs.experiments["power_origin"],
            why="No energy model could be fitted: too few experiments with a measured net energy above 0 J.",
        )
    notes = f"{len(fits) - MOST_PANELS} further fits are not shown." if len(fits) > MOST_PANELS else ""
    fits = fits[:MOST_PANELS]
    columns = min(2, len(fits))
    rows = math.ceil(len(fits) / columns)
    figure = frame(
        max(4.9 * columns, 7.0),
        3.6 * rows + 0.8,
        title=TITLE,
        origins=[fit.group.power_origin for fit in fits],
        note=notes,
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for place, (axes, fit) in enumerate(zip(panels.flat, fits, strict=False)):
        _panel(axes, fit, PALETTE[place])
    for axes in panels.flat[len(fits) :]:
        axes.set_visible(False)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """The standard deviation of the ratio in sample, against the published one."""
    verdicts, words = [], []
    for fit in _fits(inputs):
        in_sample, held_out = _ratios(fit)
        published = SPREADS[is_gpu(fit.group.device)]
        verdicts.append(bool(in_sample.std() <= published))
        words.append(
            f"{processor_words(fit.group.device, fit.group.cpu_model)}, {fit.group.engine}: "
            f"{in_sample.std():.2f} in sample against {published:g}, mean {in_sample.mean():.3f}; held out "
            f"{held_out.std():.2f}, mean {held_out.mean():.3f} ({len(in_sample)} experiments)."
        )
    return Finding(CLAIM, overall(verdicts), " ".join(words) or "no energy model could be fitted.")


def _fits(inputs: FigureInputs) -> list[EnergyModelFit]:
    found = [fit for fit in inputs.fits if fit.fitted and fit.model == MODEL and fit.quantity == "energy"]
    return sorted(found, key=lambda fit: is_gpu(fit.group.device))


def _ratios(fit: EnergyModelFit) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", ...]:
    measured = np.array([one.measured_j for one in fit.predictions])
    return tuple(
        np.array([getattr(one, name) for one in fit.predictions]) / measured for name in ("in_sample_j", "held_out_j")
    )


def _panel(axes: Axes, fit: EnergyModelFit, colour: str) -> None:
    in_sample, held_out = _ratios(fit)
    axes.hist(
        np.clip(held_out, *RANGE),
        bins=50,
        range=RANGE,
        color=lightened(colour, 0.35),
        edgecolor="white",
        linewidth=0.3,
        label=f"held out: {_numbers(held_out)}",
    )
    axes.hist(
        np.clip(in_sample, *RANGE),
        bins=50,
        range=RANGE,
        histtype="step",
        color=INK,
        linewidth=1.3,
        label=f"in sample: {_numbers(in_sample)}",
    )
    axes.axvline(1, color=FAINT_INK, linewidth=1, linestyle="--")
    words = [processor_words(fit.group.device, fit.group.cpu_model), fit.group.engine]
    words += [f"{fit.group.power_origin} power"] if fit.group.power_origin != "measured" else []
    axes.set_title(wrapped(", ".join(words), 48))
    axes.set(xlim=RANGE, xlabel=f"predicted / {fit.group.power_origin}", ylabel="experiments")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.28)
    axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="white")


def _numbers(ratio: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return f"mean {ratio.mean():.3f}, sd {ratio.std():.3f}"
