"""The terms of the energy model: each one feature of an experiment, whose coefficient has a physical meaning.

A model is a tuple of terms, `terms_of(model, hardware)`; a new term is a new `Term` in such a tuple. Features are per
datum, that is per training row and epoch, so that a coefficient times its feature is in J per datum, or in s per datum
where the model is of time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wattsweep.analysis.traffic import beyond_levels, streams
from wattsweep.analysis.working_sets import working_sets
from wattsweep.hardware import HardwareProfile
from wattsweep.networks import count_parameters
from wattsweep.workload import BYTES_PER_FLOAT

Floats = NDArray[np.float64]
Quantity = Literal["energy", "time"]
ModelName = Literal["settings", "settings+time", "published", "operations", "parameters", "trees", "runtime"]

MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)
MODELS = MODEL_NAMES
BASELINES: tuple[ModelName, ...] = ("published", "operations", "parameters", "trees")
"""What the model is held against; of these a fit keeps errors, and no predictions."""

UNITS: dict[Quantity, str] = {"energy": "J", "time": "s"}

NETWORK = ("widths", "n_inputs", "n_outputs", "batch_size", "n_train", "n_test")
"""Columns that traffic is made of."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Experiments, as rows of experiments.parquet, and what they were trained on."""

    experiments: pd.DataFrame
    hardware: HardwareProfile

    def column(self, name: str) -> Floats:
        """A column as float64."""
        return self.experiments[name].to_numpy(dtype=np.float64)

    @cached_property
    def n_train(self) -> Floats:
        """Training rows."""
        return self.column("n_train")

    @cached_property
    def train_batches(self) -> Floats:
        """Minibatches of an epoch."""
        return np.ceil(self.n_train / self.column("batch_size"))

    @cached_property
    def beyond(self) -> Floats:
        """Bytes per datum that come from beyond each level of memory, [experiments, levels]; see `beyond_levels`."""
        rows = [beyond_levels(streams(**network), self.hardware) for network in self._networks()]
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1) / self.n_train[:, None]

    @cached_property
    def published(self) -> Floats:
        """Bytes per datum of the published working sets that live at each level, [experiments, levels]."""
        rows = [_published_bytes(**network, hardware=self.hardware) for network in self._networks()]
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1) * (self.train_batches / self.n_train)[:, None]

    def _networks(self) -> Iterator[dict[str, Any]]:
        """Network and rows of each experiment, as Python's numbers: the tables' would overflow."""
        columns = [self.experiments[name].tolist() for name in NETWORK]
        for widths, *numbers in zip(*columns, strict=True):
            yield dict(zip(NETWORK, ([int(width) for width in widths], *numbers), strict=True))


@dataclass(frozen=True, slots=True)
class Term:
    """A term: `feature` maps a sample to one value per experiment; a coefficient is in J or s per `per`.

    Where `per` is empty its unit is that of the quantity; `power` marks the term whose coefficient is in W.
    """

    name: str
    per: str
    description: str
    feature: Callable[[Sample], Floats]
    power: bool = False

    def unit(self, quantity: Quantity) -> str:
        """The coefficient's unit in a model of energy or of time."""
        if self.power:
            return "W"
        return f"{UNITS[quantity]}/{self.per}" if self.per else UNITS[quantity]


def features(terms: Sequence[Term], sample: Sample) -> Floats:
    """The features, an array [experiments, terms]."""
    return np.column_stack([term.feature(sample) for term in terms])


