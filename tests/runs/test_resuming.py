"""Shards that are killed in mid-run go on from the last checkpoint, and account for it in segments."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from wattsweep.config import Config
from wattsweep.planning.files import shard_to_json
from wattsweep.power import RunEnergy, Trace, account_block, read_trace_file
from wattsweep.runs import Layout, Phase, RunRecord, describe_run
from wattsweep.runs.segments import Window
from wattsweep.training import HISTORY_NAMES

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

EPOCHS = 24_000
LONG = CUBE | {"depth": 3, "epochs": EPOCHS, "repetitions": 2}


def often(results: Path, repetitions: str = "sequential", **power: Any) -> Config:
    base = config(results, LONG, **power)
    training = {"checkpoint_every_s": 0.2, "repetitions": repetitions}
    return base.model_copy(update={"training": base.training.model_copy(update=training)})


def run_ids(settings: Config) -> list[str]:
    (planned,) = shard_of(settings).experiments
    return [planned.experiment.run(repetition).run_id for repetition in range(2)]


def kill_after_a_checkpoint(settings: Config, folder: Path, run_id: str) -> None:
    """Execute the shard in a process group of its own, until a checkpoint of this run is there and somewhat later."""
    folder.mkdir()
    (folder / "config.json").write_text(settings.model_dump_json(by_alias=True), encoding="utf-8")
    (folder / "shard.json").write_text(json.dumps(shard_to_json(shard_of(settings))), encoding="utf-8")
    files = [str(folder / "shard.json"), "--configfile", str(folder / "config.json")]
    command = [sys.executable, "-m", "wattsweep", "run-shard", *files, "--output", str(folder / "marker.json")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, process_group=0)
    deadline = time.monotonic() + 300
    try:
        while not list(settings.paths.results.glob(f"checkpoints/*/*/{run_id}*.checkpoint")):
            assert time.monotonic() < deadline, "no checkpoint was written"
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (folder / "marker.json").exists()


def assert_same_history(one: RunRecord, other: RunRecord) -> None:
    for name in HISTORY_NAMES:
        np.testing.assert_array_equal(one.history[name], other.history[name], err_msg=name)


def assert_resumed(record: RunRecord, lines: list[str]) -> None:
    """That the epochs before the checkpoint were not trained again."""
    (segment,) = record.segments
    assert segment.first_epoch == 1
    assert 0 < segment.last_epoch < EPOCHS == record.epochs_trained
    (line,) = [line for line in lines if "goes on after epoch" in line]
    assert f"goes on after epoch {segment.last_epoch:,}, trained by {segment.block_id}" in line
    assert record.training_s == segment.duration_s + record.training.duration_s
    assert "segments    2: its energy is the sum of theirs" in describe_run(record)


def recomputed(trace: Trace, block: Window, run: Window, idle: list[Phase], runs_at_once: int) -> RunEnergy:
    """The energy of a run in a window of a block."""
    windows = [(phase.start_s, phase.end_s) for phase in idle]
    account = account_block(trace, block=block, runs=[run], idle=windows, min_coverage=0.9, runs_at_once=runs_at_once)
    return account.runs[0]


def whole_trace(settings: Config, block_id: str) -> Trace:
    """What the recorder of an attempt wrote, of which a run file keeps the part around its block."""
    return read_trace_file(Layout(settings.paths.results).trace(block_id.rsplit("-", maxsplit=1)[0]))[1]


def assert_energy_is_the_sum(record: RunRecord, settings: Config) -> None:
    """Recompute the energy of both parts from the traces of both attempts, as the run file keeps them and whole."""
    power = record.power
    assert power is not None
    assert power.status == "ok", power.reason
    (segment,) = record.segments
    assert segment.power is not None
    assert segment.power.source.origin == "simulated"
    assert segment.block_id != power.block_id
    assert segment.idle_before is not None
    last = (record.training.start_s, record.training.end_s)
    idle = [record.phase("idle_before"), record.phase("idle_after")]
    block = (power.block_start_s, power.block_end_s)
    earlier = (segment.start_s, segment.end_s)
    of_segment = (earlier, earlier, [segment.idle_before], record.runs_at_once)
    of_block = (block, last, idle, record.runs_at_once)
    parts = [recomputed(segment.power.trace, *of_segment), recomputed(power.trace, *of_block)]
    for name in ("joules", "lower", "upper"):
        assert getattr(power.energy.gross, name) == pytest.approx(sum(getattr(part.gross, name) for part in parts))
    for name in ("net_j", "net_lower_j", "net_upper_j"):
        assert getattr(power.energy, name) == pytest.approx(sum(getattr(part, name) for part in parts), abs=1e-9)
    # On a busy machine samples are late: past the edges the file may then hold a neighbour that a run file does not.
    from_files = [
        recomputed(whole_trace(settings, segment.block_id), *of_segment),
        recomputed(whole_trace(settings, power.block_id), *of_block),
    ]
    assert power.energy.gross.joules == pytest.approx(sum(part.gross.joules for part in from_files), rel=0.02)
    assert power.energy.duration_s == pytest.approx(record.training_s / record.runs_at_once)
    assert power.energy.gross.method == "sum of segments"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    """The runs of the grid, trained without power and without interruption."""
    settings = often(tmp_path_factory.mktemp("undisturbed"), source="none")
    run(settings)
    assert all(record.segments == () for record in records(settings).values())
    return {record.run.run_id: record for record in records(settings).values()}


def test_killed_in_its_second_run_a_shard_goes_on_in_it(tmp_path: Path, undisturbed: dict[str, RunRecord]) -> None:
    settings = often(tmp_path / "results", simulated={"refresh": "100 ms", "idle_w": 100, "slope_w": 150})
    first, second = run_ids(settings)
    kill_after_a_checkpoint(settings, tmp_path / "job", second)
    assert records(settings) == {}
    _, lines = run(settings)
    assert any("1 runs of an earlier attempt kept" in line for line in lines)
    done = {record.run.run_id: record for record in records(settings).values()}
    assert set(done) == {first, second}
    for name, record in done.items():
        assert_same_history(record, undisturbed[name])
    assert done[first].segments == ()
    assert_resumed(done[second], lines)
    assert_energy_is_the_sum(done[second], settings)
    assert not list(settings.paths.results.glob("checkpoints/*/*"))
    _, lines = run(settings)
    assert "0 of 1 experiments to train" in lines[0]


def test_without_power_the_history_is_all_the_same(tmp_path: Path, undisturbed: dict[str, RunRecord]) -> None:
    settings = often(tmp_path / "results", source="none")
    first, second = run_ids(settings)
    kill_after_a_checkpoint(settings, tmp_path / "job", first)
    _, lines = run(settings)
    done = {record.run.run_id: record for record in records(settings).values()}
    for name, record in done.items():
        assert_same_history(record, undisturbed[name])
        assert record.power is None
    assert_resumed(done[first], lines)
    assert done[first].segments[0].power is None
    assert done[second].segments == ()


def test_runs_side_by_side_go_on_together(tmp_path: Path) -> None:
    settings = often(tmp_path / "results", "vectorised")
    whole = often(tmp_path / "whole", "vectorised", source="none")
    kill_after_a_checkpoint(settings, tmp_path / "job", run_ids(settings)[0])
    _, lines = run(settings)
    run(whole)
    expected = {record.run.run_id: record for record in records(whole).values()}
    resumed = [record for record in records(settings).values() if record.run.run_id in expected]
    assert len(resumed) == len(expected) == 2
    for record in resumed:
        assert record.runs_at_once == 2
        assert_same_history(record, expected[record.run.run_id])
        assert_resumed(record, lines)
        assert_energy_is_the_sum(record, settings)
    one, other = (record.power.energy for record in resumed if record.power is not None)
    # The simulated node draws 100 W whatever it does: both share the joules of their time.
    assert one.gross.joules + other.gross.joules == pytest.approx(100 * resumed[0].training_s, rel=1e-9)


def test_without_the_trace_of_a_segment_energy_is_refused_and_the_history_kept(
    tmp_path: Path, undisturbed: dict[str, RunRecord]
) -> None:
    settings = often(tmp_path / "results")
    first, _ = run_ids(settings)
    kill_after_a_checkpoint(settings, tmp_path / "job", first)
    for trace in (settings.paths.results / "traces").iterdir():
        trace.unlink()
    run(settings)
    record = next(record for record in records(settings).values() if record.run.run_id == first)
    assert_same_history(record, undisturbed[first])
    assert record.power is not None
    assert record.power.status == "refused"
    assert f"segment of epochs 1 to {record.segments[0].last_epoch}" in record.power.reason
    assert "its trace cannot be read" in record.power.reason
    assert math.isnan(record.power.energy.gross.joules)
