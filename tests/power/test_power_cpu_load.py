import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power.cpu_load import CpuLoad, square_wave

ONE_CPU = [min(os.sched_getaffinity(0))]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return "zombie" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def cpu_seconds(pid: int) -> float:
    cells = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")


def test_a_square_wave_has_two_edges_a_cycle_at_all_phases() -> None:
    edges_s = square_wave(100.0, 20.0, 6)
    halves_s = [later - earlier for earlier, later in itertools.pairwise(edges_s)]
    assert len(edges_s) == 12
    assert edges_s[0] == 100.0
    assert min(halves_s) >= 9.0
    assert max(halves_s) <= 11.0
    assert sum(halves_s) == pytest.approx(110.0, abs=2.0)
    phases = sorted(edge % 1.0 for edge in edges_s)
    gaps = [later - earlier for earlier, later in zip(phases, [*phases[1:], phases[0] + 1.0], strict=True)]
    assert max(gaps) < 0.3


@pytest.mark.parametrize(("period_s", "cycles"), [(0.0, 3), (-1.0, 3), (20.0, 1)])
def test_a_square_wave_needs_a_period_and_two_cycles(period_s: float, cycles: int) -> None:
    with pytest.raises(ValueError, match="at least 2 cycles"):
        square_wave(0.0, period_s, cycles)


def test_the_load_is_on_between_its_edges_alone() -> None:
    with CpuLoad(ONE_CPU) as load:
        (pid,) = load.pids
        begin_s = time.monotonic() + 0.3
        load.run([begin_s, begin_s + 1.0, begin_s + 1.6, begin_s + 2.0])
        used = []
        for moment_s in (begin_s, begin_s + 1.0, begin_s + 1.6):
            time.sleep(max(0.0, moment_s - time.monotonic()))
            used.append(cpu_seconds(pid))
        report = load.report()
    assert used[1] - used[0] > 0.05  # of 1 s, on a CPU that others use too
    assert used[2] - used[1] < 0.2
    assert report.cpus == 1
    assert 0.03 < report.share <= 1.05
    assert 0.0 <= report.late_s < 1.0
    assert gone(pid)


def test_stopping_ends_it_at_once() -> None:
    load = CpuLoad(ONE_CPU)
    load.start()
    (pid,) = load.pids
    now_s = time.monotonic()
    load.run([now_s, now_s + 60.0])
    time.sleep(0.2)
    load.stop()
    load.stop()
    assert time.monotonic() - now_s < 5.0
    assert gone(pid)


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("order", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(busy: bool, order: signal.Signals) -> None:
    code = (
        "import time; from wattsweep.power.cpu_load import CpuLoad\n"
        f"load = CpuLoad({ONE_CPU}); load.start(); now = time.monotonic()\n"
        f"load.run([now + {0 if busy else 50}, now + 60]); print(load.pids[0], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(order)
        parent.wait()
        wait_until(lambda: gone(pid))


def test_a_worker_that_ends_early_is_an_error() -> None:
    with CpuLoad(ONE_CPU) as load:
        now_s = time.monotonic()
        load.run([now_s + 20.0, now_s + 21.0])
        os.kill(load.pids[0], signal.SIGTERM)
        with pytest.raises(PowerError, match=f"The load on CPU {ONE_CPU[0]} ended before its time"):
            load.report()
