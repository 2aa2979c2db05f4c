import time
from pathlib import Path

import pytest

from wattsweep.config import IpmiConfig, PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import account_block
from wattsweep.simulation.measuring import measuring

QUIET = PowerConfig.model_validate(
    {
        "source": "simulated",
        "interval": "50 ms",
        "simulated": {"idle_w": 120.0, "slope_w": 0.0, "refresh": "100 ms"},
    }
)


def test_a_block_is_measured_from_start_to_end(tmp_path: Path) -> None:
    with measuring(QUIET, "node7", tmp_path / "trace.csv") as measurement:
        assert measurement is not None
        assert "simulated" in measurement.selection_reason
        (recording,) = measurement.recordings
        assert (recording.description.name, recording.description.origin) == ("simulated", "simulated")
        stamps = [time.monotonic()]
        for _ in range(3):
            time.sleep(0.4)
            stamps.append(time.monotonic())
        time.sleep(0.2)
        assert recording.alive()
    assert not recording.alive()
    energy = account_block(
        recording.trace(),
        block=(stamps[1], stamps[2]),
        runs=[(stamps[1], stamps[2])],
        idle=[(stamps[0], stamps[1]), (stamps[2], stamps[3])],
        min_coverage=0.0,
        max_gap_s=10.0,
    )
    assert energy.status == "ok"
    assert energy.runs[0].gross.joules == pytest.approx(120.0 * (stamps[2] - stamps[1]), rel=1e-9)
    assert energy.runs[0].net_j == pytest.approx(0.0, abs=1e-6)


def test_none_measures_nothing(tmp_path: Path) -> None:
    with measuring(PowerConfig(source="none"), "node7", tmp_path / "trace.csv") as measurement:
        assert measurement is None
    assert not (tmp_path / "trace.csv").exists()


def test_an_error_in_the_body_stops_the_recording(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="training failed"), measuring(QUIET, "n", tmp_path / "t.csv") as measurement:
        raise RuntimeError("training failed")
    assert measurement is not None
    assert not measurement.recordings[0].alive()
    assert len(measurement.recordings[0].trace()) >= 1


def test_a_source_that_cannot_be_opened_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_USERNAME", "monitor")
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", "secret")
    power = PowerConfig(source="ipmi", ipmi=IpmiConfig(address="{node}.invalid"))
    with pytest.raises(PowerError, match=r"node7\.invalid:623"), measuring(power, "node7", tmp_path / "trace.csv"):
        pytest.fail("the body must not run")
