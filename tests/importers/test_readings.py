"""Readings of a job's file: the hours of a change of the clock, rows that are no use, the two joins at their edges."""

import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from wattsweep.importers.joins import NO_READING, TOO_FEW, ZERO, as_published, interval
from wattsweep.importers.readings import ZONE, JobReadings, UnreadableError, read_job, settle
from wattsweep.power import Status
from wattsweep.power.sources.export_times import parse_times

DENVER = zoneinfo.ZoneInfo(ZONE)


def settled(stamps: Sequence[str], nodes: Sequence[int] | None = None) -> list[str | None]:
    """The times in UTC (hh:mm) of clock times on 2022-11-06, None for those that nothing settles."""
    times = parse_times(pa.array([f"2022-11-06T{one}:00Z" for one in stamps]), DENVER, ignore_offset=True)
    codes = np.array(nodes if nodes is not None else [0] * len(stamps))
    times_s, known = settle(times, codes)
    return [
        datetime.fromtimestamp(time_s, UTC).strftime("%H:%M") if fine else None
        for time_s, fine in zip(times_s, known, strict=True)
    ]


def test_a_step_back_parts_the_passes() -> None:
    # 01:00 to 01:59 is 07:00 to 07:59 UTC first, then 08:00 to 08:59 UTC; 02:00 is 09:00 UTC
    assert settled(["00:59", "01:00", "01:59", "01:00", "01:59", "02:00"]) == [
        *("06:59", "07:00", "07:59", "08:00", "08:59", "09:00")
    ]


def test_the_order_settles_each_node_for_itself() -> None:
    stamps = ["01:10", "01:40", "01:50", "01:10"]
    assert settled(stamps, [0, 1, 0, 0]) == ["07:10", None, "07:50", "08:10"]


def test_without_a_step_the_nearer_neighbour_settles() -> None:
    # 5 minutes after the reading before; as of the second pass it would be 70 minutes before the one after
    assert settled(["00:55", "01:00", "01:05", "03:00"]) == ["06:55", "07:00", "07:05", "10:00"]
    # as of the second pass 1 minute before the reading after, and far from the one before
    assert settled(["00:10", "01:58", "01:59", "02:00"]) == ["06:10", "08:58", "08:59", "09:00"]
    assert settled(["01:58", "01:59", "02:00"]) == ["08:58", "08:59", "09:00"]
    assert settled(["00:59", "01:00"]) == ["06:59", "07:00"]


def test_where_nothing_tells_it_is_not_settled() -> None:
    # no neighbour; one pass with neighbours as near on both sides; neighbours too far; two steps back
    assert settled(["01:10", "01:20"]) == [None, None]
    assert settled(["00:59", "01:00", "01:59", "02:00"]) == ["06:59", None, None, "09:00"]
    assert settled(["00:10", "01:00", "01:05"]) == ["06:10", None, None]
    assert settled(["01:00", "01:10", "01:05", "01:07", "01:01"]) == [None] * 5


