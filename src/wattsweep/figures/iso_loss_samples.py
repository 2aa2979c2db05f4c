"""What networks of different sizes spend to reach the same test loss, for sample networks: figure 4 of BUTTER-E."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from wattsweep.analysis.iso_loss import LEAST_NETWORKS, relative_energy
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.kinds import WORKING_SETS, Kind, kinds, placed, without_profile
from wattsweep.figures.style import (
    ALARM,
    FAINT_INK,
    GRADIENT,
    Axes,
    Figure,
    frame,
    legend,
    lightened,
    log_axis,
    nothing_to_draw,
    plain_colour_bar,
)

TITLE = "What networks of different sizes spend to reach the same test loss"
CLAIM = "BUTTER-E: at the same test loss the network of least operations is not the network of least energy."
MOST_SAMPLES = 4
LINES_SHOWN = 9
DEPTH = 3
"""Of lines equally full, one of networks near this depth is shown."""
NO_LINES = (
    "No experiment has both a measured net energy above 0 J and a curve of test loss that others of its kind share."
)


@dataclass(frozen=True, eq=False)
class Sample:
    """The lines of one dataset, shape and depth on one kind of hardware."""

    kind: Kind
    lines: pd.DataFrame

    @property
    def words(self) -> str:
        """What it is, for a title."""
        one = self.lines.iloc[0]
        return f"{one['dataset']}, {one['shape']},\n{one['depth']} layers, {self.kind.name}"


def draw(inputs: FigureInputs) -> Figure:
    """A column for each sample: operations, energy, and the level of memory that each working set lives in.

    Lines join networks at the same test loss; the star is the network of least operations or energy on its line.
    """
    chosen = samples(inputs)
    if not chosen:
        return nothing_to_draw(title=TITLE, origins=inputs.experiments["power_origin"], why=NO_LINES)
    figure = frame(
        max(3.0 * len(chosen) + 2.4, 8.0),
        8.2,
        title=TITLE,
        origins=[origin for sample in chosen for origin in sample.kind.experiments["power_origin"]],
        note=without_profile([sample.kind for sample in chosen]),
    )
    panels = figure.subplots(3, len(chosen), squeeze=False, height_ratios=[1, 1, 0.42], sharex="col")
    for (operations, energy, memory), sample in zip(panels.T, chosen, strict=True):
        shown = shown_levels(sample.lines)
        norm = _norm(shown["test_loss"])
        _lines(operations, shown, "macs", norm)
        _lines(energy, shown, "energy_j", norm)
        _memory(memory, sample)
        for axes, unit in ((operations, ""), (energy, "J")):
            log_axis(axes, "x")
            log_axis(axes, "y", unit)
        operations.set_title(sample.words, size=9.5)
        memory.set_xlabel("trainable parameters")
        bar = figure.colorbar(ScalarMappable(norm, GRADIENT), ax=operations, location="bottom", shrink=0.9, aspect=22)
        plain_colour_bar(bar, float(norm.vmin or 0), float(norm.vmax or 0))
        bar.set_label("test loss", size=9)
    panels[0, 0].set_ylabel("multiply-accumulates to get there")
    panels[1, 0].set_ylabel("net energy to get there, J")
    panels[2, 0].set_ylabel("lives in")
    star = Line2D(
        [],
        [],
        marker="*",
        linestyle="",
        markersize=11,
        color=ALARM,
        markeredgecolor="white",
        label="least\non its line",
    )
    legend(figure, [("", [star])])
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """On how many lines of equal loss the networks of least energy and of least operations are the same."""
    lines = relative_energy(inputs.iso_loss)
    if lines.empty:
        return Finding(CLAIM, "not enough data", f"no level of loss is reached by {LEAST_NETWORKS} networks.")
    grouped = lines.groupby(["line", "level"])
    least = lines.loc[grouped["energy_j"].idxmin()].set_index(["line", "level"])
    fewest = lines.loc[grouped["macs"].idxmin()].set_index(["line", "level"])
    differ = least["n_parameters"] != fewest["n_parameters"]
    more = least["n_parameters"] > fewest["n_parameters"]
    cost = (fewest["energy_j"] / least["energy_j"])[differ]
    extra = f"; there the latter costs {cost.median():.2f} times as much in the median" if len(cost) else ""
    return Finding(
        CLAIM,
        overall([bool(differ.mean() > 0.5)]),
        f"on {differ.mean():.0%} of {len(differ)} lines the network of least energy is another than that of least "
        f"operations, on {more.mean():.0%} a larger one{extra}.",
    )


def samples(inputs: FigureInputs) -> list[Sample]:
    """For each kind of hardware and dataset the line of most networks; of these the fullest, each kind in its turn."""
    lines = relative_energy(inputs.iso_loss)
    if lines.empty:
        return []
    by_kind: list[list[Sample]] = []
    for kind in kinds(inputs, inputs.experiments.loc[lines["row"].unique()]):
        mine = lines[lines["row"].isin(kind.experiments.index)]
        counts = mine.groupby(["dataset_source", "dataset", "depth", "line"])["n_parameters"].nunique().reset_index()
        counts["order"] = (counts["depth"] - DEPTH).abs()
        counts = counts.sort_values(["n_parameters", "order", "line"], ascending=[False, True, True])
        fullest = counts.drop_duplicates(["dataset_source", "dataset"])
        by_kind.append([Sample(kind, mine[mine["line"] == line]) for line in fullest["line"]])
    turns = max(map(len, by_kind))
    each_in_turn = [found[turn] for turn in range(turns) for found in by_kind if turn < len(found)]
    return each_in_turn[:MOST_SAMPLES]


def _norm(losses: "pd.Series[float]") -> LogNorm:
    low, high = float(losses.min()), float(losses.max())
    return LogNorm(low, high) if low < high else LogNorm(low / 1.1, high * 1.1)


def shown_levels(lines: pd.DataFrame) -> pd.DataFrame:
    """The rows of the levels that are drawn."""
    # Levels that most networks pass within their first epoch lie on top of each other.
    later = lines.groupby("level")["epoch"].median() > 1
    levels = np.sort(later.index[later] if later.any() else later.index)
    places = np.unique(np.linspace(0, len(levels) - 1, LINES_SHOWN).round().astype(int))
    return lines[lines["level"].isin(levels[places])]


def _lines(axes: Axes, lines: pd.DataFrame, quantity: str, norm: LogNorm) -> None:
    colour_map = ScalarMappable(norm, GRADIENT)
    for _, at_level in lines.groupby("level", sort=True):
        mine = at_level.groupby("n_parameters")[[quantity]].median()
        # A network in between that never gets there leaves a gap.
        all_of = mine.reindex(np.sort(lines["n_parameters"].unique()))
        colour = colour_map.to_rgba(at_level["test_loss"].iloc[0])
        axes.plot(all_of.index, all_of[quantity], color=colour, linewidth=1.4, marker="o", markersize=2.5)
        least = int(mine[quantity].to_numpy(dtype=np.float64).argmin())
        axes.plot(
            mine.index[[least]],
            mine[quantity].iloc[[least]],
            marker="*",
            markersize=11,
            color=ALARM,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=4,
        )


def _memory(axes: Axes, sample: Sample) -> None:
    """Bars that say in which level of memory each working set lives, along the parameters."""
    axes.grid(visible=False)
    axes.set_ylim(len(WORKING_SETS) - 0.4, -0.6)
    axes.set_yticks(range(len(WORKING_SETS)), [words[words.index("(") + 1] for words in WORKING_SETS.values()])
    if sample.kind.profile is None:
        axes.text(0.5, 0.5, "cache sizes not known", transform=axes.transAxes, ha="center", va="center", size=9)
        return
    rows = sample.kind.experiments.loc[sample.lines["row"].unique()].sort_values("n_parameters")
    one = Kind(**(vars(sample.kind) | {"experiments": rows}))
    sets = placed(one)
    parameters = rows["n_parameters"].to_numpy(dtype=np.float64)
    edges = np.concatenate([[parameters[0]], np.sqrt(parameters[:-1] * parameters[1:]), [parameters[-1]]])
    n_levels = len(sample.kind.profile.levels)
    for row, name in enumerate(WORKING_SETS):
        levels = np.array([getattr(one, name).level for one in sets])
        starts = np.flatnonzero(np.concatenate([[True], np.diff(levels) != 0]))
        for start, end in zip(starts, [*starts[1:], len(levels)], strict=True):
            share = 0.9 - 0.7 * (levels[start] - 1) / max(n_levels - 1, 1)
            left, right = edges[start], edges[end]
            axes.add_patch(
                Rectangle((left, row - 0.4), right - left, 0.8, color=lightened(FAINT_INK, share), linewidth=0)
            )
            if np.log10(right / left) > 0.12 * np.log10(parameters[-1] / parameters[0]):
                axes.text(
                    np.sqrt(left * right),
                    row,
                    sample.kind.profile.levels[levels[start] - 1].name,
                    ha="center",
                    va="center",
                    size=8,
                    color="white" if share < 0.45 else "black",
                )
