"""The trace file: append-only text, one line per sample, readable after any crash.

Line 1 is `# wattsweep-trace ` and a JSON object (version, source description, interval_s), line 2 the column names,
each further line one sample. A line is whole when it ends in a newline. Lines that begin with `# recorder ` hold what
the recorder itself used so far, and whether the source told fresh values from old ones, as a JSON object (cpu_s,
elapsed_s, shows_updates).
"""

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wattsweep.disk import why_not_written
from wattsweep.errors import PowerError
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Sample, Status, Trace

MAGIC = "# wattsweep-trace "
COST = "# recorder "
VERSION = 1
COLUMNS = tuple(field.name for field in fields(Sample))
STATUS_OF_WORD = {status.word: status for status in Status}


class TraceWriter:
    """Appends samples to a new trace file, each handed to the kernel as it is written: killing us loses none.

    Where a line cannot be written, the disk being full, it is kept and written before the next one, so nothing is lost
    while the recorder lives; `obstacle` says what is in the way. Raises PowerError where the file exists.
    """

    def __init__(self, path: Path, description: SourceDescription, interval_s: float) -> None:
        header = {"version": VERSION, "source": description.to_json(), "interval_s": interval_s}
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise PowerError(
                f"The trace file {path} exists; a record is never written over. Choose another name for this recording."
            ) from None
        except OSError as error:
            raise PowerError(f"The trace file {path} cannot be written: {why_not_written(error)}.") from None
        self._waiting = b""
        self.obstacle: OSError | None = None
        self._write(MAGIC + json.dumps(header) + "\n" + ",".join(COLUMNS) + "\n")

    def append(self, sample: Sample) -> None:
        """Write one sample as a line."""
        times = (sample.before_s, sample.after_s, sample.wall_before_s, sample.wall_after_s)
        stamps = ",".join(f"{time_s:.6f}" for time_s in times)
        self._write(f"{sample.sequence},{stamps},{sample.value!r},{sample.status.word}\n")

    def note(self, cpu_s: float, elapsed_s: float, shows_updates: bool) -> None:
        """Write what the recorder and its worker used since the first sample (CPU time, s), and saw of the source."""
        facts = {"cpu_s": round(cpu_s, 4), "elapsed_s": round(elapsed_s, 3), "shows_updates": shows_updates}
        self._write(f"{COST}{json.dumps(facts)}\n")

    def _write(self, text: str) -> None:
        self._waiting += text.encode("ascii")
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(self._descriptor, self._waiting) :]
        except OSError as error:
            self.obstacle = error
        else:
            self.obstacle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def read_trace_file(path: Path) -> tuple[SourceDescription, Trace]:
    """The description and the samples in a trace file, also while it is being written.

    A last line without its newline is torn and dropped. Raises PowerError, with the line's number, for anything else
    that is malformed, and where the file is missing or is no trace file.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise PowerError(f"The trace file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PowerError(f"{path} is no trace file: it holds bytes that are not text.") from None
    lines = text.split("\n")[:-1]
    description = parse_header(path, lines)
    notes = [_note(path, number, line) for number, line in enumerate(lines[2:], start=3) if line.startswith(COST)]
    if any(note.get("shows_updates") for note in notes):
        description = replace(description, shows_updates=True)
    samples = [
        parse_sample(path, number, line) for number, line in enumerate(lines[2:], start=3) if not line.startswith(COST)
    ]
    trace = Trace.from_samples(
        samples,
        kind=description.kind,
        refresh_s=description.refresh_s,
        step=description.step,
        wrap_j=description.wrap_j,
        lag_s=description.lag_s,
        accuracy=description.accuracy,
    )
    return description, trace


def recorder_cost(path: Path) -> float | None:
    """The share of one core that the recorder of a trace file used, its start left out; None where it has not said so.

    Of clients that the worker keeps running, such as ipmitool, it knows nothing.
    """
    lines = path.read_text(encoding="ascii").split("\n")[:-1]
    notes = [_note(path, number, line) for number, line in enumerate(lines, start=1) if line.startswith(COST)]
    return float(notes[-1]["cpu_s"] / notes[-1]["elapsed_s"]) if notes else None


def _note(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        note = json.loads(line.removeprefix(COST))
    except ValueError:
        note = None
    if not isinstance(note, dict):
        raise PowerError(f"{path}, line {number}: '{line[:80]}' is not a recorder's note.")
    return note


def parse_header(path: Path, lines: list[str]) -> SourceDescription:
    """The source in the first two lines of a trace file. Raises PowerError where they are not a trace's."""
    if len(lines) < 2 or not lines[0].startswith(MAGIC) or lines[1] != ",".join(COLUMNS):
        raise PowerError(f"{path} is no trace file: its first two lines are not a trace's header and column names.")
    try:
        header = json.loads(lines[0].removeprefix(MAGIC))
        version = header["version"]
        if version != VERSION:
            raise PowerError(f"{path} is a trace file of version {version}; this program reads version {VERSION}.")
        return SourceDescription.from_json(header["source"])
    except (ValueError, KeyError, TypeError):
        raise PowerError(f"{path}, line 1: the header does not describe a source.") from None


def parse_sample(path: Path, number: int, line: str) -> Sample:
    """The sample in a line of a trace file. Raises PowerError with the line's number where it is none."""
    cells = line.split(",")
    try:
        sequence, before, after, wall_before, wall_after, value, word = cells
        return Sample(
            sequence=int(sequence),
            before_s=float(before),
            after_s=float(after),
            wall_before_s=float(wall_before),
            wall_after_s=float(wall_after),
            value=float(value),
            status=STATUS_OF_WORD[word],
        )
    except (ValueError, KeyError):
        raise PowerError(f"{path}, line {number}: '{line[:80]}' is not a sample ({','.join(COLUMNS)}).") from None
