"""The simulated meter: whole watts that follow the node's CPU use, updated at a fixed interval."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from wattsweep.simulation.cpu import CpuTimes, cpu_use, read_cpu_times

HIGHEST_W = 0xFFFF


@dataclass(frozen=True, slots=True)
class MeterState:
    """What the meter shows: W now, and the statistics since it was started (W, Unix s, ms)."""

    current_w: int
    minimum_w: int
    maximum_w: int
    average_w: int
    updated_s: int
    window_ms: int


class Meter:
    """Watts = `idle_w` + `slope_w` x the node's CPU use over the last `refresh_s`, rounded to whole watts."""

    def __init__(
        self,
        idle_w: float,
        slope_w: float,
        refresh_s: float,
        *,
        read_times: Callable[[], CpuTimes] = read_cpu_times,
    ) -> None:
        self._idle_w = idle_w
        self._slope_w = slope_w
        self._refresh_s = refresh_s
        self._read_times = read_times
        self._times = read_times()
        self._started_s = time.monotonic()
        first_w = self._watts(0.0)
        self._sum_w, self._updates = first_w, 1
        self._state = MeterState(first_w, first_w, first_w, first_w, int(time.time()), 0)

    @property
    def state(self) -> MeterState:
        """What the meter shows now."""
        return self._state

    def run(self, stopped: threading.Event) -> None:
        """Update on absolute deadlines, every refresh interval, until `stopped` is set."""
        updates = 1
        while not stopped.wait(max(0.0, self._started_s + updates * self._refresh_s - time.monotonic())):
            self.update()
            updates += 1

    def update(self) -> None:
        """Take the CPU use since the last update as the new reading; without a clock tick in between keep the old."""
        times = self._read_times()
        use = cpu_use(self._times, times)
        old = self._state
        watts = old.current_w if use is None else self._watts(use)
        if use is not None:
            self._times = times
        self._sum_w += watts
        self._updates += 1
        self._state = MeterState(
            current_w=watts,
            minimum_w=min(old.minimum_w, watts),
            maximum_w=max(old.maximum_w, watts),
            average_w=round(self._sum_w / self._updates),
            updated_s=int(time.time()),
            window_ms=int(1000 * (time.monotonic() - self._started_s)) & 0xFFFFFFFF,
        )

    def _watts(self, use: float) -> int:
        return min(HIGHEST_W, round(self._idle_w + self._slope_w * use))
