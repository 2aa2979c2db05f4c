"""The cluster that the other tests of this folder stand on."""

import itertools
from pathlib import Path

import pytest

from tests.slurm.support_cluster import NODES, Cluster, ClusterError, wait_until

pytestmark = pytest.mark.slow

WAIT_S = 300.0
"""How long anything may take on a busy machine."""


def test_exclusive_jobs_have_a_node_each_with_a_name_and_a_clock_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    cluster.wait_until_idle()
    wait = "while [ ! -e all-run ]; do sleep 0.1; done"
    script = f"hostname; cut -d ' ' -f 1 /proc/uptime; echo mine > $TMPDIR/own; {wait}; ls $TMPDIR"
    jobs = [submit(cluster, tmp_path / f"{number}.out", script) for number in NODES]
    wait_until(lambda: set(jobs) <= set(cluster.jobs("RUNNING")), WAIT_S, "four jobs at one time")
    (tmp_path / "all-run").touch()
    wait_until(lambda: finished(cluster, jobs), WAIT_S, "four jobs")
    outputs = [(tmp_path / f"{number}.out").read_text().split() for number in NODES]
    assert sorted(name for name, _, _ in outputs) == list(NODES)
    uptimes = sorted(float(uptime_s) for _, uptime_s, _ in outputs)
    assert all(later - earlier > 9000 for earlier, later in itertools.pairwise(uptimes))
    assert {found for _, _, found in outputs} == {"own"}
    assert not (cluster.base / "local" / "own").exists()
    whole_nodes = dict.fromkeys(jobs, "COMPLETED|8")
    # it lags behind squeue
    wait_until(lambda: accounted(cluster, jobs) == whole_nodes, WAIT_S, "jobs in the accounting")


def test_a_node_that_dies_takes_its_job_along_and_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(cluster, tmp_path / "out", "while true; do date >> beats; sleep 0.1; done", "--no-requeue")
    beats = tmp_path / "beats"
    wait_until(beats.exists, WAIT_S, "the job")
    node = cluster.jobs()[job]["node"]
    cluster.kill(node)
    last = beats.read_bytes()
    cluster.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed")
    wait_until(lambda: cluster.jobs()[job]["state"] == "NODE_FAIL", WAIT_S, "the job's end")
    assert beats.read_bytes() == last
    cluster.start_node(node)
    cluster.wait_until_idle()


def test_a_start_that_fails_leaves_neither_process_nor_file(cluster: Cluster, tmp_path: Path) -> None:
    base = tmp_path / "other"
    etc = {path: path.stat().st_mtime_ns for path in Path("/etc/slurm").rglob("*")}
    with pytest.raises(ClusterError, match="no node"), WithoutNodes(base):
        pass
    assert not base.exists()
    assert processes_of(cluster.base)
    assert not processes_of(base)
    assert etc == {path: path.stat().st_mtime_ns for path in Path("/etc/slurm").rglob("*")}


class WithoutNodes(Cluster):
    """A cluster of which all but the nodes start."""

    def start_node(self, name: str) -> None:
        assert processes_of(self.base)
        raise ClusterError(f"no node {name} today")


def processes_of(base: Path) -> list[str]:
    """Command lines of the processes that were told of a cluster's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_text(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(base) in command:
            found.append(command)
    return found


def submit(cluster: Cluster, output: Path, script: str, *options: str) -> str:
    command = ["sbatch", "--parsable", "--exclusive", f"--output={output}", f"--chdir={output.parent}"]
    return cluster.call(*command, *options, "--wrap", script).strip()


def finished(cluster: Cluster, jobs: list[str]) -> bool:
    states = cluster.jobs()
    return all(states[job]["state"] == "COMPLETED" for job in jobs)


def accounted(cluster: Cluster, jobs: list[str]) -> dict[str, str]:
    """State and CPUs of jobs, as sacct knows them."""
    lines = cluster.call("sacct", "-nXP", f"--jobs={','.join(jobs)}", "--format=JobID,State,AllocCPUS").splitlines()
    return dict(line.split("|", maxsplit=1) for line in lines)
