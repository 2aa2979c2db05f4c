"""Reads a source through a worker process, so that a read that hangs costs samples but never the recorder."""

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import time
from typing import Any

from wattsweep.errors import PowerError
from wattsweep.power.child import child_environment
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.sources.specs import SourceSpec, spec_to_json
from wattsweep.power.trace import Sample, Status

WORKER = (sys.executable, "-m", "wattsweep.power.worker")
HANGS_AFTER_S = 6.0
"""A read that has not returned by then never will: every source gives up sooner."""
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""How long to wait before each new worker, when the one before did not come to read anything."""
CLOSE_TIMEOUT_S = 2.0
STARTING_S = 30.0


class Reader:
    """The samples of a source, each in time or failed.

    The worker is replaced when a read hangs or its process ends. Until the new one is ready samples are `FAILED`; it
    must find the meter that the first one found, since a trace never changes its meter half-way. With `stale_after_s` a
    value that is repeated for longer is `STALE`, unless the source shows that it is fresh; a power outside
    `plausible_w` is `IMPLAUSIBLE`.
    """

    def __init__(
        self,
        spec: SourceSpec,
        *,
        stale_after_s: float | None = None,
        plausible_w: tuple[float, float] | None = None,
    ) -> None:
        self._spec = spec
        self._plausible_w = plausible_w
        self._stale_after_s = stale_after_s
        self._description: SourceDescription | None = None
        self._worker: _Worker | None = _Worker(spec)
        self._pending_since_s: float | None = None
        self._failures = 0
        self._not_before_s = 0.0
        self._repeated: tuple[float, float] = (math.nan, 0.0)
        self.worker_cpu_s = 0.0
        """CPU time that the worker had used at its last answer, in s."""
        self.shows_updates = False
        """Whether the source has told a fresh value from an old one."""

    def description(self, timeout_s: float) -> SourceDescription:
        """Wait until the source is open. Raises PowerError when it cannot be opened, or not within `timeout_s`."""
        assert self._worker is not None  # noqa: S101
        message = self._worker.hear(time.monotonic() + timeout_s)
        if message is None:
            self._discard()
            raise PowerError(f"The source at {self._spec.place} was not open within {timeout_s:g} s.")
        if "error" in message:
            self._discard()
            raise PowerError(message["error"])
        self._description = SourceDescription.from_json(message["ready"])
        self._worker.ready = True
        return self._description

    def read(self, number: int, timeout_s: float) -> Sample:
        """One sample: `FAILED` when the read, or one before it, does not return in time. A late value is dropped."""
        wall_s, asked_s = time.time(), time.monotonic()
        worker = self._ready_worker()
        if worker is None:
            return _failed(number, wall_s, asked_s)
        if self._pending_since_s is not None:
            late = worker.hear(asked_s)
            if late is None:
                self._replace_if_hung(asked_s - self._pending_since_s)
                return _failed(number, wall_s, asked_s)
            if "error" in late:
                self._replace(late["error"])
                return _failed(number, wall_s, asked_s)
            self._judged(late)  # too late to count, but it says how fresh the source is
        self._pending_since_s = asked_s
        worker.order(number)
        answer = worker.hear(asked_s + timeout_s)
        if answer is None:
            return _failed(number, wall_s, asked_s)
        if "error" in answer:
            self._replace(answer["error"])
            return _failed(number, wall_s, asked_s)
        self._pending_since_s, self._failures = None, 0
        return self._judged(answer)

    def close(self) -> None:
        """Order the source closed; a worker that hangs is killed."""
        self._discard(CLOSE_TIMEOUT_S)

    def _ready_worker(self) -> "_Worker | None":
        """The worker where it has opened the source; a new one is started in its time, without waiting for it."""
        if self._worker is None:
            if time.monotonic() < self._not_before_s:
                return None
            self._worker = _Worker(self._spec)
        if self._worker.ready:
            return self._worker
        message = self._worker.hear(time.monotonic())
        if message is None:
            if time.monotonic() - self._worker.started_s > STARTING_S:
                self._replace(f"its worker was not ready within {STARTING_S:g} s")
            return None
        if "error" in message:
            self._replace(message["error"])
            return None
        found = SourceDescription.from_json(message["ready"])
        if self._description is not None and found != self._description:
            self._replace(f"it came back as another meter: {found.detail}")
            return None
        self._worker.ready = True
        return self._worker

    def _replace_if_hung(self, hung_s: float) -> None:
        if hung_s > HANGS_AFTER_S:
            self._replace(f"a read hung for {hung_s:.0f} s")

    def _replace(self, why: str) -> None:
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        print(f"source {self._spec.place}: {why}; a new worker in {wait_s:g} s", file=sys.stderr, flush=True)
        self._failures += 1
        self._not_before_s = time.monotonic() + wait_s
        self._discard()

    def _discard(self, patience_s: float = 0.0) -> None:
        worker, self._worker, self._pending_since_s = self._worker, None, None
        if worker is not None:
            worker.end(patience_s)

    def _judged(self, answer: list[Any]) -> Sample:
        number, before_s, after_s, wall_before_s, wall_after_s, value, code, fresh, self.worker_cpu_s = answer
        status = Status(code)
        if status is Status.OK and not self._is_plausible(value):
            status = Status.IMPLAUSIBLE
        # a value that is no power shows all the same that the source goes on
        stale = value is not None and self._is_stale(value, after_s, fresh)
        if status is Status.OK and stale:
            status = Status.STALE
        reading = math.nan if value is None else float(value)
        return Sample(number, before_s, after_s, wall_before_s, wall_after_s, reading, status)

    def _is_plausible(self, value: float) -> bool:
        """Whether a power is within bounds; of a counter only a difference could be."""
        if self._plausible_w is None or self._description is None or self._description.kind == "energy":
            return True
        return self._plausible_w[0] <= value <= self._plausible_w[1]

    def _is_stale(self, value: float, now_s: float, fresh: bool | None) -> bool:
        last, since_s = self._repeated
        self.shows_updates = self.shows_updates or fresh is not None
        if value != last or fresh:
            self._repeated = (value, now_s)
            return False
        if fresh is False:
            return True
        return self._stale_after_s is not None and now_s - since_s > self._stale_after_s


def _failed(number: int, wall_s: float, asked_s: float) -> Sample:
    return Sample(number, asked_s, time.monotonic(), wall_s, time.time(), math.nan, Status.FAILED)


class _Worker:
    """The reader's end of one worker process."""

    def __init__(self, spec: SourceSpec) -> None:
        self.ready = False
        self.started_s = time.monotonic()
        self._heard = b""
        self._process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=child_environment(),
        )
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self._voice = select.poll()
        self._voice.register(self._answers, select.POLLIN)
        self._tell(json.dumps(spec_to_json(spec)))

    def order(self, number: int) -> None:
        """Ask for a reading."""
        self._tell(str(number))

    def hear(self, deadline_s: float) -> Any:
        """The next message; None where none is there by `deadline_s`, {"error"} where the process has ended."""
        while b"\n" not in self._heard:
            if not self._voice.poll(max(0.0, 1000 * (deadline_s - time.monotonic()))):
                return None
            piece = os.read(self._answers.fileno(), 65536)
            if not piece:
                return {"error": f"its worker ended with exit status {self._process.wait()}"}
            self._heard += piece
        line, self._heard = self._heard.split(b"\n", maxsplit=1)
        return json.loads(line)

    def end(self, patience_s: float) -> None:
        """Close its orders, and kill it where it does not end within `patience_s`."""
        self._orders.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended; hearing it says so
            self._orders.write(line.encode() + b"\n")
