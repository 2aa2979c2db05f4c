import itertools
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.power import RunEnergy, Trace, account_block, add_energies, refused_energy

IDLE_BEFORE, BLOCK, IDLE_AFTER = (0.0, 10.0), (10.0, 70.0), (70.0, 80.0)
RUNS = [(10.0, 30.0), (30.0, 60.0)]


def idle_then_busy(idle_w: float = 100.0, busy_w: float = 250.0) -> Trace:
    """1 Hz samples at half seconds: idle to 10 s, busy to 70 s, idle to 80 s. The jumps lie on the block's edges."""
    times = np.arange(-4.5, 85.0)
    values = np.where((times > BLOCK[0]) & (times < BLOCK[1]), busy_w, idle_w)
    return Trace.from_arrays(times, values, kind="power", refresh_s=1.0, step=1.0)


def test_runs_by_hand() -> None:
    energy = account_block(idle_then_busy(), block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9)
    # the straight line between the samples on both sides of a jump takes 150 W x 1 s / 8 from the block at each edge
    # and gives it to the idle window beside it
    block_j = 60 * 250 - 2 * 150 / 8
    idle_w = (20 * 100 + 2 * 150 / 8) / 20
    assert (energy.status, energy.reason) == ("ok", "")
    assert energy.gross.joules == pytest.approx(block_j)
    assert energy.mean_w == pytest.approx(block_j / 60)
    assert energy.idle_w == pytest.approx(idle_w)
    first, second = energy.runs
    assert (first.duration_s, second.duration_s) == (20.0, 30.0)
    assert first.gross.joules == pytest.approx(block_j / 3)
    assert second.gross.joules == pytest.approx(block_j / 2)
    assert first.net_j == pytest.approx(block_j / 3 - idle_w * 20)
    assert first.gross.method == "share of block"


def test_the_net_interval_by_hand() -> None:
    energy = account_block(idle_then_busy(), block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9)
    run = energy.runs[0]
    assert run.gross.lower == pytest.approx(energy.gross.lower / 3)
    assert run.gross.upper == pytest.approx(energy.gross.upper / 3)
    assert run.net_lower_j == pytest.approx(run.gross.lower - energy.idle_upper_w * 20)
    assert run.net_upper_j == pytest.approx(run.gross.upper - energy.idle_lower_w * 20)
    assert run.net_lower_j <= run.net_j <= run.net_upper_j
    assert run.net_lower_j <= 150 * 20 <= run.net_upper_j


def test_idle_power_that_drifts_widens_the_interval() -> None:
    times = np.arange(-5.0, 86.0)
    values = np.where(times < 40.0, 100.0, 120.0)
    trace = Trace.from_arrays(times, values, kind="power", refresh_s=1.0, step=1.0)
    energy = account_block(trace, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9)
    assert energy.idle_w == pytest.approx(110.0)
    assert energy.idle_lower_w <= 100.0
    assert energy.idle_upper_w >= 120.0


def test_a_gap_within_the_allowance_does_not_bias_the_mean() -> None:
    whole = idle_then_busy(100.0, 250.0)
    kept = (whole.times_s < 40.0) | (whole.times_s > 44.0)
    holed = Trace.from_arrays(whole.times_s[kept], whole.values[kept], kind="power", refresh_s=1.0, step=1.0)
    energy = account_block(holed, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9)
    assert energy.status == "ok"
    assert energy.gross.coverage == pytest.approx(55 / 60)
    assert energy.mean_w == pytest.approx((55 * 250 - 2 * 150 / 8) / 55)
    run = energy.runs[0].gross
    assert run.lower <= run.joules <= run.upper


def test_a_block_that_is_not_covered_is_refused_with_numbers() -> None:
    whole = idle_then_busy()
    kept = (whole.times_s < 30.0) | (whole.times_s > 60.0)
    holed = Trace.from_arrays(whole.times_s[kept], whole.values[kept], kind="power", refresh_s=1.0, step=1.0)
    energy = account_block(holed, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE], min_coverage=0.9)
    assert energy.status == "refused"
    assert "0.483 of the block's 60.000 s" in energy.reason
    assert "min_coverage = 0.9" in energy.reason
    assert all(math.isnan(run.gross.joules) and math.isnan(run.net_j) for run in energy.runs)
    assert energy.runs[0].gross.coverage == energy.gross.coverage


