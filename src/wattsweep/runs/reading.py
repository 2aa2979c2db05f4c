"""Reads the runs of very many experiments with several processes, in order and with bounded memory."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from wattsweep.runs.finished import finished_runs
from wattsweep.runs.layout import Layout
from wattsweep.runs.record import RunRecord

FEWEST = 400
"""With fewer experiments, processes take longer to start than they save."""
RUNS_AT_ONCE = 32
WORKERS = 4

Groups = list[list[RunRecord]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How runs are read."""

    traces: bool
    quarantine: bool


def runs_of(
    layout: Layout, experiment_ids: Sequence[str], *, traces: bool = False, quarantine: bool = False
) -> Iterator[list[RunRecord]]:
    """The finished runs of each experiment by repetition, one experiment after another.

    `traces` and `quarantine` are as in `finished_runs`, which says what is raised. At most a few blocks are in memory
    at any time.
    """
    wanted = Wanted(traces, quarantine)
    workers = min(WORKERS, len(os.sched_getaffinity(0)))
    if workers < 2 or len(experiment_ids) < FEWEST:
        for experiment_id in experiment_ids:
            yield _runs(layout, experiment_id, wanted)
        return
    # What is forked would have the locks of this process's threads, which may be held.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        asked: deque[Future[Groups]] = deque()
        try:
            for chunk in _chunks(layout, experiment_ids):
                asked.append(pool.submit(_read, layout, chunk, wanted))
                if len(asked) > 2 * workers:
                    yield from asked.popleft().result()
            while asked:
                yield from asked.popleft().result()
        finally:
            for future in asked:
                future.cancel()


def _chunks(layout: Layout, experiment_ids: Iterable[str]) -> Iterator[list[str]]:
    """Experiments of about RUNS_AT_ONCE runs together; how many are packed is not known, so those go one by one."""
    chunk: list[str] = []
    runs = 0
    unseen = RUNS_AT_ONCE if layout.packed.exists() else 1
    for experiment_id in experiment_ids:
        chunk.append(experiment_id)
        runs += _count(layout, experiment_id) or unseen
        if runs >= RUNS_AT_ONCE:
            yield chunk
            chunk, runs = [], 0
    if chunk:
        yield chunk


def _count(layout: Layout, experiment_id: str) -> int:
    try:
        return sum(1 for _ in layout.experiment(experiment_id).iterdir())
    except FileNotFoundError:
        return 0


def _read(layout: Layout, experiment_ids: Sequence[str], wanted: Wanted) -> Groups:
    return [_runs(layout, experiment_id, wanted) for experiment_id in experiment_ids]


def _runs(layout: Layout, experiment_id: str, wanted: Wanted) -> list[RunRecord]:
    runs = finished_runs(layout, experiment_id, traces=wanted.traces, quarantine=wanted.quarantine)
    return [runs[repetition] for repetition in sorted(runs)]
