"""Processes that hold leases: `python -m tests.runs.support_leases FOLDER INTERVAL WAIT LOG COMMAND [SECONDS]`.

Each takes the lease of shard `shard`, appends `begin` and `end` lines to LOG around what it does, and ends with 75
where it does not get it or loses it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from wattsweep.errors import LeaseError
from wattsweep.runs.lease import Lease

INTERVAL_S = 0.2
SHARD = "0123456789ab"


def main() -> None:
    folder, interval_s, wait_s, log, command, *rest = sys.argv[1:]
    lease = Lease(Path(folder), SHARD, float(interval_s), wait_s=float(wait_s), report=lambda _line: None)
    try:
        with lease:
            append(log, "begin")
            if command == "hold":
                hold(lease, float(rest[0]))
            append(log, "end")
    except LeaseError as error:
        print(error, file=sys.stderr)
        sys.exit(75)


def hold(lease: Lease, seconds: float) -> None:
    """Work in small steps, each allowed by the lease."""
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        lease.check()
        time.sleep(0.01)
    lease.check()


def append(log: str, word: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{time.monotonic_ns()} {os.getpid()} {word}\n".encode())
    os.close(descriptor)


def start(folder: Path, log: Path, *command: str, wait_s: float = 0.0) -> subprocess.Popen[str]:
    """A process of this module."""
    arguments = [str(folder), str(INTERVAL_S), str(wait_s), str(log), *command]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.runs.support_leases", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def entries(log: Path) -> list[tuple[int, int, str]]:
    """What processes wrote, in the order of time: when (ns), which, what."""
    if not log.exists():
        return []
    lines = [line.split() for line in log.read_text().splitlines()]
    return sorted((int(when), int(pid), word) for when, pid, word in lines)


if __name__ == "__main__":
    main()
