"""BUTTER-E (OEDI 5991) into our tables: metadata, readings and networks joined, streamed job by job.

What is held is a small record for each run; readings are held for one job at a time, curves for some dozens of
experiments.
"""

import json
import zoneinfo
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import wattsweep
from wattsweep.disk import write_text
from wattsweep.errors import AnalysisError
from wattsweep.grid import Experiment, Settings, experiment_id
from wattsweep.importers.butter_e_files import (
    WITHDRAWN_BATCH,
    ButterEFiles,
    MetadataRow,
    NodeFacts,
    PmlbFacts,
    find_files,
    read_metadata,
    read_nodes,
    read_pmlb,
)
from wattsweep.importers.butter_e_rows import ImportedExperiment, ImportedRun, node_row, published_row, run_row
from wattsweep.importers.columns import CURVES, NODES, PUBLISHED
from wattsweep.importers.facts import PublishedValueError, count_inputs, published_settings
from wattsweep.importers.joins import (
    NO_FILE,
    NO_READING,
    Interval,
    Join,
    Published,
    as_published,
    interval,
    reason_kind,
    reasons_table,
)
from wattsweep.importers.readings import ZONE, JobReadings, UnreadableError, read_job
from wattsweep.importers.summary import EPOCHS, SummaryRow, read_summary
from wattsweep.networks import count_parameters, layer_widths
from wattsweep.runs.record import Network
from wattsweep.tables.columns import EXPERIMENTS, RUNS
from wattsweep.tables.experiments import experiment_rows
from wattsweep.tables.writing import CurvesFolder, TableFile

SHOWN = 10
JOBS_PER_LINE = 500


@dataclass
class ImportReport:
    """What an import of BUTTER-E found: counts by reason, of metadata rows, readings, joins, nodes and the summary."""

    join: Join
    metadata: Counter[str] = field(default_factory=Counter)
    readings: Counter[str] = field(default_factory=Counter)
    as_published: Counter[str] = field(default_factory=Counter)
    interval: Counter[str] = field(default_factory=Counter)
    nodes: Counter[str] = field(default_factory=Counter)
    summary: Counter[str] = field(default_factory=Counter)
    networks: Counter[str] = field(default_factory=Counter)
    missing_power_files: list[str] = field(default_factory=list)
    unreadable_power_files: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """The published table of reasons beside ours, and the other counts, in words."""
        lines = [reasons_table(self.as_published, self.interval), ""]
        for title, counts in (
            ("rows of the metadata", self.metadata),
            ("rows of the power files", self.readings),
            ("nodes", self.nodes),
            ("summary", self.summary),
            ("networks of the runs", self.networks),
        ):
            told = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
            lines.append(f"{title}: {told or 'none'}")
        if self.missing_power_files:
            more = len(self.missing_power_files) - SHOWN
            names = ", ".join(self.missing_power_files[:SHOWN]) + (f" and {more} more" if more > 0 else "")
            lines.append(f"power files that are not there: {names}")
        lines += [f"power file {name} is no use: {why}" for name, why in self.unreadable_power_files.items()]
        lines.append(f"runs.parquet has the energies of the join {self.join}; published.parquet has both")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}


