"""Replaying a recorded trace."""

import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Recorder, Sample, SourceDescription, Status
from wattsweep.power.sources import Reading, open_source, replay
from wattsweep.power.sources.replay import ReplaySource
from wattsweep.power.sources.specs import ReplaySpec
from wattsweep.power.tracefile import TraceWriter

COUNTER = SourceDescription(
    name="rapl",
    kind="energy",
    scope="CPU package",
    origin="measured",
    detail="energy_uj of intel-rapl:0",
    refresh_s=0.001,
    step=6.1e-5,
    wrap_j=65_532.6,
    accuracy=0.02,
)
SIMULATED = SourceDescription(name="simulated", kind="power", scope="node", origin="simulated", detail="a BMC")


def recording(
    path: Path, rows: list[tuple[float, float, Status]], description: SourceDescription = SIMULATED
) -> ReplaySpec:
    """A trace file of samples (time in s, value, status), each read taking 20 ms around its time."""
    with TraceWriter(path, description, 1.0) as writer:
        for number, (at_s, value, status) in enumerate(rows):
            wall_s = 1.7e9 + at_s
            writer.append(Sample(number, at_s - 0.01, at_s + 0.01, wall_s - 0.01, wall_s + 0.01, value, status))
    return ReplaySpec(str(path))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=5000.0)
    monkeypatch.setattr(replay, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


def alike(reading: Reading, value: float, status: Status) -> bool:
    return reading.status is status and (reading.value == value or (math.isnan(reading.value) and math.isnan(value)))


def test_each_sample_is_given_from_its_time_to_that_of_the_next(tmp_path: Path, clock: SimpleNamespace) -> None:
    rows = [
        (700.0, 100.0, Status.OK),
        (701.0, 0.0, Status.ZERO),
        (702.0, math.nan, Status.FAILED),
        (705.0, 65535.0, Status.IMPLAUSIBLE),
        (706.0, 130.0, Status.OK),
    ]
    source = open_source(recording(tmp_path / "trace.csv", rows))
    clock.now_s += 60.0  # nothing plays before the first reading
    given = {0.0: 0, 0.9: 0, 1.01: 1, 2.5: 2, 4.9: 2, 5.01: 3, 6.01: 4, 6.9: 4}
    started_s = clock.now_s
    for elapsed_s, index in given.items():
        clock.now_s = started_s + elapsed_s
        assert alike(source.read(), *rows[index][1:])
    for elapsed_s in (7.1, 1000.0):
        clock.now_s = started_s + elapsed_s
        assert alike(source.read(), math.nan, Status.FAILED)
    source.close()
    assert alike(source.read(), 100.0, Status.OK)


def test_it_says_what_was_recorded(tmp_path: Path) -> None:
    spec = recording(tmp_path / "trace.csv", [(0.0, 1.0, Status.OK), (1.0, 2.0, Status.OK)], COUNTER)
    description = open_source(spec).describe()
    assert description.name == "replay"
    assert description.detail == f"replay of {spec.path}, recorded from rapl: energy_uj of intel-rapl:0"
    kept = ("kind", "scope", "origin", "refresh_s", "step", "wrap_j", "accuracy", "lag_s", "averaging_s")
    assert {key: getattr(description, key) for key in kept} == {key: getattr(COUNTER, key) for key in kept}


def test_a_recording_of_one_sample_lasts_a_second(tmp_path: Path, clock: SimpleNamespace) -> None:
    source = open_source(recording(tmp_path / "trace.csv", [(700.0, 100.0, Status.OK)]))
    assert alike(source.read(), 100.0, Status.OK)
    clock.now_s += 0.9
    assert alike(source.read(), 100.0, Status.OK)
    clock.now_s += 0.2
    assert source.read().status is Status.FAILED


def test_an_empty_or_missing_recording_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="holds no samples"):
        open_source(recording(tmp_path / "empty.csv", []))
    missing = ReplaySource(ReplaySpec(str(tmp_path / "none.csv")))
    with pytest.raises(PowerError, match="cannot be read"):
        missing.open()
    assert missing.read().status is Status.FAILED
    with pytest.raises(PowerError, match=r"call open\(\)"):
        missing.describe()
    missing.close()


def test_a_recorder_replays_in_real_time(tmp_path: Path) -> None:
    spec = recording(tmp_path / "old.csv", [(700.0 + 0.4 * n, 100.0 + n, Status.OK) for n in range(5)])
    with Recorder(spec, tmp_path / "new.csv", 0.05) as recorder:
        time.sleep(1.6)
    trace = recorder.trace()
    seen = trace.values[trace.valid]
    assert set(seen) <= {100.0, 101.0, 102.0, 103.0, 104.0}
    assert list(seen) == sorted(seen)
    played_s = trace.times_s[trace.valid] - trace.times_s[0]
    assert np.abs(played_s - 0.4 * (seen - 100.0) - 0.2).max() < 0.4
    assert played_s[-1] > 0.8
    assert recorder.description.origin == "simulated"
