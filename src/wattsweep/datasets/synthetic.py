"""Made-up datasets of any shape, the same for the same name on every machine.

`classes_ROWSxFEATURESxCLASSES` are Gaussian clouds; `regression_ROWSxFEATURES` is a random smooth function
plus noise.
"""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from wattsweep.datasets.types import RawTable, Task

SEPARATION = 1.0
"""Standard deviation of the class means in each direction; that of a cloud around its mean is 1."""

NOISE = 0.1
"""Standard deviation of a regression's noise, in those of its function."""

MIN_ROWS = 32
"""Enough that a continuous column has more than 20 distinct values, so that its width stays 1."""

MAX_CELLS = 2**27
_UNITS = 32


@dataclass(frozen=True)
class Recipe:
    """What a synthetic dataset's name says; `n_classes` is 0 for a regression."""

    task: Task
    n_rows: int
    n_features: int
    n_classes: int


def parse(name: str) -> Recipe:
    """What a synthetic dataset's name says. Raises ValueError when it is not such a name."""
    reason = why_not(name)
    if reason:
        raise ValueError(f"dataset synthetic:{name} cannot be made: {reason}")
    return _read(name)


def is_name(name: str) -> bool:
    """Whether a synthetic dataset can be made from this name."""
    return not why_not(name)


def why_not(name: str) -> str:
    """Why no synthetic dataset can be made from this name; empty when one can."""
    number = "[1-9][0-9]{0,9}"
    if not re.fullmatch(f"classes_{number}x{number}x{number}|regression_{number}x{number}", name):
        return f"{name!r} is not of the form classes_1000x8x5 or regression_1000x8"
    recipe = _read(name)
    if recipe.n_rows < MIN_ROWS:
        return f"it has {recipe.n_rows} rows, and needs at least {MIN_ROWS}"
    if recipe.n_rows * recipe.n_features > MAX_CELLS:
        return f"it has {recipe.n_rows} x {recipe.n_features} values, and may have at most {MAX_CELLS}"
    if recipe.task == "classification" and not 2 <= recipe.n_classes <= recipe.n_rows:
        return f"it has {recipe.n_classes} classes, and needs at least 2 and no more than its rows"
    return ""


def read(name: str) -> RawTable:
    """Make the dataset of this name, seeded by the name. Raises ValueError when it is not such a name."""
    recipe = parse(name)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()))
    features = rng.standard_normal((recipe.n_rows, recipe.n_features))
    if recipe.task == "classification":
        target = rng.permutation(np.arange(recipe.n_rows) % recipe.n_classes)
        means = SEPARATION * rng.standard_normal((recipe.n_classes, recipe.n_features))
        features += means[target]
    else:
        target = _smooth_function(features, rng)
        target += NOISE * target.std() * rng.standard_normal(recipe.n_rows)
    return RawTable(
        source="synthetic",
        name=name,
        task=recipe.task,
        column_names=[f"x{index}" for index in range(recipe.n_features)],
        columns=list(features.T),
        target=target,
    )


def _smooth_function(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sum of ridge functions a tanh(w.x + b) in random directions."""
    n_rows, n_features = features.shape
    total = np.zeros(n_rows)
    for _ in range(_UNITS):
        direction = rng.standard_normal(n_features) * (2.0 / np.sqrt(n_features))
        offset, height = rng.standard_normal(2)
        total += height * np.tanh(np.einsum("nf,f->n", features, direction) + offset)
    return total


def _read(name: str) -> Recipe:
    kind, _, shape = name.partition("_")
    numbers = [int(number) for number in shape.split("x")]
    if kind == "classes":
        return Recipe("classification", numbers[0], numbers[1], numbers[2])
    return Recipe("regression", numbers[0], numbers[1], 0)
