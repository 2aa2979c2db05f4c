"""Damaged run files: set aside with the reason, so that their runs are trained again and nothing of them is read.

quarantine/AB/EXPERIMENT/RUN-N.h5 is the file as it was found, RUN-N.json says when and why it was set aside.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from wattsweep.disk import write_text
from wattsweep.errors import RunFileError, UnreachableError
from wattsweep.runs.layout import Layout

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A run file that was set aside: its name was `name`, and it lies at `path` below the results."""

    experiment_id: str
    name: str
    path: str
    reason: str
    found_at: str

    def __str__(self) -> str:
        """It in a line."""
        return f"{self.name}: {self.reason} It lies at {self.path} now, and its run is trained again."

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """What a record says. Raises TypeError where it is none."""
        return cls(**document)


def read_or_quarantine(layout: Layout, path: Path, read: Callable[[Path], T]) -> T | None:
    """What is read of a run file; None where it is damaged, and then it is set aside.

    Raises what `read` raises where the file was replaced or is gone since, and where the disk is in the way: the file
    may be whole.
    """
    before = _identity(path)
    try:
        return read(path)
    except UnreachableError:
        raise
    except RunFileError as error:
        # A file that another process has replaced since is not the one that was read.
        if before is None or _identity(path) != before:
            raise
        set_aside(layout, path, str(error))
        return None


def set_aside(layout: Layout, path: Path, reason: str) -> Quarantined:
    """Move a run file into quarantine, and write down why."""
    experiment_id = path.parent.name
    folder = layout.quarantine(experiment_id)
    folder.mkdir(parents=True, exist_ok=True)
    target = next(candidate for n in itertools.count(1) if not (candidate := folder / f"{path.stem}-{n}.h5").exists())
    record = Quarantined(
        experiment_id=experiment_id,
        name=path.name,
        path=target.relative_to(layout.results).as_posix(),
        reason=reason,
        found_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # The reason first: a file in quarantine always has one.
    write_text(target.with_suffix(".json"), json.dumps(asdict(record), indent=1) + "\n")
    path.replace(target)
    return record


def quarantined(layout: Layout, experiment_id: str = "") -> Iterator[Quarantined]:
    """All that was ever set aside, of one experiment or of all."""
    if experiment_id:
        paths = layout.quarantine(experiment_id).glob("[!.]*.json")
    else:
        paths = (layout.results / "quarantine").glob("[0-9a-f][0-9a-f]/*/[!.]*.json")
    for path in sorted(paths):
        try:
            yield Quarantined.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RunFileError(f"{path}: not the record of a quarantined file ({error!r}); move it away.") from error


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
