import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Recorder, Status, integrate, read_trace_file
from wattsweep.power.child import ChildProcess
from wattsweep.power.sources import spec_to_json
from wattsweep.simulation import SimulatedBmc

IDLE_W = 137.0


@pytest.fixture(scope="module")
def bmc() -> Iterator[SimulatedBmc]:
    with SimulatedBmc(idle_w=IDLE_W, slope_w=0.0, refresh_s=0.1) as simulated:
        yield simulated


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process that nobody may have waited for has ended."""
    try:
        return "zombie" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_constant_power_over_a_window_is_watts_times_seconds(bmc: SimulatedBmc, tmp_path: Path) -> None:
    with Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1) as recorder:
        time.sleep(1.0)
        assert recorder.alive()
        assert recorder.description.origin == "simulated"
        trace = recorder.trace()
    # Added to a monotonic time of days, 0.03 is rounded: the window is what is left of it.
    start, end = float(trace.times_s[0]) + 0.03, float(trace.times_s[-1]) - 0.03
    energy = integrate(trace, start, end, max_gap=end - start)
    assert energy.joules == pytest.approx(IDLE_W * (end - start), rel=1e-12)
    assert energy.coverage == 1.0
    assert len(read_trace_file(recorder.path)[1]) >= len(trace) > 1


def test_samples_are_stamped_on_both_clocks(bmc: SimulatedBmc, tmp_path: Path) -> None:
    monotonic, wall = time.monotonic(), time.time()
    with Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.05) as recorder:
        time.sleep(0.3)
    description, trace = read_trace_file(tmp_path / "trace.csv")
    assert replace(description, shows_updates=None) == recorder.description
    assert (trace.before_s <= trace.after_s).all()
    assert trace.before_s[0] >= monotonic
    assert abs((trace.wall_s - trace.times_s) - (wall - monotonic)).max() < 0.1
    assert (trace.sequence == range(len(trace))).all()


def test_stopping_twice_or_before_starting_is_harmless(bmc: SimulatedBmc, tmp_path: Path) -> None:
    recorder = Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1)
    recorder.stop()
    with pytest.raises(PowerError, match=r"call start\(\)"):
        _ = recorder.description
    recorder.start()
    recorder.stop()
    recorder.stop()
    assert not recorder.alive()
    with pytest.raises(PowerError, match="started before"):
        recorder.start()


def test_a_killed_recorder_is_seen_and_leaves_a_readable_file(bmc: SimulatedBmc, tmp_path: Path) -> None:
    recorder = Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.05)
    recorder.start()
    wait_until(lambda: len(recorder.trace()) > 1)
    assert recorder.pid is not None
    os.kill(recorder.pid, signal.SIGKILL)
    wait_until(lambda: not recorder.alive())
    assert len(recorder.trace()) > 1
    recorder.stop()


def test_sigterm_ends_it_in_order(bmc: SimulatedBmc, tmp_path: Path) -> None:
    recorder = Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.05)
    recorder.start()
    assert recorder.pid is not None
    os.kill(recorder.pid, signal.SIGTERM)
    wait_until(lambda: not recorder.alive())
    recorder.stop()
    assert (tmp_path / "trace.csv").read_text().endswith("\n")


PARENT = """
import json, sys, time
from pathlib import Path
from wattsweep.power import Recorder
from wattsweep.power.sources import spec_from_json
order = json.loads(sys.stdin.readline())
recorder = Recorder(spec_from_json(order["spec"]), Path(order["path"]), 0.05)
recorder.start()
print(recorder.pid, flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_a_killed_parent(bmc: SimulatedBmc, tmp_path: Path) -> None:
    order = json.dumps({"spec": spec_to_json(bmc.source_spec), "path": str(tmp_path / "trace.csv")}) + "\n"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(order)
        parent.stdin.flush()
        recorder_pid = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: gone(recorder_pid))
    assert len(read_trace_file(tmp_path / "trace.csv")[1]) > 0


