"""What finished runs and shards tell the predictor, as plain values; who reads files makes these of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from wattsweep.grid import Settings
from wattsweep.planning.prediction import BOOK, run_terms


class Kind(NamedTuple):
    """A way of training on a kind of hardware: runs of one kind are fitted together, and apart from others.

    `device` is cpu or the GPU's name; `cpu_model` and `threads` are those of the node and of TensorFlow.
    """

    engine: str
    precision: str
    vectorised: bool
    device: str
    cpu_model: str
    threads: int

    def serves(self, settings: Settings, threads: int) -> bool:
        """Whether an experiment may be trained in this way. Threads of the CPU say nothing of a GPU."""
        if (settings.engine, settings.precision, settings.vectorised) != self[:3]:
            return False
        if self.device == "cpu":
            return settings.hardware != "gpu" and threads == self.threads
        return settings.hardware != "cpu"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run: its network, data and time. `run_s` is its part of the time that runs side by side share.

    `mean_w` and `idle_w` are the power of its block and of the idle node around it, None where its energy was refused
    or not measured; `origin` is measured, simulated or modelled. `setup_s` is None where it had none.
    """

    experiment_id: str
    kind: Kind
    widths: tuple[int, ...]
    n_inputs: int
    n_parameters: int
    n_train: int
    n_test: int
    batch_size: int
    epochs: int
    run_s: float
    setup_s: float | None = None
    block_id: str = ""
    origin: str = "none"
    mean_w: float | None = None
    idle_w: float | None = None

    @property
    def terms(self) -> tuple[float, ...]:
        """How many of each of the predictor's terms it was."""
        return run_terms(
            self.widths,
            self.n_inputs,
            n_train=self.n_train,
            n_test=self.n_test,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A finished shard: how long its last attempt took, and what the book says of the blocks that it trained, in s."""

    shard_id: str
    elapsed_s: float
    booked_s: float


def by_experiment(runs: Iterable[FinishedRun]) -> dict[Kind, list[list[FinishedRun]]]:
    """The runs that can be learned from, by kind and experiment; experiments in the order of their ids."""
    found: dict[Kind, dict[str, list[FinishedRun]]] = {}
    for run in runs:
        if run.run_s > 0 and run.epochs > 0 and run.kind.engine in BOOK:
            found.setdefault(run.kind, {}).setdefault(run.experiment_id, []).append(run)
    return {kind: [experiments[identity] for identity in sorted(experiments)] for kind, experiments in found.items()}
