import numpy as np
import pytest
from numpy.typing import NDArray

from wattsweep.analysis.regression import solve, solve_weighted


def made_up(n: int, n_terms: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features over many orders of magnitude, and coefficients that make them matter alike."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-12, 3, n_terms)
    return rng.lognormal(size=(n, n_terms)) * scale, rng.uniform(0.5, 2.0, n_terms) / scale


def test_exact_data_give_back_the_coefficients() -> None:
    inputs, truth = made_up(60, 7)
    np.testing.assert_allclose(solve(inputs, inputs @ truth), truth, rtol=1e-7)


def test_coefficients_are_never_negative() -> None:
    # Best without the bound: 4 - t.
    inputs = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    found = solve(inputs, np.array([3.0, 2.0, 1.0]))
    assert found[1] == 0
    assert found[0] > 0


def test_one_feature_by_hand() -> None:
    # measured / c - 1 is to be 0 on average: c is the mean. Huber's limit is not met by two errors alike in size.
    assert solve(np.ones((2, 1)), np.array([9.0, 11.0]))[0] == pytest.approx(10.0)


def test_noise_leaves_no_bias() -> None:
    inputs, truth = made_up(400, 3)
    rng = np.random.default_rng(1)
    found = [solve(inputs, inputs @ truth * (1 + 0.1 * rng.standard_normal(400))) / truth for _ in range(100)]
    # Dividing by measured values would make it about -0.02 = -2 x 0.1^2.
    assert np.abs(np.mean(found) - 1) < 0.004


def test_outliers_hardly_matter() -> None:
    inputs, truth = made_up(300, 4)
    rng = np.random.default_rng(2)
    measured = inputs @ truth * (1 + 0.05 * rng.standard_normal(300))
    measured[:12] *= 10.0
    measured[12:24] /= 10.0
    np.testing.assert_allclose(solve(inputs, measured), truth, rtol=0.08)


def test_weights_are_counts() -> None:
    inputs, truth = made_up(50, 3)
    rng = np.random.default_rng(3)
    measured = inputs @ truth * (1 + 0.05 * rng.standard_normal(50))
    counts = rng.integers(0, 4, (2, 50)).astype(np.float64)
    found = solve_weighted(inputs, measured, counts)
    for one, count in zip(found, counts, strict=True):
        rows = np.repeat(np.arange(50), count.astype(int))
        # The spread of errors takes a row once, however often it was drawn.
        np.testing.assert_allclose(one, solve(inputs[rows], measured[rows]), rtol=0.02)


def test_what_is_held_out_does_not_matter() -> None:
    inputs, truth = made_up(50, 3)
    measured = inputs @ truth
    weights = np.ones((1, 50))
    weights[0, 40:] = 0
    spoiled = measured.copy()
    spoiled[40:] *= 7
    np.testing.assert_allclose(solve_weighted(inputs, spoiled, weights)[0], truth, rtol=1e-7)


def test_a_term_that_the_rows_tell_nothing_of_is_zero() -> None:
    inputs, truth = made_up(50, 3)
    inputs[:40, 2] = 0
    weights = np.ones((1, 50))
    weights[0, 40:] = 0
    found = solve_weighted(inputs, inputs @ truth, weights)[0]
    np.testing.assert_allclose(found[:2], truth[:2], rtol=1e-6)
    assert found[2] * inputs[40:, 2].max() < 1e-3 * (inputs @ truth).min()
