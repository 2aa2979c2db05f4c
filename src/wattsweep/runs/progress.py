"""How far a shard has come, in numbers small enough to be read for every shard of a sweep.

A shard that is being executed replaces `results/progress/SHARD.json` at each experiment; a finished one has the same
numbers in its marker. `wattsweep.runs.status` adds them up.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from wattsweep.planning import PlannedExperiment
from wattsweep.runs.facts import RunFacts
from wattsweep.runs.record import RunRecord


def _add_joules(energies: dict[str, float], others: Mapping[str, float]) -> None:
    """Add energies by origin to those that there are."""
    for origin, joules in others.items():
        energies[origin] = energies.get(origin, 0.0) + joules


@dataclass
class Counts:
    """Runs of some experiments, and their gross energy in J by the origin of its watts.

    Of the `planned` runs, `done` have a file and `failed` are not tried any more; `further` runs were made beside them
    so that blocks last long enough. `refused` runs have no energy, or no net energy, though power was read.
    """

    planned: int = 0
    done: int = 0
    further: int = 0
    failed: int = 0
    refused: int = 0
    gross_j: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Add another's numbers to these."""
        self.planned += other.planned
        self.done += other.done
        self.further += other.further
        self.failed += other.failed
        self.refused += other.refused
        _add_joules(self.gross_j, other.gross_j)


@dataclass
class NodeCounts:
    """Runs that a node trained, for how long in s, and their gross energy in J by the origin of its watts."""

    runs: int = 0
    training_s: float = 0.0
    gross_j: dict[str, float] = field(default_factory=dict)

    def add(self, other: "NodeCounts") -> None:
        """Add another's numbers to these."""
        self.runs += other.runs
        self.training_s += other.training_s
        _add_joules(self.gross_j, other.gross_j)


@dataclass
class Progress:
    """Where a shard stands: all of it, per sweep (an experiment may be in several) and per node.

    `elapsed_s`, `predicted_done_s` and `runs` are of the present attempt, or the last: its wall time, what was
    predicted for the blocks that it finished, and their runs. `predicted_left_s` is what was predicted for the
    experiments that are not finished.
    """

    experiments: int = 0
    experiments_done: int = 0
    predicted_left_s: float = 0.0
    elapsed_s: float = 0.0
    predicted_done_s: float = 0.0
    runs: int = 0
    now: str = ""
    node: str = ""
    updated_at: str = ""
    total: Counts = field(default_factory=Counts)
    sweeps: dict[str, Counts] = field(default_factory=dict)
    nodes: dict[str, NodeCounts] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The numbers as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The progress that `to_json` wrote; raises KeyError or TypeError for anything else."""
        values = {
            **document,
            "total": Counts(**document["total"]),
            "sweeps": {name: Counts(**counts) for name, counts in document["sweeps"].items()},
            "nodes": {name: NodeCounts(**counts) for name, counts in document["nodes"].items()},
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ExperimentCounts:
    """The numbers of one experiment."""

    sweeps: tuple[str, ...]
    counts: Counts
    nodes: Mapping[str, NodeCounts]
    done: bool
    predicted_s: float


def count_experiment(
    planned: PlannedExperiment, finished: Iterable[RunRecord | RunFacts], given_up: Iterable[int], *, done: bool
) -> ExperimentCounts:
    """The numbers of an experiment with these finished runs."""
    asked = planned.experiment.repetitions
    counts = Counts(planned=asked)
    nodes: dict[str, NodeCounts] = {}
    for record in finished:
        if record.run.repetition < asked:
            counts.done += 1
        else:
            counts.further += 1
        node = nodes.setdefault(record.provenance.get("host", ""), NodeCounts())
        node.runs += 1
        node.training_s += record.training_s
        if record.power is None:
            continue
        counts.refused += record.power.status == "refused"
        joules = record.power.energy.gross.joules
        if math.isfinite(joules):
            for energies in (counts.gross_j, node.gross_j):
                _add_joules(energies, {record.power.source.origin: joules})
    counts.failed = sum(number < asked for number in given_up)
    return ExperimentCounts(planned.experiment.sweeps, counts, nodes, done, planned.predicted_s)


def add_up(experiments: Iterable[ExperimentCounts]) -> Progress:
    """The numbers of all of a shard's experiments."""
    progress = Progress()
    for one in experiments:
        progress.experiments += 1
        progress.experiments_done += one.done
        progress.predicted_left_s += 0.0 if one.done else one.predicted_s
        progress.total.add(one.counts)
        for sweep in one.sweeps:
            progress.sweeps.setdefault(sweep, Counts()).add(one.counts)
        for name, node in one.nodes.items():
            progress.nodes.setdefault(name, NodeCounts()).add(node)
    return progress


def write_progress(path: Path, progress: Progress) -> None:
    """Replace the file that says how far a shard has come; what was there stays whole until then.

    It is not flushed to the disk: after a crash of the node the run files are what counts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(progress.to_json()) + "\n", encoding="utf-8")
    temporary.replace(path)
