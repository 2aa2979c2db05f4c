"""What the dashboard shows, from files alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from wattsweep.errors import ConfigError, PowerError, RunFileError
from wattsweep.power.tail import Recent, read_recent
from wattsweep.runs.failures import Failure, failed_experiments, read_failures
from wattsweep.runs.layout import Layout
from wattsweep.runs.status import describe_duration, energy_words, read_status

LAST_S = 300.0
MOST_POINTS = 600
MOST_FAILURES = 50
LOG_BYTES = 100_000


def snapshot(layout: Layout) -> dict[str, Any]:
    """The status of the sweep, the last five minutes of power of each shard that is executed, and the failures.

    Where there is no plan yet, "waiting" says so.
    """
    try:
        status = read_status(layout)
    except ConfigError as error:
        return {"waiting": str(error)}
    words = {
        "energy": energy_words(status.total.gross_j),
        "left": "" if status.left_s is None or not status.remaining else describe_duration(status.left_s),
    }
    return {
        "status": status.to_json(),
        "finished": status.finished,
        "words": words,
        "traces": [trace for shard in status.running_shards for trace in _traces(layout, shard.shard_id, shard.node)],
        "failures": _failures(layout),
    }


def log_of(layout: Layout, shard_id: str) -> str:
    """The end of the log of a shard's job. Raises FileNotFoundError where there is none."""
    path = layout.results / "logs" / "shard" / f"{shard_id}.log"
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES))
        return file.read().decode("utf-8", errors="replace")


def _traces(layout: Layout, shard_id: str, node: str) -> list[dict[str, Any]]:
    """The traces of the newest attempt at a shard, one for each source."""
    files = sorted((layout.results / "traces").glob(f"{shard_id}-*.csv"), key=lambda path: path.stat().st_mtime)
    if not files:
        return []
    attempt = "-".join(files[-1].name.split("-")[:3]).removesuffix(".csv")
    return [_trace(path, shard_id, node) for path in files if path.name.startswith(attempt)]


def _trace(path: Path, shard_id: str, node: str) -> dict[str, Any]:
    told: dict[str, Any] = {"shard_id": shard_id, "node": node, "file": path.name}
    try:
        recent = read_recent(path, LAST_S)
    except PowerError as error:
        return told | {"why": str(error)}
    source = recent.source
    thinned = _thinned(recent)
    return told | {
        "source": source.name,
        "scope": source.scope,
        "origin": source.origin,
        "wall_s": [round(at, 2) for at in thinned.wall_s],
        "power_w": thinned.power_w,
        "one_in": -(-len(recent.wall_s) // MOST_POINTS) or 1,
    }


def _thinned(recent: Recent) -> Recent:
    every = -(-len(recent.wall_s) // MOST_POINTS) or 1
    return Recent(recent.source, recent.wall_s[::every], recent.power_w[::every])


def _failures(layout: Layout) -> list[dict[str, Any]]:
    """The latest failures, the newest first, with their tracebacks; a record that cannot be read says why."""
    found: list[Failure] = []
    unreadable = []
    for experiment_id in sorted(failed_experiments(layout)):
        try:
            found += read_failures(layout, experiment_id)
        except RunFileError as error:
            unreadable.append({"kind": "unreadable", "message": str(error), "traceback": "", "failed_at": ""})
    newest = sorted(found, key=lambda one: one.failed_at, reverse=True)
    return unreadable + [asdict(one) for one in newest[:MOST_FAILURES]]
