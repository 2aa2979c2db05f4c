"""When test loss is least, against parameters: one of BUTTER's three equations (arXiv 2207.12547)."""

from wattsweep.analysis.generalisation import fit_minimizing_epoch
from wattsweep.figures import generalisation_panels
from wattsweep.figures.findings import Finding
from wattsweep.figures.generalisation_panels import Quantity
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import Figure

TITLE = "When test loss is least, against parameters"
CLAIM = "BUTTER: the epoch t of least test loss follows t^(-1/3) = m log10(s) + b in the s parameters."
QUANTITY = Quantity(
    column="minimizing_epoch",
    title=TITLE,
    label="epoch of least test loss",
    logarithmic=True,
    fit=fit_minimizing_epoch,
    risen_only=True,
    claim=CLAIM,
)


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each dataset, a mark for each network by its shape, and the fitted curve of each shape."""
    return generalisation_panels.draw(inputs, QUANTITY)


def finding(inputs: FigureInputs) -> Finding:
    """How well the equation fits, and its parameter m."""
    return generalisation_panels.finding(inputs, QUANTITY, "m")
