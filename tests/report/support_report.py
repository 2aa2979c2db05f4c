"""Makes whole reports from records of known energy."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.support_records import REFUSED, SETTINGS, make_record, make_sweep, plan_of
from wattsweep.analysis import fit_groups
from wattsweep.analysis.curves import read_curves
from wattsweep.config import AnalysisConfig
from wattsweep.figures import FIGURES, FigureInputs, findings, save, write_findings
from wattsweep.figures.interactive import interactive, write_interactive
from wattsweep.hardware import profile
from wattsweep.power.sources.base import Origin
from wattsweep.report import build_report
from wattsweep.report.build import no_link
from wattsweep.report.facts import RunLink
from wattsweep.runs.record import RunRecord
from wattsweep.tables import read_experiments, read_runs, write_tables

PLAN: dict[str, Any] = {
    "format": "wattsweep-plan",
    "version": 1,
    "config": {"analysis": {"folds": 5}},
    "sweeps": {"main": {"experiments": 49, "runs": 98, "nonconformant": 1}},
    "datasets": {
        "bundled:digits": {
            "task": "classification",
            "head": "softmax",
            "n_observations": 1797,
            "n_inputs": 64,
            "n_outputs": 10,
            "sha256": "ab" * 32,
        }
    },
    "experiments": 49,
    "runs": 100,
    "nonconformant": [
        {
            "experiment_id": "f" * 16,
            "settings": {"dataset": "digits", "shape": "wide_first_16x", "depth": 20, "size": 32},
            "sweeps": ["main"],
            "n_parameters": 913,
            "relative_error": 27.53,
            "reason": "too small",
        }
    ],
    "shards": [],
    "predicted_s": 4000.0,
}


def records_with_refusals(origin: Origin | None) -> list[RunRecord]:
    """48 experiments of 3 runs, and one experiment of 2 runs whose energies are refused."""
    refused = replace(SETTINGS, depth=7)
    records = make_sweep(origin=origin, noise=0.05)
    records += [make_record(refused, repetition, origin=origin, refused=REFUSED) for repetition in range(2)]
    return sorted(records, key=lambda record: (record.run.experiment_id, record.run.repetition))


def draw(inputs: FigureInputs, folder: Path) -> None:
    for name, kind in FIGURES.items():
        save(kind.figure(inputs), folder, name)


@cache
def some_figures() -> Path:
    """A folder with every figure, drawn once from a few records: drawing takes longer than all else of a report."""
    folder = Path(tempfile.mkdtemp(prefix="wattsweep-figures-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tables = folder / "tables"
    records = make_sweep(origin="simulated")[:3]
    write_tables(records, plan_of(records, 1), tables)
    draw(FigureInputs(read_runs(tables), read_experiments(tables), []), folder)
    shutil.rmtree(tables)
    return folder


def make_report(
    records: list[RunRecord],
    folder: Path,
    plan: dict[str, Any] = PLAN,
    missing: dict[str, Any] | None = None,
    run_link: RunLink = no_link,
    *,
    drawn: bool = False,
) -> str:
    """The report of records; its figures are those of a few other ones unless they are to be `drawn` too."""
    write_tables(records, plan_of(records, 2), folder)
    runs, experiments = read_runs(folder), read_experiments(folder)
    fits = fit_groups(experiments, AnalysisConfig(bootstrap_samples=20))
    profiles = [replace(profile("eagle-cpu"), processor="Example CPU")]
    inputs = FigureInputs(runs, experiments, fits, read_curves(folder), profiles)
    if drawn:
        draw(inputs, folder)
    else:
        shutil.copytree(some_figures(), folder, dirs_exist_ok=True)
    write_findings(findings(inputs), folder)
    write_interactive(interactive(inputs), folder)
    return build_report(
        plan=plan,
        runs=runs,
        experiments=experiments,
        fits=fits,
        figures_folder=folder,
        missing=missing,
        run_link=run_link,
    )
