"""Net energy per datum against parameters and against depth."""

import pandas as pd

from wattsweep.figures.inputs import FigureInputs, drawable
from wattsweep.figures.style import (
    MARKERS,
    Axes,
    Figure,
    as_picture_if_many,
    colours,
    dataset_handles,
    frame,
    height_for,
    interval_bars,
    legend,
    log_axis,
    nothing_to_draw,
    origin_handles,
    shape_handles,
    whole_number_axis,
)

TITLE = "What one row of training data costs in one epoch"
QUANTITY = "energy_per_datum_j"


def draw(inputs: FigureInputs) -> Figure:
    """Two panels: against parameters with lines of equal depth, and against depth with lines of equal size.

    Points are medians over an experiment's runs and bars their quartiles, faint ones the interval of the measurement;
    hollow points are not measured.
    """
    shown = drawable(inputs.experiments, QUANTITY)
    data = shown.experiments
    if data.empty:
        return nothing_to_draw(
            title=TITLE,
            origins=inputs.experiments["power_origin"],
            why="No experiment has a measured net energy above 0 J.",
        )
    chosen = colours(data["dataset"])
    groups = [
        ("dataset", dataset_handles(chosen)),
        ("shape", shape_handles(data["shape"])),
        ("power", origin_handles(data["power_origin"])),
    ]
    height = max(5.0, height_for(groups))
    figure = frame(10.5, height, title=TITLE, origins=data["power_origin"], note=shown.note)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, data, chosen, x="n_parameters", line="depth")
    _panel(right, data, chosen, x="depth", line="size")
    log_axis(left, "x")
    log_axis(left, "y", "J")
    whole_number_axis(right, "x", data["depth"])
    left.set(xlabel="trainable parameters", ylabel="net energy per datum, J", title="lines: equal depth")
    right.set(xlabel="depth, layers", title="lines: equal size")
    legend(figure, groups)
    return figure


def _panel(axes: Axes, data: pd.DataFrame, chosen: dict[str, str], *, x: str, line: str) -> None:
    settings = ["dataset", "shape", "power_origin", "device", "cpu_model", "engine", "epochs", "batch_size"]
    for key, group in data.sort_values(x).groupby([*settings, line], sort=True, dropna=False):
        dataset, shape, origin = str(key[0]), str(key[1]), str(key[2])
        median = group[f"{QUANTITY}_median"]
        interval_bars(axes, group[x], group, QUANTITY, chosen[dataset])
        axes.errorbar(
            group[x],
            median,
            yerr=[median - group[f"{QUANTITY}_q1"], group[f"{QUANTITY}_q3"] - median],
            color=chosen[dataset],
            marker=MARKERS[shape],
            markersize=5,
            markerfacecolor=chosen[dataset] if origin == "measured" else "none",
            linewidth=0.6,
            elinewidth=1.2,
            capsize=2,
            alpha=0.85,
        )
    as_picture_if_many(axes, len(data))
