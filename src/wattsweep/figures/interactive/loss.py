"""Interactive figures of test loss: the butter zone and BUTTER's three equations."""

import numpy as np

from wattsweep.figures import descent_slope, minimizing_epoch, minimum_loss
from wattsweep.figures.butter_zone import LEVELS, Grid, panels_of
from wattsweep.figures.generalisation_panels import Quantity, fits_of
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.interactive.spec import Axis, Marks, Panel, numbers, whole
from wattsweep.figures.interactive.table import SharedTable

PARAMETERS = Axis("trainable parameters")
EPOCHS = Axis("epochs")
EACH_EPOCH = 2
CURVE_POINTS = 60


def butter_zone(inputs: FigureInputs, _: SharedTable) -> list[Panel]:
    """Test loss as a multiple of the least of its dataset, capped as on paper."""
    grid = panels_of(inputs, "test_loss_median")
    least = {
        dataset: min(float(np.nanmin(one.values)) for one in grid.panels if one.dataset == dataset)
        for dataset in grid.datasets
    }
    return _heat(grid, {name: 1 / value for name, value in least.items()}, LEVELS[-1])


def butter_zone_variation(inputs: FigureInputs, _: SharedTable) -> list[Panel]:
    """Standard deviation over repetitions / mean."""
    grid = panels_of(inputs, "test_loss_cv")
    return _heat(grid, dict.fromkeys(grid.datasets, 1.0), np.inf)


def minimizing_epochs(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """The epoch of least test loss."""
    return _equation(inputs, table, minimizing_epoch.QUANTITY)


def minimum_losses(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """The least test loss."""
    return _equation(inputs, table, minimum_loss.QUANTITY)


def descent_slopes(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """The slope of the descent."""
    return _equation(inputs, table, descent_slope.QUANTITY)


def _heat(grid: Grid, factors: dict[str, float], cap: float) -> list[Panel]:
    panels = []
    for panel in grid.panels:
        values = np.minimum(panel.values.T[::EACH_EPOCH] * factors[panel.dataset], cap)
        marks = Marks(
            "heat",
            numbers(10**panel.parameters),
            numbers(10 ** panel.epochs[::EACH_EPOCH]),
            z=[numbers(row) for row in values],
        )
        title = f"{panel.dataset}, {panel.column}"
        panels.append(Panel(title, PARAMETERS, EPOCHS, [marks], {"dataset": panel.dataset}))
    return panels


def _equation(inputs: FigureInputs, table: SharedTable, quantity: Quantity) -> list[Panel]:
    fitted, depth = fits_of(inputs, quantity)
    panels = []
    y = Axis(quantity.label, log=quantity.logarithmic)
    for dataset in sorted({one.dataset for one in fitted}):
        marks = []
        for one in fitted:
            if one.dataset != dataset:
                continue
            points = one.points[one.points.index.isin(table.frame.index)].sort_values("n_parameters")
            marks.append(
                Marks(
                    "points",
                    numbers(points["n_parameters"]),
                    numbers(points[quantity.column]),
                    rows=whole(table.rows(points.index)),
                    name=one.shape,
                )
            )
            if one.fit is not None and len(one.points):
                ends = one.points["n_parameters"].min(), one.points["n_parameters"].max()
                x = np.geomspace(*ends, CURVE_POINTS)
                marks.append(Marks("lines", numbers(x), numbers(one.fit(x)), name=one.shape, dashed=True))
        panels.append(Panel(f"{dataset}, {depth} layers", PARAMETERS, y, marks, {"dataset": dataset}))
    return panels
