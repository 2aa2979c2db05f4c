"""One CPU's part of a square wave of load, as a program: `python spinning.py CPU`, started by `cpu_load`.

It binds itself to the CPU, says "ready", reads the edges (a JSON list of seconds on the monotonic clock) from its
standard input and is busy between the first and the second, the third and the fourth, and so on. Then it says how late
it began at worst and what share of the CPU it got, as JSON. It ends when its standard input is closed, and so with its
parent. It needs nothing but the standard library, so that a node of many CPUs can have many of it.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time

ROUNDS = 2000
"""Between two looks at the clock and at the standard input: below a tenth of a millisecond."""


def main() -> None:
    """Run one worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which closes the standard input
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    print("ready", flush=True)
    edges_s = json.loads(sys.stdin.buffer.readline())
    end = select.poll()
    end.register(0, select.POLLIN | select.POLLHUP)
    late_s = busy_s = wanted_s = 0.0
    for on_s, off_s in zip(edges_s[::2], edges_s[1::2], strict=True):
        while (left_s := on_s - time.monotonic()) > 0:
            if end.poll(1000 * left_s):
                return
        late_s = max(late_s, -left_s)
        used_s = time.process_time()
        while time.monotonic() < off_s:
            for _ in range(ROUNDS):
                pass
            if end.poll(0):
                return
        busy_s, wanted_s = busy_s + time.process_time() - used_s, wanted_s + off_s - on_s
    print(json.dumps({"late_s": late_s, "share": busy_s / wanted_s}), flush=True)


if __name__ == "__main__":
    main()
