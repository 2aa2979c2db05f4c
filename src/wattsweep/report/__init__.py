"""The report: `build_report` makes one self-contained HTML page of the plan, the tables, the fits and the figures."""

from wattsweep.report.build import build_report

__all__ = ["build_report"]