def terms_of(model: ModelName, hardware: HardwareProfile) -> tuple[Term, ...]:
    """The terms of a model on a kind of hardware, whose levels of memory have a term each. "trees" has none.

    - "settings": work, traffic beyond each level, and overheads. It needs nothing but settings, so it predicts a
      network before it is trained. "runtime" is of the same terms, for the duration of training.
    - "settings+time" takes the measured duration of training as well: what it cannot explain is in the power.
    - "published": BUTTER-E's form: operations, overheads, and the bytes of each working set at the level it lives at.
    - "operations" and "parameters": one number of the network, and a constant.
    """
    levels = [level.name for level in hardware.levels]
    if model in ("settings", "runtime", "settings+time"):
        hierarchy = tuple(_beyond(number, levels) for number in range(len(levels)))
        own = (OPERATIONS, *hierarchy, LAYER_OVERHEAD, BATCH_OVERHEAD, *SMALL)
        return (*own, TIME) if model == "settings+time" else own
    if model == "published":
        at = tuple(_at(number, name) for number, name in enumerate(levels))
        return (OPERATIONS, *at, LAYER_OVERHEAD, BATCH_OVERHEAD)
    return {"operations": (OPERATIONS, DATUM), "parameters": (PARAMETERS, DATUM), "trees": ()}[model]


def _published_bytes(
    widths: Sequence[int],
    n_inputs: int,
    n_outputs: int,
    batch_size: int,
    n_train: int,
    n_test: int,
    hardware: HardwareProfile,
) -> list[float]:
    """Bytes of a minibatch by the level that their working set lives at.

    They are those between all layers, the weights of the forward pass, what the backward pass adds, and the rows.
    """
    in_and_out = [n_inputs, *widths]
    parameters = BYTES_PER_FLOAT * count_parameters(n_inputs, widths)
    per_unit = BYTES_PER_FLOAT * batch_size
    sets = working_sets(widths, n_inputs, batch_size, n_train + n_test, n_outputs, hardware)
    moved = (
        (sets.inter_layer, per_unit * (2 * sum(in_and_out) - n_inputs - widths[-1])),
        (sets.forward, parameters),
        (sets.backward, 2 * parameters + per_unit * sum(in_and_out)),
        (sets.dataset, per_unit * (n_inputs + n_outputs)),
    )
    at = [0.0] * len(hardware.levels)
    for one, bytes_ in moved:
        at[one.level - 1] += bytes_
    return at


def _beyond(number: int, levels: Sequence[str]) -> Term:
    words = f"for each byte that {levels[number - 1]} does not hold, on top" if number else "for each byte moved"
    name = f"beyond {levels[number - 1]}" if number else "traffic"
    return Term(name, "byte", words, lambda sample: sample.beyond[:, number])


def _at(number: int, name: str) -> Term:
    words = f"for each byte of a working set that lives in {name}"
    return Term(f"in {name}", "byte", words, lambda sample: sample.published[:, number])


def _operations(sample: Sample) -> Floats:
    return sample.column("macs_per_epoch") / sample.n_train


def _outputs(sample: Sample) -> Floats:
    rows = sample.train_batches * sample.column("batch_size") + sample.column("n_test")
    return rows * sample.column("n_outputs") / sample.n_train


def _batches(sample: Sample) -> Floats:
    return sample.train_batches / sample.n_train


def _seconds(sample: Sample) -> Floats:
    return sample.column("training_s_median") / (sample.column("epochs") * sample.n_train)


OPERATIONS = Term("operations", "op", "for each multiply-accumulate, forward and backward", _operations)
OUTPUTS = Term("outputs", "output", "for each output of the network that loss and metrics are made of", _outputs)
LAYER_OVERHEAD = Term(
    "layer overhead",
    "",
    "for each layer of each training batch",
    lambda sample: sample.column("depth") * _batches(sample),
)
BATCH_OVERHEAD = Term("batch overhead", "", "for each training batch", _batches)
EPOCH_OVERHEAD = Term("epoch overhead", "", "for each epoch", lambda sample: 1.0 / sample.n_train)
RUN_OVERHEAD = Term("run overhead", "", "for each run", lambda sample: 1.0 / (sample.column("epochs") * sample.n_train))
DATUM = Term("datum", "", "for each training row in each epoch", lambda sample: np.ones(len(sample.experiments)))
PARAMETERS = Term(
    "parameters", "parameter", "for each parameter and training row", lambda sample: sample.column("n_parameters")
)
TIME = Term("time", "", "for each second of training", _seconds, power=True)
SMALL = (OUTPUTS, EPOCH_OVERHEAD, RUN_OVERHEAD, DATUM)
"""What small networks and datasets spend on beside training batches."""
