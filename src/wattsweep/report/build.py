"""Puts the report together: one HTML file that asks the network for nothing."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

import wattsweep
from wattsweep.analysis import EnergyModelFit
from wattsweep.errors import AnalysisError
from wattsweep.figures import FIGURES, Finding, power_mark, read_findings
from wattsweep.report import facts, numbers

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def build_report(
    *,
    plan: Mapping[str, Any],
    runs: pd.DataFrame,
    experiments: pd.DataFrame,
    fits: Sequence[EnergyModelFit],
    figures_folder: Path,
    missing: Mapping[str, Any] | None = None,
) -> str:
    """The report as HTML.

    `plan` is the content of plan.json, `missing` that of the tables' counts.json, which says why planned runs are
    missing; `runs` and `experiments` are the tables, and `figures_folder` has NAME.svg of every figure in
    `wattsweep.figures.FIGURES`, and findings.json; raises AnalysisError where one is missing. Everything is inlined:
    the page loads nothing, runs no script, and its content policy forbids both.
    """
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    for name in ("si", "duration", "percent", "count", "plain", "counted"):
        environment.filters[name] = getattr(numbers, name)
    folder = files("wattsweep.report")
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    origins = list(runs["power_origin"].unique())
    figures = [_figure(figures_folder, name) for name in FIGURES]
    found = read_findings(figures_folder)
    return template.render(
        policy=CONTENT_POLICY,
        style=(folder / "style.css").read_text(encoding="utf-8"),
        version=wattsweep.__version__,
        mark=power_mark(origins),
        tag=origin_tag(origins),
        headline=facts.headline(experiments),
        done=facts.completeness(plan, runs, experiments, missing or {}),
        span=facts.span(runs),
        nodes=facts.nodes(runs),
        power=facts.power(runs),
        figures=[figure | {"finding": _words(found.get(figure["name"]))} for figure in figures],
        fits=fits,
        analysis=plan["config"]["analysis"],
        table=facts.experiment_table(experiments),
        predicted_s=plan["predicted_s"],
    )


def origin_tag(origins: Sequence[str]) -> str:
    """The word that stands beside joules of these origins; empty where all were measured."""
    unreal = sorted(set(origins) - {"measured", "none"})
    words = " and ".join(unreal)
    return f"partly {words}" if unreal and "measured" in origins else words


def _words(finding: Finding | None) -> str:
    return "" if finding is None else str(finding)


def _figure(folder: Path, name: str) -> dict[str, str]:
    path = folder / f"{name}.svg"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AnalysisError(f"{path} is not there: draw it with `wattsweep figures`") from None
    kind = FIGURES[name]
    return {
        "name": name,
        "title": kind.title,
        "caption": kind.caption,
        "source": "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii"),
    }
