"""A node that is renamed, and clocks that leap, between and in the attempts at a shard."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run
from tests.runs.support_shard_process import ShardProcess
from wattsweep.config import Config
from wattsweep.power.tracefile import read_trace_file
from wattsweep.runs import RunRecord
from wattsweep.training import HISTORY_NAMES

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

GRID = CUBE | {"epochs": 4000}
RENAMED = ("unshare", "--uts", "sh", "-c", 'hostname renamed && exec "$0" "$@"')
LEAP_S = -3600.0
LEAPING = f"""
import os, time
_time, _time_ns = time.time, time.time_ns
def _leap(): return {LEAP_S} if os.path.exists(os.environ["WATTSWEEP_TEST_LEAP"]) else 0.0
time.time = lambda: _time() + _leap()
time.time_ns = lambda: _time_ns() + int(_leap() * 1e9)
"""


def undisturbed(results: Path) -> dict[str, RunRecord]:
    settings = config(results, GRID, source="none")
    run(settings)
    return {record.run.run_id: record for record in records(settings).values()}


def assert_equal_losses(settings: Config, results: Path) -> dict[str, RunRecord]:
    expected = undisturbed(results)
    found = {record.run.run_id: record for record in records(settings).values()}
    assert expected.keys() <= found.keys()
    for run_id, record in expected.items():
        for name in HISTORY_NAMES:
            np.testing.assert_array_equal(found[run_id].history[name], record.history[name], err_msg=name)
    return found


def test_a_node_that_is_renamed_between_attempts(tmp_path: Path) -> None:
    can_rename = subprocess.run([*RENAMED, "true"], capture_output=True, text=True, check=False)
    if can_rename.returncode:
        pytest.skip(f"this user cannot rename a host: {can_rename.stderr.strip()}")
    base = config(tmp_path / "results", GRID)
    # The dead owner is not known by another name, so its lease is taken once it was silent for four heartbeats.
    quick = base.scheduling.model_copy(update={"lease_heartbeat_s": 1.0})
    settings = base.model_copy(update={"scheduling": quick})
    job = ShardProcess(settings, tmp_path / "job")
    try:
        job.wait_for_training(1)
        job.signal_all(signal.SIGKILL)
        job.process.wait()
        again = ShardProcess(settings, tmp_path / "again", under=RENAMED)
        assert again.wait() == 0, again.log
    finally:
        job.kill()
    found = assert_equal_losses(settings, tmp_path / "undisturbed")
    hosts = {record.provenance["host"] for record in found.values()}
    assert "renamed" in hosts
    assert all(record.power is not None and record.power.status == "ok" for record in found.values())


def test_a_clock_that_is_set_back_an_hour_in_mid_shard(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LEAPING, encoding="ascii")
    leap = tmp_path / "leap"
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    environment = {"PYTHONPATH": path, "WATTSWEEP_TEST_LEAP": str(leap), "TZ": "Europe/Berlin"}
    settings = config(tmp_path / "results", GRID)
    job = ShardProcess(settings, tmp_path / "job", environment=environment)
    try:
        job.wait_for_training(1)
        leap.touch()
        assert job.wait() == 0, job.log
    finally:
        job.kill()
    found = assert_equal_losses(settings, tmp_path / "undisturbed")
    (trace,) = (read_trace_file(path)[1] for path in (tmp_path / "results" / "traces").rglob("*.csv"))
    assert np.ptp(trace.wall_s - trace.times_s) == pytest.approx(-LEAP_S, abs=1.0)
    for record in found.values():
        assert record.power is not None
        assert record.power.status == "ok", record.power.reason
