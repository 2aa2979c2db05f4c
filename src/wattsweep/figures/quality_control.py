"""Which runs are kept, by run time, its deviation and energy: figure 2 of BUTTER-E."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

from wattsweep.analysis.quality import MOST_DEVIATIONS, Quality, hardware_class, judge
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import (
    ALARM,
    FAINT_INK,
    PALETTE,
    Axes,
    Figure,
    Legend,
    frame,
    height_for,
    legend,
    lightened,
    log_axis,
    nothing_to_draw,
)

TITLE = "Which runs are kept, and what the filters find"
CLAIM = "BUTTER-E: the filters of run time and energy remove 0.6 % of the runs that have an energy."
KEPT, REMOVED = lightened(PALETTE[0], 0.35), ALARM
FILTERS = ("long_run", "zero_energy", "unusual_run_time")
MOST_REMOVED = 0.02
LEAST_RUNS = 100
NO_RUNS = "No energy of a run was measured or refused, so there is nothing to filter."


def draw(inputs: FigureInputs) -> Figure:
    """A row for CPUs and one for GPUs: run time, its deviation from like runs, and run time against net energy.

    Kept runs and those that a rule finds are stacked, or have marks of their own. The deviation is that of log run
    time from the mean of its hardware class, dataset and size, in standard deviations.
    """
    judged = _judged(inputs)
    if judged is None:
        return nothing_to_draw(title=TITLE, origins=inputs.runs["power_origin"], why=NO_RUNS)
    runs, quality = judged
    classes = sorted(runs["hardware_class"].unique())
    groups: Legend = [
        (
            "runs",
            [
                Patch(facecolor=KEPT, label="kept"),
                Patch(facecolor=REMOVED, edgecolor="white", hatch="////", label="found by a rule"),
            ],
        ),
        ("", [Line2D([], [], color=FAINT_INK, linestyle="--", label=f"{MOST_DEVIATIONS:g} standard\ndeviations")]),
    ]
    figure = frame(
        11.0,
        max(3.1 * len(classes) + 1.0, height_for(groups)),
        title=TITLE,
        origins=runs["power_origin"],
        note=_counts(quality),
    )
    panels = figure.subplots(len(classes), 3, squeeze=False)
    for row, name in zip(panels, classes, strict=True):
        mine = runs[runs["hardware_class"] == name]
        _histogram(row[0], mine, "training_s", logarithmic=True)
        _histogram(row[1], mine[mine["deviations"].notna()], "deviations", logarithmic=False)
        row[1].axvline(MOST_DEVIATIONS, color=FAINT_INK, linestyle="--", linewidth=1.2)
        _scatter(row[2], mine)
        row[0].set(ylabel=f"runs on {name.upper()}", xlabel="run time, s")
        row[1].set(xlabel="deviation of log run time, sd")
        row[2].set(xlabel="run time, s", ylabel="net energy, J")
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """What share of the runs with an energy the three filters find."""
    judged = _judged(inputs)
    if judged is None or int((judged[0]["energy_status"] == "ok").sum()) < LEAST_RUNS:
        n_ok = 0 if judged is None else int((judged[0]["energy_status"] == "ok").sum())
        return Finding(CLAIM, "not enough data", f"{n_ok} runs have an energy, where {LEAST_RUNS} are needed.")
    runs, quality = judged
    places = [place for place, rule in enumerate(quality.rules) if rule.name in FILTERS]
    with_energy = (runs["energy_status"] == "ok").to_numpy()
    removed = int(quality.flags[:, places].any(axis=1).sum())
    share = removed / with_energy.sum()
    return Finding(
        CLAIM,
        overall([bool(share <= MOST_REMOVED)]),
        f"they find {removed:,} of {with_energy.sum():,} runs, {share:.2%}; {len(runs) - with_energy.sum():,} others "
        "have no energy.",
    )


def _judged(inputs: FigureInputs) -> tuple[pd.DataFrame, Quality] | None:
    """The runs that power was read for, with kept, deviations and hardware_class; None where there are none."""
    runs = inputs.runs[inputs.runs["energy_status"] != "none"].reset_index(drop=True)
    if runs.empty:
        return None
    quality = judge(runs)
    found = runs.assign(
        kept=quality.kept, deviations=quality.deviations, hardware_class=hardware_class(runs), row=np.arange(len(runs))
    )
    return found, quality


def _counts(quality: Quality) -> str:
    found = [f"{name.replace('_', ' ')} {count:,}" for name, count in quality.counts().items() if count]
    kept = f"{quality.kept.sum():,} of {len(quality.run_ids):,} runs are kept."
    return f"{kept} Found: {', '.join(found)}." if found else kept


def _histogram(axes: Axes, runs: pd.DataFrame, column: str, *, logarithmic: bool) -> None:
    values = runs[column].to_numpy(dtype=np.float64)
    values_known = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    if len(values_known) == 0:
        axes.text(0.5, 0.5, "no run has like runs", transform=axes.transAxes, ha="center", va="center", size=9)
        return
    low, high = float(values_known.min()), float(values_known.max())
    if logarithmic:
        edges = np.geomspace(low / 1.05, high * 1.05, 41)
    else:
        edges = np.linspace(0, max(high, MOST_DEVIATIONS) * 1.05, 41)
    kept = runs["kept"].to_numpy()
    axes.hist(
        [values[kept], values[~kept]],
        bins=list(edges),
        stacked=True,
        color=[KEPT, REMOVED],
        edgecolor="white",
        linewidth=0.3,
        hatch=["", "////"],
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if logarithmic:
        _time_axis(axes)


def _scatter(axes: Axes, runs: pd.DataFrame) -> None:
    shown = runs[(runs["energy_net_j"] > 0) & (runs["training_s"] > 0)]
    if shown.empty:
        axes.text(0.5, 0.5, "no run has a net energy\nabove 0 J", transform=axes.transAxes, ha="center", va="center")
        return
    for kept, colour, marker, size in ((True, KEPT, "o", 8), (False, REMOVED, "x", 26)):
        mine = shown[shown["kept"] == kept]
        axes.scatter(
            mine["training_s"],
            mine["energy_net_j"],
            s=size,
            color=colour,
            marker=marker,
            linewidths=1.3 if marker == "x" else 0,
            alpha=0.6 if kept else 1.0,
            # A sweep has tens of thousands of runs.
            rasterized=len(shown) > 500,
            zorder=2 if kept else 3,
        )
    _time_axis(axes)
    log_axis(axes, "y", "J")


def _time_axis(axes: Axes) -> None:
    log_axis(axes, "x", "s")
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
