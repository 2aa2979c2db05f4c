"""The training and test rows of one run, and the noise in its training labels.

A run's seed decides both, each from a stream of its own: the same seed gives the same rows whatever the label
noise.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wattsweep.datasets.types import Dataset, Floats

SPLIT_STREAM = 0
NOISE_STREAM = 1


@dataclass(frozen=True, eq=False)
class Split:
    """Float32 C-contiguous arrays: x [rows, n_inputs], y [rows, n_outputs]; label noise is in `train_y`
    alone.
    """

    train_x: Floats
    train_y: Floats
    test_x: Floats
    test_y: Floats


def split(dataset: Dataset, *, test_split: float, label_noise: float, seed: int) -> Split:
    """Shuffle the rows of a dataset by `seed` and set ceil(test_split x n) of them apart for the test.

    `label_noise` p is BUTTER's (arXiv 2207.12547): for a classification, exactly round(p x training rows) of
    the training rows, drawn without replacement, get another class, uniformly among the others; a 0/1
    response is flipped, also where a regression on two target values has one; for any other regression,
    Gaussian noise of standard deviation p x std(training responses) is added.

    Raises ValueError when `test_split` leaves no row to train on or none to test on, when `label_noise` is
    outside [0, 1) or when `seed` is negative.
    """
    n_train, n_test = split_counts(dataset.n_observations, test_split)
    if not 0 <= label_noise < 1:
        raise ValueError(f"label_noise is {label_noise}: give a share of the training rows in [0, 1)")
    if seed < 0:
        raise ValueError(f"seed is {seed}: give a whole number of at least 0")

    order = _generator(seed, SPLIT_STREAM).permutation(n_test + n_train)
    test, train = order[:n_test], order[n_test:]
    train_y = dataset.responses[train]
    if label_noise > 0:
        rng = _generator(seed, NOISE_STREAM)
        if dataset.head == "regression":
            train_y = _with_gaussian_noise(train_y, label_noise, rng)
        else:
            train_y = _with_other_classes(train_y, label_noise, rng)
    return Split(dataset.features[train], train_y, dataset.features[test], dataset.responses[test])


def split_counts(n_observations: int, test_split: float) -> tuple[int, int]:
    """Rows to train on and rows to test on; the test takes ceil(test_split x n_observations).

    Raises ValueError when that leaves no row on one side.
    """
    if not 0 <= test_split <= 1:
        raise ValueError(f"test_split is {test_split}: give a share of the rows between 0 and 1")
    n_test = math.ceil(_decimal(test_split) * n_observations)
    if not 0 < n_test < n_observations:
        raise ValueError(
            f"test_split is {test_split}: of {n_observations} rows it sets {n_test} apart for the test; "
            "give a share that leaves rows on both sides"
        )
    return n_observations - n_test, n_test


def _decimal(share: float) -> Fraction:
    """The share as it is written: 0.1 of 30 rows is exactly 3 of them."""
    return Fraction(repr(float(share)))


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, stream]))


def _with_other_classes(responses: Floats, share: float, rng: np.random.Generator) -> Floats:
    n_rows, n_outputs = responses.shape
    rows = rng.choice(n_rows, size=round(_decimal(share) * n_rows), replace=False)
    noisy = responses.copy()
    if n_outputs == 1:
        noisy[rows] = 1 - noisy[rows]
        return noisy
    steps = rng.integers(1, n_outputs, size=rows.size)
    classes = (responses[rows].argmax(axis=1) + steps) % n_outputs
    noisy[rows] = 0
    noisy[rows, classes] = 1
    return noisy


def _with_gaussian_noise(responses: Floats, share: float, rng: np.random.Generator) -> Floats:
    exact = responses.astype(np.float64)
    noise = rng.standard_normal(exact.shape) * (share * exact.std())
    noisy: Floats = (exact + noise).astype(np.float32)
    return noisy
