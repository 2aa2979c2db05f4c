"""What an engine is asked to train, and what it gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets import Head, Split
from wattsweep.networks import count_parameters

METRICS = (
    "loss",
    "accuracy",
    "mean_squared_error",
    "mean_absolute_error",
    "root_mean_squared_error",
    "mean_squared_logarithmic_error",
    "hinge",
    "squared_hinge",
    "cosine_similarity",
    "kullback_leibler_divergence",
)
"""The metrics of each epoch: under these names on the training rows, with `val_` before them on the test rows."""

HISTORY_NAMES = (*METRICS, *(f"val_{name}" for name in METRICS))


@dataclass(frozen=True, slots=True)
class Architecture:
    """A fully connected network: ReLU in every layer but the last, whose activation and loss follow from `head`.

    `widths` are those of its dense layers, the output layer last. In a `residual` network each hidden layer from the
    second on adds its input to its output.
    """

    n_inputs: int
    widths: tuple[int, ...]
    head: Head
    residual: bool

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """Shape of each kernel, (inputs, outputs)."""
        return list(zip((self.n_inputs, *self.widths[:-1]), self.widths, strict=True))

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return count_parameters(self.n_inputs, self.widths)


OptimizerName = Literal["adam", "rmsprop", "sgd"]
Precision = Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True, slots=True)
class Objective:
    """How the loss is lowered: the optimizer, and the penalties on kernels that are part of the loss."""

    optimizer: OptimizerName = "adam"
    momentum: float = 0.0
    kernel_l1: float = 0.0
    kernel_l2: float = 0.0

    @property
    def n_slots(self) -> int:
        """How many tensors of the weights' shapes the optimizer keeps."""
        kept = {"adam": 2, "rmsprop": 1, "sgd": 0}[self.optimizer]
        return kept + (self.optimizer != "adam" and self.momentum > 0)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is the same in every run of an experiment.

    `runs_at_once` runs are trained side by side in one program. In `mixed_bfloat16` weights, optimizer, loss and
    metrics are float32, and the layers compute in bfloat16.
    """

    architecture: Architecture
    n_train: int
    n_test: int
    epochs: int
    batch_size: int
    learning_rate: float
    objective: Objective = Objective()
    stop_on_divergence: bool = False
    precision: Precision = "float32"
    runs_at_once: int = 1

    @property
    def n_batches(self) -> int:
        """Minibatches per epoch; the last may be partial."""
        return -(-self.n_train // self.batch_size)


@dataclass(frozen=True)
class Trained:
    """One training: float32 arrays of one value per epoch under `HISTORY_NAMES`, and its window (monotonic clock).

    They end with the epoch at which training diverged, where the plan stops there. `marks` says when some of its epochs
    ended, [n, 2]: the epoch's number, from 1, and the time.
    """

    history: Mapping[str, NDArray[np.float32]]
    start_s: float
    end_s: float
    marks: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands after `epochs` epochs: all that the next epoch depends on.

    `state` are weights and optimizer state in the order of the engine that made it, `row_order` the state of the
    generator of each run's row orders, as JSON. `history` is float32 [runs_at_once, epochs, 20], in the order of
    HISTORY_NAMES.
    """

    epochs: int
    state: tuple[NDArray[Any], ...]
    row_order: str
    history: NDArray[np.float32]


class CheckpointStore(Protocol):
    """Where the checkpoints of one training are kept: the last one only."""

    @property
    def every_s(self) -> float:
        """Wall time of training between two checkpoints, asked for between two calls: 0 has one saved now."""

    def load(self) -> Checkpoint | None:
        """The last checkpoint of this training; None where there is none."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint in place of the last. What it raises ends the training."""


class Engine(Protocol):
    """A way to train; made for one plan, it trains any number of runs."""

    def prepare(self) -> None:
        """Do all that is not training (tracing, compiling), so that `train` is nothing else."""

    def train(
        self, splits: Sequence[Split], seeds: Sequence[int], checkpoints: CheckpointStore | None = None
    ) -> list[Trained]:
        """Train `plan.runs_at_once` networks, each from the initial weights and row orders that follow from its seed.

        All of them share one window. With a store, training goes on from its last checkpoint, bit for bit as if it had
        never been interrupted, and keeps a new one every `every_s`; the window is that of this call.
        """


def diverged_at(losses: NDArray[np.float32], test_losses: NDArray[np.float32]) -> int | None:
    """The first epoch, from 1, at which the loss on either set is not finite; None where there is none."""
    bad = np.flatnonzero(~(np.isfinite(losses) & np.isfinite(test_losses)))
    return int(bad[0]) + 1 if len(bad) else None
