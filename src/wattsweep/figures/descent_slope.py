"""How steeply test loss comes down, against parameters: one of BUTTER's three equations (arXiv 2207.12547)."""

from wattsweep.analysis.generalisation import fit_descent_slope
from wattsweep.figures import generalisation_panels
from wattsweep.figures.findings import Finding
from wattsweep.figures.generalisation_panels import Quantity
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import Figure

TITLE = "How steeply test loss comes down, against parameters"
CLAIM = "BUTTER: the descent slope a follows a = -l (log10(s) - s1)^2 + a0 in the s parameters."
QUANTITY = Quantity(
    column="slope",
    title=TITLE,
    label="d log10(loss) / d log10(epoch)",
    logarithmic=False,
    fit=fit_descent_slope,
    risen_only=False,
    claim=CLAIM,
)


def draw(inputs: FigureInputs) -> Figure:
    """A panel for each dataset, a mark for each network by its shape, and the fitted curve of each shape."""
    return generalisation_panels.draw(inputs, QUANTITY)


def finding(inputs: FigureInputs) -> Finding:
    """How well the equation fits, and its parameter s1."""
    return generalisation_panels.finding(inputs, QUANTITY, "s1")
