from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.support_planning import CPU, GPU, by_book, config, finished, plan_of
from wattsweep.planning import FinishedRun
from wattsweep.planning.fitting import Fit, fit
from wattsweep.planning.prediction import BOOK, BOOK_RANGE

EXPERIMENTS = plan_of(config()).experiments
RATES = np.array(BOOK["compiled"]) * [1, 3, 2, 0.5, 2.5, 1]


def truth(run: FinishedRun) -> float:
    return float(np.dot(run.terms, RATES))


def predicted(one: Fit, run: FinishedRun) -> float:
    return float(np.dot(run.terms, one.rates)) * one.mid


def test_a_machine_that_is_slower_throughout_is_found() -> None:
    runs = [finished(one, lambda run: 1.8 * by_book(run)) for one in EXPERIMENTS]
    (found,) = fit(runs)
    assert found.kind == CPU
    assert found.experiments == found.runs == len(EXPERIMENTS)
    assert [predicted(found, run) / run.run_s for run in runs] == pytest.approx([1.0] * len(runs), rel=0.03)
    assert 0.9 < found.low / found.mid <= 1 <= found.high / found.mid < 1.1


def test_rates_of_their_own_are_found_through_noise() -> None:
    random = np.random.default_rng(3)
    runs = [
        finished(one, lambda run: truth(run) * float(np.exp(random.normal(0, 0.1))))
        for one in EXPERIMENTS
        for _ in range(3)
    ]
    (found,) = fit(runs)
    ratios = [predicted(found, finished(one, 1.0)) / truth(finished(one, 1.0)) for one in EXPERIMENTS]
    assert np.abs(np.log(ratios)).max() < 0.25
    assert min(found.rates) >= 0
    inside = [found.low * np.dot(run.terms, found.rates) <= run.run_s for run in runs]
    inside += [run.run_s <= found.high * np.dot(run.terms, found.rates) for run in runs]
    assert np.mean(inside) > 0.9


def test_what_small_networks_do_not_tell_stays_in_proportion_to_the_book() -> None:
    """The first shards are small; the largest networks are then as much slower as those are."""
    small = [one for one in EXPERIMENTS if one.n_parameters < 500]
    (found,) = fit([finished(one, lambda run: 2.0 * by_book(run)) for one in small])
    largest = max(EXPERIMENTS, key=lambda one: one.n_parameters)
    run = finished(largest, lambda run: 2.0 * by_book(run))
    assert predicted(found, run) == pytest.approx(run.run_s, rel=0.15)
    assert found.largest < 500


def test_a_single_run_moves_the_fit_halfway_and_leaves_most_of_the_range() -> None:
    (found,) = fit([finished(EXPERIMENTS[0], lambda run: 4.0 * by_book(run))])
    run = finished(EXPERIMENTS[0], by_book)
    assert 1.5 < predicted(found, run) / run.run_s < 4.0
    assert found.high / found.mid > 0.7 * BOOK_RANGE[1]
    assert found.low / found.mid < 0.7


def test_kinds_of_runs_are_fitted_apart() -> None:
    slow = [finished(one, lambda run: 3.0 * by_book(run)) for one in EXPERIMENTS]
    quick = [finished(one, lambda run: 0.3 * by_book(run), kind=GPU) for one in EXPERIMENTS[::2]]
    first, second = fit([*slow, *quick])
    assert (first.kind, second.kind) == (CPU, GPU)
    assert predicted(first, slow[0]) > 5 * predicted(second, slow[0])


def test_repetitions_do_not_count_as_experiments() -> None:
    usual = [finished(one, lambda run: 1.5 * by_book(run)) for one in EXPERIMENTS]
    often = [finished(EXPERIMENTS[3], lambda run: 15 * by_book(run))] * 500
    (without,) = fit(usual)
    (found,) = fit([*usual, *often])
    assert found.runs == len(usual) + 500
    assert found.rates == pytest.approx(without.rates, rel=0.2)


def test_runs_that_say_nothing_are_left_out() -> None:
    one = finished(EXPERIMENTS[0], 1.0)
    assert fit([replace(one, run_s=0.0), replace(one, epochs=0), replace(one, kind=CPU._replace(engine="other"))]) == []


def test_a_diverged_run_counts_for_the_epochs_that_it_had() -> None:
    whole = [finished(one, by_book) for one in EXPERIMENTS]
    ended = [finished(one, by_book, epochs=10) for one in EXPERIMENTS]
    assert fit(whole)[0].mid == pytest.approx(fit(ended)[0].mid)


def test_the_setup_is_the_mean_over_blocks() -> None:
    one = EXPERIMENTS[0]
    runs = [finished(one, 1.0, setup_s=seconds, block_id=block) for block, seconds in (("a", 4.0), ("b", 0.0))]
    runs += [finished(one, 1.0, setup_s=4.0, block_id="a")] * 20
    (found,) = fit(runs)
    assert found.setup == pytest.approx(2.0 / (1.5 + 0.2 * len(one.widths)))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40))
def test_a_fit_is_finite_whatever_the_times(factors: list[float]) -> None:
    runs = [
        finished(one, lambda run, factor=factor: factor * by_book(run))  # type: ignore[misc]
        for one, factor in zip(EXPERIMENTS, factors, strict=False)
    ]
    (found,) = fit(runs)
    assert np.isfinite([*found.rates, found.low, found.mid, found.high]).all()
    assert min(found.rates) >= 0
    assert 0 < found.low <= found.mid <= found.high


def test_a_kind_serves_what_may_be_trained_that_way() -> None:
    any_, cpu, gpu = (
        plan_of(config(hardware=name)).experiments[0].experiment.settings for name in ("any", "cpu", "gpu")
    )
    assert CPU.serves(any_, 1)
    assert CPU.serves(cpu, 1)
    assert not CPU.serves(gpu, 1)
    assert not CPU.serves(cpu, 2)
    assert GPU.serves(any_, 2)
    assert not GPU.serves(cpu, 1)
    assert not CPU.serves(replace(any_, engine="keras-fit"), 1)
    assert not CPU.serves(replace(any_, vectorised=True), 1)