@pytest.mark.parametrize("idle", [[], [(-100.0, -90.0)]])
def test_without_idle_power_only_net_is_refused(idle: list[tuple[float, float]]) -> None:
    energy = account_block(idle_then_busy(), block=BLOCK, runs=RUNS, idle=idle, min_coverage=0.9)
    assert energy.status == "refused"
    assert f"none of {len(idle)} idle windows" in energy.reason
    assert energy.runs[0].gross.joules > 0
    assert math.isnan(energy.runs[0].net_j)
    assert math.isnan(energy.idle_w)


def test_an_empty_trace_is_refused_even_when_no_coverage_is_asked_for() -> None:
    empty = Trace.from_arrays([], [], kind="power")
    energy = account_block(empty, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE], min_coverage=0.0)
    assert energy.status == "refused"
    assert math.isnan(energy.mean_w)
    assert math.isnan(energy.runs[0].gross.joules)


def test_a_run_outside_its_block_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie in its block"):
        account_block(idle_then_busy(), block=BLOCK, runs=[(60.0, 71.0)], idle=[], min_coverage=0.9)


@given(
    cuts=st.lists(st.floats(1.0, 59.0), max_size=6, unique=True),
    at_once=st.integers(1, 8),
    busy_w=st.floats(1.0, 1000.0),
)
def test_energies_of_runs_side_by_side_add_up_as_those_of_runs_one_by_one(
    cuts: list[float], at_once: int, busy_w: float
) -> None:
    edges = [BLOCK[0], *(BLOCK[0] + cut for cut in sorted(cuts)), BLOCK[1]]
    windows = list(itertools.pairwise(edges))

    def total(runs_at_once: int) -> RunEnergy:
        account = account_block(
            idle_then_busy(busy_w=busy_w),
            block=BLOCK,
            runs=[window for window in windows for _ in range(runs_at_once)],
            idle=[IDLE_BEFORE, IDLE_AFTER],
            min_coverage=0.9,
            runs_at_once=runs_at_once,
        )
        assert account.status == "ok"
        assert len({energy.gross.joules for energy in account.runs[:runs_at_once]}) == 1
        return add_energies(account.runs)

    together, one_by_one = total(at_once), total(1)
    for name in ("joules", "lower", "upper"):
        assert getattr(together.gross, name) == pytest.approx(getattr(one_by_one.gross, name))
    for name in ("net_j", "net_lower_j", "net_upper_j", "duration_s"):
        assert getattr(together, name) == pytest.approx(getattr(one_by_one, name))
    assert together.duration_s == pytest.approx(BLOCK[1] - BLOCK[0])


def test_runs_side_by_side_are_charged_idle_power_once() -> None:
    account = account_block(
        idle_then_busy(busy_w=100.0),
        block=BLOCK,
        runs=[BLOCK] * 4,
        idle=[IDLE_BEFORE, IDLE_AFTER],
        min_coverage=0.9,
        runs_at_once=4,
    )
    for run in account.runs:
        assert run.duration_s == 15.0
        assert run.gross.joules == pytest.approx(100.0 * 15.0)
        assert run.net_j == pytest.approx(0.0, abs=1e-9)


def test_energies_of_segments_add_up_by_hand() -> None:
    first, second = account_block(
        idle_then_busy(), block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9
    ).runs
    holed = idle_then_busy()
    kept = (holed.times_s < 30.0) | (holed.times_s > 34.0)
    holed = Trace.from_arrays(holed.times_s[kept], holed.values[kept], kind="power", refresh_s=1.0, step=1.0)
    (third,) = account_block(holed, block=BLOCK, runs=[BLOCK], idle=[IDLE_BEFORE], min_coverage=0.9).runs
    whole = add_energies([first, second, third])
    parts = (first, second, third)
    assert whole.duration_s == 20.0 + 30.0 + 60.0
    assert whole.gross.joules == pytest.approx(sum(part.gross.joules for part in parts))
    assert whole.gross.lower == pytest.approx(sum(part.gross.lower for part in parts))
    assert whole.gross.upper == pytest.approx(sum(part.gross.upper for part in parts))
    assert whole.net_j == pytest.approx(sum(part.net_j for part in parts))
    assert whole.net_lower_j == pytest.approx(sum(part.net_lower_j for part in parts))
    assert whole.net_upper_j == pytest.approx(sum(part.net_upper_j for part in parts))
    assert third.gross.coverage < 1.0
    assert whole.gross.coverage == pytest.approx((1.0 * 50.0 + third.gross.coverage * 60.0) / 110.0)
    assert whole.gross.n_samples == sum(part.gross.n_samples for part in parts)
    assert whole.gross.method == "sum of segments"


