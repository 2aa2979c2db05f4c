"""Shards that are told to stop: real signals to real processes, which then go on where they were."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from tests.runs.support_shard_process import ShardProcess
from wattsweep.config import Config
from wattsweep.errors import DrainedError, LeaseError
from wattsweep.runs import Layout, RunRecord, execute_shard
from wattsweep.runs.drain import Drain, Permit
from wattsweep.runs.leasefile import read_leases
from wattsweep.training import HISTORY_NAMES

EPOCHS = 24_000
LONG = CUBE | {"depth": 3, "epochs": EPOCHS, "repetitions": 3}


def settings_for(results: Path, *, engine: str = "compiled", **power: Any) -> Config:
    """Checkpoints are ten minutes apart: those that are found were kept because of the signal."""
    cube = LONG | ({"epochs": 100} if engine == "keras-fit" else {})
    base = config(results, cube, **power)
    return base.model_copy(update={"training": base.training.model_copy(update={"engine": engine})})


def run_ids(settings: Config) -> list[str]:
    (planned,) = shard_of(settings).experiments
    return [planned.experiment.run(repetition).run_id for repetition in range(3)]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[ShardProcess]]:
    """Processes that end with the test."""
    processes: list[ShardProcess] = []
    yield processes
    for one in processes:
        one.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tensorflow: None) -> dict[str, RunRecord]:
    settings = settings_for(tmp_path_factory.mktemp("undisturbed"), source="none")
    run(settings)
    return {record.run.run_id: record for record in records(settings).values()}


def assert_same_histories(ours: dict[str, RunRecord], theirs: dict[str, RunRecord]) -> None:
    for run_id, record in theirs.items():
        for name in HISTORY_NAMES:
            np.testing.assert_array_equal(ours[run_id].history[name], record.history[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_stopped_in_its_second_run_a_shard_goes_on_in_it(
    number: signal.Signals, tmp_path: Path, undisturbed: dict[str, RunRecord], started: list[ShardProcess]
) -> None:
    settings = settings_for(tmp_path / "results")
    layout = Layout(settings.paths.results)
    first, second, _ = run_ids(settings)
    started.append(ShardProcess(settings, tmp_path / "job"))
    process = started[-1]
    process.wait_for_training(runs_before=1)
    # Slurm and srun may both send it, and all processes of the job get it.
    process.signal_all(number)
    process.signal_all(number)
    assert process.wait() == 75
    assert f"{number.name}: stopping in order" in process.log
    assert f"stopped in order by {number.name}" in process.log
    assert "Traceback" not in process.log
    assert not process.marker.exists()
    assert records(settings) == {}
    assert read_leases(layout.leases) == []
    (kept,) = layout.results.glob("checkpoints/*/*/*")
    assert kept.name == f"{second}.checkpoint"
    (staged,) = layout.results.glob("staged/*/*/*/*.h5")
    assert staged.stem == first

    result, lines = run(settings)
    assert result.failures == ()
    assert any("1 runs of an earlier attempt kept" in line for line in lines)
    (line,) = [line for line in lines if "goes on after epoch" in line]
    done = {record.run.run_id: record for record in records(settings).values()}
    assert_same_histories(done, undisturbed)
    (segment,) = done[second].segments
    assert f"run {second}: goes on after epoch {segment.last_epoch:,}" in line
    assert 0 < segment.last_epoch < EPOCHS
    marks = done[second].marks
    assert marks is not None
    assert marks[0, 0] > segment.last_epoch
    # The recorder did not die of the signal that the shard got: the segment is measured to its end.
    assert segment.power is not None, segment.reason
    assert segment.power.energy.gross.coverage > 0.99
    assert all(record.segments == () for run_id, record in done.items() if run_id != second)
    assert not list(layout.results.glob("checkpoints/*/*/*"))
    assert not list(layout.results.glob("staged/*/*/*/*"))


@pytest.mark.slow
def test_stopped_again_and_again_it_still_comes_to_the_same(
    tmp_path: Path, undisturbed: dict[str, RunRecord], started: list[ShardProcess]
) -> None:
    settings = settings_for(tmp_path / "results", source="none")
    for stops in range(3):
        started.append(ShardProcess(settings, tmp_path / "job"))
        process = started[-1]
        process.wait_for_log("power: not measured", stops + 1)
        time.sleep(1.0)
        process.process.terminate()
        assert process.wait() == 75, process.log
    started.append(ShardProcess(settings, tmp_path / "job"))
    process = started[-1]
    assert process.wait() == 0, process.log
    assert process.marker.exists()
    done = {record.run.run_id: record for record in records(settings).values()}
    assert set(done) == set(undisturbed)
    assert_same_histories(done, undisturbed)
    for record in done.values():
        ends = [segment.last_epoch for segment in record.segments]
        assert ends == sorted(set(ends))
        assert [segment.first_epoch for segment in record.segments] == [1, *(end + 1 for end in ends)][: len(ends)]
    assert not list(settings.paths.results.glob("progress/*"))


@pytest.mark.slow
def test_kerass_own_loop_stops_too(tmp_path: Path, started: list[ShardProcess]) -> None:
    settings = settings_for(tmp_path / "results", engine="keras-fit", source="none")
    started.append(ShardProcess(settings, tmp_path / "job"))
    process = started[-1]
    process.wait_for_training(runs_before=1)
    time.sleep(1)
    process.process.terminate()
    assert process.wait() == 75, process.log
    (kept,) = settings.paths.results.glob("checkpoints/*/*/*")
    assert kept.name.endswith(".checkpoint")


@pytest.mark.slow
def test_a_second_signal_stops_at_once(tmp_path: Path, started: list[ShardProcess]) -> None:
    """Even while the first waits for a call that takes long: here, one that does not end."""
    code = (
        "import time\n"
        "from wattsweep.runs.drain import drain_on_signals\n"
        "with drain_on_signals(lambda line: print(line, flush=True)):\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "SIGUSR1: stopping in order; a second signal stops at once\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


@pytest.mark.slow
def test_stopped_while_it_waits_for_its_lease(tmp_path: Path, started: list[ShardProcess]) -> None:
    settings = settings_for(tmp_path / "results", source="none")
    started.append(ShardProcess(settings, tmp_path / "first"))
    started[0].wait_until(lambda: read_leases(Layout(settings.paths.results).leases))
    started.append(ShardProcess(settings, tmp_path / "second"))
    second = started[1]
    second.wait_until(lambda: f"waiting for process {started[0].process.pid} on" in second.log)
    second.process.terminate()
    assert second.wait() == 75
    assert started[0].process.poll() is None


@pytest.mark.slow
def test_a_shard_given_twice_is_executed_once(
    tmp_path: Path, undisturbed: dict[str, RunRecord], started: list[ShardProcess]
) -> None:
    """As where Snakemake was killed and started again: the second waits, and finds all done."""
    settings = settings_for(tmp_path / "results", source="none")
    settings = settings.model_copy(
        update={"scheduling": settings.scheduling.model_copy(update={"lease_heartbeat_s": 0.5})}
    )
    started += [ShardProcess(settings, tmp_path / name) for name in ("first", "second")]
    assert [process.wait() for process in started] == [0, 0]
    assert all(process.marker.exists() for process in started)
    assert sum("0 of 1 experiments to train" in process.log for process in started) == 1
    assert sum("waiting for process" in process.log for process in started) == 1
    done = {record.run.run_id: record for record in records(settings).values()}
    assert set(done) == set(undisturbed)
    assert_same_histories(done, undisturbed)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_whose_lease_is_taken_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path, source="none")
    settings = settings.model_copy(
        update={"scheduling": settings.scheduling.model_copy(update={"lease_heartbeat_s": 0.2})}
    )
    before: dict[Path, int] = {}

    def steal_in_training(*_: object) -> None:
        (lease,) = Layout(tmp_path).leases.glob("*.json")
        lease.unlink()
        before.update(stamps(tmp_path))

    monkeypatch.setattr("wattsweep.runs.checkpoints.RunCheckpoints.begin", steal_in_training)
    with pytest.raises(LeaseError, match="it was removed"):
        execute_shard(shard_of(settings), settings, report=lambda _line: None)
    assert stamps(tmp_path) == before


def stamps(folder: Path) -> dict[Path, int]:
    """When files were written, but for the temporary store of compiled programs."""
    files = [path for path in folder.rglob("*") if path.is_file() and "compiled" not in path.parts]
    return {path: path.stat().st_mtime_ns for path in files}


def test_idling_ends_when_drained() -> None:
    drain = Drain()
    permit = Permit(drain)
    permit.wait(0.01)
    permit.may_go_on()
    assert not permit.ends
    drain.order("SIGTERM")
    drain.order("SIGINT")
    assert permit.ends
    permit.may_write()
    started_s = time.monotonic()
    with pytest.raises(DrainedError, match="stopped in order by SIGTERM"):
        permit.wait(60)
    with pytest.raises(DrainedError):
        permit.may_go_on()
    assert time.monotonic() - started_s < 5


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_drained_before_it_begins_a_shard_trains_nothing(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, source="none")
    drain = Drain()
    drain.order("SIGTERM")
    with pytest.raises(DrainedError):
        execute_shard(shard_of(settings), settings, report=lambda _line: None, drain=drain)
    assert read_leases(Layout(tmp_path).leases) == []
    assert not (tmp_path / "runs").exists()
