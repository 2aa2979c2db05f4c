"""A site's monitoring export, joined after the fact."""

import gzip
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattsweep.errors import PowerError
from wattsweep.power import Status, integrate
from wattsweep.power.sources import export
from wattsweep.power.sources.export import Export, ExportCounts, read_export
from wattsweep.power.sources.export_times import AMBIGUOUS, KNOWN, NONEXISTENT, UNREADABLE, named_zone, parse_times

DENVER = ZoneInfo("America/Denver")
NOON_S = datetime(2020, 3, 2, 19, 0, tzinfo=UTC).timestamp()
"""12:00 in Denver."""

Row = tuple[str, str, object]


def write(path: Path, rows: Sequence[Row], header: str = "timestamp,node,watts") -> Path:
    text = "\n".join([header, *(f"{stamp},{node},{watts}" for stamp, node, watts in rows)]) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def minutes(count: int, node: str = "r1i7n35", watts: float = 300.0, suffix: str = "") -> list[Row]:
    first = datetime.fromtimestamp(NOON_S, DENVER)
    return [(f"{first + timedelta(minutes=n):%Y-%m-%dT%H:%M:%S}{suffix}", node, watts + n) for n in range(count)]


def read(path: Path | str, **more: Any) -> Export:
    asked: dict[str, Any] = {
        "node": "r1i7n35",
        "start_unix_s": NOON_S,
        "end_unix_s": NOON_S + 600.0,
        "timezone": "America/Denver",
        "margin_s": 0.0,
    }
    return read_export(path, **{**asked, **more})


def refusal(path: Path | str, **more: Any) -> str:
    with pytest.raises(PowerError) as refused:
        read(path, **more)
    return str(refused.value)


# Times


def test_butter_e_files_need_their_offset_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "1234.csv", minutes(11, suffix="Z"))
    found = read(path, ignore_offset=True, utc_offset_s=1.5e9)
    assert found.trace.wall_s.tolist() == [NOON_S + 60.0 * n for n in range(11)]
    assert found.trace.before_s.tolist() == found.trace.after_s.tolist() == (found.trace.wall_s - 1.5e9).tolist()
    assert found.trace.values.tolist() == [300.0 + n for n in range(11)]
    assert found.trace.kind == "power"
    assert found.trace.refresh_s == 60.0
    assert found.counts == ExportCounts(files=1, rows=11, samples=11, ok=11, explicit_offset=11)
    assert (found.description.name, found.description.scope, found.description.origin) == ("csv", "node", "measured")
    assert found.description.detail == (
        f"watts of r1i7n35 in the export {path}, 1 file, clock of America/Denver, offsets ignored"
    )
    energy = integrate(found.trace, NOON_S - 1.5e9, NOON_S - 1.5e9 + 600.0)
    assert energy.joules == pytest.approx(305.0 * 600.0)
    assert energy.coverage == 1.0

    words = refusal(path)
    assert "from 2020-03-02T19:00:00Z to 2020-03-02T19:10:00Z" in words
    assert "its rows are from 2020-03-02T12:00:00Z to 2020-03-02T12:10:00Z. 11 of them say their own offset" in words
    assert "power.csv.ignore_offset" in words


@pytest.mark.parametrize(
    "stamp",
    [
        "2020-03-02T12:01:00",
        "2020-03-02 12:01:00",
        "2020-03-02 12:01",
        "2020-03-02T12:01:00.000",
        " 2020-03-02T12:01:00 ",
        '"2020-03-02T12:01:00"',
        "2020-03-02T19:01:00Z",
        "2020-03-02 19:01:00+00:00",
        "2020-03-02T20:01:00+0100",
        "2020-03-02T12:01:00-07",
        "2020-03-03T00:31:00 +05:30",
        f"{NOON_S + 60:.0f}",
        f"{NOON_S + 60:.3f}",
    ],
)
def test_the_ways_to_write_a_time(tmp_path: Path, stamp: str) -> None:
    found = read(write(tmp_path / "a.csv", [(stamp, "r1i7n35", 300)]))
    assert found.trace.wall_s.tolist() == [NOON_S + 60.0]
    assert found.trace.status.tolist() == [Status.OK]


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "noon",
        "2020-02-30T12:00:00",
        "2020-03-02",
        "03/02/2020 12:01:00",
        "2020-03-02T12:01:00+99:00",
        "1583175660000",
        "-5",
        "2020-03-02T24:30:00",
        "1e9",
        "2020-03-02T12:01:00 MST",
    ],
)
def test_a_time_that_cannot_be_read_is_counted_and_left_out(tmp_path: Path, stamp: str) -> None:
    found = read(write(tmp_path / "a.csv", [*minutes(2), (stamp, "r1i7n35", 300)]))
    assert found.counts == ExportCounts(
        files=1, rows=3, samples=2, ok=2, unreadable_timestamp=1, explicit_offset=int("+99" in stamp)
    )
    words = refusal(write(tmp_path / "b.csv", [(stamp, "r1i7n35", 300)]))
    assert f"1 rows have a timestamp such as '{stamp}', which is neither ISO 8601 nor Unix seconds" in words


