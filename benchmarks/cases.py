"""The cases of the benchmark: datasets, networks, and how long a turn is."""

from dataclasses import dataclass
from pathlib import Path

from wattsweep.datasets import Split, load, prepare, split
from wattsweep.networks import count_parameters, layer_widths
from wattsweep.planning import predict_run_s
from wattsweep.training import Architecture, TrainingPlan

BATCH_SIZE = 256
LEARNING_RATE = 1e-3
TURN_S = 0.4
"""About how long a turn is to last, where an epoch is shorter."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rectangle of `depth` layers and 2^`log2_size` parameters on synthetic classes."""

    rows: int
    features: int
    classes: int
    log2_size: int
    depth: int

    @property
    def dataset(self) -> str:
        """The name of its synthetic dataset."""
        return f"classes_{self.rows}x{self.features}x{self.classes}"

    @property
    def architecture(self) -> Architecture:
        """Its network."""
        widths = layer_widths("rectangle", self.depth, 2**self.log2_size, self.features, self.classes)
        return Architecture(self.features, tuple(widths), "softmax", residual=False)

    @property
    def parameters(self) -> int:
        """Its number of trainable parameters."""
        return count_parameters(self.features, self.architecture.widths)

    def plan(self, n_train: int, n_test: int, epochs: int) -> TrainingPlan:
        """Its training: Adam, batch 256."""
        return TrainingPlan(self.architecture, n_train, n_test, epochs, BATCH_SIZE, LEARNING_RATE)

    def predicted_s(self, engine: str, n_train: int, n_test: int) -> float:
        """What the planner predicts for an epoch of an engine."""
        return predict_run_s(
            self.architecture.widths,
            self.features,
            n_train=n_train,
            n_test=n_test,
            epochs=1,
            batch_size=BATCH_SIZE,
            engine=engine,
        )

    def floating_point_operations(self, n_train: int, n_test: int) -> int:
        """Those of an epoch's matrix products; the first layer has no product backward to its inputs."""
        shapes = self.architecture.layer_shapes
        entries = [n_in * n_out for n_in, n_out in shapes]
        return 2 * ((3 * n_train + n_test) * sum(entries) - n_train * entries[0])


ALL = (
    Case(1_000, 8, 5, 6, 2),
    Case(1_000, 8, 5, 12, 6),
    Case(1_000, 8, 5, 16, 20),
    Case(1_000, 8, 5, 22, 2),
    Case(1_000, 8, 5, 22, 6),
    Case(12_960, 8, 5, 6, 2),
    Case(12_960, 8, 5, 12, 6),
    Case(12_960, 8, 5, 12, 20),
    Case(12_960, 8, 5, 16, 6),
    Case(12_960, 8, 5, 20, 20),
    Case(67_557, 42, 3, 6, 2),
    Case(67_557, 42, 3, 12, 6),
    Case(67_557, 42, 3, 16, 6),
    Case(67_557, 42, 3, 20, 6),
)
SMOKE = (Case(320, 8, 5, 6, 2), Case(320, 8, 5, 12, 6))
CASES = {"all": ALL, "smoke": SMOKE}


def read(case: Case, folder: Path) -> Split:
    """The split of a case; its dataset is made in `folder`."""
    dataset = load(prepare("synthetic", case.dataset, folder, folder))
    return split(dataset, test_split=0.2, label_noise=0.0, seed=1)


def epochs_of_a_turn(expected_epoch_s: float) -> int:
    """A power of two, as the compiled engine's calls are."""
    epochs = 1
    while 2 * epochs * expected_epoch_s < 1.5 * TURN_S:
        epochs *= 2
    return epochs
