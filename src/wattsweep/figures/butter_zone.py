"""Test loss over parameters and epochs: BUTTER's "butter zone" (arXiv 2207.12547)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from wattsweep.analysis.groups import network_shape
from wattsweep.figures.findings import Finding, overall
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import ALARM, GRADIENT, INK, Axes, Figure, frame, legend, log_axis, nothing_to_draw
from wattsweep.networks import SHAPES

Floats = NDArray[np.float64]

TITLE = "The butter zone: test loss over parameters and epochs"
CLAIM = "BUTTER: the larger the network, the sooner its test loss is least, and training on raises it."

LEVELS = (1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
"""Test loss / least test loss of the dataset; what is more is capped."""

MOST_ROWS, MOST_COLUMNS = 6, 5
LEAST_SIZES, LEAST_EPOCHS = 3, 5
N_EPOCHS = 120
NEARLY = 0.9
OUTLINE = [Stroke(linewidth=2.6, foreground=INK), Normal()]
NO_CURVES = (
    f"No experiments with curves of test loss over {LEAST_EPOCHS} epochs and {LEAST_SIZES} sizes of the same dataset, "
    "shape and depth."
)


@dataclass(frozen=True, eq=False)
class Panel:
    """Networks that differ in size alone: log10 of parameters [n], log10 of epochs [m], values [n, m]."""

    dataset: str
    column: str
    parameters: Floats
    epochs: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class Grid:
    """Panels by dataset and column, and sentences about what is not among them."""

    datasets: list[str]
    columns: list[str]
    panels: list[Panel]
    note: str


def draw(inputs: FigureInputs) -> Figure:
    """A row for each dataset and a column for each depth (each shape, where there is one depth).

    Colour is the median over repetitions of test loss, as a multiple of the least in the row, capped at 5. The star
    is the least of the panel, the dashed line joins the epochs of least loss.
    """
    grid = panels_of(inputs, "test_loss_median")
    figure, axes_of = zone_frame(grid, TITLE, inputs)
    if not axes_of:
        return figure
    norm = BoundaryNorm(LEVELS, mpl.colormaps[GRADIENT].N, extend="max")
    for panel in grid.panels:
        axes = axes_of[panel.dataset, panel.column]
        least = min(float(np.nanmin(one.values)) for one in grid.panels if one.dataset == panel.dataset)
        # Beyond the cap all is one colour; far above it contours would only cost time.
        relative = np.minimum(panel.values / least, 2 * LEVELS[-1])
        contours(axes, panel, relative, LEVELS, norm, extend="max")
        minimum_marks(axes, panel)
    bar = figure.colorbar(ScalarMappable(norm, GRADIENT), ax=list(axes_of.values()), location="right", aspect=30)
    bar.set_label("test loss / least of the dataset")
    bar.set_ticks(LEVELS, labels=[f"{level:g}" for level in LEVELS])
    return figure


def finding(inputs: FigureInputs) -> Finding:
    """How the epoch of least loss goes with parameters, by rank, in each panel."""
    correlations = []
    at_end = 0
    for panel in panels_of(inputs, "test_loss_median").panels:
        least = np.nanargmin(panel.values, axis=1)
        risen = least < 0.98 * (len(panel.epochs) - 1)
        at_end += int((~risen).sum())
        if risen.sum() >= 2 * LEAST_SIZES:
            correlations.append(float(spearmanr(panel.parameters[risen], least[risen]).statistic))
    if not correlations:
        return Finding(
            CLAIM,
            "not enough data",
            f"no panel has {2 * LEAST_SIZES} sizes whose test loss rose again before training ended"
            + (f"; {at_end} networks were still at their least at the end." if at_end else "."),
        )
    falls = np.array(correlations) < -0.5
    return Finding(
        CLAIM,
        "holds" if falls.mean() >= 0.8 else overall([bool(one) for one in falls]),
        f"the epoch of least loss falls with parameters in {falls.sum()} of {len(falls)} panels (rank "
        f"correlation {np.median(correlations):.2f} in the median); {at_end} networks were at their least at the end.",
    )


def panels_of(inputs: FigureInputs, quantity: str) -> Grid:
    """The panels of a quantity of the curves; at most `MOST_ROWS` datasets and `MOST_COLUMNS` columns."""
    chosen = inputs.with_curves
    notes = [f"{chosen.n_other} experiments of other settings are not shown."] if chosen.n_other else []
    data = chosen.experiments.assign(shape=network_shape(chosen.experiments))
    if data.empty:
        return Grid([], [], [], "")
    if data["depth"].nunique() > 1:
        shape = most_complete_shape(data[data["depth"] > 2])
        # All shapes are one at depth 2.
        data = data[(data["shape"] == shape) | (data["depth"] == 2)]
        data = data.assign(column=[f"{shape}, {depth} layers" for depth in data["depth"]], order=data["depth"])
    else:
        data = data.assign(column=data["shape"], order=0)
    curves = dict(zip(inputs.curves["experiment_id"], inputs.curves[quantity], strict=True))
    panels = []
    order: dict[str, int] = {}
    for (_, dataset, _, column), group in data.groupby(["dataset_source", "dataset", "order", "column"], sort=True):
        panel = _panel(str(dataset), str(column), group, curves)
        if panel is not None:
            panels.append(panel)
            order[str(column)] = int(group["order"].iloc[0])
    columns = _spread(sorted(order, key=lambda name: (order[name], name)), MOST_COLUMNS)
    datasets = sorted({panel.dataset for panel in panels})
    for all_of, shown, words in ((list(order), columns, "columns"), (datasets, datasets[:MOST_ROWS], "datasets")):
        if len(all_of) > len(shown):
            notes.append(f"{len(all_of) - len(shown)} further {words} are not shown.")
    datasets = datasets[:MOST_ROWS]
    panels = [panel for panel in panels if panel.dataset in datasets and panel.column in columns]
    return Grid(datasets, columns, panels, " ".join(notes))


def zone_frame(grid: Grid, title: str, inputs: FigureInputs) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """A figure with axes for each panel of a grid, labelled; without axes, saying why, where there is no panel."""
    origins = inputs.experiments["power_origin"]
    if not grid.panels:
        return nothing_to_draw(title=title, origins=origins, why=NO_CURVES), {}
    rows, columns = len(grid.datasets), len(grid.columns)
    figure = frame(
        max(2.15 * columns + 3.0, 8.0), max(2.15 * rows + 1.2, 3.6), title=title, origins=origins, note=grid.note
    )
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey="row")
    found = {}
    for row, dataset in zip(panels, grid.datasets, strict=True):
        row[0].set_ylabel(f"{dataset}\nepochs")
        for axes, column in zip(row, grid.columns, strict=True):
            if any((panel.dataset, panel.column) == (dataset, column) for panel in grid.panels):
                found[dataset, column] = axes
            else:
                axes.text(0.5, 0.5, "too few sizes", transform=axes.transAxes, ha="center", va="center", size=9)
                axes.grid(visible=False)
    for axes, column in zip(panels[0], grid.columns, strict=True):
        axes.set_title(column, size=10)
    for axes in panels[-1]:
        axes.set_xlabel("parameters")
    star = Line2D([], [], marker="*", linestyle="", markersize=12, color=ALARM, markeredgecolor="white", label="least")
    dashed = Line2D([], [], color="white", linestyle="--", linewidth=1.4, label="least for\neach size")
    dashed.set_path_effects(OUTLINE)
    legend(figure, [("test loss", [star, dashed])])
    return figure, found


def contours(
    axes: Axes, panel: Panel, values: Floats, levels: Sequence[float], norm: BoundaryNorm, extend: str = "neither"
) -> None:
    """Filled contours of values [n, m] over a panel, on logarithmic axes."""
    axes.grid(visible=False)
    parameters, epochs = 10**panel.parameters, 10**panel.epochs
    masked = np.ma.masked_invalid(values.T)
    axes.contourf(parameters, epochs, masked, levels=levels, norm=norm, cmap=GRADIENT, extend=extend)
    axes.contour(parameters, epochs, masked, levels=levels[1:], colors=INK, linewidths=0.3, alpha=0.5)
    log_axis(axes, "x")
    log_axis(axes, "y", None)
    axes.xaxis.set_major_locator(LogLocator(numticks=4))


def minimum_marks(axes: Axes, panel: Panel, loss: Floats | None = None) -> None:
    """The dashed line through the least of each size, and the star at the least of all, of `loss` or the values."""
    values = np.where(np.isnan(panel.values if loss is None else loss), np.inf, panel.values if loss is None else loss)
    parameters, epochs = 10**panel.parameters, 10**panel.epochs
    axes.plot(
        parameters,
        epochs[np.argmin(values, axis=1)],
        color="white",
        linestyle="--",
        linewidth=1.4,
        path_effects=OUTLINE,
    )
    row, column = np.unravel_index(int(np.argmin(values)), values.shape)
    axes.plot(
        [parameters[row]],
        [epochs[column]],
        marker="*",
        markersize=13,
        color=ALARM,
        markeredgecolor="white",
        clip_on=False,
        zorder=5,
    )


def most_complete_shape(experiments: pd.DataFrame) -> str:
    """The first of `wattsweep.networks.SHAPES` with nearly as many experiments as any; empty where there are none."""
    counts = experiments["shape"].value_counts()
    return next((shape for shape in SHAPES if counts.get(shape, 0) >= NEARLY * counts.max()), "") if len(counts) else ""


def _panel(dataset: str, column: str, group: pd.DataFrame, curves: dict[str, Floats]) -> Panel | None:
    """The panel of some experiments; sizes that several of them have are reduced by the median."""
    n_epochs = max(len(curves[name]) for name in group["experiment_id"])
    if n_epochs < LEAST_EPOCHS or group["n_parameters"].nunique() < LEAST_SIZES:
        return None
    at = np.linspace(0, math.log10(n_epochs), N_EPOCHS)
    parameters, rows = [], []
    for _, same in group.groupby("n_parameters", sort=True):
        found = np.array([_at_epochs(curves[name], at) for name in same["experiment_id"]])
        parameters.append(math.log10(same["n_parameters"].iloc[0]))
        rows.append(np.median(found, axis=0))
    values = np.array(rows)
    if not np.isfinite(values).any(axis=1).all():
        kept = np.isfinite(values).any(axis=1)
        values, parameters = values[kept], list(np.array(parameters)[kept])
    if len(values) < LEAST_SIZES:
        return None
    return Panel(dataset, column, np.array(parameters), at, values)


def _at_epochs(curve: Floats, at: Floats) -> Floats:
    """A curve's values averaged around these log10 epochs [m]; nan past its end or where it is not finite."""
    values = np.asarray(curve, dtype=np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    half = (at[1] - at[0]) / 2 if len(at) > 1 else 0.0
    low = np.maximum(np.ceil(10 ** (at - half) - 1e-9).astype(int), 1)
    high = np.minimum(np.maximum(np.floor(10 ** (at + half) + 1e-9).astype(int), low), np.maximum(low, len(values)))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = np.full(len(at), np.nan)
    inside = high <= len(values)
    means[inside] = (sums[high[inside]] - sums[low[inside] - 1]) / (high - low + 1)[inside]
    between = np.interp(10**at - 1e-9, np.arange(1, len(values) + 1), values, right=np.nan)
    # Where an interval holds one epoch or none, the straight line between epochs says more.
    return np.asarray(np.where(high - low < 2, between, means))


def _spread(values: list[str], most: int) -> list[str]:
    """At most so many of the values, evenly spread, first and last among them."""
    if len(values) <= most:
        return values
    return [values[place] for place in np.linspace(0, len(values) - 1, most).round().astype(int)]
