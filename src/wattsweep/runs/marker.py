"""What a shard ends with: its marker, results/shards/SHARD.json, which Snakemake waits for."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wattsweep.disk import write_text
from wattsweep.grid import Experiment
from wattsweep.runs.facts import RunFacts
from wattsweep.runs.failures import Failure, attempts
from wattsweep.runs.layout import Layout
from wattsweep.runs.progress import Progress
from wattsweep.runs.record import RunRecord


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One finished run, as the shard's marker lists it; `path` is relative to the results folder."""

    run_id: str
    experiment_id: str
    repetition: int
    path: str
    energy_status: str

    @classmethod
    def of(cls, record: RunRecord | RunFacts, layout: Layout) -> "RunSummary":
        """The summary of a run."""
        run = record.run
        status = "none" if record.power is None else record.power.status
        path = layout.run(run).relative_to(layout.results)
        return cls(run.run_id, run.experiment_id, run.repetition, str(path), status)


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that is not tried any more: how often it failed, and with what at last."""

    run_id: str
    experiment_id: str
    repetition: int
    attempts: int
    error: str

    @classmethod
    def of(cls, experiment: Experiment, given_up: Iterable[int], failures: list[Failure]) -> "list[FailedRun]":
        """The runs of an experiment that were given up, of which these failures are known."""
        counts = attempts(failures)
        last = {run_id: failure.words for failure in failures for run_id in failure.runs}
        return [
            cls(run.run_id, run.experiment_id, run.repetition, counts[run.run_id], last.get(run.run_id, NOT_TRIED))
            for run in map(experiment.run, sorted(given_up))
        ]


NOT_TRIED = "not tried, since no other run of its experiment could be trained"


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard ended with: every finished run of its experiments, those of earlier attempts included."""

    shard_id: str
    node: str
    started_at: str
    finished_at: str
    runs: tuple[RunSummary, ...]
    failures: tuple[FailedRun, ...] = ()
    progress: Progress = field(default_factory=Progress)

    def to_json(self) -> dict[str, Any]:
        """The content of the shard's marker."""
        return asdict(self)


def write_marker(path: Path, result: ShardResult) -> None:
    """Write a shard's marker; it appears under its name only when it is complete and on disk."""
    write_text(path, json.dumps(result.to_json()) + "\n")
