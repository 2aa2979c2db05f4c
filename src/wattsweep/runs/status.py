"""How far a sweep has come, from files alone: the plan, shards' markers, their progress, their leases.

`read_status(layout)` gives the `Status`, `describe_status(status)` and `status_line(status)` say it in words. No run
file is opened: shards that are finished or were begun have written their numbers down, and of the others only the names
of run files are counted, which earlier plans may have left.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from wattsweep.planning import read_plan, read_shard
from wattsweep.runs.layout import Layout
from wattsweep.runs.leasefile import LeaseState, read_leases
from wattsweep.runs.packed import packed_facts
from wattsweep.runs.progress import Counts, NodeCounts, Progress

State = Literal["done", "running", "silent", "stopped", "waiting"]
STATES: tuple[State, ...] = ("done", "running", "silent", "stopped", "waiting")
"""Of a shard: finished; executed now; said to be executed, without a heartbeat; begun and left; not begun."""


@dataclass(frozen=True, slots=True)
class RunningShard:
    """A shard that is being executed: where, what it trains now, and how many of its experiments are done."""

    shard_id: str
    node: str
    slurm_job_id: str
    state: State
    heartbeat_s: float
    now: str
    experiments: int
    experiments_done: int


@dataclass
class Status:
    """How far a sweep has come.

    `running` are the runs of the shards that are executed now which are not done, `remaining` all that are neither done
    nor failed. `rate_per_h` is that of the shards that are executed now, in runs; `left_s` the wall time that is left
    if as many go on; both None where that is not known.
    """

    taken_at: str
    experiments: int
    total: Counts
    running: int = 0
    rate_per_h: float | None = None
    left_s: float | None = None
    sweeps: dict[str, Counts] = field(default_factory=dict)
    nodes: dict[str, NodeCounts] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    running_shards: list[RunningShard] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """Planned runs that are neither done nor failed."""
        return self.total.planned - self.total.done - self.total.failed

    @property
    def finished(self) -> bool:
        """Whether every shard is."""
        return sum(self.shards.values()) == self.shards["done"]

    def to_json(self) -> dict[str, Any]:
        """The status as a JSON object."""
        return asdict(self) | {"remaining": self.remaining}


def read_status(layout: Layout, plan_folder: Path | None = None) -> Status:
    """The status of the plan in a folder, by default plan/ below the results.

    Raises ConfigError where there is no plan.
    """
    folder = plan_folder or layout.results / "plan"
    plan = read_plan(folder / "plan.json")
    leases = {lease.shard_id: lease for lease in read_leases(layout.leases)}
    trained = _Trained(layout, folder)
    status = Status(_now(), plan["experiments"], Counts())
    pace = _Pace()
    for shard in plan["shards"]:
        shard_id = shard["shard_id"]
        marked = _progress_in(layout.marker(shard_id), "progress")
        progress = marked or _progress_in(layout.progress(shard_id))
        lease = None if marked else leases.get(shard_id)
        begun = progress is not None
        if progress is None:
            progress = trained.count(shard_id, shard)
        state = _state(layout.marker(shard_id).exists(), lease, begun=begun)
        status.shards[state] += 1
        pace.add(progress, state)
        _add(status, progress)
        if lease is not None:
            status.running_shards.append(_running(lease, state, progress))
            if state == "running":
                counts = progress.total
                status.running += counts.planned - counts.done - counts.failed
    status.total.planned = plan["runs"]
    for name, counts in plan["sweeps"].items():
        status.sweeps.setdefault(name, Counts()).planned = counts["runs"]
    status.rate_per_h, status.left_s = pace.rate_per_h, pace.left_s(status.shards["running"])
    return status


class _Pace:
    """How fast the shards are."""

    def __init__(self) -> None:
        self.rate_per_h: float | None = None
        self._left_s = 0.0
        self._elapsed_s = 0.0
        self._predicted_s = 0.0

    def add(self, progress: Progress, state: State) -> None:
        """Take a shard into account."""
        if state != "done":
            self._left_s += progress.predicted_left_s
        if progress.predicted_done_s > 0:
            self._elapsed_s += progress.elapsed_s
            self._predicted_s += progress.predicted_done_s
        if state == "running" and progress.runs > 0 and progress.elapsed_s > 0:
            self.rate_per_h = (self.rate_per_h or 0.0) + 3600 * progress.runs / progress.elapsed_s

    def left_s(self, at_once: int) -> float | None:
        """Wall time that is left where so many shards are executed at once; None where none is."""
        ratio = self._elapsed_s / self._predicted_s if self._predicted_s > 0 else 1.0
        return self._left_s * ratio / at_once if at_once else None


class _Trained:
    """Counts run files of shards that have written no numbers, as those of earlier plans."""

    def __init__(self, layout: Layout, plan_folder: Path) -> None:
        self._layout = layout
        self._shards = plan_folder / "shards"
        self._known: set[str] | None = None
        self._packed = layout.packed.exists()

    def count(self, shard_id: str, summary: Mapping[str, Any]) -> Progress:
        """The numbers of a shard as far as names of files tell them: no energies."""
        nothing = Progress(experiments=summary["experiments"], predicted_left_s=summary["predicted_s"])
        nothing.total.planned = summary["runs"]
        if self._known is None:
            self._known = {path.name for path in (self._layout.results / "runs").glob("[0-9a-f][0-9a-f]/*")}
        if not self._known and not self._packed:
            return nothing
        for planned in read_shard(self._shards / f"{shard_id}.json").experiments:
            experiment = planned.experiment
            files = self._files(experiment.experiment_id)
            if not files:
                continue
            done = sum(run.run_id in files for run in experiment.runs())
            counts = Counts(done=done, further=len(files) - done)
            nothing.total.add(counts)
            for sweep in experiment.sweeps:
                nothing.sweeps.setdefault(sweep, Counts()).add(counts)
            if done == experiment.repetitions:
                nothing.experiments_done += 1
                nothing.predicted_left_s -= planned.predicted_s
        return nothing

    def _files(self, experiment_id: str) -> set[str]:
        """The ids of an experiment's finished runs."""
        found: set[str] = set()
        if self._known and experiment_id in self._known:
            found = {path.stem for path in self._layout.experiment(experiment_id).glob("[!.]*.h5")}
        if self._packed:
            found |= {facts.run.run_id for facts in packed_facts(self._layout, experiment_id)}
        return found


