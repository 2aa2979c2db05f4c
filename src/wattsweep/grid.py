"""Expands sweeps into experiments and runs, each with an id that follows from its settings alone.

`expand(config)` gives the experiments, each once, whatever number of sweeps holds it; `Experiment.run(repetition)`
gives a run with its id and seed; `compare(before, after)` says what a change of config does to them. Ids do not depend
on the rest of the grid, so editing a grid never renames what is done.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

from wattsweep.config import Config, Hypercube, TrainingConfig

ID_DIGITS = 16

Values = tuple[Any, ...]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Settings:
    """What makes an experiment the one it is.

    A field with a default came later than the others. At that default it is left out of the canonical form, so ids made
    before it keep their meaning.
    """

    dataset_source: str
    dataset: str
    shape: str
    size: int
    depth: int
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    label_noise: float
    test_split: float
    engine: str
    momentum: float = 0.0
    kernel_l1: float = 0.0
    kernel_l2: float = 0.0
    precision: str = "float32"
    hardware: str = "any"
    vectorised: bool = False

    def canonical(self) -> str:
        """The JSON text that the experiment's id is the hash of: sorted keys, no blanks, shortest float forms."""
        return "{" + ",".join(filter(None, map(_member, FIELDS, _values(self)))) + "}"


FIELDS = sorted(field.name for field in fields(Settings))
_values = attrgetter(*FIELDS)
LATER_FIELDS = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}


@lru_cache(maxsize=4096, typed=True)
def _member(name: str, value: object) -> str:
    """A field of the canonical form, empty where it is left out. A grid has few values and very many experiments."""
    if LATER_FIELDS.get(name) == value:
        return ""
    # Minus zero equals zero, so it is written as zero: equal settings have one id.
    return f"{_encode(name)}:{_encode(value + 0.0 if isinstance(value, float) else value)}"


@dataclass(frozen=True, slots=True)
class Run:
    """One training of an experiment."""

    run_id: str
    experiment_id: str
    repetition: int
    seed: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """One distinct setting, the sweeps that hold it and the repetitions they ask for."""

    experiment_id: str
    settings: Settings
    repetitions: int
    sweeps: tuple[str, ...]

    def run(self, repetition: int) -> Run:
        """The run with this number, counted from 0; numbers past `repetitions` are a block's further runs."""
        return make_run(self.experiment_id, repetition)

    def runs(self) -> list[Run]:
        """The runs that the grid asks for."""
        return [self.run(repetition) for repetition in range(self.repetitions)]


@dataclass(frozen=True, slots=True)
class GridDifference:
    """The experiments that only a second configuration has, only the first, and both, as the second has them.

    `repetitions` has those of both of which they ask for different numbers of runs: the first's and the second's.
    """

    added: list[Experiment]
    removed: list[Experiment]
    shared: list[Experiment]
    repetitions: dict[str, tuple[int, int]]


def compare(before: Config, after: Config) -> GridDifference:
    """What a change of configuration does to its experiments: those of both keep their ids, and what is done."""
    old = {one.experiment_id: one for one in expand(before)}
    new = {one.experiment_id: one for one in expand(after)}
    counts = {name: (old[name].repetitions, one.repetitions) for name, one in new.items() if name in old}
    return GridDifference(
        added=[one for name, one in new.items() if name not in old],
        removed=[one for name, one in old.items() if name not in new],
        shared=[one for name, one in new.items() if name in old],
        repetitions={name: (first, second) for name, (first, second) in counts.items() if first != second},
    )


def expand(config: Config) -> list[Experiment]:
    """Every experiment of the sweeps, each once, in the order of the config.

    An experiment in several sweeps takes the largest number of repetitions that any of them asks for.
    """
    held: dict[str, tuple[Values, int, tuple[str, ...]]] = {}
    for sweep, hypercubes in config.sweeps.items():
        alone = (sweep,)
        for hypercube in hypercubes:
            for canonical, values in _points(hypercube, config.training):
                if (known := held.get(canonical)) is None:
                    held[canonical] = (values, hypercube.repetitions, alone)
                else:
                    _, repetitions, sweeps = known
                    names = sweeps if sweep in sweeps else (*sweeps, sweep)
                    held[canonical] = (values, max(repetitions, hypercube.repetitions), names)
    return [
        Experiment(_digest(canonical)[:ID_DIGITS], Settings(*values), repetitions, sweeps)
        for canonical, (values, repetitions, sweeps) in held.items()
    ]


def experiment_id(settings: Settings) -> str:
    """The first 64 bits of the SHA-256 of the canonical settings, in hexadecimal."""
    return _digest(settings.canonical())[:ID_DIGITS]


def make_run(experiment: str, repetition: int) -> Run:
    """The run of an experiment id with this number; its seed (63 bits) follows from its id."""
    if repetition < 0:
        raise ValueError(f"repetition = {repetition}: repetitions are counted from 0")
    run_id = _digest(f"{experiment}/{repetition}")[:ID_DIGITS]
    seed = int(_digest(f"seed/{run_id}")[:ID_DIGITS], 16) >> 1
    return Run(run_id, experiment, repetition, seed)


def _points(hypercube: Hypercube, training: TrainingConfig) -> Iterator[tuple[str, Values]]:
    """The canonical form and the values of every combination, in the order of the fields.

    The text of a value is made once for its axis: a grid has few values and very many combinations of them.
    """
    names = [field.name for field in fields(Settings)]
    in_order = itemgetter(*(names.index(name) for name in FIELDS))
    for dataset in hypercube.dataset:
        source, name = dataset.split(":", maxsplit=1)
        stated = {
            "dataset_source": source,
            "dataset": name,
            "engine": training.engine,
            "vectorised": training.repetitions == "vectorised",
        }
        axes = [[stated[name]] if name in stated else getattr(hypercube, name) for name in names]
        texts = [[_member(name, value) for value in axis] for name, axis in zip(names, axes, strict=True)]
        for values, members in zip(itertools.product(*axes), itertools.product(*texts), strict=True):
            yield "{" + ",".join(filter(None, in_order(members))) + "}", values


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
