"""Runs that failed: why, how often, and which are not tried any more.

A failure is kept with its traceback as results/failures/AB/EXPERIMENT/RUN-ATTEMPT.json. `failing(runs)` turns what is
raised while runs are trained into a RunFailedError; what concerns the whole shard passes through it: the order to stop,
a lost lease, too little memory, and what the disk refuses.
"""

import errno
import json
import traceback
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from wattsweep.disk import write_text
from wattsweep.errors import OutOfMemoryError, RunFileError, TryAgainError
from wattsweep.grid import Experiment, Run
from wattsweep.runs.layout import Layout
from wattsweep.runs.quarantine import quarantined

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE)
NOT_TRAINED, DAMAGED = "not trained yet", "its file was damaged and set aside"
LONGEST_MESSAGE = 300


class RunFailedError(Exception):
    """Some runs of an experiment could not be trained; its cause says why."""

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(f"run {runs[0].run_id}")
        self.runs = tuple(runs)


@contextmanager
def failing(runs: Sequence[Run]) -> Iterator[None]:
    """What is raised in the context is the failure of these runs: RunFailedError."""
    try:
        yield
    except (OutOfMemoryError, TryAgainError, RunFailedError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise
        raise RunFailedError(runs) from error


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt at runs of an experiment, those that were trained side by side: `attempt` counts from 1."""

    experiment_id: str
    runs: tuple[str, ...]
    repetitions: tuple[int, ...]
    attempt: int
    kind: str
    message: str
    traceback: str
    block_id: str
    host: str
    slurm_job_id: str
    failed_at: str

    @property
    def words(self) -> str:
        """The error in a line."""
        return f"{self.kind}: {self.message}" if self.message else self.kind

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The failure in a file; raises KeyError or TypeError where it is none."""
        return cls(**{**document, "runs": tuple(document["runs"]), "repetitions": tuple(document["repetitions"])})


def keep_failure(
    layout: Layout, error: RunFailedError, earlier: Iterable[Failure], block_id: str, provenance: Mapping[str, str]
) -> Failure:
    """Write down a failure of runs of which `earlier` ones are known."""
    cause = error.__cause__ or error
    first = error.runs[0]
    failure = Failure(
        experiment_id=first.experiment_id,
        runs=tuple(run.run_id for run in error.runs),
        repetitions=tuple(run.repetition for run in error.runs),
        attempt=1 + max(attempts(earlier)[run.run_id] for run in error.runs),
        kind=type(cause).__name__,
        message=" ".join(str(cause).split())[:LONGEST_MESSAGE],
        traceback="".join(traceback.format_exception(cause)),
        block_id=block_id,
        host=provenance.get("host", ""),
        slurm_job_id=provenance.get("slurm_job_id", ""),
        failed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_text(failure_path(layout, failure), json.dumps(asdict(failure), indent=1) + "\n")
    return failure


def failure_path(layout: Layout, failure: Failure) -> Path:
    """The file of a failure: named by the first of its runs."""
    return layout.failures(failure.experiment_id) / f"{failure.runs[0]}-{failure.attempt}.json"


def read_failures(layout: Layout, experiment_id: str) -> list[Failure]:
    """The failures of an experiment's runs, oldest first; raises RunFileError for a file that is none."""
    return sorted(map(_read, layout.failures(experiment_id).glob("[!.]*.json")), key=lambda one: one.attempt)


def attempts(failures: Iterable[Failure]) -> Counter[str]:
    """How often each run failed, by its id."""
    return Counter(run_id for failure in failures for run_id in failure.runs)


def given_up(experiment: Experiment, finished: Iterable[int], failures: Sequence[Failure], retries: int) -> set[int]:
    """The repetitions that are not tried any more: those that failed more than `retries` times.

    Where one did, and no run of the experiment was ever finished, none of its others is tried either.
    """
    done = set(finished)
    counts = attempts(failures)
    numbers = {number for failure in failures for number in failure.repetitions}
    spent = {number for number in numbers - done if counts[experiment.run(number).run_id] > retries}
    return spent | set(range(experiment.repetitions)) if spent and not done else spent


@dataclass
class Missing:
    """Why planned runs have no file: how many runs by reason, and an example of each."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Counts and examples as a JSON object."""
        return {"missing_because": dict(self.reasons.most_common()), "missing_examples": self.examples}


def failed_experiments(layout: Layout) -> set[str]:
    """The ids of the experiments of which a run ever failed."""
    return {path.name for path in (layout.results / "failures").glob("[0-9a-f][0-9a-f]/*")}


def missing_because(
    layout: Layout, planned: Mapping[str, Experiment], finished: Mapping[str, Container[int]], missing: int
) -> Missing:
    """Why so many planned runs are missing.

    That is the kind of error of their last attempt, that their file was damaged, or that there was no attempt yet.
    `finished` are the repetitions that are there, of every experiment that has failures or damaged files.
    """
    found = Missing()
    damaged = {one.name.removesuffix(".h5"): one for one in quarantined(layout)}
    touched = failed_experiments(layout) | {one.experiment_id for one in damaged.values()}
    for experiment_id in sorted(touched & planned.keys()):
        failures = read_failures(layout, experiment_id)
        last = {run_id: failure for failure in failures for run_id in failure.runs}
        runs = planned[experiment_id].runs()
        absent = [run for run in runs if run.repetition not in finished.get(experiment_id, ())]
        for run in absent:
            # Where all runs are missing, none was tried any more after the first had failed for good.
            failure = last.get(run.run_id, failures[-1] if failures and len(absent) == len(runs) else None)
            if failure is None and run.run_id in damaged:
                found.reasons[DAMAGED] += 1
                found.examples.setdefault(DAMAGED, str(damaged[run.run_id]))
            if failure is None:
                continue
            reason = f"failed with {failure.kind}"
            found.reasons[reason] += 1
            where = failure_path(layout, failure).relative_to(layout.results)
            found.examples.setdefault(reason, f"run {run.run_id}: {failure.words} ({where})")
    others = missing - found.reasons.total()
    if others > 0:
        found.reasons[NOT_TRAINED] = others
    return found


def _read(path: Path) -> Failure:
    try:
        return Failure.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise RunFileError(f"{path}: not the record of a failure ({error!r}); move it away.") from error