def test_offsets_of_unix_seconds_are_nothing_to_ignore(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", [(f"{NOON_S:.0f}", "r1i7n35", 300)]), ignore_offset=True)
    assert found.trace.wall_s.tolist() == [NOON_S]
    assert found.counts.explicit_offset == 0


def test_the_hour_that_the_clock_passed_twice_is_never_guessed(tmp_path: Path) -> None:
    start = datetime(2020, 11, 1, 6, 0, tzinfo=UTC)  # midnight; 02:00 becomes 01:00 at 08:00 UTC
    moments = [start + timedelta(minutes=10 * n) for n in range(31)]
    rows: list[Row] = [
        (f"{one.astimezone(DENVER):%Y-%m-%d %H:%M:%S}", "r1i7n35", 300 + n) for n, one in enumerate(moments)
    ]
    begin_s, end_s = start.timestamp(), moments[-1].timestamp()
    found = read(write(tmp_path / "a.csv", rows), start_unix_s=begin_s, end_unix_s=end_s)
    assert found.counts == ExportCounts(files=1, rows=31, samples=31, ok=19, ambiguous_hour=12)
    failed = found.trace.status == Status.FAILED
    assert found.trace.wall_s[~failed].tolist() == [
        one.timestamp() for one in moments if not 7 * 60 <= (one - start).total_seconds() / 60 + 360 < 9 * 60
    ]
    first_hour_s = datetime(2020, 11, 1, 7, 0, tzinfo=UTC).timestamp()
    assert set(found.trace.wall_s[failed]) == {first_hour_s + 600.0 * n for n in range(6)}
    assert found.trace.refresh_s == 600.0
    energy = integrate(found.trace, begin_s, end_s)
    assert energy.coverage == pytest.approx(3 * 3600 / (end_s - begin_s) - 600 / (end_s - begin_s))
    assert energy.n_excluded == 12

    # the same rows with their offsets are known
    told: list[Row] = [(one.astimezone(DENVER).isoformat(), "r1i7n35", 300 + n) for n, one in enumerate(moments)]
    assert read(write(tmp_path / "b.csv", told), start_unix_s=begin_s, end_unix_s=end_s).counts.ok == 31


def test_the_second_of_two_possible_times_counts_too(tmp_path: Path) -> None:
    second_hour_s = datetime(2020, 11, 1, 8, 0, tzinfo=UTC).timestamp()
    path = write(tmp_path / "a.csv", [("2020-11-01T01:30:00", "r1i7n35", 300)])
    found = read(path, start_unix_s=second_hour_s, end_unix_s=second_hour_s + 3600.0)
    assert found.trace.wall_s.tolist() == [second_hour_s + 1800.0]
    assert found.trace.status.tolist() == [Status.FAILED]
    assert found.counts.ambiguous_hour == 1


def test_the_hour_that_the_clock_left_out_is_never_guessed(tmp_path: Path) -> None:
    leap_s = datetime(2020, 3, 8, 9, 0, tzinfo=UTC).timestamp()  # 02:00 becomes 03:00
    rows: list[Row] = [(f"2020-03-08T0{hour}:30:00", "r1i7n35", 300 + hour) for hour in (1, 2, 3)]
    found = read(write(tmp_path / "a.csv", rows), start_unix_s=leap_s - 3600.0, end_unix_s=leap_s + 7200.0)
    assert found.counts == ExportCounts(files=1, rows=3, samples=3, ok=2, nonexistent_hour=1)
    assert found.trace.wall_s[found.trace.valid].tolist() == [leap_s - 1800.0, leap_s + 1800.0]
    assert found.trace.values[found.trace.status == Status.FAILED].tolist() == [302.0]


ZONES = [
    "America/Denver",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Europe/Moscow",
    "Asia/Kolkata",
    "Pacific/Apia",
    "UTC",
]


@given(
    name=st.sampled_from(ZONES),
    clocks=st.lists(
        st.datetimes(datetime(1995, 1, 1), datetime(2037, 12, 31)).map(lambda one: one.replace(microsecond=0)),
        min_size=1,
    ),
)
def test_clocks_are_read_as_the_zone_says(name: str, clocks: list[datetime]) -> None:
    zone = named_zone(name)
    times = parse_times(pa.array([f"{one:%Y-%m-%dT%H:%M:%S}" for one in clocks]), zone, ignore_offset=False)
    for at, clock in enumerate(clocks):
        early, late = (clock.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        assert (times.first_s[at], times.second_s[at]) == (early, late)
        shown = datetime.fromtimestamp(early, zone).replace(tzinfo=None, fold=0)
        expected = NONEXISTENT if shown != clock else AMBIGUOUS if early != late else KNOWN
        assert times.fault[at] == expected


@pytest.mark.parametrize("name", ZONES[:5])
def test_every_change_of_the_clock_is_seen(name: str) -> None:
    zone = named_zone(name)
    quarter = timedelta(minutes=15)
    clocks = [datetime(2010, 1, 1) + n * quarter for n in range(5 * 366 * 96)]
    clocks = [one for one in clocks if one.hour < 5 and one.month in (3, 4, 10, 11)]
    times = parse_times(pa.array([f"{one:%Y-%m-%d %H:%M}" for one in clocks]), zone, ignore_offset=False)
    for clock, first_s, fault in zip(clocks, times.first_s, times.fault, strict=True):
        early, late = (clock.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        offsets = early.utcoffset(), late.utcoffset()
        assert offsets[0] is not None
        assert offsets[1] is not None
        expected = KNOWN if offsets[0] == offsets[1] else AMBIGUOUS if offsets[0] > offsets[1] else NONEXISTENT
        assert (first_s, fault) == (early.timestamp(), expected)


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), hours=st.integers(-14, 14), ignore=st.booleans()
)
def test_an_offset_is_taken_as_said_or_not_at_all(moment: datetime, hours: int, ignore: bool) -> None:
    text = f"{moment.isoformat()}{hours:+03d}:00"
    times = parse_times(pa.array([text]), named_zone("UTC"), ignore_offset=ignore)
    said = moment.replace(tzinfo=UTC) - (timedelta(0) if ignore else timedelta(hours=hours))
    assert times.first_s[0] == pytest.approx(said.timestamp(), abs=2e-6)
    assert times.explicit_offset[0]


@given(
    texts=st.lists(st.one_of(st.text(max_size=30), st.from_regex(r"[0-9T:Z+. -]{0,26}", fullmatch=True)), min_size=1)
)
def test_any_text_is_a_time_or_unreadable(texts: list[str]) -> None:
    times = parse_times(pa.array(texts), named_zone("America/Denver"), ignore_offset=False)
    assert set(times.fault) <= {KNOWN, AMBIGUOUS, NONEXISTENT, UNREADABLE}
    assert (np.isfinite(times.first_s) == (times.fault != UNREADABLE)).all()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("America/Dever", "America/Denver"),
        ("denver", "America/Denver"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_an_unknown_zone_is_an_error_with_near_names(tmp_path: Path, name: str, near: str) -> None:
    words = refusal(tmp_path, timezone=name)
    assert f"'{name}' is no time zone" in words
    assert near in words


@pytest.mark.parametrize("name", ["", "localtime", "../../etc/passwd", "/etc/localtime", "Mountain time, as ever"])
def test_what_names_no_zone_is_refused(tmp_path: Path, name: str) -> None:
    assert "is no time zone" in refusal(tmp_path, timezone=name)


# Nodes


def test_one_node_is_one_trace(tmp_path: Path) -> None:
    mine, other, third = minutes(11), minutes(11, node="r1i7n36", watts=500.0), minutes(11, node="r1i7n3", watts=1.0)
    mixed = [row for rows in zip(mine, other, third, strict=True) for row in rows]
    found = read(write(tmp_path / "a.csv", mixed))
    assert found.trace.values.tolist() == [300.0 + n for n in range(11)]
    assert (found.counts.rows, found.counts.other_node, found.counts.ok) == (33, 22, 11)


@pytest.mark.parametrize(
    ("written", "wanted", "right"),
    [
        ("r1i7n35", "r1i7n35.hpc.example.org", True),
        ("r1i7n35.hpc.example.org", "r1i7n35", True),
        (" R1I7N35 ", "r1i7n35", True),
        ("r1i7n35.", "r1i7n35", True),
        ("r1i7n35.a.org", "r1i7n35.b.org", False),
        ("r1i7n355", "r1i7n35", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "10", False),
        ("", "r1i7n35", False),
    ],
)
def test_nodes_are_compared_by_short_names(tmp_path: Path, written: str, wanted: str, right: bool) -> None:
    path = write(tmp_path / "a.csv", minutes(2, node=written))
    if right:
        assert read(path, node=wanted).counts.ok == 2
    else:
        assert f"has no row of node '{wanted}' among 2; it has 1 other nodes: '{written}'" in refusal(path, node=wanted)


def test_two_nodes_of_one_short_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [*minutes(2, node="n1.a.org"), *minutes(2, node="n1.b.org")])
    words = refusal(path, node="n1")
    assert "more than one node of the short name 'n1': 'n1.a.org', 'n1.b.org'" in words
    assert read(path, node="n1.b.org").counts.ok == 2


def test_a_node_that_is_not_there_is_an_error_with_ten_that_are(tmp_path: Path) -> None:
    rows = [row for n in range(25) for row in minutes(1, node=f"n{n:02}")]
    words = refusal(write(tmp_path / "a.csv", rows))
    assert "among 25; it has 25 other nodes: 'n00', 'n01'" in words
    assert "'n09' and 15 more" in words
    assert "'n10'" not in words


# Watts and duplicates


@pytest.mark.parametrize(
    ("watts", "status", "reason"),
    [
        ("350.5", Status.OK, "ok"),
        (" 350.5 ", Status.OK, "ok"),
        ("3.505e2", Status.OK, "ok"),
        ("0", Status.ZERO, "zero_watts"),
        ("0.0", Status.ZERO, "zero_watts"),
        ("", Status.FAILED, "no_watts"),
        ("nan", Status.FAILED, "no_watts"),
        ("inf", Status.FAILED, "no_watts"),
        ("N/A", Status.FAILED, "no_watts"),
        ("350 W", Status.FAILED, "no_watts"),
        ('"1,350"', Status.FAILED, "no_watts"),
        ("-1", Status.IMPLAUSIBLE, "implausible_watts"),
        ("65535", Status.IMPLAUSIBLE, "implausible_watts"),
        ("4294967295", Status.IMPLAUSIBLE, "implausible_watts"),
    ],
)
def test_what_a_reading_is_worth(tmp_path: Path, watts: str, status: Status, reason: str) -> None:
    stamp = minutes(2)[1][0]
    found = read(write(tmp_path / "a.csv", [(stamp, "r1i7n35", watts)]))
    assert found.trace.status.tolist() == [status]
    assert found.counts == ExportCounts(**{"files": 1, "rows": 1, "samples": 1, reason: 1})


def test_duplicates_of_one_value_are_one_sample_and_of_two_are_implausible(tmp_path: Path) -> None:
    one, two, three, four = (row[0] for row in minutes(4))
    rows: list[Row] = [
        *[(one, "r1i7n35", watts) for watts in (300, 300.0, 300)],
        *[(two, "r1i7n35", watts) for watts in (310, 311, 310)],
        *[(three, "r1i7n35", watts) for watts in ("", "", 320)],
        *[(four, "r1i7n35", watts) for watts in (0, 330)],
    ]
    found = read(write(tmp_path / "a.csv", rows))
    assert found.trace.values[found.trace.valid].tolist() == [300.0, 320.0]
    assert found.trace.status.tolist() == [
        Status.OK,
        *[Status.IMPLAUSIBLE] * 2,
        Status.OK,
        Status.FAILED,
        *[Status.IMPLAUSIBLE] * 2,
    ]
    assert found.counts == ExportCounts(
        files=1, rows=11, duplicate_equal=4, samples=7, ok=2, no_watts=1, duplicate_different=4
    )


CELLS = st.tuples(
    st.one_of(
        st.integers(-5, 65).map(lambda n: f"{datetime.fromtimestamp(NOON_S + 60 * n, DENVER):%Y-%m-%dT%H:%M:%S}"),
        st.integers(-5, 65).map(lambda n: f"{NOON_S + 60 * n:.0f}"),
        st.sampled_from(["2020-03-02T19:05:00Z", "2020-11-01T01:30:00", "2020-03-08T02:30:00", "yesterday", ""]),
    ),
    st.sampled_from(["r1i7n35", "r1i7n35.hpc.example.org", "r1i7n36", "R1I7N35", ""]),
    st.sampled_from(["300", "301.5", "0", "-4", "65535", "", "x"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(CELLS, max_size=60), block_bytes=st.sampled_from([128, 1000, 4 << 20]))
def test_every_row_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Row], block_bytes: int
) -> None:
    monkeypatch.setattr(export, "BLOCK_BYTES", block_bytes)
    sure = (f"{NOON_S + 1800:.0f}", "r1i7n35", 299)
    found = read(write(tmp_path / "a.csv", [*rows, sure]), end_unix_s=NOON_S + 3600.0)
    counts, trace = found.counts, found.trace
    left_out = counts.other_node + counts.unreadable_timestamp + counts.outside_window + counts.duplicate_equal
    assert counts.rows == len(rows) + 1 == left_out + counts.samples
    failed = counts.ambiguous_hour + counts.nonexistent_hour + counts.no_watts
    implausible = counts.implausible_watts + counts.duplicate_different
    statuses = {
        Status.OK: counts.ok,
        Status.ZERO: counts.zero_watts,
        Status.FAILED: failed,
        Status.IMPLAUSIBLE: implausible,
    }
    assert {status: int(np.count_nonzero(trace.status == status)) for status in statuses} == statuses
    assert counts.samples == len(trace) == sum(statuses.values())
    assert (np.diff(trace.times_s) >= 0).all()
    assert len(np.unique(trace.times_s[trace.valid])) == counts.ok
    assert counts.other_node == sum(1 for _, node, _ in rows if not node.lower().startswith("r1i7n35"))


# Files


def test_a_folder_a_glob_and_compressed_files_are_one_export(tmp_path: Path) -> None:
    rows = minutes(11)
    write(tmp_path / "1.csv", rows[:4])
    text = "timestamp,node,watts\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows[4:8])
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(text.encode()))
    # as `cat a.gz b.gz` joins them
    parts = ["timestamp,node,watts\n", *(f"{a},{b},{c}\n" for a, b, c in rows[8:])]
    (tmp_path / "3.csv.gz").write_bytes(b"".join(gzip.compress(part.encode()) for part in parts))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "header.csv").write_bytes(b"timestamp,node,watts")
    (tmp_path / "notes.txt").write_text("no export")
    for path in (tmp_path, str(tmp_path), str(tmp_path / "*.csv*")):
        found = read(path)
        assert found.trace.values.tolist() == [300.0 + n for n in range(11)]
        assert (found.counts.files, found.counts.rows) == (5, 11)
    assert read(tmp_path / "3.csv.gz").counts.ok == 3


