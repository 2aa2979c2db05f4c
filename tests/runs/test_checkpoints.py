"""Checkpoints on disk: read as they were written, or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import files_no_larger_than
from wattsweep.config import PowerConfig
from wattsweep.grid import make_run
from wattsweep.runs.checkpoints import HEADER_BYTES, Attempt, RunCheckpoints, identify
from wattsweep.runs.record import Phase
from wattsweep.training import Architecture, Checkpoint, TrainingPlan

RUNS = [make_run("0123456789abcdef", number) for number in range(2)]
PLAN = TrainingPlan(Architecture(3, (2, 1), "binary", False), 10, 5, 20, 5, 1e-3, runs_at_once=2)
PROVENANCE = {"host": "node-a", "wattsweep_version": "1", "device": "cpu", "cpu_model": "Example", "threads": "2"}
CHECKPOINT = Checkpoint(
    epochs=3,
    state=(np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int32)),
    row_order='["state"]',
    history=np.linspace(0, 1, 120, dtype=np.float32).reshape(2, 3, 20),
)


def store(path: Path, lines: list[str] | None = None, identity: dict[str, str] | None = None) -> RunCheckpoints:
    report = (lines if lines is not None else []).append
    idle = Phase("idle_before", 1.0, 2.0)
    attempt = Attempt("block-1", PROVENANCE, None, idle, PowerConfig(), every_s=60.0, report=report)
    return RunCheckpoints(path, RUNS, identity or identify(RUNS, PLAN, "aa", PROVENANCE), attempt)


def assert_same(one: Checkpoint | None, other: Checkpoint) -> None:
    assert one is not None
    assert (one.epochs, one.row_order) == (other.epochs, other.row_order)
    for ours, theirs in zip((*one.state, one.history), (*other.state, other.history), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run.checkpoint"
    first = store(path)
    assert first.load() is None
    first.begin()
    first.save(CHECKPOINT)
    lines: list[str] = []
    second = store(path, lines)
    assert_same(second.load(), CHECKPOINT)
    assert lines == [f"run {RUNS[0].run_id} and 1 beside it: goes on after epoch 3, trained by block-1"]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_each_attempt_adds_a_segment(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    first = store(path)
    first.save(replace(CHECKPOINT, epochs=2))
    first.save(replace(CHECKPOINT, epochs=3))
    second = store(path)
    (segment,) = second.segments
    assert (segment.first_epoch, segment.last_epoch) == (1, 3)
    assert (segment.block_id, segment.host, segment.machine) == ("block-1", "node-a", "cpu, Example, 2")
    assert segment.idle_before == Phase("idle_before", 1.0, 2.0)
    assert (segment.power, segment.reason) == (None, "")
    second.begin()
    second.save(replace(CHECKPOINT, epochs=4))
    second.save(replace(CHECKPOINT, epochs=5))
    third = store(path)
    assert [(one.first_epoch, one.last_epoch) for one in third.segments] == [(1, 3), (4, 5)]
    assert third.segments[0] == segment
    assert segment.end_s <= third.segments[1].start_s < third.segments[1].end_s


def test_a_checkpoint_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    store(path).save(CHECKPOINT)
    store(path).remove()
    assert store(path).load() is None
    store(path).remove()


def assert_set_aside(path: Path, reason: str, identity: dict[str, str] | None = None) -> None:
    lines: list[str] = []
    again = store(path, lines, identity)
    assert again.load() is None
    assert again.segments == ()
    (aside,) = path.parent.glob("*.aside")
    (line,) = lines
    assert f"run {RUNS[0].run_id} and 1 beside it: starts from the beginning" in line
    assert str(aside) in line
    assert reason in line
    assert not path.exists()
    aside.unlink()


def test_wherever_a_byte_is_wrong_the_checkpoint_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    store(path).save(CHECKPOINT)
    whole = path.read_bytes()
    for place in [0, 20, 40, *range(HEADER_BYTES, len(whole), len(whole) // 60), len(whole) - 1]:
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        assert_set_aside(path, "it is")
    for length in range(0, len(whole), len(whole) // 30):
        path.write_bytes(whole[:length])
        assert_set_aside(path, "it is")


def test_a_file_that_is_no_checkpoint_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    path.write_bytes(b"something else")
    assert_set_aside(path, "it is no checkpoint")


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (identify(RUNS[:1], PLAN, "aa", PROVENANCE), "other runs"),
        (identify(RUNS[::-1], PLAN, "aa", PROVENANCE), "other runs"),
        (identify(RUNS, replace(PLAN, epochs=21), "aa", PROVENANCE), "other plan"),
        (identify(RUNS, PLAN, "ab", PROVENANCE), "other data"),
        (identify(RUNS, PLAN, "aa", PROVENANCE | {"wattsweep_version": "2"}), "other software"),
        (identify(RUNS, replace(PLAN, batch_size=6), "ab", PROVENANCE), "other plan and data"),
    ],
)
def test_a_checkpoint_of_another_training_is_set_aside(other: dict[str, str], named: str, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    store(path).save(CHECKPOINT)
    assert_set_aside(path, f"it is of {named}", other)


def test_where_the_disk_refuses_the_last_checkpoint_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    lines: list[str] = []
    first = store(path, lines)
    first.save(CHECKPOINT)
    with files_no_larger_than(2**19):
        first.save(replace(CHECKPOINT, epochs=4, state=(np.zeros(2**20, np.float32),)))
    (line,) = lines
    assert f"run {RUNS[0].run_id} and 1 beside it: no checkpoint at epoch 4" in line
    assert "File too large" in line
    assert_same(store(path).load(), CHECKPOINT)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