def test_a_refused_segment_refuses_the_sum() -> None:
    first = account_block(
        idle_then_busy(), block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9
    ).runs[0]
    whole = add_energies([first, refused_energy(5.0)])
    assert whole.duration_s == 25.0
    assert whole.gross.coverage == pytest.approx(20.0 / 25.0)
    energies = (whole.gross.joules, whole.gross.lower, whole.gross.upper, *astuple(whole)[1:4])
    assert all(math.isnan(number) for number in energies)


@pytest.mark.parametrize("frozen_from", [-5.0, 40.0])
def test_a_source_that_is_frozen_at_an_edge_is_refused(frozen_from: float) -> None:
    """Frozen from before the block, or from the middle of it: idling looks like training at one edge at least."""
    whole = idle_then_busy()
    value = whole.values[whole.times_s >= frozen_from][0]
    values = np.where(whole.times_s >= frozen_from, value, whole.values)
    trace = Trace.from_arrays(whole.times_s, values, kind="power", refresh_s=1.0, step=1.0)
    known = {"block": BLOCK, "runs": RUNS, "idle": [IDLE_BEFORE, IDLE_AFTER], "min_coverage": 0.9}
    energy = account_block(trace, **known, may_be_frozen=True)  # type: ignore[arg-type]
    assert energy.status == "refused"
    assert f"the source said {value:g} W" in energy.reason
    assert ("idling to training" if frozen_from < 0 else "training to idling") in energy.reason
    assert math.isnan(energy.runs[0].gross.joules)
    assert account_block(trace, **known).status == "ok"  # type: ignore[arg-type]
    assert account_block(whole, **known, may_be_frozen=True).status == "ok"  # type: ignore[arg-type]


def test_a_counter_that_stands_still_at_an_edge_is_refused() -> None:
    times = np.arange(-5.0, 86.0)
    counted = 100.0 * np.minimum(times + 5.0, 20.0)
    trace = Trace.from_arrays(times, counted, kind="energy", refresh_s=1.0, step=0.0)
    energy = account_block(
        trace, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE, IDLE_AFTER], min_coverage=0.9, may_be_frozen=True
    )
    assert "J" in energy.reason
    assert "training to idling" in energy.reason


def test_what_was_excluded_is_named() -> None:
    whole = idle_then_busy()
    values = whole.values.copy()
    values[whole.times_s > 20.0] = 0.0
    values[whole.times_s > 40.0] = np.nan
    values[whole.times_s > 60.0] = 1e6
    trace = Trace.from_arrays(whole.times_s, values, kind="power", refresh_s=1.0, step=1.0)
    energy = account_block(
        trace, block=BLOCK, runs=RUNS, idle=[IDLE_BEFORE], min_coverage=0.9, plausible_w=(0.0, 20_000.0)
    )
    assert "(10 valid, 20 zero and 20 failed and 10 not plausible excluded)" in energy.reason


def test_an_idle_window_between_two_samples_is_no_measurement_of_idling() -> None:
    trace = Trace.from_arrays(np.arange(-60.0, 200.0, 60.0), np.full(5, 100.0), kind="power", refresh_s=60.0)
    energy = account_block(trace, block=(10.0, 130.0), runs=[(10.0, 130.0)], idle=[(2.0, 9.0)], min_coverage=0.9)
    assert energy.runs[0].gross.joules == pytest.approx(12_000.0)
    assert "none of 1 idle windows holds a valid sample" in energy.reason
