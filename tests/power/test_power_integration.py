import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wattsweep.power import Energy, Status, Trace, integrate

Floats = NDArray[np.float64]
BEGIN, END = 1000.0, 1100.0
watts = st.floats(1.0, 5000.0)
seconds = st.floats(BEGIN, END)


@st.composite
def sampled_times(draw: st.DrawFn) -> Floats:
    """Irregular times that begin before BEGIN and end after END, at most 2 s apart."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    longest = draw(st.floats(0.3, 2.0))
    return BEGIN - 5.0 + np.cumsum(random.uniform(0.3, longest, size=400))


@st.composite
def windows(draw: st.DrawFn) -> tuple[float, float]:
    start, end = sorted((draw(seconds), draw(seconds)))
    assume(end - start > 1e-3)
    return start, end


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    times = draw(sampled_times())
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(50, 500, size=len(times)).astype(float)
    return Trace.from_arrays(times, values, kind="power", refresh_s=1.0, step=1.0)


@given(sampled_times(), windows(), watts)
def test_constant_power_is_exact(times: Floats, window: tuple[float, float], power: float) -> None:
    energy = integrate(Trace.from_arrays(times, np.full(len(times), power), kind="power"), *window, max_gap=2.5)
    assert energy.joules == pytest.approx(power * (window[1] - window[0]), rel=1e-12)
    assert energy.coverage == 1.0
    assert (energy.lower, energy.upper) == pytest.approx((energy.joules, energy.joules), rel=1e-12)


@given(sampled_times(), windows(), watts, st.floats(0.0, 10.0))
def test_a_ramp_is_exact(times: Floats, window: tuple[float, float], power: float, slope: float) -> None:
    start, end = window
    energy = integrate(Trace.from_arrays(times, power + slope * (times - 900), kind="power"), start, end, max_gap=2.5)
    middle = power + slope * (0.5 * (start + end) - 900)
    assert energy.joules == pytest.approx(middle * (end - start), rel=1e-12)
    assert energy.lower <= energy.joules <= energy.upper


@given(traces(), st.tuples(seconds, seconds, seconds).map(sorted))
def test_the_parts_of_a_window_add_up(trace: Trace, times: list[float]) -> None:
    start, middle, end = times
    assume(start < middle < end)
    parts = [integrate(trace, start, middle), integrate(trace, middle, end)]
    whole = integrate(trace, start, end)
    assert sum(part.joules for part in parts) == pytest.approx(whole.joules, rel=1e-9)
    assert sum(part.n_samples for part in parts) == whole.n_samples


@given(traces(), windows(), st.floats(-1e5, 1e5))
def test_the_clock_has_no_origin(trace: Trace, window: tuple[float, float], shift: float) -> None:
    moved = Trace.from_arrays(trace.times_s + shift, trace.values, kind="power", refresh_s=1.0, step=1.0)
    here, there = integrate(trace, *window), integrate(moved, window[0] + shift, window[1] + shift)
    assert there.joules == pytest.approx(here.joules, rel=1e-6)
    assert there.coverage == pytest.approx(here.coverage, abs=1e-9)


@given(traces(), windows(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(
    trace: Trace, window: tuple[float, float], random: np.random.Generator
) -> None:
    order = np.random.default_rng(int(random.random() * 1e9)).permutation(len(trace))
    shuffled = Trace.from_arrays(trace.times_s[order], trace.values[order], kind="power", refresh_s=1.0, step=1.0)
    assert integrate(shuffled, *window) == integrate(trace, *window)


@given(traces(), windows(), st.sampled_from([Status.ZERO, Status.FAILED, Status.STALE, Status.IMPLAUSIBLE]))
def test_a_sample_that_is_not_ok_adds_no_energy(trace: Trace, window: tuple[float, float], status: Status) -> None:
    bad = np.zeros(len(trace), dtype=bool)
    bad[::7] = True
    codes = np.where(bad, status, Status.OK)
    loud = Trace.from_arrays(
        trace.times_s, np.where(bad, 1e9, trace.values), kind="power", status=codes, refresh_s=1.0, step=1.0
    )
    absent = Trace.from_arrays(trace.times_s[~bad], trace.values[~bad], kind="power", refresh_s=1.0, step=1.0)
    energy = integrate(loud, *window, max_gap=10.0)
    reference = integrate(absent, *window, max_gap=10.0)
    assert (energy.joules, energy.lower, energy.upper) == (reference.joules, reference.lower, reference.upper)
    assert energy.n_samples == reference.n_samples
    inside = (trace.times_s >= window[0]) & (trace.times_s < window[1])
    assert energy.n_excluded == np.count_nonzero(bad & inside)


@given(traces(), windows())
def test_the_interval_holds_the_energy_and_coverage_is_a_share(trace: Trace, window: tuple[float, float]) -> None:
    energy = integrate(trace, *window, max_gap=1.0)
    assert 0.0 <= energy.lower <= energy.joules <= energy.upper
    assert 0.0 <= energy.coverage <= 1.0


@given(traces(), windows())
def test_losing_samples_lowers_coverage_and_never_adds_energy(trace: Trace, window: tuple[float, float]) -> None:
    times = trace.times_s
    kept = (times < BEGIN + 30) | (times > BEGIN + 60)
    holed = Trace.from_arrays(times[kept], trace.values[kept], kind="power", refresh_s=1.0, step=1.0)
    whole, part = integrate(trace, *window, max_gap=3.0), integrate(holed, *window, max_gap=3.0)
    assert part.joules <= whole.joules * (1 + 1e-12)
    assert part.coverage <= whole.coverage
    assert part.lower <= whole.joules
    assert part.upper >= part.joules


def test_a_gap_is_not_bridged() -> None:
    times = np.concatenate([np.arange(0.0, 41.0), np.arange(60.0, 101.0)])
    energy = integrate(Trace.from_arrays(times, np.full(len(times), 100.0), kind="power"), 0.0, 100.0)
    assert energy.joules == pytest.approx(8000.0)
    assert energy.coverage == pytest.approx(0.8)
    assert (energy.lower, energy.upper) == pytest.approx((8000.0, 10000.0))


def test_the_default_gap_is_three_refresh_intervals() -> None:
    times = np.array([0.0, 1, 2, 3, 4, 10, 11, 12, 13, 14])
    trace = Trace.from_arrays(times, np.full(10, 100.0), kind="power", refresh_s=2.0)
    assert integrate(trace, 0.0, 14.0).coverage == 1.0
    trace = Trace.from_arrays(times, np.full(10, 100.0), kind="power", refresh_s=1.9)
    assert integrate(trace, 0.0, 14.0).coverage == pytest.approx(8 / 14)


def test_a_source_read_slower_than_it_updates_is_covered() -> None:
    trace = Trace.from_arrays(np.arange(0.0, 60.0, 5.0), np.full(12, 100.0), kind="power", refresh_s=0.1)
    assert integrate(trace, 0.0, 50.0).coverage == 1.0


@pytest.mark.parametrize("values", [[], [100.0], [np.nan, np.nan, np.nan]])
def test_without_samples_nothing_is_known(values: list[float]) -> None:
    trace = Trace.from_arrays(np.arange(len(values)), values, kind="power")
    energy = integrate(trace, 0.0, 2.0)
    assert (energy.joules, energy.lower, energy.upper, energy.coverage) == (0.0, 0.0, np.inf, 0.0)


def test_a_window_outside_the_trace_is_not_covered() -> None:
    trace = Trace.from_arrays(np.arange(10.0), np.full(10, 100.0), kind="power")
    assert integrate(trace, 20.0, 30.0).coverage == 0.0
    assert integrate(trace, -30.0, -20.0).coverage == 0.0
    assert integrate(trace, 5.0, 13.0).coverage == 0.5


def test_the_interval_by_hand() -> None:
    """100 W to 200 W between 4 s and 5 s, step 4 W, refresh 1 s; the window begins at the jump.

    The source may be up to 1.5 s late, half a second if its lag is known: the window then ends as much later, which
    changes nothing, and begins as much later, which changes nothing either.
    """
    values = np.where(np.arange(11) < 5, 100.0, 200.0)
    trace = Trace.from_arrays(np.arange(11.0), values, kind="power", refresh_s=1.0, step=4.0)
    energy = integrate(trace, 5.0, 9.0)
    rounding = 0.5 * 4.0 * 4.0
    assert energy == Energy(
        joules=800.0,
        lower=800.0 - rounding,
        upper=800.0 + rounding,
        coverage=1.0,
        n_samples=4,
        n_excluded=0,
        n_refreshes=4,
        method="trapezoid",
    )


def test_a_late_source_by_hand() -> None:
    """A window that ends 0.5 s before the jump is read: up to 1.5 s late, it may hold up to 1 s of the 100 W more."""
    values = np.where(np.arange(11) < 5, 100.0, 200.0)
    trace = Trace.from_arrays(np.arange(11.0), values, kind="power", refresh_s=1.0, step=0.0)
    energy = integrate(trace, 1.0, 4.0)
    assert energy.joules == pytest.approx(300.0)
    assert energy.lower == pytest.approx(300.0)
    assert energy.upper == pytest.approx(300.0 + 50.0 + 0.5 * 100.0)


def test_a_known_lag_moves_the_window() -> None:
    values = np.where(np.arange(21) < 10, 100.0, 200.0)
    late = Trace.from_arrays(np.arange(21.0), values, kind="power", refresh_s=1.0, step=0.0, lag_s=3.0)
    punctual = Trace.from_arrays(np.arange(21.0) - 3.0, values, kind="power", refresh_s=1.0, step=0.0, lag_s=0.0)
    assert integrate(late, 4.0, 14.0).joules == integrate(punctual, 4.0, 14.0).joules


def test_rounding_averages_out_over_levels() -> None:
    ramp = Trace.from_arrays(np.arange(101.0), 200.0 + np.arange(101.0), kind="power", refresh_s=1.0, step=1.0)
    flat = Trace.from_arrays(np.arange(101.0), np.full(101, 200.0), kind="power", refresh_s=1.0, step=1.0, lag_s=0.0)
    doubt = [0.5 * (e.upper - e.lower) for e in (integrate(ramp, 20.0, 80.0), integrate(flat, 20.0, 80.0))]
    assert doubt[1] == pytest.approx(0.5 * 60.0)
    assert integrate(ramp, 20.0, 80.0).joules - integrate(ramp, 20.0, 80.0).lower < 10.0


def test_stated_accuracy_widens_the_interval() -> None:
    trace = Trace.from_arrays(np.arange(11.0), np.full(11, 100.0), kind="power", refresh_s=1.0, step=0.0, accuracy=0.05)
    energy = integrate(trace, 0.0, 10.0)
    assert (energy.lower, energy.upper) == pytest.approx((950.0, 1050.0))


def test_an_excursion_may_be_no_more_than_a_wrong_reading() -> None:
    """100 W, 160 W, 100 W: what one reading says beyond its neighbours is within the interval."""
    trace = Trace.from_arrays(np.arange(11.0), [100] * 5 + [160] + [100] * 5, kind="power", refresh_s=1.0, step=0.0)
    energy = integrate(trace, 1.0, 9.0)
    assert energy.joules == pytest.approx(860.0)
    assert energy.lower < 800.0
    assert energy.upper - energy.joules == pytest.approx(2 * np.sqrt(2 * 60.0**2 / 12 + 0.5 * 60.0**2))


def test_a_bridged_gap_may_hold_what_others_of_its_length_held() -> None:
    times = np.arange(101.0)
    values = np.where(times // 5 % 2 == 0, 100.0, 200.0)
    kept = (times < 51) | (times > 53)
    whole = Trace.from_arrays(times, values, kind="power", refresh_s=1.0, step=0.0)
    holed = Trace.from_arrays(times[kept], values[kept], kind="power", refresh_s=1.0, step=0.0)
    widths = [e.upper - e.lower for e in (integrate(t, 10.0, 90.0, max_gap=5.0) for t in (whole, holed))]
    assert widths[1] > widths[0]


@given(st.integers(0, 10_000), st.integers(2, 20))
def test_a_value_that_is_held_counts_once(seed: int, polls: int) -> None:
    """A ramp through a meter that updates each second, read many times in between, is exact."""
    times = np.arange(0.0, 40.0, 1.0 / polls) + 1e-4 * (seed % 100)
    held = 100.0 + 10.0 * np.floor(times)
    trace = Trace.from_arrays(times, held, kind="power", refresh_s=1.0, step=10.0)
    first = np.searchsorted(times, np.arange(1.0, 39.0))
    late_s = float(np.max(times[first] - np.arange(1.0, 39.0)))
    truth = 100.0 * 20.0 + 10.0 * 0.5 * (30.0**2 - 10.0**2)
    assert integrate(trace, 10.0, 30.0).joules == pytest.approx(truth, abs=10.0 * 20.0 * (late_s + 1.0 / polls))


@pytest.mark.parametrize("averaging", [True, False])
def test_the_interval_holds_the_truth_of_a_square_wave(averaging: bool) -> None:
    """A load that switches every few seconds, seen through a meter that updates each 0.3 to 3 s, read each second."""
    random = np.random.default_rng(1)
    milliseconds = np.arange(120_000)
    busy = (milliseconds > 20_000) & (milliseconds < 100_000)
    held = 0
    for _ in range(100):
        period_s, refresh_s = random.uniform(3.0, 40.0), random.uniform(0.3, 3.0)
        wave = np.sin(2 * np.pi * milliseconds / (1000 * period_s) + random.uniform(0.0, 6.0)) > 0
        power = 100.0 + 150.0 * (wave & busy)
        times = np.arange(4.5, 119.0)
        phase = random.uniform(0.0, refresh_s)
        updated = ((np.floor((times - phase) / refresh_s) * refresh_s + phase) * 1000).astype(int)
        total = np.concatenate([[0.0], np.cumsum(power)])
        before = updated - int(1000 * refresh_s)
        shown = (total[updated] - total[before]) / (updated - before) if averaging else power[updated]
        trace = Trace.from_arrays(times, np.round(shown), kind="power", refresh_s=refresh_s, step=1.0)
        energy = integrate(trace, 20.0, 100.0)
        held += energy.lower <= power[20_000:100_000].sum() / 1000 <= energy.upper
    assert held >= 95


def test_implausible_values_are_excluded() -> None:
    values = np.full(11, 100.0)
    values[5] = 4294967295.0
    trace = Trace.from_arrays(np.arange(11.0), values, kind="power", refresh_s=1.0)
    energy = integrate(trace, 0.0, 10.0, plausible=(10.0, 3000.0))
    assert (energy.joules, energy.n_excluded) == (1000.0, 1)


@given(sampled_times(), windows(), watts)
def test_a_counter_gives_its_difference(times: Floats, window: tuple[float, float], power: float) -> None:
    trace = Trace.from_arrays(times, power * (times - times[0]), kind="energy", refresh_s=1.0, step=0.5)
    energy = integrate(trace, *window)
    assert energy.joules == pytest.approx(power * (window[1] - window[0]), rel=1e-9)
    assert (energy.coverage, energy.method) == (1.0, "counter")
    assert energy.upper - energy.joules == pytest.approx(0.5, rel=1e-3)


@given(sampled_times(), windows(), watts, st.floats(0.0, 1.0), st.floats(1e4, 1e6))
def test_a_wrap_at_any_place_changes_nothing(
    times: Floats, window: tuple[float, float], power: float, place: float, wrap_j: float
) -> None:
    counted = power * (times - times[0])
    plain = Trace.from_arrays(times, counted, kind="energy", refresh_s=1.0, step=0.5)
    wrapped = Trace.from_arrays(
        times, (counted + place * wrap_j) % wrap_j, kind="energy", refresh_s=1.0, step=0.5, wrap_j=wrap_j
    )
    expected, energy = integrate(plain, *window), integrate(wrapped, *window)
    assert energy.joules == pytest.approx(expected.joules, rel=1e-9, abs=1e-6)
    assert energy.coverage == expected.coverage


def test_several_wraps_between_two_samples_are_told_apart_by_what_is_plausible() -> None:
    """250 W, a counter of 1,000 J, read every 10 s: two and a half wraps from read to read."""
    times = np.arange(0.0, 101.0, 10.0)
    trace = Trace.from_arrays(
        times, (250.0 * times) % 1000.0, kind="energy", refresh_s=0.001, step=0.001, wrap_j=1000.0
    )
    assert integrate(trace, 0.0, 100.0, plausible=(200.0, 290.0)).joules == pytest.approx(25_000.0)
    ambiguous = integrate(trace, 0.0, 100.0, plausible=(0.0, 1000.0))
    assert (ambiguous.joules, ambiguous.coverage) == (0.0, 0.0)


def test_a_reset_counter_is_not_bridged() -> None:
    trace = Trace.from_arrays(np.arange(6.0), [10.0, 20.0, 30.0, 0.0, 10.0, 20.0], kind="energy")
    energy = integrate(trace, 0.0, 5.0)
    assert (energy.joules, energy.coverage, energy.n_excluded) == (40.0, 0.8, 0)
    assert energy.upper >= 50.0
    assert integrate(trace, 3.0, 5.0).joules == 20.0


@pytest.mark.parametrize("wrap_j", [None, 1e6])
@pytest.mark.parametrize("wrong", [0.0, 9e5])
def test_a_misread_counter_is_left_out_and_counted(wrap_j: float | None, wrong: float) -> None:
    counted = 1000.0 + 100.0 * np.arange(21.0)
    counted[10] = wrong
    trace = Trace.from_arrays(np.arange(21.0), counted, kind="energy", refresh_s=1.0, step=1.0, wrap_j=wrap_j)
    energy = integrate(trace, 0.0, 20.0, plausible=(0.0, 5000.0))
    assert energy.joules == pytest.approx(2000.0)
    assert (energy.coverage, energy.n_excluded) == (1.0, 1)


def test_what_two_readings_of_a_whole_job_leave_open() -> None:
    trace = Trace.from_arrays([0.0, 1000.0], [0.0, 1e5], kind="energy", refresh_s=30.0)
    energy = integrate(trace, 100.0, 1000.0, max_gap=2000.0)
    assert energy.joules == pytest.approx(9e4)
    assert energy.lower <= 8e4
    assert energy.upper >= 1e5


@given(traces(), windows(), st.integers(0, 399), st.floats(0.0, 1.0))
def test_a_further_failed_sample_never_adds_energy(
    trace: Trace, window: tuple[float, float], place: int, between: float
) -> None:
    at = trace.times_s[place] + between * (trace.times_s[min(place + 1, 399)] - trace.times_s[place])
    plain = Trace.from_arrays(trace.times_s, trace.values, kind="power")
    more = Trace.from_arrays(np.append(trace.times_s, at), np.append(trace.values, np.nan), kind="power")
    assert integrate(more, *window).joules <= integrate(plain, *window).joules * (1 + 1e-12)


@given(traces(), windows(), st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(trace: Trace, window: tuple[float, float], factor: float) -> None:
    scaled = Trace.from_arrays(
        trace.times_s, trace.values * factor, kind="power", refresh_s=trace.refresh_s, step=factor
    )
    here, there = integrate(trace, *window), integrate(scaled, *window)
    assert there.joules == pytest.approx(here.joules * factor, rel=1e-9)
    assert there.upper == pytest.approx(here.upper * factor, rel=1e-6)


@pytest.mark.parametrize("window", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_an_empty_window_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is empty"):
        integrate(Trace.from_arrays([0.0, 1.0], [1.0, 1.0], kind="power"), *window)


def test_two_samples_at_one_time_are_a_jump() -> None:
    trace = Trace.from_arrays([0.0, 1.0, 1.0, 2.0], [100.0, 100.0, 200.0, 200.0], kind="power", refresh_s=1.0)
    assert integrate(trace, 0.0, 2.0).joules == 300.0
