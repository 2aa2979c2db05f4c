"""Runs that go on from a checkpoint: killed for real, resumed, and accounted for in segments."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from wattsweep.config import Config, PowerConfig
from wattsweep.grid import make_run
from wattsweep.planning.files import shard_to_json
from wattsweep.runs import RunRecord, describe_run, run_facts
from wattsweep.runs.checkpoints import Attempt, RunCheckpoints, identify, refusal
from wattsweep.runs.record import Phase, Segment
from wattsweep.training import HISTORY_NAMES, Architecture, Checkpoint, TrainingPlan

LONG = CUBE | {"dataset": "wine", "depth": 3, "epochs": 60_000, "repetitions": 1}
CHECKPOINT = Checkpoint(3, (np.ones((2, 3), np.float32), np.array(7, np.int32)), '["state"]', np.ones((1, 3, 20), "f4"))
EXECUTE = """
import sys
from pathlib import Path
from wattsweep.config import load
from wattsweep.planning import read_shard
from wattsweep.runs import execute_shard

execute_shard(read_shard(Path(sys.argv[1])), load(Path(sys.argv[2])), report=lambda line: print(line, flush=True))
"""


def often(results: Path, **power: Any) -> Config:
    base = config(results, LONG, **power)
    training = base.training.model_copy(update={"checkpoint_every_s": 0.2})
    return base.model_copy(update={"training": training})


def start(settings: Config, folder: Path) -> subprocess.Popen[bytes]:
    """The shard in a process of its own, in a group of its own; what it prints goes to folder/log."""
    folder.mkdir(exist_ok=True)
    file, shard_file = folder / "config.json", folder / "shard.json"
    file.write_text(settings.model_dump_json(by_alias=True), encoding="utf-8")
    shard_file.write_text(json.dumps(shard_to_json(shard_of(settings))), encoding="utf-8")
    command = [sys.executable, "-c", EXECUTE, str(shard_file), str(file)]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, process_group=0)


def kill_after_a_checkpoint(settings: Config, folder: Path) -> None:
    process = start(settings, folder)
    deadline = time.monotonic() + 120
    try:
        while not list((settings.paths.results / "checkpoints").rglob("[!.]*.h5")):
            assert time.monotonic() < deadline, "no checkpoint was written"
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def only(settings: Config) -> RunRecord:
    (record,) = [one for (_, repetition), one in records(settings).items() if repetition == 0]
    return record


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("source", ["simulated", "none"])
def test_killed_in_mid_run_it_goes_on_to_the_same_history(source: str, tmp_path: Path) -> None:
    settings = often(tmp_path / "killed", source=source)
    kill_after_a_checkpoint(settings, tmp_path / "job")
    assert records(settings) == {}
    _, lines = run(settings)
    (line,) = [line for line in lines if "going on from the checkpoint at epoch" in line]
    resumed = only(settings)

    whole = often(tmp_path / "whole", source="none")
    run(whole)
    undisturbed = only(whole)
    for name in HISTORY_NAMES:
        np.testing.assert_array_equal(resumed.history[name], undisturbed.history[name])

    (segment,) = resumed.segments
    assert (segment.first_epoch, undisturbed.segments) == (1, ())
    assert f"at epoch {segment.last_epoch:,}" in line
    assert 0 < segment.last_epoch < 60_000
    assert resumed.training_s == pytest.approx(segment.duration_s + resumed.training.duration_s)
    assert resumed.started_at_s < resumed.training.start_s + resumed.utc_offset_s
    assert not (settings.paths.results / "checkpoints").exists() or not list(
        (settings.paths.results / "checkpoints").rglob("*.h5")
    )
    text = describe_run(resumed)
    assert "segments    2: its energy is the sum of theirs" in text
    assert run_facts(resumed)["segments"][0]["last_epoch"] == segment.last_epoch
    if source == "none":
        assert resumed.power is None
        assert segment.energy is None
        return
    power = resumed.power
    assert power is not None
    assert power.status == "ok", power.reason
    # The simulated node draws 100 W whatever it does: the joules are those of both segments' time.
    assert segment.energy is not None
    assert segment.energy.gross.joules == pytest.approx(100 * segment.duration_s, rel=1e-9)
    assert power.energy.gross.joules == pytest.approx(100 * resumed.training_s, rel=1e-9)
    assert power.energy.gross.method == "sum of segments"
    assert power.energy.duration_s == pytest.approx(resumed.training_s)
    assert power.block_training_s < resumed.training_s + sum(
        other.training.duration_s for (_, repetition), other in records(settings).items() if repetition > 0
    )


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_without_the_trace_of_a_segment_the_energy_is_refused_and_the_history_kept(tmp_path: Path) -> None:
    settings = often(tmp_path / "results")
    kill_after_a_checkpoint(settings, tmp_path / "job")
    for trace in (settings.paths.results / "traces").iterdir():
        trace.unlink()
    run(settings)
    record = only(settings)
    assert record.power is not None
    assert record.power.status == "refused"
    assert f"segment of epochs 1 to {record.segments[0].last_epoch}" in record.power.reason
    assert "its trace cannot be read" in record.power.reason
    assert math.isnan(record.power.energy.gross.joules)
    assert record.epochs_trained == 60_000


def store(path: Path, identity: str = "this", lines: list[str] | None = None) -> RunCheckpoints:
    attempt = Attempt("block-1", "node-a", None, Phase("idle_before", 1.0, 2.0))
    report = (lines if lines is not None else []).append
    return RunCheckpoints(path, identity, 60.0, attempt, PowerConfig(), report)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run.h5"
    first = store(path)
    assert first.load() is None
    first.save(CHECKPOINT)
    second = store(path)
    found = second.load()
    assert found is not None
    assert (found.epochs, found.row_order) == (3, '["state"]')
    for one, other in zip((*found.state, found.history), (*CHECKPOINT.state, CHECKPOINT.history), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(one.first_epoch, one.last_epoch) for one in second.segments] == [(1, 3)]
    second.save(replace(CHECKPOINT, epochs=5, history=np.ones((1, 5, 20), np.float32)))
    assert [(one.first_epoch, one.last_epoch) for one in store(path).segments] == [(1, 3), (4, 5)]
    second.remove()
    assert store(path).load() is None


@pytest.mark.parametrize("fault", ["other training", "truncated", "flipped", "foreign", "history"])
def test_a_checkpoint_that_cannot_be_trusted_is_set_aside(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    store(path).save(CHECKPOINT)
    content = bytearray(path.read_bytes())
    identity = "other" if fault == "other training" else "this"
    if fault == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif fault == "flipped":
        with h5py.File(path) as file:
            place = file["history"].id.get_chunk_info(0).byte_offset
        content[place + 5] ^= 1
        path.write_bytes(content)
    elif fault == "foreign":
        path.write_bytes(b"no HDF5 file")
    elif fault == "history":
        with h5py.File(path, "r+") as file:
            file.attrs["epochs"] = 4
    lines: list[str] = []
    again = store(path, identity, lines)
    assert again.load() is None
    assert again.segments == ()
    assert len(lines) == 1
    assert "set aside" in lines[0]
    assert "starts from the beginning" in lines[0]
    (aside,) = tmp_path.glob("*.damaged")
    assert not path.exists()
    assert aside.exists()


def test_why_the_energy_of_segments_is_refused() -> None:
    segment = Segment("block-1", "node-a", 1, 3, 0.0, 1.0, 0.0)
    assert refusal([]) == ""
    assert refusal([segment]) == "segment of epochs 1 to 3 (block-1): power was not measured"
    assert "epochs 1 to 3 (block-1): no trace" in refusal([replace(segment, reason="no trace")])


def test_identities_differ_by_run_plan_and_data() -> None:
    plan = TrainingPlan(Architecture(3, (2, 1), "binary", False), 10, 5, 20, 5, 1e-3)
    runs = [make_run("0123456789abcdef", number) for number in range(3)]
    same = identify(runs, plan, "aa")
    assert same == identify(list(runs), replace(plan), "aa")
    others = [
        identify(runs[:2], plan, "aa"),
        identify(runs, replace(plan, epochs=21), "aa"),
        identify(runs, plan, "ab"),
    ]
    assert len({same, *others}) == 4
