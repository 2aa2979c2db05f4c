"""Energy per datum against the bytes of each working set: figure 3 of BUTTER-E."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wattsweep.figures.binning import growth, quartiles_by_level
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs, drawable
from wattsweep.figures.kinds import WORKING_SETS, Kind, cache_ends, kinds, occupied_bytes, without_profile
from wattsweep.figures.style import (
    FAINT_INK,
    LINE_STYLES,
    PALETTE,
    Axes,
    Figure,
    Legend,
    bytes_axis,
    capacity_lines,
    frame,
    height_for,
    legend,
    log_axis,
    nothing_to_draw,
)

TITLE = "Energy per datum against the memory that training occupies"
CLAIM = "BUTTER-E: energy per datum rises more steeply once the working set has left the last cache."
QUANTITY = "energy_per_datum_j"
LOOKS = dict(zip(WORKING_SETS, zip(PALETTE, LINE_STYLES, "os^D", strict=False), strict=False))
LEAST_EACH_SIDE = 8


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each kind of hardware; lines are running medians, bands go from quartile to quartile.

    x is what the set occupies of a unit (core, socket, SM, GPU), the sets before it included; dotted lines are where
    the levels of memory are full.
    """
    shown = drawable(inputs.experiments, QUANTITY)
    found = kinds(inputs, shown.experiments)
    known = [kind for kind in found if kind.profile is not None]
    if not known:
        why = without_profile(found) or "No experiment has a measured net energy above 0 J."
        return nothing_to_draw(title=TITLE, origins=inputs.experiments["power_origin"], why=why)
    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=5, label=WORKING_SETS[name])
        for name, (colour, line, marker) in LOOKS.items()
    ]
    full = Line2D([], [], color=FAINT_INK, linewidth=1.1, linestyle=(0, (1, 1.5)), label="a level of\nmemory is full")
    groups: Legend = [
        ("working set", handles),
        ("", [Patch(color="#cccccc", label="half of the\nexperiments"), full]),
    ]
    figure = frame(
        max(4.0 * len(known) + 2.2, 8.0),
        max(4.6, height_for(groups)),
        title=TITLE,
        origins=shown.experiments["power_origin"],
        note=" ".join(part for part in (shown.note, without_profile(found)) if part),
    )
    panels = figure.subplots(1, len(known), squeeze=False)[0]
    for axes, kind in zip(panels, known, strict=True):
        _panel(axes, kind)
        axes.set_title(kind.name)
        axes.set_xlabel("bytes occupied of a unit of memory")
    panels[0].set_ylabel("net energy per datum, J")
    legend(figure, groups)
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """How steeply energy grows with the backward pass's bytes within the last cache and beyond it."""
    verdicts, words = [], []
    found = kinds(inputs, drawable(inputs.experiments, QUANTITY).experiments)
    for kind in found:
        if kind.profile is None:
            continue
        size = occupied_bytes(kind)["backward_bytes"].to_numpy()
        energy = kind.experiments[f"{QUANTITY}_median"].to_numpy(dtype=np.float64)
        name, end = cache_ends(kind.profile)[-1]
        beyond = size > end
        if min(beyond.sum(), (~beyond).sum()) < LEAST_EACH_SIDE:
            words.append(
                f"{kind.name}: {(~beyond).sum()} experiments within {name} and {beyond.sum()} beyond it, where each "
                f"needs {LEAST_EACH_SIDE}."
            )
            continue
        within, outside = growth(size[~beyond], energy[~beyond]), growth(size[beyond], energy[beyond])
        verdicts.append(outside > within)
        words.append(
            f"{kind.name}: energy grows as bytes to the power {within:.2f} within {name} and {outside:.2f} beyond it."
        )
    return Finding(CLAIM, overall(verdicts), " ".join(words) or without_profile(found) or "no energy was measured.")


def _panel(axes: Axes, kind: Kind) -> None:
    sizes = occupied_bytes(kind)
    energy: pd.Series[float] = kind.experiments[f"{QUANTITY}_median"]
    least = 5 if len(sizes) >= 25 else 1
    ends = cache_ends(kind.profile) if kind.profile is not None else []
    for name, (colour, line, marker) in LOOKS.items():
        smooth = quartiles_by_level(sizes[f"{name}_bytes"], energy, ends, least=least)
        axes.fill_between(smooth["x"], smooth["q1"], smooth["q3"], color=colour, alpha=0.13, linewidth=0)
        axes.plot(
            smooth["x"],
            smooth["median"],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4.5,
            markevery=2,
            linewidth=1.8,
        )
    bytes_axis(axes)
    log_axis(axes, "y", "J")
    capacity_lines(axes, ends)
