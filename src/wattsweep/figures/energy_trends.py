"""Energy against rows, parameters, operations and depth, for each kind of hardware: figure 1 of BUTTER-E."""

import math

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from wattsweep.figures.binning import octave, quartiles
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs, drawable
from wattsweep.figures.kinds import Kind, kinds
from wattsweep.figures.style import (
    FAINT_INK,
    Axes,
    Figure,
    frame,
    height_for,
    legend,
    lightened,
    log_axis,
    nothing_to_draw,
    whole_number_axis,
)

TITLE = "Energy of training against rows, parameters, operations and depth"
CLAIM = (
    "BUTTER-E: energy per datum is flat up to about 2^12 parameters on a CPU and 2^20 on a GPU, then rises with them."
)
QUANTITY = "energy_per_datum_j"
PALEST = 0.75

FLAT = 1.5
"""Energy is flat as long as its median is less than so many times that of the smallest networks."""
KNEES = {False: 12, True: 20}
"""log2 of the parameters up to which the paper found it flat: on a CPU, on a GPU."""
KNEE_TOLERANCE = 2
LEAST_SIZES = 6


def draw(inputs: FigureInputs) -> Figure:
    """Four panels: J per epoch against training rows; J per datum against parameters, operations and depth.

    Thick lines are medians over all experiments with bars from quartile to quartile, thin lines those of equal size
    or depth, the darker the larger.
    """
    shown = drawable(inputs.experiments, QUANTITY)
    found = kinds(inputs, shown.experiments)
    if not found:
        return nothing_to_draw(
            title=TITLE,
            origins=inputs.experiments["power_origin"],
            why="No experiment has a measured net energy above 0 J.",
        )
    pale, dark = (Line2D([], [], color=lightened(FAINT_INK, share), linewidth=1.2) for share in (PALEST, 0))
    pale.set_label("of the least")
    dark.set_label("of the greatest")
    groups = [("hardware", [kind.handle() for kind in found]), ("thin lines: size or depth", [pale, dark])]
    figure = frame(
        10.5, max(7.6, height_for(groups)), title=TITLE, origins=shown.experiments["power_origin"], note=shown.note
    )
    (rows, parameters), (operations, depth) = figure.subplots(2, 2)
    for kind in found:
        data = _columns(kind.experiments)
        _lines(rows, kind, data, "n_train", "epoch_j", "size")
        _lines(parameters, kind, data, "parameters", "datum_j", "depth")
        _lines(operations, kind, data, "operations", "datum_j", "depth")
        _lines(depth, kind, data, "depth", "datum_j", "size")
    whole_number_axis(depth, "x", shown.experiments["depth"])
    for axes in (rows, parameters, operations):
        log_axis(axes, "x")
    for axes in (rows, parameters, operations, depth):
        log_axis(axes, "y", "J")
    rows.set(xlabel="training rows", ylabel="net energy of an epoch, J", title="thin lines: equal size")
    parameters.set(xlabel="trainable parameters", title="thin lines: equal depth")
    operations.set(xlabel="multiply-accumulates of a datum", title="thin lines: equal depth")
    depth.set(xlabel="depth, layers", title="thin lines: equal size")
    for axes in (parameters, operations, depth):
        axes.set_ylabel("net energy per datum, J")
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """Up to how many parameters energy per datum is flat, against what the paper found."""
    verdicts, words = [], []
    for kind in kinds(inputs, drawable(inputs.experiments, QUANTITY).experiments):
        data = _columns(kind.experiments)
        medians = quartiles(data["size"], data["datum_j"])
        if len(medians) < LEAST_SIZES:
            words.append(f"{kind.name} has {len(medians)} sizes, fewer than {LEAST_SIZES}.")
            continue
        last = flat_until(medians)
        rise = medians["median"].iloc[-1] / medians["median"].iloc[0]
        ended = last < math.log2(medians["x"].iloc[-1])
        if not ended and last < KNEES[kind.gpu]:
            words.append(f"{kind.name}: flat over all sizes, of which the largest is 2^{last:.0f}.")
            continue
        verdicts.append(ended and abs(last - KNEES[kind.gpu]) <= KNEE_TOLERANCE)
        words.append(
            f"{kind.name}: less than {FLAT:g} times the smallest networks' up to 2^{last:.0f} parameters, "
            f"{rise:.3g} times at 2^{math.log2(medians['x'].iloc[-1]):.0f}."
        )
    return Finding(CLAIM, overall(verdicts), " ".join(words) or "no experiment has a measured net energy.")


def flat_until(medians: pd.DataFrame) -> float:
    """log2 of the largest x up to which every median is less than `FLAT` times the first."""
    high = medians["median"].to_numpy() >= FLAT * medians["median"].iloc[0]
    last = int(np.argmax(high)) - 1 if high.any() else len(medians) - 1
    return math.log2(medians["x"].iloc[last])


def _columns(experiments: pd.DataFrame) -> pd.DataFrame:
    per_datum = experiments[f"{QUANTITY}_median"]
    return pd.DataFrame(
        {
            "n_train": experiments["n_train"],
            "size": experiments["size"],
            "depth": experiments["depth"],
            "parameters": experiments.groupby("size")["n_parameters"].transform("median"),
            "operations": octave(experiments["macs_per_epoch"] / experiments["n_train"]),
            "datum_j": per_datum,
            "epoch_j": per_datum * experiments["n_train"],
        }
    )


def _lines(axes: Axes, kind: Kind, data: pd.DataFrame, x: str, y: str, line: str) -> None:
    values = sorted(data[line].unique())
    for place, value in enumerate(values):
        mine = data[data[line] == value]
        thin = quartiles(mine[x], mine[y])
        share = PALEST * (1 - place / max(len(values) - 1, 1))
        axes.plot(thin["x"], thin["median"], color=lightened(kind.colour, share), linewidth=0.8, linestyle=kind.line)
    thick = quartiles(data[x], data[y])
    axes.errorbar(
        thick["x"],
        thick["median"],
        yerr=[thick["median"] - thick["q1"], thick["q3"] - thick["median"]],
        color=kind.colour,
        linestyle=kind.line,
        marker=kind.marker,
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linewidth=2,
        elinewidth=1.3,
        capsize=2.5,
        zorder=3,
    )
