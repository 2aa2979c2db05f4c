"""What each contender gives the benchmark."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class UnavailableError(Exception):
    """A contender cannot run on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A turn: seconds per epoch, and where known the shares of it that the host spent outside the program's calls, and
    that drawing row orders takes.
    """

    epoch_s: float
    host_share: float | None = None
    draw_share: float | None = None


class Contender(Protocol):
    """A training loop made for one plan and one split."""

    def turn(self, seed: int) -> Timed:
        """Train the plan's epochs from the start. The first turn is not counted: it may trace and compile."""


def timed(train: Callable[[], object], epochs: int) -> Timed:
    """A turn that lasts as long as `train`."""
    start_s = time.perf_counter()
    train()
    return Timed((time.perf_counter() - start_s) / epochs)


def between(starts_s: float, ends_s: Sequence[float]) -> float:
    """Seconds per epoch of a fit: from the end of the first epoch on, so that its fixed costs do not count.

    A fit of a single epoch, long enough to hide those costs, counts whole.
    """
    if len(ends_s) == 1:
        return ends_s[0] - starts_s
    return (ends_s[-1] - ends_s[0]) / (len(ends_s) - 1)
