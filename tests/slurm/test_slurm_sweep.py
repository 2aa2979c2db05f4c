"""A sweep through `snakemake --profile profiles/slurm` on four nodes, from configuration to report.

It is a small one. With WATTSWEEP_SLURM_CONFIG=config.yaml it is the one that the repository ships, which takes half an
hour on two cores.
"""

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.slurm.support_cluster import ACCOUNT, NODES, Cluster
from tests.slurm.support_sweep import QUICK, Sweep, is_measured, tiny

pytestmark = pytest.mark.slow

SUBMISSIONS_BESIDE_SHARDS = 10
POLL_EVERY_S = 20.0
CLOCKS_S = 0.5
"""A poll's time is taken when its program starts."""


def document(repository: Path) -> dict[str, Any]:
    """The configuration of the sweep."""
    named = os.environ.get("WATTSWEEP_SLURM_CONFIG")
    if not named:
        return tiny(QUICK)
    found: dict[str, Any] = yaml.safe_load((repository / named).read_text(encoding="utf-8"))
    # so short that every node gets a shard
    ours = {"partition": "main", "account": ACCOUNT, "shard_wall_time": "1 min"}
    found["scheduling"] = found.get("scheduling", {}) | ours
    return found


@pytest.fixture(scope="module")
def both(cluster: Cluster, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Sweep]:
    """The sweep, executed on the cluster, and the same in fewer shards on this machine, which waits meanwhile."""
    configured = document(repository)
    swept = Sweep(tmp_path_factory.mktemp("swept"), cluster, configured)
    in_one = configured | {"scheduling": configured["scheduling"] | {"shard_wall_time": "1 h"}}
    local = Sweep(tmp_path_factory.mktemp("local"), cluster, in_one)
    with swept.snakemake() as snakemake:
        local.run("--until", "plan", profile="local")
        local.run(*local.markers(), profile="local")
        swept.finish(snakemake)
    return swept, local


@pytest.fixture
def swept(both: tuple[Sweep, Sweep]) -> Sweep:
    return both[0]


def test_every_shard_has_a_node_for_itself(swept: Sweep, cluster: Cluster) -> None:
    shards = swept.shard_ids()
    assert len(shards) >= len(NODES)
    records = swept.records().values()
    assert {record.provenance["host"] for record in records} == set(NODES)
    for record in records:
        assert record.provenance["host"] == record.provenance["slurm_node"]
        assert record.provenance["slurm_job_id"]
        assert "node_shared" not in record.provenance
    assert (swept.folder / "results" / "report.html").exists()


def test_run_files_are_valid_and_measured_on_their_node(swept: Sweep) -> None:
    records = swept.records()
    assert set().union(*map(swept.planned_runs, swept.shard_ids())) <= set(records)
    assert sum(map(is_measured, records.values())) > len(records) / 2
    assert {record.power.source.origin for record in records.values() if record.power} == {"simulated"}


def test_losses_are_those_of_the_local_profile_bit_for_bit(both: tuple[Sweep, Sweep]) -> None:
    swept, local = both
    assert len(local.shard_ids()) < len(swept.shard_ids())
    expected, found = local.records(), swept.records()
    planned = local.planned_runs(*local.shard_ids())
    assert planned <= set(expected) & set(found)
    for run in planned:
        assert expected[run].provenance["host"] == socket.gethostname().split(".")[0]
        for metric, values in expected[run].history.items():
            np.testing.assert_array_equal(values, found[run].history[metric])


def test_slurm_is_called_seldom(swept: Sweep) -> None:
    here = socket.gethostname()
    calls = swept.calls()
    counts = {call: len(times) for call, times in calls.items()}
    shards = len(swept.shard_ids())
    assert counts[here, "sbatch"] <= shards + SUBMISSIONS_BESIDE_SHARDS, counts
    apart = np.diff(swept.polls())
    assert len(apart), counts
    assert (apart > POLL_EVERY_S - CLOCKS_S).all(), apart
    # a job asks once whether it is alone on its node
    assert sum(counts.get((node, "squeue"), 0) for node in NODES) <= counts[here, "sbatch"], counts
    assert sum(counts.get((node, "sacct"), 0) for node in NODES) == 0, counts
