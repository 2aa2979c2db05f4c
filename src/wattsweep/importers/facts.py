"""What the published files leave out: the data sets' facts, and settings in our words.

Facts are those of BUTTER's data dictionary (OEDI 5708) and of arXiv 2207.12547.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from wattsweep.grid import Settings
from wattsweep.networks import SHAPES, count_parameters
from wattsweep.runs.record import DataFacts

OPTIMIZERS = ("adam", "rmsprop", "sgd")
TEST_SPLIT = 0.2
NONE_WORDS = ("", "none", "null", "nan", "(null)")


@dataclass(frozen=True, slots=True)
class PublishedDataset:
    """Rows, raw feature columns and response columns of a PMLB data set, and whether its 0/1 response is a class."""

    n_observations: int
    n_features: int
    n_outputs: int
    binary: bool = False


DATASETS: dict[str, PublishedDataset] = {
    "529_pollen": PublishedDataset(3848, 4, 1),
    "connect_4": PublishedDataset(67557, 42, 3),
    "537_houses": PublishedDataset(20640, 8, 1),
    "mnist": PublishedDataset(70000, 784, 10),
    "201_pol": PublishedDataset(15000, 48, 1),
    "sleep": PublishedDataset(105908, 13, 5),
    "wine_quality_white": PublishedDataset(4898, 11, 7),
    "nursery": PublishedDataset(12958, 8, 4),
    "adult": PublishedDataset(48842, 14, 1, binary=True),
    "505_tecator": PublishedDataset(240, 124, 1),
    "294_satellite_image": PublishedDataset(6435, 36, 1),
    "splice": PublishedDataset(3188, 60, 3),
    "banana": PublishedDataset(5300, 2, 1),
}
"""The thirteen data sets of both papers."""


class PublishedValueError(ValueError):
    """A published row cannot be used; the message is the reason by which it is counted."""


def published_settings(values: Mapping[str, Any], *, hardware: str = "any") -> Settings:
    """The settings of a published row, as our grid has them: engine keras-fit, source pmlb.

    `values` has dataset, shape, size, depth, epochs, batch_size, learning_rate and optimizer; label_noise, momentum,
    kernel_regularizer_type (l1, l2 or none) with kernel_regularizer_l1 and _l2, and test_split may be missing. Raises
    PublishedValueError, which names the value, for one that cannot be used.
    """
    shape = str(values["shape"])
    if shape not in SHAPES:
        raise PublishedValueError(f"unknown shape {shape}")
    optimizer = str(values["optimizer"]).lower()
    if optimizer not in OPTIMIZERS:
        raise PublishedValueError(f"unknown optimizer {values['optimizer']}")
    kind = str(values.get("kernel_regularizer_type") or "").lower()
    return Settings(
        dataset_source="pmlb",
        dataset=str(values["dataset"]),
        shape=shape,
        size=_whole("size", values["size"]),
        depth=_whole("depth", values["depth"]),
        epochs=_whole("epochs", values["epochs"]),
        batch_size=_whole("batch_size", values["batch_size"]),
        learning_rate=decimal("learning_rate", values["learning_rate"]),
        optimizer=optimizer,
        label_noise=decimal("label_noise", values.get("label_noise")),
        test_split=decimal("test_split", values.get("test_split")) or TEST_SPLIT,
        engine="keras-fit",
        momentum=decimal("momentum", values.get("momentum")),
        kernel_l1=decimal("kernel_regularizer_l1", values.get("kernel_regularizer_l1")) if kind != "l2" else 0.0,
        kernel_l2=decimal("kernel_regularizer_l2", values.get("kernel_regularizer_l2")) if kind != "l1" else 0.0,
        hardware=hardware,
    )


def decimal(name: str, value: Any) -> float:
    """The number that was meant by a value stored in 32 bits, or as text: the shortest that rounds to it.

    So a published 0.0001 is ours, and gives the same experiment_id. None and "none" are 0. Raises PublishedValueError.
    """
    if value is None or str(value).lower() in NONE_WORDS:
        return 0.0
    try:
        number = float(str(np.float32(value)))
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise PublishedValueError(f"{name} is no number")
    return number


def count_inputs(n_parameters: int, widths: Sequence[int]) -> int:
    """The input columns of a network: (n_parameters - those of later layers) / width of the first layer - 1.

    BUTTER encodes columns as one-hot, so networks have more inputs than their data sets have features. Raises
    PublishedValueError where that is not a whole number of at least 1.
    """
    if not widths or min(widths) < 1:
        raise PublishedValueError("widths are missing")
    later = count_parameters(widths[0], widths[1:])
    inputs, rest = divmod(n_parameters - later, widths[0])
    if rest or inputs < 2:
        raise PublishedValueError("widths and num_free_parameters contradict each other")
    return inputs - 1


def data_facts(
    dataset: str, n_observations: int, widths: Sequence[int], *, test_split: float = TEST_SPLIT, softmax: bool = False
) -> DataFacts:
    """Task, head and numbers of rows. A network of several outputs is a softmax, of one a regression but for adult.

    The test set has ceil(test_split x n_observations) rows.
    """
    known = DATASETS.get(dataset)
    head = "softmax" if softmax or widths[-1] > 1 else "binary" if known and known.binary else "regression"
    n_test = math.ceil(Fraction(repr(float(test_split))) * n_observations)
    return DataFacts(
        task="regression" if head == "regression" else "classification",
        head=head,
        n_observations=n_observations,
        n_train=n_observations - n_test,
        n_test=n_test,
        sha256="",
    )


def _whole(name: str, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer():
        raise PublishedValueError(f"{name} is no whole number")
    return int(number)
