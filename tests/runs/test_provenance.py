import subprocess
from pathlib import Path

import pytest

from wattsweep.runs.provenance import git_commit, provenance
from wattsweep.training import Runtime


def test_provenance_names_versions_node_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    facts = provenance(Runtime("cpu", 3))
    for name in ("wattsweep_version", "python_version", "tensorflow_version", "numpy_version", "host", "cpu_model"):
        assert facts[name]
    assert facts["slurm_job_id"] == "4711"
    assert facts["threads"] == "3"
    assert "slurm_node" not in facts


def test_the_commit_is_that_of_the_checkout(repository: Path) -> None:
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode != 0:
        pytest.skip("not a git checkout")
    assert git_commit().rstrip("+") == head.stdout.strip()


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattsweep.__file__", str(tmp_path / "__init__.py"))
    assert git_commit() == ""
