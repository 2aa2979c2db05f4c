from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.datasets import Dataset, RawTable, Task, encode, split


def numbered(n_rows: int, task: Task = "classification", n_classes: int = 4) -> Dataset:
    """A dataset in which a row's number can be read from its one feature."""
    target = np.arange(n_rows) % n_classes if task == "classification" else np.arange(n_rows) ** 2.0
    return encode(RawTable("synthetic", "numbered", task, ["row"], [np.arange(n_rows)], target))


def row_numbers(features: np.ndarray, n_rows: int) -> list[int]:
    return [round(float(value) * (n_rows - 1)) for value in features[:, 0]]


@given(st.integers(30, 300), st.floats(0.01, 0.9), st.integers(0, 2**64 - 1))
def test_every_row_is_on_one_side(n_rows: int, test_split: float, seed: int) -> None:
    dataset = numbered(n_rows)
    parts = split(dataset, test_split=test_split, label_noise=0.0, seed=seed)
    train, test = row_numbers(parts.train_x, n_rows), row_numbers(parts.test_x, n_rows)
    assert sorted(train + test) == list(range(n_rows))
    np.testing.assert_array_equal(parts.train_y, dataset.responses[train])
    np.testing.assert_array_equal(parts.test_y, dataset.responses[test])
    for array in (parts.train_x, parts.train_y, parts.test_x, parts.test_y):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


@pytest.mark.parametrize(
    ("n_rows", "test_split", "n_test"),
    [
        (100, 0.2, 20),
        (101, 0.2, 21),
        (30, 0.1, 3),
        (100, 0.07, 7),
        (1000, 0.29, 290),
        (150, 1 / 3, 50),
        (3848, 0.2, 770),
    ],
)
def test_the_test_rows_are_the_share_rounded_up(n_rows: int, test_split: float, n_test: int) -> None:
    parts = split(numbered(n_rows), test_split=test_split, label_noise=0.0, seed=1)
    assert (len(parts.test_x), len(parts.train_x)) == (n_test, n_rows - n_test)


def test_the_seed_decides() -> None:
    dataset = numbered(100)

    def order(seed: int, noise: float = 0.0) -> list[int]:
        return row_numbers(split(dataset, test_split=0.2, label_noise=noise, seed=seed).train_x, 100)

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) == order(1, noise=0.3)
    assert order(1) != sorted(order(1))


def test_the_split_is_pinned() -> None:
    """Prepared plans rely on it: another NumPy must give the same rows for the same seed."""
    parts = split(numbered(30), test_split=0.2, label_noise=0.0, seed=12345)
    assert row_numbers(parts.test_x, 30) == [0, 12, 24, 15, 20, 27]


@given(st.sampled_from([2, 3, 7]), st.floats(0, 0.99), st.integers(0, 2**32))
def test_noise_changes_that_share_of_the_classes(n_classes: int, noise: float, seed: int) -> None:
    dataset = numbered(100, n_classes=n_classes)
    clean = split(dataset, test_split=0.2, label_noise=0.0, seed=seed)
    noisy = split(dataset, test_split=0.2, label_noise=noise, seed=seed)
    assert (clean.train_y != noisy.train_y).any(axis=1).sum() == round(noise * 80)
    np.testing.assert_array_equal(clean.test_y, noisy.test_y)
    np.testing.assert_array_equal(clean.train_x, noisy.train_x)
    assert set(np.unique(noisy.train_y)) <= {0, 1}
    if n_classes > 2:
        assert (noisy.train_y.sum(axis=1) == 1).all()


def test_noisy_classes_are_uniform_among_the_others() -> None:
    dataset = numbered(60_000, n_classes=3)
    clean = split(dataset, test_split=0.5, label_noise=0.0, seed=7)
    noisy = split(dataset, test_split=0.5, label_noise=0.5, seed=7)
    steps = (noisy.train_y.argmax(axis=1) - clean.train_y.argmax(axis=1)) % 3
    counts = np.bincount(steps, minlength=3)
    assert counts[0] == 15_000
    # Of 15,000 fair choices, five standard deviations are 306.
    assert abs(counts[1] - 7500) < 306


def test_a_regression_on_two_values_is_flipped() -> None:
    target = np.where(np.arange(100) % 3, 1.0, -1.0)
    dataset = encode(RawTable("pmlb", "banana", "regression", ["row"], [np.arange(100)], target))
    clean = split(dataset, test_split=0.2, label_noise=0.0, seed=3)
    noisy = split(dataset, test_split=0.2, label_noise=0.25, seed=3)
    assert np.abs(noisy.train_y - clean.train_y).sum() == 20


def test_a_regression_gets_gaussian_noise() -> None:
    dataset = numbered(50_000, task="regression")
    clean = split(dataset, test_split=0.2, label_noise=0.0, seed=3)
    noisy = split(dataset, test_split=0.2, label_noise=0.1, seed=3)
    noise = noisy.train_y.astype(float) - clean.train_y
    # Of 40,000 draws: the mean within 5/sqrt(n), the standard deviation within 5/sqrt(2n).
    expected = 0.1 * clean.train_y.astype(float).std()
    assert abs(noise.mean()) < 5 * expected / 200
    assert noise.std() == pytest.approx(expected, rel=0.018)
    np.testing.assert_array_equal(clean.test_y, noisy.test_y)


def test_the_dataset_itself_stays_clean() -> None:
    dataset = numbered(100)
    before = dataset.responses.copy()
    parts = split(dataset, test_split=0.2, label_noise=0.9, seed=0)
    parts.train_x[:] = 5
    parts.test_y[:] = 5
    np.testing.assert_array_equal(dataset.responses, before)
    assert dataset.features.max() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label_noise": 1.0}, "label_noise is 1.0"),
        ({"label_noise": -0.1}, "label_noise is -0.1"),
        ({"label_noise": float("nan")}, "label_noise is nan"),
        ({"test_split": 0.0}, "it sets 0 apart"),
        ({"test_split": 1.0}, "it sets 100 apart"),
        ({"test_split": 0.995}, "it sets 100 apart"),
        ({"test_split": 1.5}, "test_split is 1.5"),
        ({"test_split": -0.1}, "test_split is -0.1"),
        ({"test_split": float("nan")}, "test_split is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_errors(change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"test_split": 0.2, "label_noise": 0.0, "seed": 1}
    with pytest.raises(ValueError, match=words):
        split(numbered(100), **(arguments | change))
