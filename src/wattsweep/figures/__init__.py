"""Figures: a table in, a matplotlib figure out.

Which function to use when:

- every figure by its name, with title and caption: `FIGURES`; `FIGURES[name](runs, experiments, fits)` draws it.
- to write a figure as SVG and PNG: `save`.
"""

from wattsweep.figures.registry import FIGURES, FigureKind, save
from wattsweep.figures.style import power_mark

__all__ = ["FIGURES", "FigureKind", "power_mark", "save"]
