"""The terms of the energy model: each one feature of an experiment, whose coefficient has a physical meaning.

A model is a tuple of terms; a new term is a new `Term` in such a tuple. Features are per datum, that is per training
row and epoch, so that a coefficient times its feature is in J per datum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ModelName = Literal["settings", "settings+time"]


@dataclass(frozen=True, slots=True)
class Term:
    """A term: `feature` maps a frame of experiments to one value each, and `unit` is that of its coefficient."""

    name: str
    unit: str
    description: str
    feature: Callable[[pd.DataFrame], Floats]


def features(terms: Sequence[Term], experiments: pd.DataFrame) -> Floats:
    """The features, an array [experiments, terms]."""
    return np.column_stack([term.feature(experiments) for term in terms])


def _column(experiments: pd.DataFrame, name: str) -> Floats:
    return experiments[name].to_numpy(dtype=np.float64)


def _operations(experiments: pd.DataFrame) -> Floats:
    return _column(experiments, "macs_per_epoch") / _column(experiments, "n_train")


def _layer_batches(experiments: pd.DataFrame) -> Floats:
    return _column(experiments, "depth") * _batches(experiments)


def _batches(experiments: pd.DataFrame) -> Floats:
    return _column(experiments, "train_batches") / _column(experiments, "n_train")


def _seconds(experiments: pd.DataFrame) -> Floats:
    data = _column(experiments, "epochs") * _column(experiments, "n_train")
    return _column(experiments, "training_s_median") / data


OPERATIONS = Term("operations", "J", "for each multiply-accumulate, forward and backward", _operations)
LAYER_OVERHEAD = Term("layer overhead", "J", "for each layer of each training batch", _layer_batches)
BATCH_OVERHEAD = Term("batch overhead", "J", "for each training batch", _batches)
TIME = Term("time", "W", "for each second of training", _seconds)

MODELS: dict[ModelName, tuple[Term, ...]] = {
    "settings": (OPERATIONS, LAYER_OVERHEAD, BATCH_OVERHEAD),
    "settings+time": (OPERATIONS, LAYER_OVERHEAD, BATCH_OVERHEAD, TIME),
}
"""The models that are fitted.

"settings" needs nothing but settings, so it predicts the energy of a network before it is trained. "settings+time"
takes the measured duration of training as well: what it cannot explain is in the power, not in the time.
"""
