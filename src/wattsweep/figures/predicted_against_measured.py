"""How well the energy model predicts experiments that it did not see."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from wattsweep.analysis import EnergyModelFit
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import ALARM, FAINT_INK, PALETTE, Axes, Figure, frame, log_axis, nothing_to_draw

TITLE = "How well energy is predicted for experiments held out of the fit"
MOST_FITS = 8
RATIO_RANGE = (0.0, 2.0)

MODEL_WORDS = {"settings": "from settings alone", "settings+time": "from settings and the duration of training"}


def draw(inputs: FigureInputs) -> Figure:
    """A row for each fit: predicted against measured with a band of 10 %, and a histogram of their ratio."""
    fitted = [fit for fit in inputs.fits if fit.fitted and fit.model in MODEL_WORDS]
    if not fitted:
        return nothing_to_draw(
            title=TITLE,
            origins=[fit.group.power_origin for fit in inputs.fits],
            why="No energy model could be fitted: too few experiments with a measured net energy above 0 J.",
        )
    notes = [f"{len(fitted) - MOST_FITS} further fits are not shown."] if len(fitted) > MOST_FITS else []
    fitted = fitted[:MOST_FITS]
    figure = frame(
        10.5,
        3.7 * len(fitted) + 0.8,
        title=TITLE,
        origins=[fit.group.power_origin for fit in fitted],
        note=" ".join(notes),
    )
    panels = figure.subplots(len(fitted), 2, squeeze=False, width_ratios=[1.15, 1])
    for (left, right), fit, colour in zip(panels, fitted, PALETTE, strict=False):
        _scatter(left, fit, colour)
        _histogram(right, fit, colour)
    return figure


def _scatter(axes: Axes, fit: EnergyModelFit, colour: str) -> None:
    measured = np.array([prediction.measured_j for prediction in fit.predictions])
    predicted = np.array([prediction.held_out_j for prediction in fit.predictions])
    seen = predicted > 0
    both = np.concatenate([measured, predicted[seen]])
    ends = np.array([both.min() / 1.4, both.max() * 1.4])
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color="#d0d0d0", linewidth=0, label="within 10 %")
    axes.plot(ends, ends, color=FAINT_INK, linewidth=1, label="equal")
    axes.scatter(
        measured[seen],
        predicted[seen],
        s=22,
        color=colour,
        alpha=0.75,
        edgecolors="white",
        linewidths=0.5,
        rasterized=len(measured) > 500,
    )
    axes.set(xlim=ends, ylim=ends, xlabel=f"{fit.group.power_origin}, J per datum", ylabel="predicted, J per datum")
    log_axis(axes, "x", "J")
    log_axis(axes, "y", "J")
    axes.set_title(f"{MODEL_WORDS[fit.model]}\n{group_words(fit)}")
    axes.legend(loc="upper left")


def _histogram(axes: Axes, fit: EnergyModelFit, colour: str) -> None:
    ratio = np.array([prediction.held_out_j / prediction.measured_j for prediction in fit.predictions])
    low, high = RATIO_RANGE
    axes.axvspan(0.9, 1.1, color="#d0d0d0", linewidth=0)
    axes.hist(np.clip(ratio, low, high), bins=40, range=RATIO_RANGE, color=colour, edgecolor="white", linewidth=0.4)
    axes.axvline(1, color=FAINT_INK, linewidth=1)
    beyond = int((ratio > high).sum())
    if beyond:
        axes.text(high, 0, f"{beyond} at {high:g} or more ", ha="right", va="bottom", rotation=90, color=ALARM)
    errors = fit.held_out
    if errors is not None:
        axes.set_title(
            f"mean error {errors.mape:.1%}, median {errors.median:.1%}\n"
            f"{errors.within_10:.0%} within 10 %, n = {errors.n}"
        )
    axes.set(xlim=RATIO_RANGE, xlabel=f"predicted / {fit.group.power_origin}", ylabel="experiments")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def group_words(fit: EnergyModelFit) -> str:
    """What a fit is for, in a few words."""
    group = fit.group
    hardware = ", ".join(part for part in (group.device, group.cpu_model) if part) or "unknown hardware"
    return f"{group.engine}, {hardware}, power {group.power_origin}"
