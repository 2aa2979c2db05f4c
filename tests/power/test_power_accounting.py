import math

import numpy as np
import pytest

from wattsweep.power import Trace, account_block

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
