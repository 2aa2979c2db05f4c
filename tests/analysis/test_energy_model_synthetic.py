"""Fits of a made-up sweep whose coefficients are known."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tests.support_experiments import COEFFICIENTS, HARDWARE, make_experiments, noisy, true_energy, with_energy
from wattsweep.analysis import EnergyModelFit, Group, fit_energy_model
from wattsweep.analysis.energy_model import intervals
from wattsweep.analysis.regression import ROUGHLY, solve, solve_weighted
from wattsweep.analysis.terms import ModelName, Sample, features, terms_of
from wattsweep.analysis.validation import SAME_NETWORK, codes, resamples
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError

GROUP = Group("compiled", "cpu", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz", "measured")
CONFIG = AnalysisConfig(bootstrap_samples=60)
N_SEEDS = 200


def fitted(share: float, model: ModelName = "settings", seed: int = 0) -> EnergyModelFit:
    experiments = make_experiments(depths=(2, 3, 6), log2_sizes=(6, 9, 12, 15, 18, 20))
    table = with_energy(experiments, noisy(true_energy(experiments), share, seed))
    return fit_energy_model(table, model, GROUP, CONFIG, HARDWARE)


def test_exact_data_give_back_every_coefficient() -> None:
    fit = fitted(0.0)
    assert {one.name: one.value for one in fit.coefficients} == {
        name: pytest.approx(value, rel=1e-4) for name, value in COEFFICIENTS.items()
    }
    assert {one.name: one.unit for one in fit.coefficients if "/" in one.unit} == {
        "operations": "J/op",
        "traffic": "J/byte",
        "beyond L1": "J/byte",
        "beyond L2": "J/byte",
        "beyond L3": "J/byte",
        "outputs": "J/output",
    }
    for errors in fit.errors.values():
        assert errors.mape < 1e-4


def test_the_model_predicts_what_it_has_not_seen_as_well_as_noise_allows() -> None:
    fit = fitted(0.05)
    assert list(fit.errors) == ["held out", "held out by dataset", "held out by size", "in sample"]
    for name, errors in fit.errors.items():
        # Of 5 % normal noise, the mean of |error| is 4 %.
        assert 0.03 < errors.mape < 0.07
        assert abs(errors.bias) < 0.03
        assert errors.coverage is None if name == "in sample" else 0.85 < (errors.coverage or 0) <= 1
    assert fit.interval is not None
    assert 0.8 < fit.interval.lower < 0.93 < 1.07 < fit.interval.upper < 1.3


def test_published_form_and_single_numbers_do_worse() -> None:
    errors = {model: fitted(0.05, model).by_dataset for model in ("settings", "published", "operations", "parameters")}
    mapes = [one.mape for one in errors.values() if one is not None]
    assert mapes == sorted(mapes)
    assert mapes[1] > 2 * mapes[0]


def test_baselines_keep_no_predictions() -> None:
    assert fitted(0.05, "operations").predictions == ()
    settings = fitted(0.05)
    assert len(settings.predictions) == settings.n_experiments
    assert all(one.by_dataset_j and one.by_size_j for one in settings.predictions)


def test_time_is_fitted_by_the_same_terms_in_seconds() -> None:
    energy, time = fitted(0.05), fitted(0.05, "runtime")
    assert time.quantity == "time"
    for joules, seconds in zip(energy.coefficients, time.coefficients, strict=True):
        assert seconds.unit == joules.unit.replace("J", "s")
        assert seconds.value * 25.0 == pytest.approx(joules.value, rel=1e-6)


def test_trees_know_what_they_have_seen() -> None:
    fit = fitted(0.05, "trees")
    assert fit.coefficients == ()
    assert fit.in_sample is not None
    assert fit.by_dataset is not None
    assert fit.in_sample.mape < 0.1 < fit.by_dataset.mape


def test_terms_that_cannot_be_told_apart_are_left_out() -> None:
    experiments = make_experiments(datasets=("a", "b"), log2_sizes=(6, 8, 10, 12))
    table = with_energy(experiments, true_energy(experiments))
    names = [one.name for one in fit_energy_model(table, "settings", GROUP, CONFIG, HARDWARE).coefficients]
    # On two datasets trained for as many epochs, batches, outputs, epochs, runs and rows say two things.
    assert names == ["operations", "traffic", "beyond L1", "layer overhead", "batch overhead", "outputs"]


def test_one_dataset_and_one_size_cannot_be_held_out() -> None:
    experiments = make_experiments(datasets=("b",), log2_sizes=(14,), depths=(2, 3, 4, 5, 6, 7, 8, 9))
    table = with_energy(experiments, noisy(true_energy(experiments), 0.05, 0))
    fit = fit_energy_model(table, "settings", GROUP, CONFIG, HARDWARE)
    assert (fit.by_dataset, fit.by_size) == (None, None)
    assert fit.predictions[0].by_dataset_j is None
    assert EnergyModelFit.from_json(fit.to_json()) == fit


def test_too_few_for_the_trees() -> None:
    experiments = make_experiments(datasets=("b",), log2_sizes=(14,), depths=(2, 3, 4))
    table = with_energy(experiments, true_energy(experiments))
    with pytest.raises(AnalysisError, match="a model of 20 terms needs 21"):
        fit_energy_model(table, "trees", GROUP, CONFIG, HARDWARE)


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    """In at least 90 % of 200 sweeps of known coefficients and 5 % noise, each interval holds the truth."""
    experiments = make_experiments(depths=(2, 4, 10))
    inputs = features(terms_of("settings", HARDWARE), Sample(experiments, HARDWARE))
    truth = np.array([COEFFICIENTS[term.name] for term in terms_of("settings", HARDWARE)])
    networks = codes(experiments, SAME_NETWORK)
    covered = np.zeros(len(truth))
    with threadpool_limits(1):
        for seed in range(N_SEEDS):
            measured = noisy(inputs @ truth, 0.05, seed)
            weights = resamples(networks, 300, np.random.default_rng(seed))
            values = solve(inputs, measured)
            spread = solve_weighted(inputs, measured, weights, values, ROUGHLY)
            lower, upper = intervals(inputs, values, spread, networks, 0.95)
            covered += (lower <= truth) & (truth <= upper)
    names = [term.name for term in terms_of("settings", HARDWARE)]
    assert np.all(covered / N_SEEDS >= 0.9), dict(zip(names, covered / N_SEEDS, strict=True))
