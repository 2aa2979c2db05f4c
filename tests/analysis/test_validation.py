import numpy as np
import pandas as pd
import pytest

from wattsweep.analysis.validation import (
    codes,
    held_out_errors,
    random_parts,
    ratio_bounds,
    relative_errors,
    resamples,
    seen_by_part,
)


def test_relative_errors_by_hand() -> None:
    errors = relative_errors(np.array([1.0, 1.05, 1.2, 0.5]), np.ones(4))
    assert errors.n == 4
    assert errors.mape == pytest.approx((0 + 0.05 + 0.2 + 0.5) / 4)
    assert errors.median == pytest.approx(0.125)
    assert errors.bias == pytest.approx(-0.25 / 4)
    assert errors.within_10 == 0.5
    assert errors.coverage is None


def test_bounds_by_hand() -> None:
    ratios = np.arange(1.0, 100.0)
    # 99 ratios, 90 %: k = floor(100 x 0.05) = 5.
    assert ratio_bounds(ratios, 0.9) == (5.0, 95.0)
    assert ratio_bounds(np.array([1.1, 0.9]), 0.95) == (0.9, 1.1)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.lognormal(size=4000)
    measured = predicted * np.exp(0.2 * rng.standard_normal(4000))
    errors = held_out_errors(predicted, measured, rng.integers(0, 5, 4000), 0.9)
    assert errors.coverage == pytest.approx(0.9, abs=0.02)


def test_an_interval_has_not_seen_its_own_part() -> None:
    measured = np.ones(40)
    predicted = np.ones(40)
    predicted[:10] = 0.1
    parts = np.repeat([0, 1, 2, 3], 10)
    assert held_out_errors(predicted, measured, parts, 0.8).coverage == pytest.approx(0.75)


def test_a_prediction_of_nothing_is_not_covered() -> None:
    predicted = np.array([0.0, 1.0, 1.0, 1.0])
    errors = held_out_errors(predicted, np.ones(4), np.array([0, 1, 1, 0]), 0.5)
    assert errors.coverage == 0.75
    assert errors.mape == 0.25


def test_parts_and_resamples_keep_networks_whole() -> None:
    table = pd.DataFrame({"a": [1, 1, 2, 3, 3, 3], "b": list("xxyzzz")})
    networks = codes(table, ["a", "b"])
    assert list(networks) == [0, 0, 1, 2, 2, 2]
    rng = np.random.default_rng(0)
    parts = random_parts(networks, 2, rng)
    assert parts[0] == parts[1]
    assert len(set(parts[3:])) == 1
    seen = seen_by_part(parts)
    assert seen.shape == (2, 6)
    assert np.all(seen.sum(axis=0) == 1)
    counts = resamples(networks, 50, rng)
    assert np.all(counts[:, 0] == counts[:, 1])
    assert np.all(counts[:, [0, 2, 3]].sum(axis=1) == 3)
