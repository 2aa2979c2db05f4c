"""A run file gives back what was written, and everything else is refused with a reason."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.runs.support_runs import files_no_larger_than
from tests.support_records import make_record, resealed
from wattsweep.disk import LEFT_S, in_place_of
from wattsweep.errors import RunFileError
from wattsweep.power import Trace
from wattsweep.runs import Phase, RunRecord, describe_run, read_run, run_facts, write_run
from wattsweep.runs.facts import facts_of, read_facts
from wattsweep.runs.record import Segment, SegmentPower


def assert_same(one: RunRecord, other: RunRecord) -> None:
    for name in ("run", "settings", "network", "data", "phases", "utc_offset_s", "runs_at_once"):
        assert getattr(one, name) == getattr(other, name), name
    assert dict(one.provenance) == dict(other.provenance)
    assert one.history.keys() == other.history.keys()
    for metric, values in one.history.items():
        np.testing.assert_array_equal(values, other.history[metric])
    assert (one.power is None) == (other.power is None)
    if one.power is not None and other.power is not None:
        for name in ("source", "selected_because", "block_id", "block_runs", "idle_w", "status", "reason"):
            assert getattr(one.power, name) == getattr(other.power, name), name
        assert repr(one.power.energy) == repr(other.power.energy)
        assert_same_trace(one.power.trace, other.power.trace)


def assert_same_trace(one: Trace, other: Trace) -> None:
    for name in ("sequence", "before_s", "after_s", "wall_s", "values", "status"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.kind, one.refresh_s, one.step) == (other.kind, other.refresh_s, other.step)


@pytest.mark.parametrize("origin", ["measured", "simulated", None])
def test_a_record_survives_its_file(tmp_path: Path, origin: str | None) -> None:
    record = make_record(origin=origin)  # type: ignore[arg-type]
    write_run(tmp_path / "ab" / "run.h5", record)
    assert_same(read_run(tmp_path / "ab" / "run.h5"), record)
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["run.h5"]


def test_a_refused_energy_survives_its_file(tmp_path: Path) -> None:
    record = make_record(refused="energy refused: coverage 0.2")
    write_run(tmp_path / "run.h5", record)
    read = read_run(tmp_path / "run.h5")
    assert_same(read, record)
    assert read.power is not None
    assert np.isnan(read.power.energy.net_j)


def test_a_trace_without_samples_survives_its_file(tmp_path: Path) -> None:
    record = make_record()
    assert record.power is not None
    record = replace(record, power=replace(record.power, trace=record.power.trace.window(-2.0, -1.0, 0.0)))
    write_run(tmp_path / "run.h5", record)
    assert_same(read_run(tmp_path / "run.h5"), record)


def test_segments_survive_their_file(tmp_path: Path) -> None:
    record = make_record()
    assert record.power is not None
    idle = Phase("idle_before", 1.0, 2.0)
    power = SegmentPower(record.power.source, record.power.trace, record.power.energy)
    lost = Segment("attempt-1", "node-a", "cpu, Example, 1", 1, 7, 10.0, 20.0, 1e9, reason="energy refused: no trace")
    segments = (lost, replace(lost, block_id="attempt-2", first_epoch=8, idle_before=idle, power=power, reason=""))
    record = replace(record, segments=segments, runs_at_once=2)
    write_run(tmp_path / "run.h5", record)
    read = read_run(tmp_path / "run.h5")
    assert_same(read, record)
    assert read.segments[0] == lost
    measured = read.segments[1]
    assert measured.power is not None
    assert replace(measured, power=None) == replace(segments[1], power=None)
    assert (measured.power.source, measured.power.energy) == (power.source, power.energy)
    assert_same_trace(measured.power.trace, power.trace)


def test_files_from_before_there_were_runs_side_by_side_are_read(tmp_path: Path) -> None:
    write_run(tmp_path / "run.h5", make_record())
    damage(lambda file: file.attrs.__delitem__("runs_at_once"), tmp_path / "run.h5")
    read = read_run(tmp_path / "run.h5")
    assert (read.runs_at_once, read.segments) == (1, ())


def test_a_shorter_history_is_valid_only_where_it_ends_in_divergence(tmp_path: Path) -> None:
    record = make_record()
    short = {metric: values[:5].copy() for metric, values in record.history.items()}
    with pytest.raises(RunFileError, match="its epochs is"):
        write_run(tmp_path / "run.h5", replace(record, history=short))
    short["val_loss"][4] = np.nan
    write_run(tmp_path / "run.h5", replace(record, history=short))
    assert read_run(tmp_path / "run.h5").diverged_at_epoch == 5


def damage(change: Callable[[h5py.File], None], path: Path, *, copied: bool = False) -> None:
    """Change a file; it is then as one of before there was a copy of its attributes, unless that stays."""
    with resealed(path) as file:
        change(file)
        if not copied:
            del file.attrs["attributes"]


def test_a_copy_of_attributes_that_tells_otherwise_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run.h5", make_record())
    damage(lambda file: file["settings"].attrs.__setitem__("epochs", 9), tmp_path / "run.h5", copied=True)
    with pytest.raises(RunFileError, match="not the copy of all others"):
        read_run(tmp_path / "run.h5")


def test_with_and_without_a_copy_of_attributes_the_same_is_read(tmp_path: Path) -> None:
    write_run(tmp_path / "run.h5", make_record())
    copied, facts = read_run(tmp_path / "run.h5", traces=False), read_facts(tmp_path / "run.h5")
    damage(lambda _file: None, tmp_path / "run.h5")
    assert facts_of(read_run(tmp_path / "run.h5", traces=False)) == facts_of(copied) == facts
    assert read_facts(tmp_path / "run.h5") == facts


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.attrs.__setitem__("format", "other"), "format is 'other'"),
        (lambda file: file.attrs.__setitem__("schema_version", 2), "schema version is 2, this wattsweep reads 1"),
        (lambda file: file.__delitem__("settings"), "settings"),
        (lambda file: file["settings"].attrs.__setitem__("depth", 9), "experiment id"),
        (lambda file: file["run"].attrs.__setitem__("seed", 1), "its run is"),
        (lambda file: file["network"].attrs.__setitem__("n_parameters", 1), "parameter count"),
        (lambda file: file["epochs"].attrs.__setitem__("columns", ["loss"]), "1 columns are named"),
        (lambda file: file["settings"].attrs.__setitem__("colour", "red"), "colour"),
    ],
)
def test_a_file_that_contradicts_the_schema_or_itself_is_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    path = tmp_path / "run.h5"
    write_run(path, make_record())
    damage(change, path)
    with pytest.raises(RunFileError, match=reason) as caught:
        read_run(path)
    assert str(path) in str(caught.value)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_run(path, make_record())
    content = path.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        with pytest.raises(RunFileError):
            read_run(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"none\.h5: there is no such run file"):
        read_run(tmp_path / "none.h5")


def test_nothing_stays_of_a_write_that_failed(tmp_path: Path) -> None:
    record = make_record()
    with pytest.raises(RunFileError, match="parameter count"):
        write_run(tmp_path / "run.h5", replace(record, network=replace(record.network, n_parameters=1)))
    assert list(tmp_path.iterdir()) == []


def test_writers_of_one_file_on_two_nodes_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with in_place_of(path) as slow:
        slow.write_text("slow")
        # Another node's process may have the same id as ours.
        with in_place_of(path) as quick:
            quick.write_text("quick")
        assert path.read_text() == "quick"
        assert slow.read_text() == "slow"
    assert path.read_text() == "slow"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_of_a_file_goes_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    ages_s = {".run.h5.0123.tmp": 2 * LEFT_S, ".run.h5.4567.tmp": 0.0, ".other.h5.0123.tmp": 2 * LEFT_S}
    for name, age_s in ages_s.items():
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    with in_place_of(path) as temporary:
        temporary.write_text("whole")
    assert {one.name for one in tmp_path.iterdir()} == {"run.h5", ".run.h5.4567.tmp", ".other.h5.0123.tmp"}


def test_where_the_disk_refuses_that_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    with files_no_larger_than(2**13), pytest.raises(OSError, match="File too large"):
        write_run(tmp_path / "run.h5", make_record())
    assert list(tmp_path.iterdir()) == []


def test_a_description_says_simulated_beside_every_joule() -> None:
    text = describe_run(make_record(origin="simulated"))
    joules = [line for line in text.splitlines() if " J" in line or line.startswith("power")]
    assert joules
    assert all("simulated" in line for line in joules)
    assert "not measured" in describe_run(make_record(origin=None))
    assert "coverage 0.2" in describe_run(make_record(refused="energy refused: coverage 0.2"))


def test_facts_are_json_values_without_nan() -> None:
    import json

    facts = run_facts(make_record(refused="energy refused: coverage 0.2"))
    assert facts["power"]["energy"]["net_j"] is None
    json.dumps(facts, allow_nan=False)
