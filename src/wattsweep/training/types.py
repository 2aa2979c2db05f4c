"""What an engine is asked to train, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets import Head, Split

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


OptimizerName = Literal["adam", "rmsprop", "sgd"]


@dataclass(frozen=True, slots=True)
class Objective:
    """How the loss is lowered: the optimizer, and the penalties on kernels that are part of the loss."""

    optimizer: OptimizerName = "adam"
    momentum: float = 0.0
    kernel_l1: float = 0.0
    kernel_l2: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is the same in every run of an experiment."""

    architecture: Architecture
    n_train: int
    n_test: int
    epochs: int
    batch_size: int
    learning_rate: float
    objective: Objective = Objective()
    stop_on_divergence: bool = False

    @property
    def n_batches(self) -> int:
        """Minibatches per epoch; the last may be partial."""
        return -(-self.n_train // self.batch_size)


@dataclass(frozen=True)
class Trained:
    """One training: float32 arrays of one value per epoch under `HISTORY_NAMES`, and its window (monotonic clock).

    They end with the epoch at which training diverged, where the plan stops there.
    """

    history: Mapping[str, NDArray[np.float32]]
    start_s: float
    end_s: float


class Engine(Protocol):
    """A way to train; made for one plan, it trains any number of runs."""

    def prepare(self) -> None:
        """Do all that is not training (tracing, compiling), so that `train` is nothing else."""

    def train(self, split: Split, seed: int) -> Trained:
        """Train one network from the initial weights and batch orders that follow from `seed`."""


def diverged_at(losses: NDArray[np.float32], test_losses: NDArray[np.float32]) -> int | None:
    """The first epoch, from 1, at which the loss on either set is not finite; None where there is none."""
    bad = np.flatnonzero(~(np.isfinite(losses) & np.isfinite(test_losses)))
    return int(bad[0]) + 1 if len(bad) else None
