"""The finished runs of an experiment, loose or packed: `finished_runs` whole, `finished_facts` without their weight."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from wattsweep.errors import RunFileError
from wattsweep.runs.facts import RunFacts, read_facts
from wattsweep.runs.files import read_run
from wattsweep.runs.layout import Layout
from wattsweep.runs.packed import packed_facts, packed_records
from wattsweep.runs.quarantine import read_or_quarantine
from wattsweep.runs.record import RunRecord

T = TypeVar("T", RunRecord, RunFacts)


def finished_runs(
    layout: Layout, experiment_id: str, *, traces: bool = True, quarantine: bool = False
) -> dict[int, RunRecord]:
    """The finished runs of an experiment by repetition.

    Without `traces`, theirs are left unread. A file that is none is set aside with `quarantine`, without it
    RunFileError is raised; it is raised for packed files in any case.
    """

    def read(path: Path) -> RunRecord:
        return _of_experiment(layout, experiment_id, read_run(path, traces=traces))

    loose = _loose(layout, experiment_id, read, quarantine=quarantine)
    return _by_repetition(layout, experiment_id, [*packed_records(layout, experiment_id, traces=traces), *loose])


def finished_facts(layout: Layout, experiment_id: str) -> dict[int, RunFacts]:
    """The facts of an experiment's finished runs by repetition; raises RunFileError for a file that is none."""
    loose = _loose(layout, experiment_id, read_facts, quarantine=False)
    return _by_repetition(layout, experiment_id, [*packed_facts(layout, experiment_id), *loose])


def _loose(layout: Layout, experiment_id: str, read: Callable[[Path], T], *, quarantine: bool) -> list[T]:
    """What is read of the run files; one that was packed meanwhile is gone, and found there."""
    found = []
    for path in sorted(layout.experiment(experiment_id).glob("[!.]*.h5")):
        try:
            one = read_or_quarantine(layout, path, read) if quarantine else read(path)
        except RunFileError:
            if path.exists():
                raise
        else:
            found += [] if one is None else [one]
    return found


def _by_repetition(layout: Layout, experiment_id: str, runs: Iterable[T]) -> dict[int, T]:
    by_repetition: dict[int, T] = {}
    for one in runs:
        by_repetition[one.run.repetition] = _of_experiment(layout, experiment_id, one)
    return by_repetition


def _of_experiment(layout: Layout, experiment_id: str, one: T) -> T:
    if one.run.experiment_id != experiment_id:
        where = layout.experiment(experiment_id)
        raise RunFileError(f"{where}: holds a run of experiment {one.run.experiment_id}; move it away.")
    return one
