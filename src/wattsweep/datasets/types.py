"""What passes between the parts of this package: a table as its source gives it, and a dataset ready to train
on.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "regression"]
Head = Literal["regression", "binary", "softmax"]
Rule = Literal["dropped", "binary", "one_hot", "min_max", "pixel"]
Floats = NDArray[np.float32]


class Column(NamedTuple):
    """How one raw column became `width` columns of the features."""

    name: str
    rule: Rule
    width: int


@dataclass(frozen=True, eq=False)
class RawTable:
    """A table before it is encoded: `columns` and `target` each hold one value per row, numbers or words."""

    source: str
    name: str
    task: Task
    column_names: Sequence[str]
    columns: Sequence[NDArray[Any]]
    target: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Arrays to train on, with where they come from and how they were made.

    `features` is float32 [n_observations, n_inputs], `responses` is float32 [n_observations, n_outputs]; both
    are C-contiguous and cannot be written to. `task` is what the dataset is trained as; `head` says which
    last layer and loss fit the response: "binary" wherever it is one 0/1 column, also for a regression on two
    target values. `raw_features` counts the columns before encoding, `columns` says what became of each.
    `sha256` is of the arrays.
    """

    source: str
    name: str
    task: Task
    head: Head
    features: Floats
    responses: Floats
    raw_features: int
    columns: tuple[Column, ...]
    sha256: str

    @property
    def n_observations(self) -> int:
        """Rows of the dataset, before it is split."""
        return int(self.features.shape[0])

    @property
    def n_inputs(self) -> int:
        """Inputs of a network trained on it: columns after encoding."""
        return int(self.features.shape[1])

    @property
    def n_outputs(self) -> int:
        """Outputs of a network trained on it."""
        return int(self.responses.shape[1])


def array_sha256(features: Floats, responses: Floats) -> str:
    """SHA-256, in hexadecimal, of the shapes and the little-endian float32 bytes of both arrays."""
    digest = hashlib.sha256()
    for array in (features, responses):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").data)
    return digest.hexdigest()
