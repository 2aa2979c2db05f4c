import numpy as np
import pytest

from wattsweep.power import Sample, Status, Trace


def test_statuses_are_derived_from_the_values_where_not_given() -> None:
    trace = Trace.from_arrays([0, 1, 2], [100.0, 0.0, np.nan], kind="power")
    assert trace.status.tolist() == [Status.OK, Status.ZERO, Status.FAILED]
    assert trace.valid.tolist() == [True, False, False]


def test_a_counter_may_be_zero() -> None:
    assert Trace.from_arrays([0, 1], [0.0, 5.0], kind="energy").status.tolist() == [Status.OK, Status.OK]


def test_the_time_of_a_sample_is_the_middle_of_its_read() -> None:
    samples = [Sample(7, 1.0, 1.5, 100.0, 100.5, 50.0, Status.OK)]
    trace = Trace.from_samples(samples, kind="power")
    assert (trace.times_s[0], trace.wall_s[0], trace.sequence[0]) == (1.25, 100.25, 7)


def test_a_window_keeps_its_margin_and_the_properties_of_the_whole() -> None:
    whole = Trace.from_arrays(np.arange(10.0), np.full(10, 50.0), kind="power", refresh_s=2.0, step=4.0)
    part = whole.window(3.0, 5.0, 1.0)
    assert part.times_s.tolist() == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert (part.refresh_s, part.step) == (2.0, 4.0)


def test_refresh_is_found_when_the_source_updates_slower_than_it_is_read() -> None:
    rng = np.random.default_rng(1)
    updates = rng.integers(100, 200, size=60)
    trace = Trace.from_arrays(np.arange(600) * 0.1, np.repeat(updates, 10), kind="power")
    assert trace.refresh_s == pytest.approx(1.0)
    assert trace.step == 1.0


def test_constant_stretches_do_not_lengthen_the_refresh() -> None:
    busy = np.repeat(np.random.default_rng(2).integers(100, 200, size=30), 10)
    trace = Trace.from_arrays(np.arange(600) * 0.1, np.concatenate([busy, np.full(300, 80)]), kind="power")
    assert trace.refresh_s == pytest.approx(1.0)


def test_a_constant_trace_has_the_spacing_as_refresh_and_no_step() -> None:
    trace = Trace.from_arrays(np.arange(10.0), np.full(10, 50.0), kind="power")
    assert (trace.refresh_s, trace.step) == (1.0, None)


@pytest.mark.parametrize("count", [0, 1])
def test_a_trace_too_short_to_tell_says_so(count: int) -> None:
    trace = Trace.from_arrays(np.arange(count), np.full(count, 50.0), kind="power")
    assert (trace.refresh_s, trace.step, trace.spacing_s) == (None, None, None)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="of one length"):
        Trace.from_arrays([0, 1], [1.0, 2.0, 3.0], kind="power")
