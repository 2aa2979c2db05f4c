"""Stopping in order: a shard that gets a signal keeps its present run's state, closes its files and leaves.

- `drain_on_signals(report)` turns SIGTERM, SIGUSR1 and SIGINT into a `Drain`, for the command line.
- `Permit` is what the code inside asks before it writes and between two steps; it knows the shard's lease too.
- `children_unaware()` is for starting processes that are to outlive the signal until they are stopped.

Slurm signals every process of a job step, and `srun` may pass the same signal on once more: orders that come within a
second of the first are the first.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from wattsweep.errors import DrainedError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
ONE_ORDER_S = 1.0
"""Signals this soon after the first belong to it."""
KILLED_BY = 128
"""A shell's exit status for a program that a signal ended, less the signal's number."""


class Drain:
    """The order to stop, given at most once, from any thread."""

    def __init__(self) -> None:
        self._ordered = threading.Event()
        self._reason = ""

    @property
    def ordered(self) -> bool:
        """Whether the order was given."""
        return self._ordered.is_set()

    def order(self, reason: str) -> None:
        """Give the order; `reason` completes "stopped by ..."."""
        if not self.ordered:
            self._reason = reason
            self._ordered.set()

    def check(self) -> None:
        """Raise DrainedError where the order was given."""
        if self.ordered:
            raise DrainedError(
                f"stopped in order by {self._reason}: what was trained is kept, and the same command goes on from it"
            )

    def wait(self, seconds: float) -> None:
        """Sleep so long; raise DrainedError as soon as the order is given."""
        self._ordered.wait(max(0.0, seconds))
        self.check()


class Held(Protocol):
    """What may be lost while a shard is executed: its lease."""

    @property
    def lost(self) -> bool:
        """Whether it is known to be lost."""

    def check(self) -> None:
        """Raise where it is lost."""


@dataclass(frozen=True)
class Permit:
    """Whether a shard may go on: not after its lease is lost, and only to an orderly end once it is drained."""

    drain: Drain = field(default_factory=Drain)
    lease: Held | None = None

    @property
    def ends(self) -> bool:
        """Whether the training in progress is to end now."""
        return self.drain.ordered or (self.lease is not None and self.lease.lost)

    def may_write(self) -> None:
        """To be asked before anything is written. Raises LeaseError where the lease is lost."""
        if self.lease is not None:
            self.lease.check()

    def may_go_on(self) -> None:
        """To be asked between two steps. Raises LeaseError as `may_write`, and DrainedError once drained."""
        self.may_write()
        self.drain.check()

    def wait(self, seconds: float) -> None:
        """Sleep so long; raises as `may_go_on`, and at once when drained."""
        self.drain.wait(seconds)
        self.may_write()


@contextmanager
def drain_on_signals(report: Callable[[str], None]) -> Iterator[Drain]:
    """A drain that SIGTERM, SIGUSR1 and SIGINT order while the context lasts; main thread only.

    A second signal ends the process at once, whatever it does, with a shell's exit status for that signal.
    """
    drain = Drain()
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    handlers: dict[int, Any] = {one: signal.signal(one, _noted) for one in SIGNALS}
    listener = threading.Thread(target=_listen, args=(heard, drain, report), name="signals", daemon=True)
    listener.start()
    try:
        yield drain
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(before)
        os.close(told)
        listener.join()
        os.close(heard)


@contextmanager
def children_unaware() -> Iterator[None]:
    """Processes that this thread starts in the context never see SIGTERM or SIGUSR1, which they would die of."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _noted(_number: int, _frame: Any) -> None:
    """The handler that Python runs: nothing is left to do, the wake-up descriptor has told `_listen`."""


def _listen(heard: int, drain: Drain, report: Callable[[str], None]) -> None:
    """Take orders from the wake-up descriptor: it is written to even while the main thread is in a long call."""
    first_s = 0.0
    while numbers := os.read(heard, 1):
        number = numbers[0]
        if number not in SIGNALS:
            continue
        if not drain.ordered:
            first_s = time.monotonic()
            name = signal.Signals(number).name
            drain.order(name)
            report(f"{name}: stopping in order; a second signal stops at once")
        elif time.monotonic() - first_s > ONE_ORDER_S:
            os._exit(KILLED_BY + number)
