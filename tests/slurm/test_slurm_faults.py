"""Jobs, nodes, the controller or Snakemake end in mid-run: the sweep is completed, nothing is lost or done twice."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.slurm.support_cluster import Cluster
from tests.slurm.support_sweep import ENDS_S, Sweep, Watch, is_measured, kill_group, wait_for
from wattsweep.runs import RunRecord

pytestmark = pytest.mark.slow

STARTS_S = 900.0
"""How long jobs may take to train a first run on a busy machine."""


@dataclass
class Disturbed:
    """A sweep of which each shard met with something else, and what was seen of it."""

    sweep: Sweep
    watch: Watch
    shard_of: dict[str, str] = field(default_factory=dict)
    job_of: dict[str, str] = field(default_factory=dict)
    invocations: int = 1

    def records(self, fault: str) -> list[RunRecord]:
        """The finished runs of a shard, further repetitions included."""
        experiments = {run["experiment_id"] for run in self.sweep.marker(self.shard_of[fault])["runs"]}
        return [one for one in self.sweep.records().values() if one.run.experiment_id in experiments]


def cancel(cluster: Cluster, job: str, node: str) -> None:
    cluster.call("scancel", job)


def exceed_the_time_limit(cluster: Cluster, job: str, node: str) -> None:
    # slurmctld looks at limits every 30 s
    cluster.call("scontrol", "update", f"JobId={job}", "EndTime=now")


def lose_the_node(cluster: Cluster, job: str, node: str) -> None:
    cluster.kill(node)
    cluster.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed")


def preempt(cluster: Cluster, job: str, node: str) -> None:
    urgent = ["sbatch", "--partition=urgent", "--exclusive", f"--nodelist={node}", "--output=/dev/null"]
    cluster.call(*urgent, "--wrap", "sleep 1")


FAULTS: dict[str, Callable[[Cluster, str, str], None]] = {
    "cancelled": cancel,
    "over its time limit": exceed_the_time_limit,
    "on a node that died": lose_the_node,
    "preempted and requeued": preempt,
}
TOLD_TO_STOP = ("cancelled", "over its time limit", "preempted and requeued")
ENDED = {"cancelled": "CANCELLED", "over its time limit": "TIMEOUT"}
"""How Slurm says that these jobs ended; the other jobs start again under their number."""


@pytest.fixture(scope="module")
def disturbed(cluster: Cluster, lasting: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    """Four shards on four nodes, each disturbed once it has trained something; then the rest, undisturbed."""
    sweep = lasting.copy(tmp_path_factory.mktemp("disturbed") / "sweep")
    with Watch(sweep) as watch:
        story = Disturbed(sweep, watch)
        with sweep.snakemake(*sweep.markers(), often=True) as snakemake:
            faults = dict(zip(sweep.shard_ids(), FAULTS, strict=True))
            # a signal of Slurm's lets them go on
            for held in held_once_trained((sweep, watch, shard) for shard in faults):
                fault = faults[held.shard]
                story.shard_of[fault], story.job_of[fault] = held.shard, held.job
                FAULTS[fault](cluster, held.job, held.node)
                if fault == "on a node that died":
                    dead = held.node
            code = snakemake.wait(ENDS_S)
        cluster.start_node(dead)
        if code != 0:
            story.invocations += 1
            sweep.run(*sweep.markers(), often=True)
        cluster.wait_until_idle()
        yield story


@dataclass(frozen=True)
class Held:
    """A shard in training, its process stopped so that a fast machine is not done with it before its fault."""

    shard: str
    job: str
    node: str
    process: int

    def go_on(self) -> None:
        os.kill(self.process, signal.SIGCONT)


def held_once_trained(shards: Iterable[tuple[Sweep, Watch, str]]) -> Iterator[Held]:
    """Each of the shards, stopped as soon as it has trained a run."""
    waiting = list(shards)

    def ready() -> list[tuple[Sweep, Watch, str]]:
        return [one for one in waiting if one[1].staged_runs(one[2])]

    while waiting:
        wait_for(lambda: bool(ready()), STARTS_S, f"runs of shards {[shard for _, _, shard in waiting]}")
        found = ready()
        yield from [hold(sweep, shard) for sweep, _, shard in found]
        waiting = [one for one in waiting if one not in found]


def hold(sweep: Sweep, shard: str) -> Held:
    job, node = sweep.job_of(shard)
    processes = sweep.cluster.processes(node)
    (process,) = [pid for pid, command in processes.items() if "-m wattsweep run-shard" in command]
    os.kill(process, signal.SIGSTOP)
    return Held(shard, job, node, process)


def test_faults_end_as_slurm_ends_them(disturbed: Disturbed, cluster: Cluster) -> None:
    jobs = cluster.jobs()
    for fault, job in disturbed.job_of.items():
        assert jobs[job]["state"] == ENDED.get(fault, "COMPLETED"), (fault, jobs[job])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disturbed_shard_is_completed(disturbed: Disturbed, fault: str) -> None:
    shard = disturbed.shard_of[fault]
    assert len(disturbed.watch.attempts(shard)) == 2
    listed = Counter(run["run_id"] for run in disturbed.sweep.marker(shard)["runs"])
    assert disturbed.sweep.planned_runs(shard) <= set(listed)
    assert set(listed.values()) == {1}
    check_runs(disturbed.records(fault))
    assert not list(disturbed.sweep.folder.glob("results/staged/*/*/*"))


def test_nothing_was_trained_twice_or_written_again(disturbed: Disturbed) -> None:
    assert disturbed.watch.trained_twice() == {}
    assert disturbed.watch.rewritten == set()


@pytest.mark.parametrize("fault", TOLD_TO_STOP)
def test_a_shard_that_is_told_to_stop_keeps_what_its_run_has_come_to(disturbed: Disturbed, fault: str) -> None:
    # checkpoints are 10 minutes apart: this one was made because of the signal
    assert any(record.segments for record in disturbed.records(fault)), disturbed.sweep.told()


@dataclass(frozen=True)
class Interrupted:
    """Two sweeps, a shard of each: the Snakemake of one was killed and started again, then slurmctld under both."""

    of_killed: Held
    restarted: Sweep
    restarted_watch: Watch
    beside: Held
    undisturbed: Sweep
    undisturbed_watch: Watch


@pytest.fixture(scope="module")
def interrupted(cluster: Cluster, lasting: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    folder = tmp_path_factory.mktemp("interrupted")
    restarted, undisturbed = lasting.copy(folder / "restarted"), lasting.copy(folder / "undisturbed")
    one, other = lasting.shard_ids()[:2]
    cluster.wait_until_idle()
    with Watch(restarted) as restarted_watch, Watch(undisturbed) as undisturbed_watch, ExitStack() as running:
        killed = running.enter_context(restarted.snakemake(f"results/shards/{one}.json", often=True))
        beside = running.enter_context(undisturbed.snakemake(f"results/shards/{other}.json", often=True))
        both = [(restarted, restarted_watch, one), (undisturbed, undisturbed_watch, other)]
        held = {stopped.shard: stopped for stopped in held_once_trained(both)}
        kill_group(killed)
        restarted.run("--unlock")
        again = running.enter_context(restarted.snakemake(f"results/shards/{one}.json", often=True))
        wait_for(lambda: started_beside(restarted, one, held[one].job), STARTS_S, "a second job")
        held[one].go_on()

        cluster.stop_controller()
        held[other].go_on()
        polls = len(undisturbed.polls())
        # the second begins when the first was given up
        wait_for(lambda: len(undisturbed.polls()) >= polls + 2, STARTS_S, "a poll that no controller hears")
        cluster.start_controller()
        restarted.finish(again)
        undisturbed.finish(beside)
    cluster.wait_until_idle()
    return Interrupted(held[one], restarted, restarted_watch, held[other], undisturbed, undisturbed_watch)


def started_beside(sweep: Sweep, shard: str, first: str) -> bool:
    """Whether a second job executes a shard."""
    others = {job: node for job, node in sweep.jobs_of(shard).items() if job != first}
    return any("run-shard" in command for node in others.values() for command in sweep.cluster.processes(node).values())


def test_slurmctld_started_again_in_mid_run(interrupted: Interrupted) -> None:
    shard = interrupted.beside.shard
    assert len(interrupted.undisturbed_watch.attempts(shard)) == 1
    check_shard(interrupted.undisturbed, interrupted.undisturbed_watch, shard)


def test_snakemake_killed_and_started_again(interrupted: Interrupted, cluster: Cluster) -> None:
    shard, job = interrupted.of_killed.shard, interrupted.of_killed.job
    assert cluster.jobs()[job]["state"] == "COMPLETED"
    assert len(interrupted.restarted_watch.attempts(shard)) == 1
    check_shard(interrupted.restarted, interrupted.restarted_watch, shard)


def check_shard(sweep: Sweep, watch: Watch, shard: str) -> None:
    """Every planned run of a shard is there once, trained once and measured in one place."""
    listed = Counter(run["run_id"] for run in sweep.marker(shard)["runs"])
    assert sweep.planned_runs(shard) <= set(listed)
    assert set(listed.values()) == {1}
    assert watch.trained_twice() == {}
    assert watch.rewritten == set()
    check_runs(list(sweep.records().values()))


def check_runs(records: list[RunRecord]) -> None:
    """Each epoch of a run was trained in one attempt, and each attempt's part was measured where it was trained."""
    for record in records:
        starts = [segment.first_epoch for segment in record.segments]
        ends = [segment.last_epoch for segment in record.segments]
        assert starts == [1, *(end + 1 for end in ends)][: len(starts)]
        assert all(end < record.settings.epochs for end in ends)
        assert all(segment.power is not None and segment.host for segment in record.segments)
        if is_measured(record) and record.power:
            blocks = {record.power.block_id, *(segment.block_id for segment in record.segments)}
            assert len(blocks) == 1 + len(record.segments)
    assert any(map(is_measured, records))
