import numpy as np
import pytest

from tests import support_published as truth
from wattsweep.analysis.generalisation import (
    CurveFit,
    descent,
    descents,
    fit_descent_slope,
    fit_minimizing_epoch,
    fit_minimum_loss,
    smoothed,
)
from wattsweep.errors import AnalysisError

X = np.arange(5, 25) * np.log10(2)
SIZES = 10**X

EPOCH, LOSS, SLOPE = (0.02, 0.01), (1.2, 0.4, 1.6, -1.5), (0.05, 4.0, -0.1)


def values(fit: CurveFit) -> list[float]:
    return [one.value for one in fit.parameters]


def fits(rng: np.random.Generator, noise: float) -> list[tuple[CurveFit, tuple[float, ...]]]:
    n = len(X)
    cube_root = (EPOCH[0] * X + EPOCH[1]) * np.exp(noise * rng.normal(size=n))
    log_loss = LOSS[0] * (X - LOSS[1]) ** -LOSS[2] + LOSS[3] + noise * rng.normal(size=n)
    slope = -SLOPE[0] * (X - SLOPE[1]) ** 2 + SLOPE[2] + noise * rng.normal(size=n)
    return [
        (fit_minimizing_epoch(SIZES, cube_root**-3), EPOCH),
        (fit_minimum_loss(SIZES, 10**log_loss), LOSS),
        (fit_descent_slope(SIZES, slope), SLOPE),
    ]


def test_exact_points_give_the_parameters_back() -> None:
    for fit, known in fits(np.random.default_rng(0), 0.0):
        np.testing.assert_allclose(values(fit), known, rtol=1e-4)
        assert fit.r_squared == pytest.approx(1.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 12 seeds x 9 parameters at 95 %: fewer than 93 hits of 108 has a chance of about one in a thousand."""
    hits = [
        parameter.lower <= known <= parameter.upper
        for seed in range(12)
        for fit, truths in fits(np.random.default_rng(seed), 0.01)
        for parameter, known in zip(fit.parameters, truths, strict=True)
    ]
    assert len(hits) == 108
    assert sum(hits) >= 93


def test_a_curve_gives_its_quantities() -> None:
    fit, _ = fits(np.random.default_rng(0), 0.0)[0]
    np.testing.assert_allclose(fit([100.0, 1e4]), [(0.02 * 2 + 0.01) ** -3, (0.02 * 4 + 0.01) ** -3], rtol=1e-4)
    assert fit.parameter("m").value == pytest.approx(0.02, rel=1e-4)
    assert fit.span == pytest.approx((X[0], X[-1]))
    loss, _ = fits(np.random.default_rng(0), 0.0)[1]
    np.testing.assert_allclose(loss([100.0]), [10 ** (1.2 * 1.6**-1.6 - 1.5)], rtol=1e-4)


def test_what_the_points_do_not_bound_is_open() -> None:
    """A straight line in log-log is the same for many pairs of s0 and p."""
    rng = np.random.default_rng(0)
    fit = fit_minimum_loss(SIZES, 10 ** (-0.2 * X + 0.02 * rng.normal(size=len(X))))
    assert not all(np.isfinite([one.lower, one.upper]).all() for one in fit.parameters)


@pytest.mark.parametrize(("fit", "needed"), [(fit_minimizing_epoch, 4), (fit_minimum_loss, 6), (fit_descent_slope, 5)])
def test_too_few_sizes_are_refused(fit: object, needed: int) -> None:
    assert callable(fit)
    with pytest.raises(AnalysisError, match=f"needs networks of {needed} sizes or more; there are {needed - 1}"):
        fit(SIZES[: needed - 1], np.linspace(1, 2, needed - 1))


def test_a_curve_of_known_minimum_and_slope() -> None:
    for x in (2.0, 4.0, 6.0):
        found = descent(truth.test_loss(x, 3000))
        assert found is not None
        assert found.risen
        # The smoothing rounds the corner at the minimum, so the epoch is known to a few per cent.
        assert found.minimizing_epoch == pytest.approx(truth.minimizing_epoch(x), rel=0.1)
        assert np.log10(found.minimum_loss) == pytest.approx(truth.minimum_log_loss(x), abs=0.02)
        assert found.slope == pytest.approx(truth.slope(x), rel=0.05)


def test_a_minimum_at_the_end_is_not_taken_for_the_last_word() -> None:
    found = descent(np.linspace(2.0, 1.0, 200))
    assert found is not None
    assert not found.risen


def test_curves_that_say_nothing() -> None:
    assert descent(np.full(200, np.nan)) is None
    assert descent(np.linspace(1.0, 2.0, 200)) is None
    assert descent(np.linspace(2.0, 1.0, 5)) is None
    diverged = np.concatenate([np.linspace(2.0, 1.0, 50), [np.inf], np.full(49, 0.1)])
    found = descent(diverged)
    assert found is not None
    assert found.minimum_loss >= 1.0
    with pytest.raises(ValueError, match="finite and above 0"):
        smoothed(np.array([1.0, 0.0]))


def test_a_sweep_of_known_parameters_is_recovered() -> None:
    made = truth.make_published(
        machines=(truth.CPU,), datasets=("537_houses",), shapes=("rectangle",), depths=(3,), sizes=truth.SIZES[::2]
    )
    found = descents(made.experiments, made.curves)
    assert len(found) == len(made.experiments)
    assert found["risen"].all()
    epochs = fit_minimizing_epoch(found["n_parameters"], found["minimizing_epoch"])
    assert epochs.parameter("m").value == pytest.approx(truth.EPOCH_M, rel=0.1)
    loss = fit_minimum_loss(found["n_parameters"], found["minimum_loss"])
    assert loss.r_squared > 0.99
    slopes = fit_descent_slope(found["n_parameters"], found["slope"])
    assert slopes.parameter("l").value == pytest.approx(truth.SLOPE_L, rel=0.1)
    assert slopes.parameter("s1").value == pytest.approx(truth.SLOPE_S1, rel=0.1)


def test_experiments_without_a_curve_are_left_out() -> None:
    made = truth.make_published(
        machines=(truth.CPU, truth.GPU), datasets=("537_houses",), shapes=("rectangle",), depths=(3,), epochs=50
    )
    found = descents(made.experiments, made.curves.iloc[:3])
    assert len(found) == 3
    assert descents(made.experiments, made.curves.iloc[:0]).empty
