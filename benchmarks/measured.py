"""Runs a program and measures it: wall time, processor time, and the most memory that it and its children had."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Measured:
    """What a program took: seconds by the clock, of all processors, and MB of resident memory at most."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command in a folder; raises RuntimeError with the end of what it said where it fails."""
    before, started_s = os.times(), time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peak = _Peak(process.pid)
    with peak:
        said, _ = process.communicate()
    wall_s, after = time.monotonic() - started_s, os.times()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: ...{said[-3000:]}")
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    return Measured(wall_s, cpu_s, peak.bytes / 2**20)


class _Peak:
    """Looks again and again at how much memory a process and its descendants have."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self.bytes = max(self.bytes, sum(map(_resident, _descendants(self._pid))))


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0