def test_what_is_held_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"{minutes(1)[0][0]},r1i7n36,300\n"
    path = write(tmp_path / "a.csv", minutes(3))
    with path.open("a") as file:
        file.write(line * 300_000)
    assert path.stat().st_size > 9e6
    held = []

    def watched(*given: Any) -> Any:
        held.append(pa.total_allocated_bytes())
        return rows_of_node(*given)

    rows_of_node = export._rows_of_node
    monkeypatch.setattr(export, "_rows_of_node", watched)
    monkeypatch.setattr(export, "BLOCK_BYTES", 1 << 16)
    before = pa.total_allocated_bytes()
    assert read(path).counts.rows == 300_003
    assert len(held) > 100
    assert max(held) - before < 4e6


def test_the_margin_keeps_the_neighbours_of_the_window(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", minutes(11))
    found = read(path, start_unix_s=NOON_S + 130.0, end_unix_s=NOON_S + 290.0, margin_s=60.0)
    assert found.trace.values.tolist() == [302.0, 303.0, 304.0, 305.0]
    assert found.counts.outside_window == 7
    assert integrate(found.trace, NOON_S + 130.0, NOON_S + 290.0).coverage == 1.0


def test_columns_by_any_name_in_any_order_with_others_between(tmp_path: Path) -> None:
    rows = "".join(f"x,{watts},{stamp},{node},y\r\n" for stamp, node, watts in minutes(3))
    path = tmp_path / "a.csv"
    path.write_text("﻿comment,P [W],time,host,more\r\n" + rows, encoding="utf-8")
    found = read(path, columns=("time", "host", "P [W]"), label="rack meters", scope="node AC", averaging_s=60.0)
    assert found.trace.values.tolist() == [300.0, 301.0, 302.0]
    assert (found.description.scope, found.description.averaging_s) == ("node AC", 60.0)
    assert "(rack meters)" in found.description.detail


def test_a_refresh_that_is_known_is_kept_and_another_delimiter_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("timestamp;node;watts\n" + "".join(f"{a};{b};{c}\n" for a, b, c in minutes(3)))
    assert read(path, delimiter=";", refresh_s=10.0).trace.refresh_s == 10.0
    assert "has no column 'timestamp'; its columns are 'timestamp;node;watts'" in refusal(path)


def test_lines_with_other_numbers_of_cells_are_counted_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", minutes(3))
    path.write_text(path.read_text() + "2020-03-02T12:05:00,r1i7n35\n2020-03-02T12:06:00,r1i7n35,300,1\n\n2020-03-02T")
    found = read(path)
    assert (found.counts.rows, found.counts.malformed_row, found.counts.ok) == (3, 3, 3)


def test_a_column_that_is_missing_or_there_twice_is_an_error(tmp_path: Path) -> None:
    words = refusal(write(tmp_path / "a.csv", minutes(1), header="timestamp,host,power"))
    assert "has no column 'node'; its columns are 'timestamp', 'host', 'power'." in words
    assert "power.csv.node_column" in words
    assert "has more than one column 'node'" in refusal(
        write(tmp_path / "b.csv", minutes(1), header="timestamp,node,node")
    )


@pytest.mark.parametrize("name", ["none.csv", "*.csv", "sub/*.csv"])
def test_no_file_is_an_error(tmp_path: Path, name: str) -> None:
    assert f"There is no export at {tmp_path / name}" in refusal(tmp_path / name)


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    assert "(looked for .csv and .csv.gz)" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"timestamp,node,watts\n1,r1i7n35,\xff\n", "cannot be read as CSV"),
        ("a.csv", b"timestamp,n\xffode,watts\n1,r1i7n35,5\n", "cannot be read as CSV"),
        ("a.csv.gz", b"timestamp,node,watts\n1,r1i7n35,5\n", "cannot be read as CSV"),
        ("a.csv.gz", gzip.compress(b"timestamp,node,watts\n" + b"1,r1i7n35,5\n" * 9999)[:-9], "cannot be read as CSV"),
        ("a.csv", b'timestamp,node,watts\n1,r1i7n35,"5\n2,r1i7n35,6\n', "has a quote that is not closed"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path)
    assert words in message
    assert str(tmp_path / name) in message


@pytest.mark.parametrize("window", [(0.0, 0.0), (1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_an_empty_window_or_no_name_is_an_error(tmp_path: Path, window: tuple[float, float]) -> None:
    assert "its end must lie after its start" in refusal(tmp_path, start_unix_s=window[0], end_unix_s=window[1])
    assert "has no name" in refusal(tmp_path, node=" ")


def test_a_window_in_milliseconds_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", minutes(1))
    assert "from 1.58318e+12 s to" in refusal(path, start_unix_s=1e3 * NOON_S, end_unix_s=1e3 * NOON_S + 1.0)
