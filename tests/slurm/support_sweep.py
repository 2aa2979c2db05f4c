"""A sweep on the cluster: a folder in which Snakemake runs this workflow, and what is to be seen of it from outside."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import yaml

from tests.slurm.support_cluster import ACCOUNT, CALLS_VARIABLE, Cluster
from wattsweep.planning import read_shard
from wattsweep.runs import RunRecord, read_run

REPOSITORY = Path(__file__).parents[2]
QUICK = {
    "dataset": "wine",
    "shape": ["rectangle", "exponential"],
    "size": [256, 1024],
    "depth": 2,
    "epochs": 60,
    "learning_rate": 0.001,
    "repetitions": 2,
}
"""Four experiments that train for a moment."""
LASTING = QUICK | {"dataset": "digits", "size": [8192, 10240], "epochs": 2000, "repetitions": 3}
"""Four experiments whose runs last for seconds, so that something can happen to them."""
POWER = {
    "source": "simulated",
    "interval": "100 ms",
    "min_window": "600 ms",
    "idle_window": "600 ms",
    "simulated": {"refresh": "300 ms"},
}
SCHEDULING = {"partition": "main", "account": ACCOUNT, "shard_wall_time": "1 s", "lease_heartbeat": "6 s"}
"""Shards of one experiment each, taken over soon after their node died; one that is held for a moment is not."""


ENDS_S = 1800.0
"""How long a sweep may take on a busy machine."""


def tiny(grid: dict[str, Any]) -> dict[str, Any]:
    """A configuration of one grid."""
    return {"sweeps": {"tiny": grid}, "power": POWER, "scheduling": SCHEDULING}


class Sweep:
    """A sweep's folder, on the file system that the cluster's nodes share, and in it a whole config.yaml."""

    def __init__(self, folder: Path, cluster: Cluster, document: dict[str, Any]) -> None:
        self.folder = folder
        self.cluster = cluster
        self.document = document
        self.calls_log = folder / "calls.log"
        self.outputs: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(document))

    def copy(self, folder: Path) -> "Sweep":
        """The same sweep in another folder, with its plan and datasets."""
        copied = Sweep(folder, self.cluster, self.document)
        shutil.copy2(self.folder / "config.yaml", folder)
        for part in ("results", ".snakemake"):
            shutil.copytree(self.folder / part, folder / part)
        return copied

    def command(self, *arguments: str, profile: str, often: bool) -> list[str]:
        """Snakemake's command line."""
        program = [str(Path(__file__).with_name("support_often.py"))] if often else ["-m", "snakemake"]
        # it ends with the tests, even where they are killed
        main = ["setpriv", "--pdeathsig", "KILL", sys.executable, *program]
        workflow = REPOSITORY / "workflow" / "Snakefile"
        main += ["--profile", str(REPOSITORY / "profiles" / profile)]
        return [*main, "--snakefile", str(workflow), "--directory", str(self.folder), *arguments]

    def environment(self) -> dict[str, str]:
        """The environment of Snakemake, and of the jobs that it submits."""
        cluster = self.cluster.environment
        counted, others = cluster["PATH"].split(":", maxsplit=1)
        path = f"{counted}:{Path(sys.executable).parent}:{others}"
        return cluster | {"PATH": path, CALLS_VARIABLE: str(self.calls_log)}

    @contextmanager
    def snakemake(
        self, *arguments: str, profile: str = "slurm", often: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Snakemake, running; killed where it still does at the end.

        It looks at its jobs as the profile says, or more often.
        """
        output = self.folder / f"snakemake-{len(self.outputs)}.out"
        self.outputs.append(output)
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command(*arguments, profile=profile, often=often),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            kill_group(process)

    def run(self, *arguments: str, profile: str = "slurm", often: bool = False) -> None:
        """Run Snakemake to its end, which must be a good one."""
        with self.snakemake(*arguments, profile=profile, often=often) as process:
            self.finish(process)

    def finish(self, process: subprocess.Popen[bytes], timeout_s: float = ENDS_S) -> None:
        """Wait for the good end of Snakemake."""
        try:
            code: int | str = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = f"none within {timeout_s:.0f} s"
        assert code == 0, f"exit status: {code}\n{self.told()}"

    def told(self) -> str:
        """What Snakemake and the shards wrote."""
        logs = [*self.outputs, *sorted(self.folder.rglob("results/logs/**/*.log"))]
        logs += sorted(self.folder.rglob(".snakemake/slurm_logs/**/*.log"))
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}" for log in logs)

    def shard_ids(self) -> list[str]:
        """The shards of the plan."""
        return sorted(path.stem for path in self.folder.glob("results/plan/shards/*.json"))

    def markers(self) -> list[str]:
        """What Snakemake is to make: the marker of every shard."""
        return [f"results/shards/{shard}.json" for shard in self.shard_ids()]

    def marker(self, shard: str) -> dict[str, Any]:
        """The content of a shard's marker."""
        content: dict[str, Any] = json.loads((self.folder / f"results/shards/{shard}.json").read_text())
        return content

    def planned_runs(self, shard: str) -> set[str]:
        """Ids of the runs that the plan asks of a shard."""
        experiments = read_shard(self.folder / f"results/plan/shards/{shard}.json").experiments
        return {one.experiment.run(n).run_id for one in experiments for n in range(one.experiment.repetitions)}

    def records(self) -> dict[str, RunRecord]:
        """The finished runs by id; a file that is not a valid run file is an error."""
        return {path.stem: read_run(path) for path in self.folder.glob("results/runs/*/*/[!.]*.h5")}

    def jobs_of(self, shard: str) -> dict[str, str]:
        """The running jobs of a shard, and their nodes."""
        running = self.cluster.jobs("RUNNING")
        return {job: facts["node"] for job, facts in running.items() if facts["comment"].strip().endswith(shard)}

    def job_of(self, shard: str) -> tuple[str, str]:
        """The one running job of a shard, and its node."""
        ((job, node),) = self.jobs_of(shard).items()
        return job, node

    def calls(self) -> dict[tuple[str, str], list[float]]:
        """When each of Slurm's clients was called on each host, as Unix time."""
        called: dict[tuple[str, str], list[float]] = {}
        for line in self.calls_log.read_text().splitlines():
            when, host, program = line.split()
            called.setdefault((host, program), []).append(float(when))
        return called

    def polls(self) -> list[float]:
        """When Snakemake asked for the state of its jobs."""
        calls, here = self.calls(), socket.gethostname()
        return sorted(calls.get((here, "squeue"), []) + calls.get((here, "sacct"), []))


def is_measured(record: RunRecord) -> bool:
    """Whether a run has an energy; on a machine so busy that samples came late it is refused, and nothing else is."""
    assert record.power is not None
    assert record.power.status == "ok" or "power.min_coverage" in record.power.reason, record.power.reason
    assert record.power.block_start_s <= record.training.start_s < record.training.end_s <= record.power.block_end_s
    return record.power.status == "ok"


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started on this machine, as SIGKILL does: nobody can clean up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Watch:
    """Looks on while a sweep is executed: which blocks each run was trained in, and whether run files change."""

    def __init__(self, sweep: Sweep) -> None:
        self.trained_in: dict[str, set[str]] = {}
        self.rewritten: set[str] = set()
        self._results = sweep.folder / "results"
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._ended.set()
        self._thread.join()

    def staged_runs(self, shard: str) -> int:
        """How many runs of a shard have been trained."""
        blocks = list(self.trained_in.values())
        return sum(any(block.startswith(shard) for block in run) for run in blocks)

    def trained_twice(self) -> dict[str, set[str]]:
        """Runs that were trained to completion more than once, and the blocks."""
        return {run: blocks for run, blocks in self.trained_in.items() if len(blocks) > 1}

    def attempts(self, shard: str) -> set[str]:
        """The attempts at a shard that trained a run to completion."""
        blocks = {block for run in self.trained_in.values() for block in run}
        return {block.rsplit("-", 1)[0] for block in blocks if block.startswith(shard)}

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for path in self._results.glob("staged/*/*/*/[!.]*.h5"):
                self.trained_in.setdefault(path.stem, set()).add(path.parent.name)
            for path in self._results.glob("runs/*/*/[!.]*.h5"):
                status = path.stat()
                stamp = (status.st_ino, status.st_mtime_ns)
                if self._stamps.setdefault(path, stamp) != stamp:
                    self.rewritten.add(path.stem)


def wait_for(seen: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return once `seen()` is true; an assertion error that names what did not come after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not seen():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.1)
