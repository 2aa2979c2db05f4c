"""Expands sweeps into experiments and runs, each with an id that follows from its settings alone.

`expand(config)` gives the experiments, each once, whatever number of sweeps holds it; `Experiment.run(repetition)`
gives a run with its id and seed. Ids do not depend on the rest of the grid, so editing a grid never renames what is
done.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from operator import attrgetter

from wattsweep.config import Config, Hypercube, TrainingConfig

ID_DIGITS = 16

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


def expand(config: Config) -> list[Experiment]:
    """Every experiment of the sweeps, each once, in the order of the config.

    An experiment in several sweeps takes the largest number of repetitions that any of them asks for.
    """
    held: dict[Settings, tuple[int, tuple[str, ...]]] = {}
    for sweep, hypercubes in config.sweeps.items():
        for hypercube in hypercubes:
            for settings in _settings(hypercube, config.training):
                repetitions, sweeps = held.get(settings, (0, ()))
                names = sweeps if sweep in sweeps else (*sweeps, sweep)
                held[settings] = (max(repetitions, hypercube.repetitions), names)
    return [
        Experiment(experiment_id(settings), settings, repetitions, sweeps)
        for settings, (repetitions, sweeps) in held.items()
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


def _settings(hypercube: Hypercube, training: TrainingConfig) -> Iterator[Settings]:
    for dataset in hypercube.dataset:
        source, name = dataset.split(":", maxsplit=1)
        stated = {
            "dataset_source": source,
            "dataset": name,
            "engine": training.engine,
            "vectorised": training.repetitions == "vectorised",
        }
        axes = (
            [stated[field.name]] if field.name in stated else getattr(hypercube, field.name)
            for field in fields(Settings)
        )
        yield from itertools.starmap(Settings, itertools.product(*axes))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
