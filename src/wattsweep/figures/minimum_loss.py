"""The least test loss, against parameters: one of BUTTER's three equations (arXiv 2207.12547)."""

from wattsweep.analysis.generalisation import fit_minimum_loss
from wattsweep.figures import generalisation_panels
from wattsweep.figures.findings import Finding
from wattsweep.figures.generalisation_panels import Quantity
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import Figure

TITLE = "The least test loss, against parameters"
CLAIM = "BUTTER: the least test loss f follows log10(f) = c (log10(s) - s0)^(-p) + phi in the s parameters."
QUANTITY = Quantity(
    column="minimum_loss",
    title=TITLE,
    label="least test loss",
    logarithmic=True,
    fit=fit_minimum_loss,
    risen_only=False,
    claim=CLAIM,
)


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each dataset, a mark for each network by its shape, and the fitted curve of each shape."""
    return generalisation_panels.draw(inputs, QUANTITY)


def finding(inputs: FigureInputs) -> Finding:
    """How well the equation fits, and its parameter p."""
    return generalisation_panels.finding(inputs, QUANTITY, "p")
