"""Energy at equal test loss, relative to its least, against working sets, all together: figure 5 of BUTTER-E."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from wattsweep.analysis.iso_loss import LEAST_NETWORKS, minima, relative_energy
from wattsweep.figures.binning import quartiles_by_level
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.iso_loss_samples import NO_LINES
from wattsweep.figures.kinds import WORKING_SETS, Kind, cache_ends, kinds, occupied_bytes, without_profile
from wattsweep.figures.style import (
    FAINT_INK,
    INK,
    Axes,
    Figure,
    bytes_axis,
    capacity_lines,
    frame,
    height_for,
    legend,
    lightened,
    log_axis,
    nothing_to_draw,
)

TITLE = "Energy at equal test loss, as a multiple of the least, against occupied memory"
CLAIM = (
    "BUTTER-E: at the same test loss energy falls as parameters grow until the working set leaves the last cache, then "
    "rises."
)
EACH_LEVEL = 10
HIGHEST = 100.0
NEAR = 4.0
"""A least energy is at the end of the last cache where its backward pass's bytes are within this factor of it."""


def draw(inputs: FigureInputs) -> Figure:
    """A row for each kind of hardware and a column for each working set; thin lines join networks at the same loss.

    Every tenth level of loss is shown. The thick line is the running median over all, the band goes from quartile to
    quartile, and dotted lines are where the levels of memory are full.
    """
    lines = relative_energy(inputs.iso_loss)
    found = kinds(inputs, inputs.experiments.loc[lines["row"].unique()]) if len(lines) else []
    known = [kind for kind in found if kind.profile is not None]
    if not known:
        why = without_profile(found) or NO_LINES
        return nothing_to_draw(title=TITLE, origins=inputs.experiments["power_origin"], why=why)
    full = Line2D([], [], color=FAINT_INK, linewidth=1.1, linestyle=(0, (1, 1.5)), label="a level of\nmemory is full")
    thin = Line2D([], [], color=lightened(FAINT_INK, 0.5), linewidth=0.6, label="networks at the\nsame loss")
    groups = [("", [thin, Line2D([], [], color=INK, linewidth=2, label="median"), full])]
    figure = frame(
        12.0,
        max(3.1 * len(known) + 0.9, height_for(groups)),
        title=TITLE,
        origins=[origin for kind in known for origin in kind.experiments["power_origin"]],
        note=without_profile(found),
    )
    panels = figure.subplots(len(known), len(WORKING_SETS), squeeze=False, sharey=True)
    for row, kind in zip(panels, known, strict=True):
        joined = with_bytes(kind, lines)
        for axes, name in zip(row, WORKING_SETS, strict=True):
            _panel(axes, kind, joined, f"{name}_bytes")
        row[0].set_ylabel(f"energy / least energy\n{kind.name}")
    label_working_sets(panels)
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """Where the least energy of lines lies: inside the networks that were trained, and near the end of a cache."""
    found = minima(inputs.iso_loss)
    all_kinds = kinds_with_minima(inputs, found)
    verdicts, words = [], []
    for kind in all_kinds:
        if kind.profile is None:
            continue
        mine = with_bytes(kind, found)
        inside = mine[mine["place"] == "inside"]
        name, end = cache_ends(kind.profile)[-1]
        if len(inside) < 3 * LEAST_NETWORKS:
            words.append(
                f"{kind.name}: of {len(mine)} lines only {len(inside)} have their least energy between the smallest "
                "and the largest network."
            )
            continue
        near = inside["backward_bytes"].between(end / NEAR, end * NEAR).mean()
        verdicts.append(bool(near > 0.5))
        words.append(
            f"{kind.name}: of {len(mine)} lines {len(inside) / len(mine):.0%} have their least energy between the "
            f"smallest and the largest network, and {near:.0%} of these within a factor {NEAR:g} of where {name} is "
            f"full."
        )
    why = without_profile(all_kinds) or f"no level of loss is reached by {LEAST_NETWORKS} networks."
    return Finding(CLAIM, overall(verdicts), " ".join(words) or why)


def kinds_with_minima(inputs: FigureInputs, least: pd.DataFrame) -> list[Kind]:
    """The kinds of hardware with lines of equal loss; none where no line has a least energy, of `iso_loss.minima`."""
    return kinds(inputs, inputs.experiments.loc[inputs.iso_loss["row"].unique()]) if len(least) else []


def label_working_sets(panels: "np.ndarray[tuple[int, int], np.dtype[np.object_]]") -> None:
    """Name the columns of panels [kinds, working sets], and their axes of bytes."""
    for axes, words in zip(panels[0], WORKING_SETS.values(), strict=True):
        axes.set_title(words)
    for axes in panels[-1]:
        axes.set_xlabel("bytes occupied of a unit")


def with_bytes(kind: Kind, lines: pd.DataFrame) -> pd.DataFrame:
    """The rows of lines that are of a kind, with the occupied bytes of each working set as columns."""
    return lines[lines["row"].isin(kind.experiments.index)].join(occupied_bytes(kind), on="row")


def _panel(axes: Axes, kind: Kind, lines: pd.DataFrame, name: str) -> None:
    shown = lines[lines["level"] % EACH_LEVEL == 0].sort_values(["line", "level", "n_parameters"])
    segments = [
        group[[name, "relative_energy"]].to_numpy(dtype=np.float64)
        for _, group in shown.groupby(["line", "level"], sort=False)
    ]
    # Thousands of lines: as vectors they would make the figure too large for a page.
    axes.add_collection(
        LineCollection(segments, colors=lightened(kind.colour, 0.4), linewidths=0.5, alpha=0.3, rasterized=True)
    )
    ends = cache_ends(kind.profile) if kind.profile is not None else []
    smooth = quartiles_by_level(lines[name], lines["relative_energy"], ends)
    axes.fill_between(smooth["x"], smooth["q1"], smooth["q3"], color=kind.colour, alpha=0.25, linewidth=0, zorder=2)
    axes.plot(smooth["x"], smooth["median"], color=INK, linewidth=2, linestyle=kind.line, zorder=3)
    low, high = float(lines[name].min()), float(lines[name].max())
    axes.set_xlim(low / 1.3, high * 1.3)
    axes.set_ylim(0.93, min(HIGHEST, max(2.0, float(lines["relative_energy"].max()))))
    bytes_axis(axes, most_ticks=4)
    log_axis(axes, "y", None)
    capacity_lines(axes, ends)
