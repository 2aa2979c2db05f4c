"""Load: an hour of ten readings a second from four sources, and tables from run files of which some are broken."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.broken import Counts, damage_some, make_project, tables_of
from wattsweep.power import SourceDescription, integrate
from wattsweep.power import recording as recorder_process
from wattsweep.power.trace import Kind, Sample, Status
from wattsweep.power.tracefile import TraceWriter, read_trace_file

HOUR_S = 3600.0
INTERVAL_S = 0.1
READ_S = 0.004
RUNS = 700


class Clock:
    """Stands for the module time of the recorder's process: an hour passes as fast as its loop goes round."""

    def __init__(self) -> None:
        self.now_s = 5000.0

    def monotonic(self) -> float:
        return self.now_s

    def process_time(self) -> float:
        return 0.01 * self.now_s


class Hour:
    """The recorder's parent, who waits an hour before it says to stop."""

    def __init__(self, clock: Clock, path: Path) -> None:
        self.clock = clock
        self.spec = {"interval_s": INTERVAL_S, "ready_timeout_s": 30.0, "path": str(path)}
        self.until_s = clock.now_s + HOUR_S
        self.said: list[dict[str, Any]] = []

    def wait(self, delay_s: float) -> bool:
        self.clock.now_s += max(delay_s, 0.0)
        return self.clock.now_s > self.until_s

    def say(self, **message: Any) -> None:
        self.said.append(message)


class Meter:
    """A source in simulated time: watts that rise from 100 to 200 in the hour, or the joules they add up to."""

    shows_updates = False
    worker_cpu_s = 0.0

    def __init__(self, clock: Clock, kind: Kind) -> None:
        self.clock = clock
        self.kind = kind
        self.begun_s = clock.now_s

    def joules(self, since_s: float) -> float:
        return 100.0 * since_s + 50.0 * since_s**2 / HOUR_S

    def read(self, number: int, _timeout_s: float) -> Sample:
        before_s = self.clock.now_s
        self.clock.now_s += READ_S
        since_s = before_s + READ_S / 2 - self.begun_s
        value = self.joules(since_s) if self.kind == "energy" else 100.0 + 100.0 * since_s / HOUR_S
        wall_s = 1.7e9 + before_s
        return Sample(number, before_s, self.clock.now_s, wall_s, wall_s + READ_S, value, Status.OK)


@pytest.mark.parametrize("number", range(4))
def test_an_hour_of_ten_readings_a_second(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind: Kind = "energy" if number % 2 else "power"
    clock = Clock()
    monkeypatch.setattr(recorder_process, "time", clock)
    description = SourceDescription("replay", kind, "node", "simulated", "simulated time")
    path = tmp_path / "trace.csv"
    parent, meter = Hour(clock, path), Meter(clock, kind)
    begun_s = clock.now_s
    tracemalloc.start()
    try:
        with TraceWriter(path, description, INTERVAL_S) as writer:
            recorder_process._sample(parent, meter, writer, description)  # type: ignore[arg-type]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
    _, trace = read_trace_file(path)
    assert len(trace) == HOUR_S / INTERVAL_S + 1
    assert np.array_equal(trace.sequence, np.arange(len(trace)))
    assert path.stat().st_size < 5_000_000
    window = (begun_s + 1.0, begun_s + HOUR_S - 1.0)
    energy = integrate(trace, *window)
    assert energy.coverage == pytest.approx(1.0)
    assert energy.joules == pytest.approx(meter.joules(HOUR_S - 1.0) - meter.joules(1.0), rel=1e-4)


@pytest.mark.slow
def test_one_in_a_hundred_run_files_is_broken(tmp_path: Path) -> None:
    project = make_project(tmp_path, RUNS)
    broken = damage_some(project, 0.01)
    assert len(broken) == RUNS // 100
    counts = tables_of(project)
    assert counts == Counts(in_tables=RUNS - len(broken), set_aside=len(broken), reasons=len(broken))
