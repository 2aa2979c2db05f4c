"""A results folder as it looks while a sweep runs: a shard at work with its trace, and a run that failed."""

from pathlib import Path

from tests.runs.test_status import begin, finish, plan_for
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Sample, Status
from wattsweep.power.tracefile import TraceWriter
from wattsweep.runs import Layout
from wattsweep.runs.failures import RunFailedError, keep_failure

N_SAMPLES = 400
START_S = 1_800_000_000.0


def source(kind: str = "power", origin: str = "simulated") -> SourceDescription:
    document = {
        "name": "simulated",
        "kind": kind,
        "scope": "node",
        "origin": origin,
        "detail": "a source of a test",
        "refresh_s": 1.0,
        "step": 1.0,
        "wrap_j": None,
        "accuracy": None,
        "lag_s": None,
        "averaging_s": None,
        "shows_updates": None,
    }
    return SourceDescription.from_json(document)


def write_trace(path: Path, values: list[float], statuses: list[Status], kind: str = "power") -> None:
    """A sample each second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TraceWriter(path, source(kind), 1.0) as writer:
        for number, (value, status) in enumerate(zip(values, statuses, strict=True)):
            at = float(number)
            writer.append(Sample(number, at, at + 0.01, START_S + at, START_S + at + 0.01, value, status))
            if number % 50 == 0:
                writer.note(0.1, at + 1.0, True)


def running_sweep(results: Path) -> tuple[Layout, str]:
    """The layout, and the id of the shard at work."""
    plan, layout = plan_for(results, rates=100), Layout(results)
    finish(layout, plan.shards[0])
    shard = plan.shards[1]
    begin(layout, shard, done=3, host="node-c")
    watts = [100.0 + number % 7 for number in range(N_SAMPLES)]
    statuses = [Status.FAILED if number == 390 else Status.OK for number in range(N_SAMPLES)]
    write_trace(layout.trace(f"{shard.shard_id}-20261128T120000Z-0123abcd"), watts, statuses)
    log = layout.results / "logs" / "shard" / f"{shard.shard_id}.log"
    log.parent.mkdir(parents=True)
    log.write_text("trained wine\n<b>not markup</b>\n")
    error = RunFailedError([shard.experiments[0].experiment.run(0)])
    error.__cause__ = ValueError("loss is <nan>")
    keep_failure(layout, error, [], "block", {"host": "node-c"})
    return layout, shard.shard_id
