"""Net energy of a run against the test loss that it bought."""

import math

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from wattsweep.figures.inputs import FigureInputs, drawable
from wattsweep.figures.style import (
    ALARM,
    GRADIENT,
    MARKERS,
    Axes,
    Figure,
    as_picture_if_many,
    frame,
    height_for,
    interval_bars,
    legend,
    log_axis,
    nothing_to_draw,
    shape_handles,
)

TITLE = "What a run costs, and the test loss it reaches"
QUANTITY = "energy_net_j"
MOST_PANELS = 15


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each dataset; colour is the number of parameters, the line joins what no other experiment beats.

    Points are medians over an experiment's runs and bars their quartiles, in both directions; faint bars are the
    interval of the measurement.
    """
    shown = drawable(inputs.experiments, QUANTITY)
    data = shown.experiments.dropna(subset=["test_loss_median"])
    notes = [shown.note] if shown.note else []
    if len(data) < len(shown.experiments):
        notes.append(f"{len(shown.experiments) - len(data)} without a finite test loss are not shown.")
    if data.empty:
        return nothing_to_draw(
            title=TITLE,
            origins=inputs.experiments["power_origin"],
            why="No experiment has a measured net energy above 0 J and a finite test loss.",
        )
    datasets = sorted(data["dataset"].unique())
    if len(datasets) > MOST_PANELS:
        notes.append(f"{len(datasets) - MOST_PANELS} further datasets are not shown.")
        datasets = datasets[:MOST_PANELS]
    columns = min(3, len(datasets))
    rows = math.ceil(len(datasets) / columns)
    front = Line2D([], [], color=ALARM, linewidth=1.2, label="least energy for\na loss this low")
    lines = [front]
    if data["power_origin"].nunique() > 1:
        lines.append(
            Line2D([], [], marker="o", linestyle="", color="white", markeredgecolor=ALARM, label="not measured")
        )
    groups = [("shape", shape_handles(data["shape"])), ("", lines)]
    height = max(3.2 * rows + 0.8, height_for(groups))
    width = max(3.4 * columns + 2.6, 8.0)
    figure = frame(width, height, title=TITLE, origins=data["power_origin"], note=" ".join(notes))
    panels = figure.subplots(rows, columns, squeeze=False)
    norm = _norm(data["n_parameters"])
    for axes, dataset in zip(panels.flat, datasets, strict=False):
        _panel(axes, data[data["dataset"] == dataset], norm)
        axes.set_title(dataset)
    for axes in panels.flat[len(datasets) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("net energy of a run, J")
    bar = figure.colorbar(ScalarMappable(norm, GRADIENT), ax=panels, location="right", shrink=0.8, aspect=28, pad=0.02)
    bar.set_label("trainable parameters")
    bar.ax.yaxis.set_major_formatter(EngFormatter())
    legend(figure, groups)
    return figure


def _norm(parameters: "pd.Series[int]") -> LogNorm:
    low, high = float(parameters.min()), float(parameters.max())
    return LogNorm(low, high) if low < high else LogNorm(low / 2, high * 2)


def _panel(axes: Axes, data: pd.DataFrame, norm: LogNorm) -> None:
    loss, joules = data["test_loss_median"], data[f"{QUANTITY}_median"]
    interval_bars(axes, loss, data, QUANTITY, "#b0b0b0")
    axes.errorbar(
        loss,
        joules,
        xerr=[loss - data["test_loss_q1"], data["test_loss_q3"] - loss],
        yerr=[joules - data[f"{QUANTITY}_q1"], data[f"{QUANTITY}_q3"] - joules],
        fmt="none",
        ecolor="#b0b0b0",
        elinewidth=0.8,
    )
    mixed = data["power_origin"].nunique() > 1
    for (shape, origin), group in data.groupby(["shape", "power_origin"], sort=True):
        axes.scatter(
            group["test_loss_median"],
            group[f"{QUANTITY}_median"],
            c=group["n_parameters"],
            norm=norm,
            cmap=GRADIENT,
            marker=MARKERS[str(shape)],
            s=32,
            edgecolors=ALARM if mixed and origin != "measured" else "white",
            linewidths=1.0 if mixed and origin != "measured" else 0.5,
            zorder=3,
        )
    for _, group in data.groupby("power_origin", sort=True):
        front = unbeaten(group)
        axes.step(
            front["test_loss_median"], front[f"{QUANTITY}_median"], where="post", color=ALARM, linewidth=1.2, zorder=2
        )
    as_picture_if_many(axes, len(data))
    if loss.min() > 0 and loss.max() / loss.min() > 10:
        log_axis(axes, "x", None)
    log_axis(axes, "y", "J")
    axes.set_xlabel("test loss, last epoch")


def unbeaten(data: pd.DataFrame) -> pd.DataFrame:
    """The experiments that no other equals or betters in both loss and energy, by growing loss."""
    ordered = data.sort_values(["test_loss_median", f"{QUANTITY}_median"])
    joules = ordered[f"{QUANTITY}_median"].to_numpy(dtype=np.float64)
    least_before = np.concatenate([[np.inf], np.minimum.accumulate(joules)[:-1]])
    return ordered[joules < least_before]
