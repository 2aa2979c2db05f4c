"""The shared look of the figures: colours, markers, sizes, the frame around the panels, the mark of simulated power.

Colours are Okabe and Ito's and Tol's colour-blind-safe ones; shapes have markers too, so that no meaning hangs on
colour alone.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.axes
import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from wattsweep.networks import SHAPES

Axes = matplotlib.axes.Axes
Figure = matplotlib.figure.Figure
Legend = Sequence[tuple[str, Sequence[Artist]]]

RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelsize": 10.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "wattsweep",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
}

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#332288",
    "#882255",
    "#999933",
    "#44AA99",
    "#AA4499",
    "#117733",
    "#666666",
)
MARKERS = dict(zip(SHAPES, "osD^v<>P", strict=True))
LINE_STYLES = ("-", "--", "-.", ":")
SHAPE_COLOURS = dict(zip(SHAPES, PALETTE, strict=False))
SHAPE_LINES = {shape: LINE_STYLES[place % len(LINE_STYLES)] for place, shape in enumerate(SHAPES)}
INK, FAINT_INK, ALARM = "#1a1a1a", "#555555", "#a30000"
GRADIENT = "cividis"
LEAST_POSITIVE = 1e-30

TICKS_WITHIN_DECADES = (
    (1000, (1.0,)),
    (100, (1.0, 3.0)),
    (12, (1.0, 2.0, 5.0)),
    (0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)),
)
"""The ticks of a decade, where an axis' ends have more than this ratio."""

MOST_ELEMENTS = 500

TITLE_INCHES, MARK_INCHES, NOTE_INCHES, LEGEND_LINE_INCHES = 0.38, 0.30, 0.25, 0.205
MARK_ID = "power-mark"


def colours(datasets: Iterable[str]) -> dict[str, str]:
    """A colour for each dataset, by its place in the alphabet."""
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(sorted(set(datasets)))}


def power_mark(origins: Iterable[str]) -> str:
    """What a figure or report of these origins of power must say; empty where all of it was measured."""
    found = set(origins) - {"none"}
    unreal = sorted(found - {"measured"})
    if not unreal:
        return ""
    kinds = " and ".join(unreal).upper()
    if "measured" in found:
        return f"PARTLY {kinds} POWER - not all of this is a measurement"
    return f"{kinds} POWER - not a measurement"


def frame(width: float, height: float, *, title: str, origins: Iterable[str], note: str = "") -> Figure:
    """An empty figure of this size in inches, with its title, the mark of simulated power and a note below."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.text(0.1 / width, 1 - 0.12 / height, title, ha="left", va="top", size=13, weight="bold", color=INK)
    top, bottom = TITLE_INCHES, 0.0
    mark = power_mark(origins)
    if mark:
        figure.text(
            0.14 / width,
            1 - (TITLE_INCHES + 0.06) / height,
            mark,
            ha="left",
            va="top",
            size=10,
            weight="bold",
            color="white",
            gid=MARK_ID,
            bbox={"facecolor": ALARM, "edgecolor": ALARM, "boxstyle": "square,pad=0.25"},
        )
        top += MARK_INCHES
    if note:
        figure.text(0.1 / width, 0.08 / height, note, ha="left", va="bottom", size=9, color=FAINT_INK)
        bottom = NOTE_INCHES
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, bottom / height, 1, 1 - (top + bottom) / height), w_pad=0.08, h_pad=0.08)
    return figure


def nothing_to_draw(*, title: str, origins: Iterable[str], why: str) -> Figure:
    """A figure that says in words why it shows nothing."""
    figure = frame(7, 2.4, title=title, origins=origins)
    figure.text(0.5, 0.4, textwrap.fill(why, 64), ha="center", va="center", size=11, color=FAINT_INK)
    return figure


def log_axis(axes: Axes, which: str, unit: str | None = "") -> None:
    """Make an axis logarithmic, with labels inside a decade where it spans few of them.

    Ticks bear SI prefixes, but for `unit` None, where they are plain numbers. To be called when the data are drawn.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    getattr(axes, f"set_{which}scale")("log")
    low, high = getattr(axes, f"get_{which}lim")()
    subs = next(subs for ratio, subs in TICKS_WITHIN_DECADES if high / low > ratio)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}") if unit is None else EngFormatter(unit=unit))
    axis.set_minor_formatter(NullFormatter())