def _add(status: Status, progress: Progress) -> None:
    status.total.add(progress.total)
    for sweep, counts in progress.sweeps.items():
        status.sweeps.setdefault(sweep, Counts()).add(counts)
    for node, trained in progress.nodes.items():
        status.nodes.setdefault(node, NodeCounts()).add(trained)


def _state(marked: bool, lease: LeaseState | None, *, begun: bool) -> State:
    if marked:
        return "done"
    if lease is not None:
        return "running" if lease.fresh else "silent"
    return "stopped" if begun else "waiting"


def _running(lease: LeaseState, state: State, progress: Progress) -> RunningShard:
    owner = lease.owner
    return RunningShard(
        shard_id=lease.shard_id,
        node=owner.host,
        slurm_job_id=owner.slurm_job_id,
        state=state,
        heartbeat_s=lease.age_s,
        now=progress.now,
        experiments=progress.experiments,
        experiments_done=progress.experiments_done,
    )


def _progress_in(path: Path, key: str | None = None) -> Progress | None:
    """The numbers in a file, or under a key of it; None where there are none that can be read."""
    try:
        document = json.loads(path.read_bytes())
        return Progress.from_json(document[key] if key else document)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def status_line(status: Status) -> str:
    """The status in a line, for a log."""
    total = status.total
    parts = [
        f"{total.done:,} of {total.planned:,} runs ({_share(total):.1%})",
        f"{total.failed:,} failed",
        f"{total.refused:,} energies refused",
        f"{status.remaining:,} remaining",
        _shards(status),
        _pace(status),
        energy_words(total.gross_j),
    ]
    return f"{status.taken_at} " + ", ".join(filter(None, parts))


def describe_status(status: Status, *, width: int = 80) -> str:
    """The status as a bar and two tables, lines no longer than `width`."""
    total = status.total
    head = f"{total.done:,} of {total.planned:,} runs, {total.failed:,} failed, {total.refused:,} energies refused"
    lines = [
        _bar(_share(total), width - 8) + f" {_share(total):6.1%}",
        head,
        ", ".join(filter(None, [f"{status.remaining:,} remaining, {status.running:,} of them in work", _pace(status)])),
        _shards(status),
        f"energy so far: {energy_words(total.gross_j) or 'none was measured'}",
        "",
        f"{'sweep':20}{'planned':>10}{'done':>10}{'further':>9}{'failed':>8}{'refused':>9}  energy",
    ]
    for name, counts in status.sweeps.items():
        numbers = f"{counts.planned:>10,}{counts.done:>10,}{counts.further:>9,}{counts.failed:>8,}{counts.refused:>9,}"
        lines.append(f"{name[:20]:20}{numbers}  {energy_words(counts.gross_j)}")
    lines += ["", f"{'node':20}{'runs':>10}{'training':>12}  {'energy':24}now"]
    running = {one.node: one for one in status.running_shards}
    for name in sorted(status.nodes.keys() | running.keys()):
        node = status.nodes.get(name, NodeCounts())
        energy = energy_words(node.gross_j)
        now = _now_words(running[name]) if name in running else ""
        lines.append(f"{name[:20]:20}{node.runs:>10,}{describe_duration(node.training_s):>12}  {energy:24}{now}")
    return "\n".join(line[:width].rstrip() for line in lines)


def energy_words(gross_j: Mapping[str, float]) -> str:
    """Joules by the origin of their watts, such as "1.23 MJ measured"."""
    return ", ".join(f"{_joules(joules)} {origin}" for origin, joules in sorted(gross_j.items()))


def _share(counts: Counts) -> float:
    return counts.done / counts.planned if counts.planned else 1.0


def _shards(status: Status) -> str:
    return "shards: " + ", ".join(f"{count:,} {state}" for state, count in status.shards.items() if count)


def _pace(status: Status) -> str:
    rate = "" if status.rate_per_h is None else f"{status.rate_per_h:,.0f} runs/h"
    left = "" if status.left_s is None or not status.remaining else f"about {describe_duration(status.left_s)} left"
    return ", ".join(filter(None, [rate, left]))


def _now_words(shard: RunningShard) -> str:
    done = f"{shard.experiments_done}/{shard.experiments}"
    if shard.state == "silent":
        return f"no heartbeat for {describe_duration(shard.heartbeat_s)} ({done})"
    return f"{shard.now} ({done})"


def _bar(share: float, width: int) -> str:
    filled = int(share * max(1, width - 2))
    return "[" + "#" * filled + "-" * (width - 2 - filled) + "]"


def _joules(joules: float) -> str:
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if joules >= factor:
            return f"{joules / factor:.3g} {prefix}J"
    return f"{joules:.3g} J"


def describe_duration(seconds: float) -> str:
    """A time in the unit that leaves a small number."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
