from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Sample, SourceDescription, Status, read_trace_file
from wattsweep.power.tracefile import TraceWriter

DESCRIPTION = SourceDescription("ipmi", "power", "node", "measured", "a sensor", refresh_s=2.0, step=4.0)


def write_trace(path: Path, count: int = 5) -> None:
    with TraceWriter(path, DESCRIPTION, 1.0) as writer:
        for n in range(count):
            status = Status.FAILED if n == 1 else Status.OK
            value = float("nan") if n == 1 else 100.0 + n
            writer.append(Sample(n, n + 0.25, n + 0.75, 1e9 + n, 1e9 + n + 0.5, value, status))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    description, trace = read_trace_file(tmp_path / "trace.csv")
    assert description == DESCRIPTION
    assert trace.times_s.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert trace.wall_s[2] == 1e9 + 2.25
    assert trace.status.tolist() == [0, 2, 0, 0, 0]
    assert trace.values[[0, 4]].tolist() == [100.0, 104.0]
    assert (trace.kind, trace.refresh_s, trace.step) == ("power", 2.0, 4.0)


def test_only_a_torn_last_line_is_dropped_at_any_length(tmp_path: Path) -> None:
    write_trace(tmp_path / "whole.csv")
    text = (tmp_path / "whole.csv").read_text()
    header_end = text.index("\n", text.index("\n") + 1) + 1
    for length in range(header_end, len(text) + 1):
        torn = tmp_path / "torn.csv"
        torn.write_text(text[:length])
        assert len(read_trace_file(torn)[1]) == text[header_end:length].count("\n")


@pytest.mark.parametrize(
    ("line", "broken"),
    [(4, "nonsense"), (3, "0,0.1,0.2,1,2,100.0"), (5, "2,a,0.2,1,2,100.0,ok"), (7, "4,0.1,0.2,1,2,100.0,fine")],
)
def test_a_malformed_line_is_an_error_with_its_number(tmp_path: Path, line: int, broken: str) -> None:
    path = tmp_path / "trace.csv"
    write_trace(path)
    lines = path.read_text().splitlines()
    lines[line - 1] = broken
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(PowerError, match=rf"trace\.csv, line {line}: '{broken}' is not a sample"):
        read_trace_file(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no trace file"),
        ("time,watts\n1,2\n", "is no trace file"),
        ("# wattsweep-trace {}\n", "is no trace file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(PowerError, match=words):
        read_trace_file(tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [('"version": 1', '"version": 9', "version 9"), ('"version": 1', '"verse": 1', "line 1"), ("{", "", "line 1")],
)
def test_a_foreign_header_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "trace.csv"
    write_trace(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PowerError, match=words):
        read_trace_file(path)


def test_a_missing_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="No such file"):
        read_trace_file(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\x00")
    with pytest.raises(PowerError, match="not text"):
        read_trace_file(tmp_path / "binary.csv")


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    write_trace(tmp_path / "trace.csv")
    with pytest.raises(PowerError, match="never written over"):
        TraceWriter(tmp_path / "trace.csv", DESCRIPTION, 1.0)
    with pytest.raises(PowerError, match="cannot be written"):
        TraceWriter(tmp_path / "none" / "trace.csv", DESCRIPTION, 1.0)
