"""Meters whose properties are known are shown a square wave of load, and the properties are found again."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from tests.power.synthetic_meter import SyntheticMeter
from wattsweep.errors import PowerError
from wattsweep.power import Status, Trace
from wattsweep.power.calibration import Calibration, analyse
from wattsweep.power.updates import Estimate, find_refresh, find_step

POLL_S = 0.1


def found(meter: SyntheticMeter, seed: int, *, poll_s: float = POLL_S) -> Calibration:
    trace, edges_s = meter.trace(seed, poll_s=poll_s)
    return analyse(trace, edges_s)


def close(estimate: Estimate, truth: float, tolerance: float) -> bool:
    """Whether the value is within `tolerance` of the truth, and its uncertainty no smaller than 2/3 of its error."""
    assert estimate.value is not None, estimate.reason
    assert estimate.uncertainty is not None
    error = abs(estimate.value - truth)
    return error <= tolerance and error <= 1.5 * estimate.uncertainty + 1e-9


GRID = [
    SyntheticMeter(refresh_s=refresh_s, step=step, delay_s=delay_s, averaging_s=averaging_s, noise_w=noise_w)
    for (refresh_s, step), (delay_s, averaging_s), noise_w in itertools.product(
        [(0.5, 1.0), (1.0, 0.1), (1.0, 4.0), (2.3, 1.0)], [(0.0, 1.0), (0.5, 2.0), (1.5, 4.0)], [0.5, 2.0]
    )
]


@pytest.mark.parametrize(("seed", "meter"), list(enumerate(GRID, start=1)))
def test_a_meter_is_found_again(seed: int, meter: SyntheticMeter) -> None:
    """Refresh to 0.5 %, the step exactly, lag and averaging to a poll and a step's share of the ramp, noise to 40 %."""
    calibration = found(meter, seed)
    hidden_s = meter.averaging_s * meter.step / (meter.full_w - meter.idle_w)
    assert close(calibration.refresh_s, meter.refresh_s, 0.005 * meter.refresh_s)
    assert calibration.step.value == meter.step or calibration.step.value is None
    assert close(calibration.lag_s, meter.lag_s, POLL_S + hidden_s)
    assert close(calibration.averaging_s, meter.averaging_s, POLL_S + hidden_s)
    assert close(calibration.idle_w, meter.idle_w, 1.0 + meter.step)
    assert close(calibration.full_w, meter.full_w, 1.0 + meter.step)
    if meter.noise_w > meter.step / 2:
        assert calibration.noise_w.value == pytest.approx(math.hypot(meter.noise_w, meter.step / 12**0.5), rel=0.4)
    assert calibration.seen_lag_s == pytest.approx(meter.lag_s + 0.5 * meter.refresh_s, abs=2 * (POLL_S + hidden_s))


@pytest.mark.parametrize("refresh_s", [0.5, 1.0, 2.0, 4.8])
@pytest.mark.parametrize("seed", range(3))
def test_a_refresh_that_wanders_is_found(seed: int, refresh_s: float) -> None:
    meter = SyntheticMeter(refresh_s=refresh_s, jitter=0.05, noise_w=3.0)
    calibration = found(meter, seed)
    assert close(calibration.refresh_s, refresh_s, 0.02 * refresh_s)
    assert close(calibration.lag_s, meter.lag_s, 0.1 * refresh_s + POLL_S)


@pytest.mark.parametrize("poll_s", [0.2, 0.3, 0.5])
def test_slower_polls_say_less_and_know_it(poll_s: float) -> None:
    calibration = found(SyntheticMeter(), 8, poll_s=poll_s)
    assert close(calibration.refresh_s, 1.0, 0.02)
    assert close(calibration.lag_s, 0.5, poll_s)


def test_a_source_that_shows_the_moment_averages_over_less_than_two_polls() -> None:
    calibration = found(SyntheticMeter(averaging_s=0.0), 3)
    assert calibration.averaging_s.value is not None
    assert calibration.averaging_s.uncertainty is not None
    assert calibration.averaging_s.value < 2 * POLL_S
    assert calibration.averaging_s.uncertainty >= calibration.averaging_s.value


