"""Energies joined after the fact, from an export and from a stand-in for sacct, to shards that were really trained."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.runs.support_runs import CUBE, config, records, run
from wattsweep.config import Config
from wattsweep.errors import PowerError
from wattsweep.hardware import node_name
from wattsweep.runs import RunRecord
from wattsweep.runs.joining import Joiner
from wattsweep.tables.rows import run_row

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

CUBE_OF_ONE = CUBE | {"depth": 2}


def write_export(path: Path, done: list[RunRecord], node: str, zone: ZoneInfo, watts: float = 200.0) -> None:
    """A reading each 100 ms over the time of the runs, and another node's in between."""
    start = min(phase.start_s + one.utc_offset_s for one in done for phase in one.phases) - 2.0
    end = max(phase.end_s + one.utc_offset_s for one in done for phase in one.phases) + 2.0
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "node", "watts"])
        for tick in range(int((end - start) * 10)):
            local = datetime.fromtimestamp(start + tick / 10, UTC).astimezone(zone).replace(tzinfo=None)
            rows.writerow([local.isoformat(sep=" "), f"{node}.cluster.example.org", watts + tick % 2])
            rows.writerow([local.isoformat(sep=" "), "another-node", 5000.0])


@pytest.fixture
def trained(tmp_path: Path) -> Config:
    export = {"path": str(tmp_path / "export.csv"), "timezone": "America/Denver"}
    settings = config(tmp_path / "results", CUBE_OF_ONE, source="csv", csv=export)
    result, lines = run(settings)
    assert [summary.energy_status for summary in result.runs[:2]] == ["none", "none"]
    assert any("joined after the fact" in line for line in lines)
    return settings


def test_an_export_is_joined_by_node_and_time(trained: Config, tmp_path: Path) -> None:
    done = list(records(trained).values())
    assert all(record.power is None and record.provenance["power_awaited"] == "csv" for record in done)
    assert {phase.name for phase in done[0].phases} == {"idle_before", "setup", "training", "idle_after"}
    assert run_row(done[0], None)["energy_reason"] == "power is joined after the fact, and was not yet"
    write_export(tmp_path / "export.csv", done, node_name(), ZoneInfo("America/Denver"))
    joined = Joiner.for_runs(done, trained.power).join(done)
    for record in joined:
        assert record.power is not None
        assert record.power.status == "ok", record.power.reason
        assert (record.power.source.name, record.power.block_id) == ("csv", record.provenance["block_id"])
        assert record.power.energy.gross.joules == pytest.approx(200.5 * record.training.duration_s, rel=0.01)
    _, lines = run(trained)
    assert "0 of 1 experiments to train" in lines[0]


def test_runs_of_a_node_that_the_export_lacks_say_so(trained: Config, tmp_path: Path) -> None:
    done = list(records(trained).values())
    write_export(tmp_path / "export.csv", done, "elsewhere", ZoneInfo("America/Denver"))
    with pytest.raises(PowerError, match="elsewhere"):
        Joiner.for_runs(done, trained.power)


def test_a_wrong_zone_finds_nothing(trained: Config, tmp_path: Path) -> None:
    done = list(records(trained).values())
    write_export(tmp_path / "export.csv", done, node_name(), ZoneInfo("UTC"))
    with pytest.raises(PowerError, match="America/Denver"):
        Joiner.for_runs(done, trained.power)


def test_slurms_energy_of_a_job_is_shared_by_time_with_a_wide_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    settings = config(tmp_path / "results", CUBE_OF_ONE, source="slurm")
    run(settings)
    done = list(records(settings).values())
    start = int(min(one.phases[0].start_s + one.utc_offset_s for one in done)) - 100
    end = int(max(one.phases[-1].end_s + one.utc_offset_s for one in done)) + 100
    sacct = tmp_path / "sacct"
    lines = [
        f"4711|COMPLETED|{start}|{end}|{end - start}|1|",
        f"4711.batch|COMPLETED|{start}|{end}|{end - start}|1|{200 * (end - start)}",
        f"4711.extern|COMPLETED|{start}|{end}|{end - start}|1|",
    ]
    body = "\n".join(f"echo '{line}'" for line in lines)
    sacct.write_text(f"#!/bin/sh\n{body}\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for record in Joiner.for_runs(done, settings.power).join(done):
        assert record.power is not None
        gross = record.power.energy.gross
        assert gross.joules == pytest.approx(200.0 * record.training.duration_s, rel=0.01)
        assert gross.lower < 0.5 * gross.joules
        assert "none of 2 idle windows holds a valid sample" in record.power.reason
