"""How large the report is, and how soon a browser shows it, at the size of BUTTER-E's sweep.

`python -m benchmarks.report_page` makes tables of about 60,000 runs of known physics (nothing is trained), draws every
figure, writes the report, and opens it in headless Chromium. `--folder` keeps what it made.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from playwright.sync_api import sync_playwright

from benchmarks.page import table
from tests.report.support_report import PLAN
from tests.support_published import make_published
from wattsweep.analysis import fit_groups
from wattsweep.config import AnalysisConfig
from wattsweep.figures import FIGURES, FigureInputs, FigureKind, findings, save, write_findings
from wattsweep.figures.interactive import interactive, write_interactive
from wattsweep.hardware import profile
from wattsweep.report import build_report
from wattsweep.tables.columns import EXPERIMENTS, RUNS, Column

CHROMIUM = "/usr/bin/chromium"
REPETITIONS = 20
WHEN = pd.Timestamp("2026-01-01", tz="UTC")
DEPTHS = (2, 3, 4, 5, 6, 8, 10)
LOADS = 5
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def make(folder: Path) -> tuple[Path, dict[str, float]]:
    """The report of some 60,000 runs in a folder, and how long each stage took in s."""
    took: dict[str, float] = {}
    made = make_published(depths=DEPTHS, epochs=1000, repetitions=REPETITIONS)
    runs, experiments = (
        _filled(frame, of.columns) for frame, of in ((made.runs, RUNS), (made.experiments, EXPERIMENTS))
    )
    fits = timed(took, "fit", lambda: fit_groups(experiments, AnalysisConfig(bootstrap_samples=200)))
    inputs = FigureInputs(runs, experiments, fits, made.curves, [profile("eagle-cpu"), profile("eagle-gpu")])
    for name, kind in FIGURES.items():
        timed(took, f"figure {name}", partial(draw, kind, inputs, folder, name))
    timed(took, "findings", lambda: write_findings(findings(inputs), folder))
    timed(took, "interactive figures", lambda: write_interactive(interactive(inputs), folder))
    html = timed(
        took,
        "report",
        lambda: build_report(plan=PLAN, runs=runs, experiments=experiments, fits=fits, figures_folder=folder),
    )
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    took["runs"] = len(runs)
    took["experiments"] = len(experiments)
    return path, took


def draw(kind: FigureKind, inputs: FigureInputs, folder: Path, name: str) -> None:
    """Draw a figure and write it."""
    save(kind.figure(inputs), folder, name)


def first_paints(path: Path) -> list[float]:
    """Seconds until Chromium first paints something of the page, of several loads in a fresh browser each."""
    found = []
    for _ in range(LOADS):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(path.as_uri())
            page.wait_for_function(PAINTED)
            found.append(page.evaluate(PAINTED) / 1000)
            browser.close()
    return found


def timed(took: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """What the work gives; its time is noted."""
    begun_s = time.monotonic()
    result = work()
    took[name] = time.monotonic() - begun_s
    return result


def _filled(frame: Any, columns: tuple[Column, ...]) -> Any:
    """The frame with its columns of text and of time as such where they are missing, as Parquet would give them."""
    texts = [column.name for column in columns if str(column.type) == "string"]
    filled = frame.astype(dict.fromkeys(texts, object))
    filled[texts] = filled[texts].where(filled[texts].notna(), None)
    times = [column.name for column in columns if str(column.type).startswith("timestamp")]
    return filled.assign(**{name: pd.to_datetime(filled[name], utc=True).fillna(WHEN) for name in times})


def main() -> None:
    """Make the report and print what it weighs and how soon it is seen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_page", description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, help="keep figures and report here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        path, took = make(folder)
        paints = sorted(first_paints(path))
        rows = [
            ["runs", f"{took.pop('runs'):,.0f}"],
            ["experiments", f"{took.pop('experiments'):,.0f}"],
            ["size of the report", f"{path.stat().st_size / 1e6:.1f} MB"],
            ["first paint, median (least, most)", f"{paints[LOADS // 2]:.2f} s ({paints[0]:.2f}, {paints[-1]:.2f})"],
            *([f"time: {name}", f"{seconds:.1f} s"] for name, seconds in took.items()),
        ]
        print(table(["", ""], rows))


if __name__ == "__main__":
    main()