def import_butter_e(
    folder: Path,
    output: Path,
    *,
    join: Join = "as-published",
    min_coverage: float = 0.9,
    with_summary: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Write runs, experiments, published, nodes and curves in `output`, and import.json with the counts.

    Both joins are made; `join` says whose energies runs.parquet has. Raises AnalysisError that names every file of
    the submission that `folder` lacks.
    """
    files = find_files(folder, with_summary=with_summary)
    zone, report = zoneinfo.ZoneInfo(ZONE), ImportReport(join)
    nodes, pmlb = read_nodes(files, report.nodes), read_pmlb(files.pmlb)
    rows = _metadata(files, zone, pmlb, report)
    output.mkdir(parents=True, exist_ok=True)
    metadata = {"wattsweep_version": wattsweep.__version__}
    with CurvesFolder(CURVES, output / "curves") as curves:
        summary = _summary(files.summary, rows, curves, report)
        curves.complete(metadata)
    runs = _joined(files, rows, _experiments(rows, summary, pmlb, report), zone, min_coverage, report, say)
    _write(runs, nodes, output, join, metadata)
    write_text(output / "import.json", json.dumps(report.to_json(), indent=1) + "\n")
    return report


def _metadata(
    files: ButterEFiles, zone: zoneinfo.ZoneInfo, pmlb: dict[str, PmlbFacts], report: ImportReport
) -> list[MetadataRow]:
    kept, seen = [], set()
    for row in read_metadata(files.metadata, zone, report.metadata):
        if row.batch == WITHDRAWN_BATCH:
            report.metadata[f"left out: batch {WITHDRAWN_BATCH}"] += 1
        elif row.run_id in seen:
            report.metadata["run_id that is there twice"] += 1
        elif row.dataset not in pmlb:
            report.metadata["dataset that is not in pmlb.csv"] += 1
        else:
            seen.add(row.run_id)
            kept.append(row)
    report.metadata["input"] = len(kept)
    shared = {
        "listed in butter_e_metadata.csv": report.metadata["listed"],
        f"left out: batch {WITHDRAWN_BATCH}": report.metadata[f"left out: batch {WITHDRAWN_BATCH}"],
        "input": len(kept),
    }
    report.as_published.update(shared)
    if not kept:
        raise AnalysisError(f"{files.metadata} has no run that can be used: {dict(report.metadata)}.")
    return kept


def _summary(
    folder: Path | None, rows: Sequence[MetadataRow], curves: CurvesFolder, report: ImportReport
) -> dict[int, SummaryRow]:
    if folder is None:
        return {}
    members: dict[int, dict[bool, MetadataRow]] = {}
    for row in rows:
        if row.old_experiment_id is not None:
            members.setdefault(row.old_experiment_id, {}).setdefault(row.is_gpu, row)
    found = {}
    for identity, facts, values, _ in read_summary(folder, set(members), report.summary):
        found[identity] = facts
        for member in members[identity].values():
            settings = _settings(member, facts.epochs)
            shared = {"experiment_id": experiment_id(settings), "n_runs": facts.n_runs}
            curves.add(settings.dataset, settings.shape, shared | values)
    return found


def _experiments(
    rows: Sequence[MetadataRow], summary: dict[int, SummaryRow], pmlb: dict[str, PmlbFacts], report: ImportReport
) -> list[ImportedExperiment | None]:
    """The experiment of each row; None where its settings or network are no use."""
    known: dict[Any, ImportedExperiment | str] = {}
    experiments: list[ImportedExperiment | None] = []
    for row in rows:
        facts = None if row.old_experiment_id is None else summary.get(row.old_experiment_id)
        key = (
            *(row.old_experiment_id, row.is_gpu, row.dataset, row.shape, row.size, row.depth),
            *(row.learning_rate, row.batch_size, row.optimizer),
        )
        if key not in known:
            try:
                known[key] = _experiment(row, facts, pmlb[row.dataset])
            except PublishedValueError as error:
                known[key] = str(error)
        found = known[key]
        report.networks[found if isinstance(found, str) else f"from {found.widths_from}"] += 1
        experiments.append(None if isinstance(found, str) else found)
    return experiments


def _experiment(row: MetadataRow, facts: SummaryRow | None, data: PmlbFacts) -> ImportedExperiment:
    settings = _settings(row, facts.epochs if facts else EPOCHS)
    if facts is not None:
        network = Network(count_inputs(facts.n_parameters, facts.widths), facts.widths, facts.n_parameters)
        identity = experiment_id(settings)
        return ImportedExperiment(identity, settings, network, data.n_observations, "summary", facts.last_losses)
    try:
        widths = tuple(layer_widths(row.shape, row.depth, row.size, data.n_features, data.n_outputs))
    except ValueError as error:
        raise PublishedValueError(str(error)) from None
    network = Network(data.n_features, widths, count_parameters(data.n_features, widths))
    return ImportedExperiment(experiment_id(settings), settings, network, data.n_observations, "rule", {})


def _settings(row: MetadataRow, epochs: int) -> Settings:
    values = {
        "dataset": row.dataset,
        "shape": row.shape,
        "size": row.size,
        "depth": row.depth,
        "epochs": epochs,
        "batch_size": row.batch_size,
        "learning_rate": row.learning_rate,
        "optimizer": row.optimizer,
    }
    return published_settings(values, hardware="gpu" if row.is_gpu else "cpu")


def _joined(
    files: ButterEFiles,
    rows: Sequence[MetadataRow],
    experiments: Sequence[ImportedExperiment | None],
    zone: zoneinfo.ZoneInfo,
    min_coverage: float,
    report: ImportReport,
    say: Callable[[str], None],
) -> list[ImportedRun]:
    nested = files.energy / files.energy.name
    energy = nested if nested.is_dir() else files.energy
    runs = []
    order = sorted(range(len(rows)), key=lambda number: rows[number].job)
    for done, (job, numbers) in enumerate(groupby(order, key=lambda number: rows[number].job)):
        if done and done % JOBS_PER_LINE == 0:
            say(f"{done} jobs joined")
        readings = _read(energy / f"{job}.csv", zone, report)
        traces: dict[str, Any] = {}
        for number in numbers:
            row, found = rows[number], experiments[number]
            if readings is None:
                published, by_interval = Published(NO_FILE), Interval(NO_FILE)
            else:
                published = as_published(readings, row.node, row.start_s, row.end_s)
                if row.node not in traces:
                    traces[row.node] = readings.trace(row.node) if readings.of_node(row.node).any() else None
                trace = traces[row.node]
                by_interval = (
                    Interval(NO_READING, coverage=0.0)
                    if trace is None
                    else interval(trace, row.start_s, row.end_s, min_coverage=min_coverage)
                )
            report.as_published[reason_kind(published.reason) or "kept"] += 1
            report.interval[reason_kind(by_interval.reason) or "kept"] += 1
            if found is not None:
                runs.append(ImportedRun(row, found, published, by_interval))
    return runs


def _read(path: Path, zone: zoneinfo.ZoneInfo, report: ImportReport) -> JobReadings | None:
    if not path.is_file():
        report.missing_power_files.append(path.name)
        return None
    try:
        readings = read_job(path, zone)
    except UnreadableError as error:
        report.unreadable_power_files[path.name] = str(error)
        return None
    report.readings.update(readings.counts)
    return readings


def _write(
    runs: list[ImportedRun], nodes: dict[str, NodeFacts], output: Path, join: Join, metadata: dict[str, str]
) -> None:
    runs.sort(key=lambda run: (run.experiment.identity, run.row.start_s, run.row.run_id))
    metadata = metadata | {"power_origins": json.dumps({"measured": len(runs)})}
    with ExitStack() as stack:
        tables = {
            table.path: stack.enter_context(TableFile(table, output / table.path))
            for table in (RUNS, EXPERIMENTS, PUBLISHED, NODES)
        }
        for identity, group in groupby(runs, key=lambda run: run.experiment.identity):
            members = list(group)
            batches = tuple(sorted({run.row.batch for run in members}))
            asked = Experiment(identity, members[0].experiment.settings, len(members), batches)
            rows = [run_row(run, number, nodes.get(run.row.node), join) for number, run in enumerate(members)]
            for run, row in zip(members, rows, strict=True):
                tables[RUNS.path].add(row)
                tables[PUBLISHED.path].add(published_row(run, nodes.get(run.row.node), join))
            for summary in experiment_rows(rows, asked):
                tables[EXPERIMENTS.path].add(summary | dict(members[0].experiment.losses))
        for node in nodes.values():
            tables[NODES.path].add(node_row(node))
        for table in tables.values():
            table.complete(metadata)