def test_no_secret_is_in_arguments_environment_or_file(
    bmc: SimulatedBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", bmc.password)
    with Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1) as recorder:
        process = Path(f"/proc/{recorder.pid}")
        secret = bmc.password.encode()
        assert secret not in (process / "cmdline").read_bytes()
        assert secret not in (process / "environ").read_bytes()
        assert secret not in (tmp_path / "trace.csv").read_bytes()


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}])
def test_wrong_credentials_are_refused_with_a_remedy(bmc: SimulatedBmc, tmp_path: Path, wrong: dict[str, Any]) -> None:
    recorder = Recorder(replace(bmc.source_spec, **wrong), tmp_path / "trace.csv", 0.1)
    with pytest.raises(PowerError, match=rf"127\.0\.0\.1:{bmc.port} refused .*credentials_file") as caught:
        recorder.start()
    assert "wrong" not in str(caught.value)
    assert not recorder.alive()
    assert not (tmp_path / "trace.csv").exists()


@pytest.mark.slow
def test_a_silent_address_is_said(tmp_path: Path, bmc: SimulatedBmc) -> None:
    recorder = Recorder(replace(bmc.source_spec, port=9), tmp_path / "trace.csv", 0.1)
    with pytest.raises(PowerError, match=r"No answer from a BMC at 127\.0\.0\.1:9"):
        recorder.start()


def test_an_unknown_host_is_said(tmp_path: Path, bmc: SimulatedBmc) -> None:
    recorder = Recorder(replace(bmc.source_spec, address="bmc.invalid"), tmp_path / "trace.csv", 0.1)
    with pytest.raises(PowerError, match=r"bmc\.invalid:\d+ cannot be opened"):
        recorder.start()


def test_a_trace_file_that_exists_is_kept(bmc: SimulatedBmc, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("precious")
    with pytest.raises(PowerError, match="never written over"):
        Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1).start()
    assert (tmp_path / "trace.csv").read_text() == "precious"


def test_a_source_without_a_good_sample_is_refused(tmp_path: Path) -> None:
    with SimulatedBmc(idle_w=0.0, slope_w=0.0, refresh_s=0.1) as dark:
        recorder = Recorder(dark.source_spec, tmp_path / "trace.csv", 0.1, ready_timeout_s=3.0)
        with pytest.raises(PowerError, match=r"No good sample within 3 s .* status 'zero'"):
            recorder.start()
    assert set(read_trace_file(tmp_path / "trace.csv")[1].status.tolist()) == {Status.ZERO}


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 31.0])
def test_an_interval_out_of_range_is_refused(bmc: SimulatedBmc, tmp_path: Path, interval_s: float) -> None:
    with pytest.raises(PowerError, match=r"power\.interval is"):
        Recorder(bmc.source_spec, tmp_path / "trace.csv", interval_s)


@pytest.mark.slow
def test_an_outage_of_the_bmc_is_recorded_as_failed_samples_and_ends(tmp_path: Path, bmc: SimulatedBmc) -> None:
    order: dict[str, Any] = {
        "idle_w": IDLE_W,
        "slope_w": 0.0,
        "refresh_s": 0.1,
        "port": 0,
        "username": bmc.username,
        "password": bmc.password,
        "dcmi": True,
    }
    first = ChildProcess("wattsweep.simulation.bmc", order, name="The first BMC", timeout_s=30)
    order["port"] = first.start()["port"]
    second = ChildProcess("wattsweep.simulation.bmc", order, name="The second BMC", timeout_s=30)
    try:
        with Recorder(replace(bmc.source_spec, port=order["port"]), tmp_path / "trace.csv", 0.2) as recorder:
            first.stop()
            second.start()
            wait_until(lambda: Status.FAILED in recorder.trace().status)
            wait_until(lambda: recorder.trace().status[-1] == Status.OK)
            assert recorder.alive()
    finally:
        first.stop()
        second.stop()


def test_a_child_that_ends_or_is_silent_is_an_error() -> None:
    with pytest.raises(PowerError, match="Nobody ended with exit status"):
        ChildProcess("wattsweep.errors", {}, name="Nobody", timeout_s=30).start()
    with pytest.raises(PowerError, match="Sleeper was not ready within"):
        ChildProcess("asyncio", {}, name="Sleeper", timeout_s=0.01).start()
