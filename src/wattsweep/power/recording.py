"""The recorder's own process: `python -m wattsweep.power.recording`, started by `wattsweep.power.recorder`.

Fed {"spec", "path", "interval_s", "ready_timeout_s"} as one JSON line, it opens the source, reads it on absolute
deadlines of the monotonic clock and appends every sample to the trace file. It says {"ready": description} after its
first good sample, or {"error": words}.
"""

import math
import queue
import sys
import threading
import time
import traceback
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.child import Lifeline
from wattsweep.power.sources import (
    Reading,
    Source,
    SourceDescription,
    SourceSpec,
    open_source,
    spec_from_json,
)
from wattsweep.power.trace import Sample, Status
from wattsweep.power.tracefile import TraceWriter

LEAST_READ_TIMEOUT_S = 2.0
ABANDON_AFTER_S = 60.0
CLOSE_TIMEOUT_S = 2.0


class Reader:
    """Reads a source in a thread of its own, so that a read that hangs costs samples but never the recorder."""

    def __init__(self, spec: SourceSpec) -> None:
        self._spec = spec
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Sample] = queue.SimpleQueue()
        self._opened: queue.SimpleQueue[SourceDescription | str] = queue.SimpleQueue()
        self._pending: int | None = None
        self._busy_since_s = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="reader", daemon=True)
        self._thread.start()

    def description(self, timeout_s: float) -> SourceDescription:
        """Wait until the source is open. Raises PowerError when it cannot be opened, or not within `timeout_s`."""
        try:
            outcome = self._opened.get(timeout=timeout_s)
        except queue.Empty:
            raise PowerError(f"The source at {self._spec.place} was not open within {timeout_s:g} s.") from None
        if isinstance(outcome, str):
            raise PowerError(outcome)
        return outcome

    def read(self, sequence: int, timeout_s: float) -> Sample:
        """One sample: `FAILED` when the read, or one before it, does not return in time. A late value is dropped."""
        wall_s, asked_s = time.time(), time.monotonic()
        if self._pending is not None and not self._collect(self._pending, 0.0):
            return self._failed(sequence, wall_s, asked_s)
        self._orders.put(sequence)
        self._pending, self._busy_since_s = sequence, asked_s
        return self._collect(sequence, timeout_s) or self._failed(sequence, wall_s, asked_s)

    @property
    def stuck_s(self) -> float:
        """How long the present read has taken; 0 between reads."""
        return 0.0 if self._pending is None else time.monotonic() - self._busy_since_s

    def close(self) -> None:
        """Order the source closed; a thread that hangs is left behind."""
        self._orders.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _collect(self, sequence: int, timeout_s: float) -> Sample | None:
        try:
            sample = self._answers.get(timeout=timeout_s) if timeout_s > 0 else self._answers.get_nowait()
        except queue.Empty:
            return None
        self._pending = None
        return sample if sample.sequence == sequence else None

    @staticmethod
    def _failed(sequence: int, wall_s: float, asked_s: float) -> Sample:
        return Sample(sequence, asked_s, time.monotonic(), wall_s, time.time(), math.nan, Status.FAILED)

    def _serve(self) -> None:
        try:
            source = open_source(self._spec)
            self._opened.put(source.describe())
        except PowerError as error:
            self._opened.put(str(error))
            return
        while (sequence := self._orders.get()) is not None:
            self._answers.put(_take(source, sequence))
        source.close()


def _take(source: Source, sequence: int) -> Sample:
    wall_before_s, before_s = time.time(), time.monotonic()
    try:
        reading = source.read()
    except Exception:  # noqa: BLE001 - a source that breaks its promise costs a sample, not the recording
        traceback.print_exc()
        reading = Reading(math.nan, Status.FAILED)
    after_s, wall_after_s = time.monotonic(), time.time()
    return Sample(sequence, before_s, after_s, wall_before_s, wall_after_s, reading.value, reading.status)


def record(lifeline: Lifeline) -> None:
    """Read and append until ordered to stop. Raises PowerError when there is no good first sample."""
    spec = spec_from_json(lifeline.spec["spec"])
    interval_s, ready_timeout_s = float(lifeline.spec["interval_s"]), float(lifeline.spec["ready_timeout_s"])
    read_timeout_s = max(interval_s, LEAST_READ_TIMEOUT_S)
    reader = Reader(spec)
    try:
        description = reader.description(ready_timeout_s)
        with TraceWriter(Path(lifeline.spec["path"]), description, interval_s) as writer:
            first_s = time.monotonic()
            ready, sequence, tick = False, 0, 0
            while not lifeline.wait(first_s + tick * interval_s - time.monotonic()):
                sample = reader.read(sequence, read_timeout_s)
                writer.append(sample)
                if not ready and sample.status is Status.OK:
                    lifeline.say(ready=description.to_json())
                    ready = True
                if not ready and time.monotonic() - first_s > ready_timeout_s:
                    raise PowerError(_no_good_sample(description, sample, ready_timeout_s))
                if reader.stuck_s > ABANDON_AFTER_S:
                    reader = Reader(spec)
                # a read longer than the interval skips the deadlines it missed; the others stay where they were
                sequence, tick = sequence + 1, max(tick + 1, math.ceil((time.monotonic() - first_s) / interval_s))
    finally:
        reader.close()


def _no_good_sample(description: SourceDescription, last: Sample, waited_s: float) -> str:
    return (
        f"No good sample within {waited_s:g} s from {description.detail}: the last one is {last.value:g} with status "
        f"'{last.status.word}'. Check that the BMC reports this node's power."
    )


def main() -> None:
    """Run the recorder's process."""
    lifeline = Lifeline()
    try:
        record(lifeline)
    except PowerError as error:
        lifeline.say(error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
