"""The wall time that jobs ask for."""

from wattsweep.planning.asking import LEAST_MIN, asked_minutes


def test_a_job_has_time_to_stop_in_order_and_more_on_each_retry() -> None:
    assert [asked_minutes(3600.0, attempt, None) for attempt in (1, 2, 3)] == [63, 123, 183]
    assert asked_minutes(3601.0, 1, None) == 64


def test_a_retry_does_not_ask_for_more_than_a_partition_has() -> None:
    assert [asked_minutes(3600.0, attempt, 7230.0) for attempt in (1, 2, 3)] == [63, 120, 120]


def test_a_job_of_seconds_asks_for_minutes() -> None:
    assert asked_minutes(1.0, 1, None) == LEAST_MIN == asked_minutes(1.0, 3, 3600.0)