def job(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "1.csv"
    path.write_text("\n".join(("timestamp,node,watts", *rows)) + "\n", encoding="utf-8")
    return path


def test_rows_that_are_no_use_are_counted_once(tmp_path: Path) -> None:
    readings = read_job(
        job(
            tmp_path,
            "2022-09-13T06:00:00Z,n1,300",
            "2022-09-13T06:01:00Z,n1,",
            "2022-09-13T06:02:00Z,n1,-5",
            "yesterday,n1,",
            "2022-09-13T06:03:00Z,n1",
            "2022-09-13T06:04:00Z,n1,0",
            "2023-03-12T02:30:00Z,n1,300",
        ),
        DENVER,
    )
    assert {name: count for name, count in readings.counts.items() if count} == {
        "row of another length": 1,
        "rows": 6,
        "unreadable timestamp": 1,
        "hour that the clock left out": 1,
        "no watts": 1,
        "negative watts": 1,
        "readings": 2,
        "of 0 W": 1,
    }
    # 06:00 in Denver is 12:00 UTC in September
    assert readings.times_s[0] == datetime(2022, 9, 13, 12, tzinfo=UTC).timestamp()
    assert list(readings.trace("n1").status) == [Status.OK, Status.ZERO]


@pytest.mark.parametrize("content", ["", "timestamp,node\n1,2\n", "\x00\x01"])
def test_a_file_that_is_no_power_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "1.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableError):
        read_job(path, DENVER)


def readings_of(watts: Sequence[float], nodes: Sequence[int] | None = None, every_s: float = 60.0) -> JobReadings:
    """Readings at 0, `every_s`, ... of the nodes a and b."""
    codes = np.array(nodes if nodes is not None else [0] * len(watts))
    seen: dict[int, int] = {0: 0, 1: 0}
    times = []
    for code in codes.tolist():
        times.append(every_s * seen[code])
        seen[code] += 1
    return JobReadings(("a", "b"), np.array(times), codes, np.array(watts, dtype=np.float64))


def test_both_ends_belong_to_the_run_as_published() -> None:
    readings = readings_of([100, 200, 300])
    # from 60 to 120 s: rows 1 and 2, nothing before and nothing after: 60 x 200
    found = as_published(readings, "a", 60.0, 120.0)
    assert (found.joules, found.n_readings, found.other_nodes_j) == (12_000, 2, 0)


def test_the_row_before_the_first_is_the_last_as_published() -> None:
    readings = readings_of([100, 200, 300])
    # from -30 to 90 s: the row before row 0 is the last one, 300 x 30; then 60 x 100 + 200 x 30
    assert as_published(readings, "a", -30.0, 90.0).joules == 9000 + 6000 + 6000


def test_reasons_as_published_in_their_order() -> None:
    readings = readings_of([300, 0, 300, 300])
    assert as_published(readings, "b", 0.0, 60.0).reason == NO_READING
    # one reading of the wanted 2 in 3 minutes and 1 s, and it is 0 W: too few is said first
    assert as_published(readings, "a", 50.0, 110.0).reason == ZERO
    assert as_published(readings_of([300, 0]), "a", 50.0, 231.0).reason == TOO_FEW
    # 60 s at a time, of which 2 minutes need one reading
    assert as_published(readings_of([300, 300]), "a", 50.0, 170.0).reason == ""


def test_a_zero_of_another_node_refuses_a_run_as_published() -> None:
    readings = readings_of([300, 300, 300, 0, 300, 300], [0, 1, 0, 1, 0, 1])
    assert as_published(readings, "a", 30.0, 130.0).reason == ZERO
    assert interval(readings.trace("a"), 30.0, 120.0, min_coverage=0.9).joules == 27_000


def test_a_gap_of_three_minutes_is_bridged_and_a_longer_one_is_not() -> None:
    watts = [300.0] * 10
    whole = readings_of(watts)
    for missing, covered_s in ((2, 300.0), (3, 300.0 - 240.0)):
        kept = np.array([not 2 <= number < 2 + missing for number in range(10)])
        readings = JobReadings(("a",), whole.times_s[kept], whole.nodes[kept], whole.watts[kept])
        found = interval(readings.trace("a"), 60.0, 360.0, min_coverage=0.1)
        assert found.coverage == pytest.approx(covered_s / 300)
        assert found.joules == pytest.approx(300 * covered_s)
    refused = interval(readings.trace("a"), 60.0, 360.0, min_coverage=0.9)
    assert refused.reason.startswith("too little of the run is covered: 0.200 by")
    assert refused.joules is None


def test_two_values_at_one_time_are_no_reading() -> None:
    readings = JobReadings(
        ("a",), np.array([0.0, 60, 60, 120, 120]), np.zeros(5, dtype=np.int64), np.array([300.0, 200, 900, 300, 300])
    )
    assert list(readings.trace("a").status) == [Status.OK, Status.IMPLAUSIBLE, Status.IMPLAUSIBLE, Status.OK]
    assert interval(readings.trace("a"), 0.0, 120.0, min_coverage=0.9).joules == 36_000
