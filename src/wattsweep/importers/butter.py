"""BUTTER (OEDI 5708) into our tables: repetitions into runs, epochs and experiments; summaries into curves.

Both are Hive-partitioned Parquet. A folder of partitions is read at a time, its curves by dozens of runs; what is held
is the rows of that folder's runs, without their curves.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import wattsweep
from wattsweep.disk import write_text
from wattsweep.errors import AnalysisError
from wattsweep.grid import Experiment, experiment_id
from wattsweep.importers.butter_rows import curves_row, identify, published_row, summary_row, to_record
from wattsweep.importers.butter_schema import HISTORY, RENAMED, REPETITION, SUMMARY
from wattsweep.importers.columns import CURVES, PUBLISHED
from wattsweep.importers.facts import PublishedValueError
from wattsweep.importers.hive import partitions_of
from wattsweep.tables.columns import EPOCHS, EXPERIMENTS, RUNS
from wattsweep.tables.experiments import experiment_rows
from wattsweep.tables.rows import Row, epochs_row, run_row
from wattsweep.tables.writing import CurvesFolder, TableFile

SOURCE = "https://data.openei.org/submissions/5708"
ROWS_PER_BATCH = 64
WHOLE = tuple(name for name, _ in REPETITION)
LIGHT = tuple(name for name in WHOLE if name not in HISTORY)


@dataclass
class ButterReport:
    """What an import of BUTTER found: runs and experiments, and rows that are no use by reason."""

    counts: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        """The counts in words."""
        told = [f"{count:,} {name}" for name, count in self.counts.items()]
        lines = [", ".join(told) or "nothing"]
        lines += [f"left out: {count:,} rows, {reason}" for reason, count in sorted(self.left_out.items())]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {"counts": dict(self.counts), "left_out": dict(self.left_out)}


def import_butter(folder: Path, output: Path) -> ButterReport:
    """Write runs, experiments, published, epochs and curves in `output`, and import.json with the counts.

    `folder` is one of BUTTER's data sets (its children are dataset=...), or holds one of runs, of summaries, or both.
    Of experiments that have runs here the row is made of them; of others, of their summary. BUTTER publishes no power.
    Raises AnalysisError where there is neither, or more than one of a kind.
    """
    roots = find_roots(folder)
    report = ButterReport()
    output.mkdir(parents=True, exist_ok=True)
    metadata = {"wattsweep_version": wattsweep.__version__}
    with ExitStack() as stack:
        tables = {
            table.path: stack.enter_context(TableFile(table, output / table.path))
            for table in (RUNS, EXPERIMENTS, PUBLISHED)
        }
        epochs = stack.enter_context(CurvesFolder(EPOCHS, output / "epochs"))
        curves = stack.enter_context(CurvesFolder(CURVES, output / "curves"))
        made: set[str] = set()
        if "runs" in roots:
            for leaf in _leaves(roots["runs"]):
                _import_runs(leaf, roots["runs"], tables, epochs, made, report)
        if "summaries" in roots:
            for leaf in _leaves(roots["summaries"]):
                _import_summaries(leaf, roots["summaries"], tables, curves, made, report)
        for table in tables.values():
            table.complete(metadata | {"power_origins": json.dumps({"none": tables[RUNS.path].rows})})
        epochs.complete(metadata)
        curves.complete(metadata)
    report.counts.update(runs=tables[RUNS.path].rows, experiments=tables[EXPERIMENTS.path].rows)
    write_text(output / "import.json", json.dumps(report.to_json(), indent=1) + "\n")
    return report


def find_roots(folder: Path) -> dict[str, Path]:
    """The data sets in a folder by kind: "runs" and "summaries". Raises AnalysisError for none, or two of a kind."""
    children = sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    candidates = [folder] if any("=" in one.name for one in children) else children
    roots: dict[str, list[Path]] = {}
    for candidate in candidates:
        first = next(iter(sorted(candidate.rglob("*.parquet"))), None)
        if first is not None:
            names = set(pq.read_schema(first).names)
            kind = "runs" if "run_id" in names else "summaries" if "num_runs" in names else None
            if kind:
                roots.setdefault(kind, []).append(candidate)
    if not roots:
        raise AnalysisError(
            f"{folder} holds no Parquet of BUTTER's runs or summaries: unpack one of the archives of {SOURCE} there, "
            "such as primary_sweep_summary."
        )
    for kind, found in roots.items():
        if len(found) > 1:
            names_of = ", ".join(path.name for path in found)
            raise AnalysisError(
                f"{folder} holds several data sets of {kind}, which overlap: {names_of}. Name one of them."
            )
    return {kind: found[0] for kind, found in roots.items()}


def _leaves(root: Path) -> list[Path]:
    return sorted({path.parent for path in root.rglob("*.parquet")})


def _import_runs(
    leaf: Path,
    root: Path,
    tables: Mapping[str, TableFile],
    epochs: CurvesFolder,
    made: set[str],
    report: ButterReport,
) -> None:
    """The runs of one folder: their repetitions are numbered by start and id where `command` does not number them.

    In epochs/ the runs of an experiment stand together: where they do not in the files, those are read once for each.
    """
    members: dict[str, str] = {}
    begun: dict[str, list[tuple[int, str]]] = {}
    for row in _read(leaf, root, LIGHT):
        report.counts["rows of runs"] += 1
        try:
            identity = _new_run(row, members, made)
        except PublishedValueError as error:
            report.left_out[str(error)] += 1
            continue
        members[row["run_id"]] = identity
        begun.setdefault(identity, []).append((row["start_time"] or 0, row["run_id"]))
    ranks = {run_id: rank for runs in begun.values() for rank, (_, run_id) in enumerate(sorted(runs))}
    blocks = [identity for identity, _ in groupby(members.values())]
    passes: list[str | None] = [None] if len(blocks) == len(begun) else list(begun)
    rows: dict[str, list[Row]] = {}
    asked: dict[str, Experiment] = {}
    done: set[str] = set()
    for wanted in passes:
        for row in _read(leaf, root, WHOLE):
            run_id = row["run_id"]
            if run_id not in members or run_id in done or wanted not in (None, members[run_id]):
                continue
            done.add(run_id)
            identity = members[run_id]
            found = identify(row)
            try:
                record = to_record(row, found, ranks[run_id])
            except PublishedValueError as error:
                report.left_out[str(error)] += 1
                continue
            n_planned = found.n_planned if found.n_planned is not None else len(begun[identity])
            planned = Experiment(identity, found.settings, n_planned, found.sweeps)
            own = run_row(record, planned) | {"seed": row["seed"]}
            tables[RUNS.path].add(own)
            tables[PUBLISHED.path].add(published_row(row, record))
            epochs.add(found.settings.dataset, found.settings.shape, epochs_row(record))
            rows.setdefault(identity, []).append(own)
            asked[identity] = planned
    for identity, own_rows in rows.items():
        for summary in experiment_rows(own_rows, asked[identity]):
            tables[EXPERIMENTS.path].add(summary)
    made.update(rows)


def _new_run(row: Mapping[str, Any], members: Mapping[str, str], made: set[str]) -> str:
    """The experiment of a run that is not there yet. Raises PublishedValueError for one that is, or that is no use."""
    if not row["run_id"]:
        raise PublishedValueError("no run_id")
    if row["run_id"] in members:
        raise PublishedValueError("run_id that is there twice")
    identity = experiment_id(identify(row).settings)
    if identity in made:
        raise PublishedValueError("experiment that another folder holds too")
    return identity


def _import_summaries(
    leaf: Path,
    root: Path,
    tables: Mapping[str, TableFile],
    curves: CurvesFolder,
    made: set[str],
    report: ButterReport,
) -> None:
    for row in _read(leaf, root, tuple(name for name, _ in SUMMARY)):
        report.counts["rows of summaries"] += 1
        try:
            found = identify(row)
            curve = curves_row(row, found)
            summary = summary_row(row, found)
        except PublishedValueError as error:
            report.left_out[str(error)] += 1
            continue
        curves.add(found.settings.dataset, found.settings.shape, curve)
        if curve["experiment_id"] not in made:
            tables[EXPERIMENTS.path].add(summary)
            made.add(curve["experiment_id"])


def _read(leaf: Path, root: Path, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a folder's files and the values of the folders' names; curves are arrays, what is missing is None."""
    for path in sorted(leaf.glob("*.parquet")):
        try:
            file = pq.ParquetFile(path)
            stored = {name: RENAMED.get(name, name) for name in file.schema_arrow.names}
            columns = [name for name, ours in stored.items() if ours in wanted]
            places = {RENAMED.get(name, name): value for name, value in partitions_of(path, root).items()}
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
                cells = {stored[name]: batch.column(name) for name in columns}
                for number in range(batch.num_rows):
                    row: dict[str, Any] = dict.fromkeys(wanted)
                    row |= {name: _value(name, column[number]) for name, column in cells.items()}
                    yield row | places
        except (OSError, ValueError) as error:
            raise AnalysisError(
                f"{path} is no Parquet file: {str(error)[:200]}. Download it again from {SOURCE}."
            ) from None


def _value(name: str, cell: Any) -> Any:
    if not cell.is_valid:
        return None
    return np.asarray(cell.values) if hasattr(cell, "values") and name != "widths" else cell.as_py()
