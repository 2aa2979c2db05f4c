"""The process that reads a source: `python -m wattsweep.power.worker`, started by the recorder's `Reader`.

Fed a source spec as one JSON line it opens the source and says {"ready": description} or {"error": words}. Then each
line holds a number, and the answer is one line [number, before_s, after_s, wall_before_s, wall_after_s, value, status,
fresh, CPU time of this process in s]. It may hang in a read, so the kernel is asked to end it with the recorder.
"""

import ctypes
import json
import math
import os
import signal
import sys
import time
import traceback

from wattsweep.errors import PowerError
from wattsweep.power.sources import Reading, Source, open_source, spec_from_json
from wattsweep.power.trace import Status

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux); elsewhere it ends at its next order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def take(source: Source, number: int) -> list[object]:
    """Read once, with both clocks around it."""
    wall_before_s, before_s = time.time(), time.monotonic()
    try:
        reading = source.read()
    except Exception:  # noqa: BLE001 - a source that breaks its promise costs a sample, not the recording
        traceback.print_exc()
        reading = Reading(math.nan, Status.FAILED)
    after_s, wall_after_s = time.monotonic(), time.time()
    value = reading.value if math.isfinite(reading.value) else None
    verdict = [value, int(reading.status), reading.fresh]
    return [number, before_s, after_s, wall_before_s, wall_after_s, *verdict, time.process_time()]


def main() -> None:
    """Run the process."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the recorder's owner too, which stops us in order
    voice = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # a library that prints cannot garble the answers
    orders = os.fdopen(0, encoding="utf-8")
    try:
        source = open_source(spec_from_json(json.loads(orders.readline())))
    except PowerError as error:
        print(json.dumps({"error": str(error)}), file=voice)
        sys.exit(1)
    try:
        print(json.dumps({"ready": source.describe().to_json()}), file=voice)
        for line in orders:
            print(json.dumps(take(source, int(line))), file=voice)
    except BrokenPipeError:
        pass
    finally:
        source.close()


if __name__ == "__main__":
    main()
