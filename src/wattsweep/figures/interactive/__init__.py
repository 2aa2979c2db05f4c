"""The figures as data that a page's script draws and filters, with what it tells of the cheapest networks.

- every figure, with the table of experiments that they share: `interactive`.
- to keep that beside the figures, and read it back as text: `write_interactive`, `read_interactive`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wattsweep.disk import write_text
from wattsweep.errors import AnalysisError
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.interactive import energy, loss
from wattsweep.figures.interactive.advice import advice
from wattsweep.figures.interactive.spec import Panel, document
from wattsweep.figures.interactive.table import SharedTable, shared_table

FILE = "interactive.json"

PANELS: dict[str, Callable[[FigureInputs, SharedTable], list[Panel]]] = {
    "energy_per_datum": energy.energy_per_datum,
    "energy_trends": energy.energy_trends,
    "working_set_energy": energy.working_set_energy,
    "energy_against_loss": energy.energy_against_loss,
    "iso_loss_samples": energy.iso_loss_samples,
    "iso_loss_aggregate": energy.iso_loss_aggregate,
    "iso_loss_minima": energy.iso_loss_minima,
    "predicted_against_measured": energy.predicted_against_measured,
    "prediction_ratio": energy.prediction_ratio,
    "quality_control": energy.quality_control,
    "butter_zone": loss.butter_zone,
    "butter_zone_variation": loss.butter_zone_variation,
    "minimizing_epoch": loss.minimizing_epochs,
    "minimum_loss": loss.minimum_losses,
    "descent_slope": loss.descent_slopes,
}


def interactive(inputs: FigureInputs) -> dict[str, Any]:
    """The shared table, the panels of each figure by its name, and advice, as JSON's values.

    A figure that has nothing to show has no panels.
    """
    table = shared_table(inputs)
    return {
        "table": table.document(),
        "figures": {name: document(make(inputs, table)) for name, make in PANELS.items()},
        "advice": advice(inputs),
    }


def write_interactive(found: dict[str, Any], folder: Path) -> Path:
    """Write them to interactive.json in `folder`, and return its path."""
    path = folder / FILE
    write_text(path, json.dumps(found, separators=(",", ":"), ensure_ascii=False))
    return path


def read_interactive(folder: Path) -> str:
    """The text of interactive.json. Raises AnalysisError where it is missing."""
    path = folder / FILE
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AnalysisError(f"{path} is not there: make it with `wattsweep figures`") from None


__all__ = ["PANELS", "interactive", "read_interactive", "write_interactive"]