@pytest.mark.parametrize("refresh_s", [0.02, 0.1])
def test_a_source_faster_than_the_polls_is_told_so(refresh_s: float) -> None:
    meter = SyntheticMeter(refresh_s=refresh_s, delay_s=0.3)
    calibration = found(meter, 7)
    assert calibration.refresh_s.value is None
    assert "as fast as it was polled, every 0.1 s; it is at most 0.2 s" in calibration.refresh_s.reason
    assert close(calibration.lag_s, meter.lag_s, POLL_S)
    assert close(calibration.averaging_s, 1.0, 2 * POLL_S)
    assert "lag_s" not in calibration.facts()


def test_a_meter_without_noise_that_moves_at_edges_alone_tells_no_refresh() -> None:
    calibration = found(SyntheticMeter(averaging_s=0.0, noise_w=0.0), 5)
    assert "the value changed only 12 times" in calibration.refresh_s.reason
    assert "only 2 different values were seen: the step is 149 or a whole part of it" in calibration.step.reason
    assert "cannot be told from what is held" in calibration.lag_s.reason
    assert calibration.facts() == {}


@pytest.mark.parametrize("meter", [SyntheticMeter(averaging_s=15.0), SyntheticMeter(delay_s=12.0)])
def test_a_source_slower_than_the_load_wants_a_longer_period(meter: SyntheticMeter) -> None:
    calibration = found(meter, 12)
    assert close(calibration.refresh_s, 1.0, 0.005)
    for estimate in (calibration.lag_s, calibration.averaging_s, calibration.noise_w, calibration.full_w):
        assert estimate.value is None
        assert "calibrate with a longer --period" in estimate.reason


def test_a_source_that_does_not_see_the_load_is_told_so() -> None:
    calibration = found(SyntheticMeter(idle_w=100.0, full_w=100.0, noise_w=3.0), 2)
    assert close(calibration.refresh_s, 1.0, 0.005)
    assert calibration.noise_w.value == pytest.approx(3.0, rel=0.3)
    assert calibration.idle_w.value == pytest.approx(100.0, abs=2.0)
    for estimate in (calibration.lag_s, calibration.averaging_s, calibration.full_w):
        assert estimate.value is None
        assert "the load does not show" in estimate.reason


def test_a_value_that_never_changes_tells_nothing_but_itself() -> None:
    trace, edges_s = SyntheticMeter(idle_w=100.0, full_w=100.0, noise_w=0.0).trace(1)
    calibration = analyse(trace, edges_s)
    assert calibration.facts() == {}
    assert "changed only 0 times" in calibration.refresh_s.reason
    assert calibration.step.reason == "the value never changed"
    assert calibration.idle_w.value == 100.0


@pytest.mark.parametrize(("refresh_s", "step", "delay_s"), [(0.001, 1e-6, 0.0), (0.5, 1.0, 0.2), (1.0, 1.0, 0.0)])
def test_an_energy_counter(refresh_s: float, step: float, delay_s: float) -> None:
    meter = SyntheticMeter(refresh_s=refresh_s, step=step, delay_s=delay_s, averaging_s=0.0, counter=True)
    calibration = found(meter, 9)
    assert calibration.kind == "energy"
    assert calibration.step.value == step
    assert close(calibration.lag_s, delay_s, POLL_S)
    assert "takes no mean of its own" in calibration.averaging_s.reason
    assert close(calibration.idle_w, meter.idle_w, 0.5)
    assert close(calibration.full_w, meter.full_w, 0.5)
    assert "step" not in calibration.facts()


