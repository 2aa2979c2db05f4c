"""Where no cluster can be had its tests are skipped and say why; where it is required they fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WITHOUT_ROOT = "import os, sys, pytest; os.geteuid = lambda: 65534; sys.exit(pytest.main(sys.argv[1:]))"
REASON = "a Slurm cluster is started as root only"


def run_without_root(repository: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("PYTEST_", "COV_", "COVERAGE_", "WATTSWEEP_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    tests = ["tests/slurm/test_slurm_cluster.py", "-q", "-p", "no:cacheprovider", "--no-cov"]
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOT, *tests],
        cwd=repository,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_without_root_the_tests_are_skipped_and_say_why(repository: Path) -> None:
    done = run_without_root(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"note: the tests on a Slurm cluster were skipped: {REASON}\n" in done.stdout
    assert "passed" not in done.stdout


def test_where_a_cluster_is_required_they_fail(repository: Path) -> None:
    done = run_without_root(repository, WATTSWEEP_REQUIRE_SLURM="1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"no Slurm cluster: {REASON}" in done.stdout
    assert "skipped" not in done.stdout