def bytes_axis(axes: Axes, which: str = "x", most_ticks: int = 6) -> None:
    """Make an axis of bytes logarithmic, with few ticks at powers of two; to be called when the data are drawn."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    getattr(axes, f"set_{which}scale")("log", base=2)
    low, high = getattr(axes, f"get_{which}lim")()
    octaves = math.log2(high / low)
    step = next(step for step in (1, 2, 5, 10) if octaves / step <= most_ticks or step == 10)
    axis.set_major_locator(FixedLocator([2.0**power for power in range(0, 61, step)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: binary(value)))
    axis.set_minor_locator(NullLocator())


def binary(n_bytes: float) -> str:
    """Bytes with the prefix that leaves the fewest digits, such as 32 KiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    place = min(max(int(math.log2(n_bytes) // 10), 0), len(units) - 1) if n_bytes > 0 else 0
    return f"{n_bytes / 1024**place:.3g} {units[place]}"


def plain_colour_bar(bar: Any, low: float, high: float) -> None:
    """Give a logarithmic colour bar from `low` to `high` plain numbers, few enough to be read."""
    ticks = list(LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high))
    inside = [value for value in ticks if low <= value <= high]
    if len(inside) < 2:
        inside = [float(value) for value in np.geomspace(low, high, 3)]
    every = -(-len(inside) // 5)
    bar.set_ticks(inside[::every], labels=[f"{value:.2g}" for value in inside[::every]])
    bar.minorticks_off()


def lightened(colour: str, share: float) -> tuple[float, float, float]:
    """A colour with this share of white, 0 to 1."""
    red, green, blue = to_rgb(colour)
    return red + (1 - red) * share, green + (1 - green) * share, blue + (1 - blue) * share


def as_picture_if_many(axes: Axes, n_points: int) -> None:
    """Draw marks and lines as a picture within SVG and PDF where they are many: each would be an element of its own.

    To be called when all is drawn.
    """
    if n_points > MOST_ELEMENTS:
        for artist in (*axes.lines, *axes.collections):
            artist.set_rasterized(True)


def capacity_lines(axes: Axes, ends: Sequence[tuple[str, float]]) -> None:
    """A dotted line where each level of memory is full, with its name at the top, within the limits of the x axis."""
    low, high = axes.get_xlim()
    for name, n_bytes in ends:
        if low <= n_bytes <= high:
            axes.axvline(n_bytes, color=FAINT_INK, linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=1.5)
            axes.annotate(
                name,
                (n_bytes, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-2, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                size=8.5,
                color=FAINT_INK,
            )


def interval_bars(axes: Axes, x: "pd.Series[Any]", data: pd.DataFrame, quantity: str, colour: str) -> None:
    """Draw the interval of the measurement at each `x` behind the points, cut where the axes end.

    They do not move the limits of the axes; an end at 0 or below reaches to the foot of a logarithmic axis.
    """
    ends = zip(x, data[f"{quantity}_lower"], data[f"{quantity}_upper"], strict=True)
    segments = [((at, max(low, LEAST_POSITIVE)), (at, high)) for at, low, high in ends if high > 0]
    axes.add_collection(LineCollection(segments, colors=colour, linewidths=3, alpha=0.25, zorder=1), autolim=False)


def whole_number_axis(axes: Axes, which: str, values: Iterable[int]) -> None:
    """Make an axis logarithmic with one tick at each of these whole numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    getattr(axes, f"set_{which}scale")("log")
    axis.set_major_locator(FixedLocator(sorted(set(values))))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def shape_handles(shapes: Iterable[str]) -> list[Line2D]:
    """Legend entries of shapes, in the order of `wattsweep.networks.SHAPES`."""
    present = set(shapes)
    return [
        Line2D([], [], marker=MARKERS[shape], linestyle="", color=FAINT_INK, markersize=6, label=shape)
        for shape in SHAPES
        if shape in present
    ]


def origin_handles(origins: Iterable[str]) -> list[Line2D]:
    """Legend entries of origins of power: filled points where it was measured, hollow ones where not."""
    return [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color=FAINT_INK,
            markerfacecolor=FAINT_INK if origin == "measured" else "none",
            markersize=6,
            label=origin,
        )
        for origin in sorted(set(origins))
    ]


def dataset_handles(chosen: dict[str, str]) -> list[Line2D]:
    """Legend entries of datasets."""
    return [
        Line2D([], [], marker="s", linestyle="", color=colour, markersize=8, label=name)
        for name, colour in chosen.items()
    ]


def height_for(groups: Legend) -> float:
    """The least height in inches of a figure whose legend is clear of its title and mark."""
    lines = sum(1 + len(entries) for _, entries in groups)
    return 2 * (TITLE_INCHES + MARK_INCHES) + LEGEND_LINE_INCHES * lines


def legend(figure: Figure, groups: Legend) -> None:
    """One legend at the right of the panels, its groups one below the other, each under its heading."""
    handles: list[Artist] = []
    for heading, entries in groups:
        handles += [Line2D([], [], linestyle="", label=heading), *entries]
    box = figure.legend(handles=handles, loc="outside right center", handletextpad=0.3, borderaxespad=0.4)
    headings = {heading for heading, _ in groups}
    for text in box.get_texts():
        if text.get_text() in headings:
            text.set_fontweight("bold")
