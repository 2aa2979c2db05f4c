"""Figures: a table in, a matplotlib figure out.

Which function to use when:

- the tables of a folder, ours or imported, with what figures need beside them: `read_inputs`.
- every figure by its name, with title and caption: `FIGURES`; `FIGURES[name].figure(inputs)` draws it, and
  `FIGURES[name](runs, experiments, fits)` does from frames at hand.
- to write a figure as SVG, PDF and PNG: `save`.
- whether the papers' findings hold on these data: `findings`, kept by `write_findings`, read by `read_findings`.
"""

from wattsweep.figures.findings import Finding, read_findings, write_findings
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.loading import read_inputs
from wattsweep.figures.registry import FIGURES, FigureKind, findings, save
from wattsweep.figures.style import power_mark

__all__ = [
    "FIGURES",
    "FigureInputs",
    "FigureKind",
    "Finding",
    "findings",
    "power_mark",
    "read_findings",
    "read_inputs",
    "save",
    "write_findings",
]
