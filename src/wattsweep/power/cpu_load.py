"""A known square wave of CPU load: one process per CPU, busy and asleep by turns at times given beforehand."""

import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wattsweep.errors import PowerError

WORKER = Path(__file__).with_name("spinning.py")
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
SPREAD = 0.1
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
MARGIN_S = 10.0


def square_wave(first_s: float, period_s: float, cycles: int) -> list[float]:
    """The times of the 2 x `cycles` edges of a load that goes on at `first_s`, off, on again, ..., and ends off.

    Each half lasts `period_s` / 2 but for up to 10 % more or less, by the golden ratio: edges then fall on every phase
    of a source that updates regularly, and its lag shows finer than its refresh. Raises ValueError for a period that is
    not above 0 or fewer than 2 cycles.
    """
    if not period_s > 0 or cycles < 2:
        raise ValueError(f"a square wave needs a period above 0 s and at least 2 cycles, not {period_s} s and {cycles}")
    edges_s = [first_s]
    for number in range(1, 2 * cycles):
        share = 1.0 + SPREAD * (2.0 * (number * GOLDEN % 1.0) - 1.0)
        edges_s.append(edges_s[-1] + 0.5 * period_s * share)
    return edges_s


@dataclass(frozen=True, slots=True)
class LoadReport:
    """How the load went: on `cpus` CPUs, begun `late_s` late at worst, with `share` (0 to 1) of them while on."""

    cpus: int
    late_s: float
    share: float


class CpuLoad:
    """A square wave of load on the CPUs that this process may use, or on `cpus`.

    As a context manager it starts its workers, asleep, on entry and stops them on exit; `run` gives them their times.
    A worker ends by itself when this process dies.
    """

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        self.cpus = sorted(os.sched_getaffinity(0)) if cpus is None else list(cpus)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._edges_s: list[float] = []

    @property
    def pids(self) -> list[int]:
        """The ids of the workers' processes."""
        return [worker.pid for worker in self._workers]

    def start(self) -> None:
        """Start the workers and return when each is ready. Raises PowerError where one is not."""
        for cpu in self.cpus:
            command = [sys.executable, "-I", str(WORKER), str(cpu)]
            self._workers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
        deadline_s = time.monotonic() + START_TIMEOUT_S
        for cpu, worker in zip(self.cpus, self._workers, strict=True):
            if _line(worker, deadline_s) != b"ready\n":
                self.stop()
                raise PowerError(
                    f"The load on CPU {cpu} was not ready within {START_TIMEOUT_S:g} s; what it wrote to standard "
                    "error says why, else the node is too busy to calibrate on."
                )

    def run(self, edges_s: Sequence[float]) -> None:
        """Go on at edges_s[0], off at edges_s[1], and so on (s, monotonic clock). Returns at once."""
        self._edges_s = list(edges_s)
        for worker in self._workers:
            assert worker.stdin is not None  # noqa: S101
            worker.stdin.write(json.dumps(self._edges_s).encode() + b"\n")

    def report(self) -> LoadReport:
        """How it went; waits for the last edge. Raises PowerError where a worker ended early."""
        deadline_s = max(self._edges_s[-1], time.monotonic()) + MARGIN_S
        answers = []
        for cpu, worker in zip(self.cpus, self._workers, strict=True):
            try:
                answers.append(json.loads(_line(worker, deadline_s)))
            except ValueError:
                raise PowerError(
                    f"The load on CPU {cpu} ended before its time, so this calibration is worth nothing; run it again."
                ) from None
        return LoadReport(
            cpus=len(self.cpus),
            late_s=max(answer["late_s"] for answer in answers),
            share=sum(answer["share"] for answer in answers) / len(answers),
        )

    def stop(self) -> None:
        """End the workers and wait for their end. Harmless when they have ended or never started."""
        workers, self._workers = self._workers, []
        for worker in workers:
            assert worker.stdin is not None  # noqa: S101
            worker.stdin.close()
        for worker in workers:
            try:
                worker.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            assert worker.stdout is not None  # noqa: S101
            worker.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


def _line(worker: subprocess.Popen[bytes], deadline_s: float) -> bytes:
    """The next line that a worker says; empty or torn where it ends or says none in time."""
    assert worker.stdout is not None  # noqa: S101
    voice = select.poll()
    voice.register(worker.stdout, select.POLLIN)
    heard = b""
    while not heard.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not voice.poll(1000 * left_s):
            break
        piece = os.read(worker.stdout.fileno(), 4096)
        if not piece:
            break
        heard += piece
    return heard