def test_a_counter_that_wraps_is_the_same_counter() -> None:
    trace, edges_s = SyntheticMeter(refresh_s=0.5, averaging_s=0.0, counter=True).trace(9)
    whole = analyse(trace, edges_s)
    wrapping = dataclasses.replace(trace, values=trace.values % 3000.0, wrap_j=3000.0)
    assert analyse(wrapping, edges_s).idle_w.value == pytest.approx(whole.idle_w.value)


def test_a_counter_that_was_reset_is_refused() -> None:
    trace, edges_s = SyntheticMeter(averaging_s=0.0, counter=True).trace(9)
    values = trace.values.copy()
    values[600:] -= values[600]
    with pytest.raises(PowerError, match="was reset 1 times"):
        analyse(dataclasses.replace(trace, values=values), edges_s)


def test_failed_readings_and_glitches_change_little() -> None:
    trace, edges_s = SyntheticMeter().trace(4)
    random = np.random.default_rng(4)
    values, status = trace.values.copy(), trace.status.copy()
    lost = random.random(len(values)) < 0.05
    values[lost], status[lost] = np.nan, Status.FAILED
    values[random.integers(0, len(values), size=5)] = 65534.0
    calibration = analyse(dataclasses.replace(trace, values=values, status=status), edges_s)
    assert close(calibration.refresh_s, 1.0, 0.01)
    assert calibration.step.value == 1.0
    assert close(calibration.lag_s, 0.5, 0.1)


def test_too_few_samples_are_refused() -> None:
    trace = Trace.from_arrays(np.arange(10.0), np.arange(10.0) + 100, kind="power")
    with pytest.raises(PowerError, match="has 10 valid samples of 10; at least 20"):
        analyse(trace, [1.0, 5.0])


@pytest.mark.parametrize("edges_s", [[1.0], [2.0, 1.0]])
def test_edges_must_increase(edges_s: list[float]) -> None:
    trace = Trace.from_arrays(np.arange(30.0), np.arange(30.0) + 100, kind="power")
    with pytest.raises(ValueError, match="at least two edges at increasing times"):
        analyse(trace, edges_s)


@pytest.mark.parametrize(("step", "offset"), [(1.0, 0.0), (4.0, 3.0), (0.125, 0.0), (0.1, 0.03), (0.001, 0.0)])
def test_the_step_is_what_all_values_are_multiples_of(step: float, offset: float) -> None:
    numbers = np.random.default_rng(1).integers(int(100 / step), int(300 / step), size=300)
    assert find_step(np.asarray(numbers * step + offset, dtype=np.float64)).value == pytest.approx(step, rel=1e-9)


def test_odd_values_do_not_hide_the_step() -> None:
    values = 4.0 * np.random.default_rng(2).integers(25, 75, size=300).astype(np.float64)
    values[[10, 20]] = [117.0, 203.5]
    assert find_step(values).value == 4.0


def test_values_without_a_step_have_none() -> None:
    estimate = find_step(np.random.default_rng(3).uniform(100, 200, size=300))
    assert estimate.value is None
    assert "no common step" in estimate.reason
    assert find_step(np.full(10, 5.0)).reason == "the value never changed"


def test_changes_without_a_rhythm_have_no_refresh() -> None:
    random = np.random.default_rng(5)
    changes = np.cumsum(random.exponential(1.0, size=200) + 0.3)
    times_s = np.arange(0.0, changes[-1], 0.1)
    values = np.asarray(np.searchsorted(changes, times_s) % 7 + 100.0, dtype=np.float64)
    estimate = find_refresh(times_s, values)
    assert estimate.value is None
    assert "no rhythm" in estimate.reason


def test_a_calibration_survives_json() -> None:
    calibration = found(SyntheticMeter(averaging_s=15.0), 1)
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json(), allow_nan=False)) | {"later": 1})
    assert again == calibration


def test_facts_are_what_a_description_takes() -> None:
    facts = found(SyntheticMeter(delay_s=0.5), 6).facts()
    assert set(facts) == {"refresh_s", "step", "lag_s", "averaging_s"}
    assert facts["lag_s"] == pytest.approx(1.0, abs=0.1)
