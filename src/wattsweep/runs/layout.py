"""Where runs are kept below the results folder, fanned out by experiment id.

runs/AB/EXPERIMENT/RUN.h5     finished runs
packed/SHARD.h5               finished runs of a shard whose run files were packed into one
staged/AB/EXPERIMENT/BLOCK/   trained runs whose energy is not known yet, and how the block is measured
checkpoints/AB/EXPERIMENT/    where the runs in training stand
compiled/MACHINE/             compiled programs, for the next shard on such a machine
traces/ATTEMPT.csv            what a recorder wrote while a shard was executed
nodes/NODE.json               what calibrations found of a node's sources
failures/AB/EXPERIMENT/       why runs failed: RUN-ATTEMPT.json
quarantine/AB/EXPERIMENT/     damaged run files, and why each was set aside
leases/SHARD.json             who executes a shard
progress/SHARD.json           how far a shard has come that was begun and not finished
shards/SHARD.json             the marker of a finished shard
"""

from dataclasses import dataclass
from pathlib import Path

from wattsweep.grid import Run


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders below `results`."""

    results: Path

    @property
    def datasets(self) -> Path:
        """Folder of the prepared datasets."""
        return self.results / "datasets"

    def experiment(self, experiment_id: str) -> Path:
        """Folder of an experiment's finished runs."""
        return self.results / "runs" / experiment_id[:2] / experiment_id

    @property
    def packed(self) -> Path:
        """Folder of the packed shards."""
        return self.results / "packed"

    def run(self, run: Run) -> Path:
        """File of a finished run."""
        return self.experiment(run.experiment_id) / f"{run.run_id}.h5"

    def staged(self, experiment_id: str) -> Path:
        """Folder of an experiment's blocks that are not finished."""
        return self.results / "staged" / experiment_id[:2] / experiment_id

    def checkpoints(self, experiment_id: str) -> Path:
        """Folder of the checkpoints of an experiment's runs in training."""
        return self.results / "checkpoints" / experiment_id[:2] / experiment_id

    @property
    def compiled(self) -> Path:
        """Store of compiled programs."""
        return self.results / "compiled"

    @property
    def nodes(self) -> Path:
        """Folder of what is known of the nodes' sources."""
        return self.results / "nodes"

    def trace(self, attempt: str) -> Path:
        """File that the recorder of an attempt at a shard writes."""
        return self.results / "traces" / f"{attempt}.csv"

    def failures(self, experiment_id: str) -> Path:
        """Folder of the failures of an experiment's runs."""
        return self.results / "failures" / experiment_id[:2] / experiment_id

    def quarantine(self, experiment_id: str) -> Path:
        """Folder of an experiment's damaged run files."""
        return self.results / "quarantine" / experiment_id[:2] / experiment_id

    @property
    def leases(self) -> Path:
        """Folder of the leases of the shards that are being executed."""
        return self.results / "leases"

    def progress(self, shard_id: str) -> Path:
        """File that says how far a shard has come."""
        return self.results / "progress" / f"{shard_id}.json"

    def marker(self, shard_id: str) -> Path:
        """File that says that a shard is finished, and with what."""
        return self.results / "shards" / f"{shard_id}.json"
