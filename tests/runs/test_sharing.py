"""Nodes that are shared: asked of Slurm, written into every run."""

import os
from pathlib import Path

import pytest

from tests.runs.support_runs import CUBE, config, records, run
from wattsweep.power import Recorder
from wattsweep.runs import slurm
from wattsweep.simulation import SimulatedBmc

RECORD = "JobId=17 JobName=shard NumNodes=1 NumCPUs=8 OverSubscribe={} Contiguous=0"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come first; a job of Slurm around us."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("oversubscribe", "running", "reason"),
    [
        ("NO", "17", ""),
        ("OK", "17", "Slurm job 17 did not get its node for itself (OverSubscribe=OK)"),
        ("NO", "17 18", "Slurm job 18 ran on n1 too"),
        (
            "USER",
            "19 17 18",
            "Slurm job 17 did not get its node for itself (OverSubscribe=USER); Slurm jobs 18, 19 ran on n1 too",
        ),
    ],
)
def test_why_a_node_is_shared(oversubscribe: str, running: str, reason: str, programs: Path) -> None:
    program(programs, "scontrol", f"echo '{RECORD.format(oversubscribe)}'")
    program(programs, "squeue", f"printf '%s\\n' {running}")
    assert slurm.shared_because() == reason


def test_what_slurm_does_not_say_is_not_known(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "scontrol", "echo 'Invalid job id specified' >&2; exit 1")
    program(programs, "squeue", "exec sleep 60")
    monkeypatch.setattr(slurm, "TIMEOUT_S", 0.2)
    assert slurm.shared_because() == ""
    assert not slurm.job_is_gone("18")
    monkeypatch.setenv("PATH", "")
    assert slurm.shared_because() == ""
    monkeypatch.delenv("SLURM_JOB_ID")
    assert slurm.shared_because() == ""
    assert slurm.job_id() == ""


@pytest.mark.parametrize(
    ("script", "gone"),
    [
        ("echo RUNNING", False),
        ("echo COMPLETING", False),
        ("echo CANCELLED", True),
        ("echo NODE_FAIL", True),
        ("true", True),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", True),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", False),
    ],
)
def test_when_a_job_is_gone(script: str, gone: bool, programs: Path) -> None:
    program(programs, "squeue", script)
    assert slurm.job_is_gone("18") is gone


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_run_on_a_shared_node_says_so(tmp_path: Path, programs: Path) -> None:
    program(programs, "scontrol", f"echo '{RECORD.format('OK')}'")
    program(programs, "squeue", "echo 17")
    base = config(tmp_path / "results", CUBE | {"depth": 2, "repetitions": 1})
    settings = base.model_copy(update={"scheduling": base.scheduling.model_copy(update={"runs_per_node": 2})})
    with (
        SimulatedBmc(idle_w=100.0, slope_w=0.0, refresh_s=0.1) as bmc,
        Recorder(bmc.source_spec, tmp_path / "neighbour.csv", 0.1, shared=True),
    ):
        _, lines = run(settings)
    reason = "scheduling.runs_per_node is 2; Slurm job 17 did not get its node for itself (OverSubscribe=OK)"
    assert f"the energy is not the runs' alone: {reason}" in lines
    for record in records(settings).values():
        assert record.provenance["node_shared"] == reason
        assert record.power is not None


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_run_that_had_its_node_for_itself_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    settings = config(tmp_path, CUBE | {"depth": 2, "repetitions": 1}, source="none")
    run(settings)
    (record,) = records(settings).values()
    assert "node_shared" not in record.provenance
