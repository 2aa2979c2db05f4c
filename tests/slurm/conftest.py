"""A real Slurm cluster for the tests of this folder, started once; where none can be had they are skipped.

With WATTSWEEP_REQUIRE_SLURM set, as .ci/run sets it, they fail instead.
"""

import os
from collections.abc import Iterator

import pytest

from tests.slurm.support_cluster import Cluster, obstacle
from tests.slurm.support_sweep import LASTING, Sweep, tiny

SKIPPED = "no Slurm cluster: "


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := obstacle():
        if os.environ.get("WATTSWEEP_REQUIRE_SLURM"):
            pytest.fail(f"{SKIPPED}{reason}")
        pytest.skip(f"{SKIPPED}{reason}")
    with Cluster(tmp_path_factory.mktemp("cluster") / "c") as started:
        yield started


@pytest.fixture(scope="session")
def lasting(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep of four shards that last, planned; tests work on copies of it."""
    sweep = Sweep(tmp_path_factory.mktemp("lasting"), cluster, tiny(LASTING))
    sweep.run("--until", "plan", profile="local")
    assert len(sweep.shard_ids()) == 4
    return sweep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why the cluster was not had: pytest itself only counts what it skips."""
    told = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr}
    for reason in sorted(told):
        if SKIPPED in reason:
            terminalreporter.write_line(f"note: the tests on a Slurm cluster were skipped: {reason.split(SKIPPED)[1]}")
