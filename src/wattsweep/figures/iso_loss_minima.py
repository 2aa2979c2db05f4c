"""Where the least energy at equal test loss lies, in bytes of each working set: figure 6 of BUTTER-E."""

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from wattsweep.analysis.iso_loss import LEAST_NETWORKS, minima
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.iso_loss_aggregate import kinds_with_minima, label_working_sets, with_bytes
from wattsweep.figures.iso_loss_samples import NO_LINES
from wattsweep.figures.kinds import WORKING_SETS, Kind, cache_ends, placed, without_profile
from wattsweep.figures.style import (
    FAINT_INK,
    Axes,
    Figure,
    Legend,
    bytes_axis,
    capacity_lines,
    frame,
    height_for,
    legend,
    lightened,
    nothing_to_draw,
)

TITLE = "The working sets of the networks of least energy at equal test loss"
CLAIM = "BUTTER-E: the network of least energy at a test loss is one whose parameters still fit into the caches."
LEAST_LINES = 20


def draw(inputs: FigureInputs) -> Figure:
    """A row for each kind of hardware and a column for each working set, a count for each (line, level of loss).

    Hatched: the least energy was that of the smallest or the largest network, so that the true least may lie beyond.
    """
    found = minima(inputs.iso_loss)
    all_kinds = kinds_with_minima(inputs, found)
    known = [kind for kind in all_kinds if kind.profile is not None]
    if not known:
        why = without_profile(all_kinds) or NO_LINES
        return nothing_to_draw(title=TITLE, origins=inputs.experiments["power_origin"], why=why)
    groups: Legend = [
        (
            "least energy is",
            [
                Patch(facecolor=FAINT_INK, label="between the smallest\nand largest network"),
                Patch(facecolor="white", edgecolor=FAINT_INK, hatch="////", label="at one of them"),
            ],
        )
    ]
    figure = frame(
        12.0,
        max(2.7 * len(known) + 0.9, height_for(groups)),
        title=TITLE,
        origins=[origin for kind in known for origin in kind.experiments["power_origin"]],
        note=without_profile(all_kinds),
    )
    panels = figure.subplots(len(known), len(WORKING_SETS), squeeze=False, sharey="row")
    for row, kind in zip(panels, known, strict=True):
        joined = with_bytes(kind, found)
        for axes, name in zip(row, WORKING_SETS, strict=True):
            _panel(axes, kind, joined, f"{name}_bytes")
        row[0].set_ylabel(f"lines of equal loss\n{kind.name}")
        row[0].yaxis.set_major_locator(MaxNLocator(5, integer=True))
    label_working_sets(panels)
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """How many of the networks of least energy have their forward pass within the caches."""
    found = minima(inputs.iso_loss)
    all_kinds = kinds_with_minima(inputs, found)
    verdicts, words = [], []
    for kind in all_kinds:
        if kind.profile is None:
            continue
        inside = found[(found["place"] == "inside") & found["row"].isin(kind.experiments.index)]
        if len(inside) < LEAST_LINES:
            words.append(
                f"{kind.name}: {len(inside)} lines with a least energy inside, where {LEAST_LINES} are needed."
            )
            continue
        levels = pd.Series([sets.forward.level for sets in placed(kind)], index=kind.experiments.index)
        cached = (inside["row"].map(levels) < len(kind.profile.levels)).mean()
        verdicts.append(bool(cached > 0.5))
        parameters = inside["n_parameters"].median()
        words.append(
            f"{kind.name}: the forward pass fits the caches in {cached:.0%} of {len(inside)} cases; "
            f"2^{np.log2(parameters):.1f} parameters in the median."
        )
    why = without_profile(all_kinds) or f"no level of loss is reached by {LEAST_NETWORKS} networks."
    return Finding(CLAIM, overall(verdicts), " ".join(words) or why)


def _panel(axes: Axes, kind: Kind, found: pd.DataFrame, name: str) -> None:
    logs = np.log2(found[name].to_numpy(dtype=np.float64))
    edges = 2 ** np.arange(np.floor(2 * logs.min()) / 2, logs.max() + 1, 0.5)
    if len(edges) < 2:
        edges = np.array([edges[0], 2 * edges[0]])
    inside = (found["place"] == "inside").to_numpy()
    axes.hist(
        [found.loc[inside, name], found.loc[~inside, name]],
        bins=list(edges),
        stacked=True,
        color=[kind.colour, lightened(kind.colour, 0.85)],
        edgecolor=kind.colour,
        linewidth=0.5,
        hatch=["", "////"],
    )
    ends = [n_bytes for _, n_bytes in cache_ends(kind.profile)] if kind.profile is not None else []
    near = [n_bytes for n_bytes in ends if edges[0] / 16 < n_bytes < edges[-1] * 16]
    axes.set_xlim(min([edges[0], *near]) / 1.4, max([edges[-1], *near]) * 1.4)
    bytes_axis(axes, most_ticks=4)
    if kind.profile is not None:
        capacity_lines(axes, cache_ends(kind.profile))
