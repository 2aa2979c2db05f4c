"""The recorder's own process: `python -m wattsweep.power.recording`, started by `wattsweep.power.recorder`.

Fed {"spec", "path", "interval_s", "ready_timeout_s", "stale_after_s", "plausible_w", "known", "shared"} as one JSON
line, it takes the lock of the source, has a worker open it, reads it on absolute deadlines of the monotonic clock and
appends every sample to the trace file. It says {"ready": description} after its first good sample, or {"error":
words}.
"""

import math
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.child import Lifeline
from wattsweep.power.lock import SourceLock
from wattsweep.power.reader import Reader
from wattsweep.power.sources import SourceDescription, spec_from_json
from wattsweep.power.sources.specs import identity
from wattsweep.power.trace import Sample, Status
from wattsweep.power.tracefile import TraceWriter

LEAST_READ_TIMEOUT_S = 2.0
NOTE_EVERY_S = 60.0


def record(lifeline: Lifeline) -> None:
    """Read and append until ordered to stop. Raises PowerError when there is no good first sample, or no lock."""
    spec = spec_from_json(lifeline.spec["spec"])
    path = Path(lifeline.spec["path"])
    # a recording that is played back measures nothing, so any number may play at one time
    played = spec.source == "replay"
    lock = SourceLock(identity(spec), f"trace {path.name}", shared=bool(lifeline.spec["shared"]))
    with nullcontext() if played else lock:
        bounds = lifeline.spec["plausible_w"]
        reader = Reader(
            spec,
            stale_after_s=lifeline.spec["stale_after_s"],
            plausible_w=None if bounds is None else (bounds[0], bounds[1]),
        )
        try:
            description = reader.description(float(lifeline.spec["ready_timeout_s"]))
            description = replace(description, **lifeline.spec["known"])
            with TraceWriter(path, description, float(lifeline.spec["interval_s"])) as writer:
                _sample(lifeline, reader, writer, description)
        finally:
            reader.close()


def _sample(lifeline: Lifeline, reader: Reader, writer: TraceWriter, description: SourceDescription) -> None:
    interval_s, ready_timeout_s = float(lifeline.spec["interval_s"]), float(lifeline.spec["ready_timeout_s"])
    read_timeout_s = max(interval_s, LEAST_READ_TIMEOUT_S)
    first_s = noted_s = time.monotonic()
    ready, number, tick, obstructed, told, start_cpu_s = False, 0, 0, False, False, 0.0
    while not lifeline.wait(first_s + tick * interval_s - time.monotonic()):
        sample = reader.read(number, read_timeout_s)
        writer.append(sample)
        now_s = time.monotonic()
        if number == 0:
            start_cpu_s = _cpu_s(reader)
        if not ready and sample.status is Status.OK:
            lifeline.say(ready=description.to_json())
            ready = True
        if not ready and now_s - first_s > ready_timeout_s:
            raise PowerError(_no_good_sample(description, sample, ready_timeout_s))
        if now_s - noted_s > NOTE_EVERY_S or reader.shows_updates != told:
            told = reader.shows_updates
            writer.note(_cpu_s(reader) - start_cpu_s, now_s - first_s, told)
            noted_s = now_s
        if (writer.obstacle is not None) != obstructed:
            obstructed = not obstructed
            _tell(writer, lifeline)
        # a read longer than the interval skips the deadlines it missed; the others stay where they were
        number, tick = number + 1, max(tick + 1, math.ceil((time.monotonic() - first_s) / interval_s))
    writer.note(_cpu_s(reader) - start_cpu_s, time.monotonic() - first_s, told)


def _cpu_s(reader: Reader) -> float:
    """CPU time of this process and of its present worker, in s."""
    return time.process_time() + reader.worker_cpu_s


def _tell(writer: TraceWriter, lifeline: Lifeline) -> None:
    path = lifeline.spec["path"]
    if writer.obstacle is None:
        print(f"trace {path}: can be written again; no sample was lost", file=sys.stderr, flush=True)
        lifeline.say(trouble="")
    else:
        trouble = f"the trace {path} cannot be written ({writer.obstacle.strerror})"
        print(f"{trouble}; samples wait", file=sys.stderr, flush=True)
        lifeline.say(trouble=trouble)


def _no_good_sample(description: SourceDescription, last: Sample, waited_s: float) -> str:
    return (
        f"No good sample within {waited_s:g} s from {description.detail}: the last one is {last.value:g} with status "
        f"'{last.status.word}'. Check that the source reports this node's power."
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
