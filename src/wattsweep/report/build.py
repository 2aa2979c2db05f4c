"""Puts the report together: one HTML file that asks the network for nothing."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

import wattsweep
from wattsweep.analysis import EnergyModelFit
from wattsweep.errors import AnalysisError
from wattsweep.figures import FIGURES, power_mark, read_findings
from wattsweep.figures.findings import VERDICT_WORDS
from wattsweep.figures.interactive import read_interactive
from wattsweep.report import facts, numbers
from wattsweep.report.facts import RunLink
from wattsweep.report.methods import methods_paragraph
from wattsweep.report.scripts import inert, scripts

MOST_SVG_BYTES = 300_000
"""A larger drawing is shown as its PNG: many points make a slow page, and a report has to be sent by mail."""


def no_link(_: str, __: str) -> str:
    """The link to a run whose file is not known."""
    return ""


def build_report(
    *,
    plan: Mapping[str, Any],
    runs: pd.DataFrame,
    experiments: pd.DataFrame,
    fits: Sequence[EnergyModelFit],
    figures_folder: Path,
    missing: Mapping[str, Any] | None = None,
    run_link: RunLink = no_link,
) -> str:
    """The report as HTML.

    `plan` is the content of plan.json, `missing` that of the tables' counts.json, which says why planned runs are
    missing; `runs` and `experiments` are the tables, and `figures_folder` is what `wattsweep figures` writes; raises
    AnalysisError where a file of it is missing. `run_link` says where the file of a run lies.

    Everything is inlined: the page loads nothing, and its content policy allows its own two scripts by their hashes and
    no request. Without scripts figures are pictures and all else is the same.
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
    explored = read_interactive(figures_folder)
    power = facts.power(runs)
    return template.render(
        scripts=scripts(),
        explored=inert(explored),
        advice=json.loads(explored)["advice"],
        style=(folder / "style.css").read_text(encoding="utf-8"),
        version=wattsweep.__version__,
        mark=power_mark(origins),
        tag=origin_tag(origins),
        headline=facts.headline(experiments),
        done=facts.completeness(plan, runs, experiments, missing or {}),
        span=facts.span(runs),
        nodes=facts.nodes(runs),
        power=power,
        figures=[figure | {"finding": found.get(figure["name"])} for figure in figures],
        verdicts=VERDICT_WORDS,
        fits=fits,
        analysis=plan["config"]["analysis"],
        table=facts.experiment_table(experiments),
        run_table=facts.run_table(runs, run_link),
        predicted_s=plan["predicted_s"],
        paragraph=methods_paragraph(runs, experiments, power, fits),
        config=json.dumps(plan["config"], indent=1, ensure_ascii=False),
    )


def origin_tag(origins: Sequence[str]) -> str:
    """The word that stands beside joules of these origins; empty where all were measured."""
    unreal = sorted(set(origins) - {"measured", "none"})
    words = " and ".join(unreal)
    return f"partly {words}" if unreal and "measured" in origins else words


def _figure(folder: Path, name: str) -> dict[str, str]:
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    try:
        small = svg.stat().st_size <= MOST_SVG_BYTES
        content = (svg if small else png).read_bytes()
    except FileNotFoundError as error:
        raise AnalysisError(f"{error.filename} is not there: draw it with `wattsweep figures`") from None
    kind = FIGURES[name]
    return {
        "name": name,
        "title": kind.title,
        "caption": kind.caption,
        "of": kind.of,
        "source": f"data:image/{'svg+xml' if small else 'png'};base64," + base64.b64encode(content).decode("ascii"),
    }
