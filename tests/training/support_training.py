"""Plans on bundled data, and their training by an engine."""

from pathlib import Path

from wattsweep.datasets import Dataset, Split, load, prepare, split
from wattsweep.networks import layer_widths
from wattsweep.training import (
    Architecture,
    Checkpoint,
    Objective,
    Trained,
    TrainingPlan,
    make_engine,
)

SEED = 20_240_808


def bundled(name: str, folder: Path, seed: int = SEED) -> tuple[Dataset, Split]:
    dataset = load(prepare("bundled", name, folder, folder))
    return dataset, split(dataset, test_split=0.2, label_noise=0.0, seed=seed)


def plan_for(
    dataset: Dataset,
    parts: Split,
    shape: str = "rectangle",
    *,
    size: int = 1024,
    depth: int = 4,
    epochs: int = 20,
    objective: Objective | None = None,
) -> TrainingPlan:
    widths = layer_widths(shape, depth, size, dataset.n_inputs, dataset.n_outputs)
    architecture = Architecture(dataset.n_inputs, tuple(widths), dataset.head, shape == "rectangle_residual")
    return TrainingPlan(architecture, len(parts.train_x), len(parts.test_x), epochs, 50, 3e-3, objective or Objective())


def train(name: str, plan: TrainingPlan, parts: Split, seed: int = SEED) -> Trained:
    engine = make_engine(name, plan)
    engine.prepare()
    return engine.train([parts], [seed])[0]


class InterruptedTrainingError(Exception):
    """Raised by a store in place of what kills a process."""


class KeptCheckpoints:
    """A store in memory whose process ends at the `last`-th checkpoint."""

    every_s = 0.0

    def __init__(self, last: int) -> None:
        self.last = last
        self.saved: list[Checkpoint] = []

    def load(self) -> Checkpoint | None:
        return self.saved[-1] if self.saved else None

    def save(self, checkpoint: Checkpoint) -> None:
        self.saved.append(checkpoint)
        if len(self.saved) == self.last:
            raise InterruptedTrainingError
