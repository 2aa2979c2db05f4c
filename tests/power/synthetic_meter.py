"""A meter whose refresh, step, lag, averaging and noise are known, shown a square wave of load."""

from dataclasses import dataclass

import numpy as np

from wattsweep.power.cpu_load import square_wave
from wattsweep.power.response import SquareWave
from wattsweep.power.trace import Floats, Trace


@dataclass(frozen=True)
class SyntheticMeter:
    """Each update shows the mean power over [u - delay - averaging, u - delay], with noise and rounded to a step."""

    refresh_s: float = 1.0
    step: float = 1.0
    delay_s: float = 0.0
    averaging_s: float = 1.0
    noise_w: float = 1.0
    jitter: float = 0.0
    idle_w: float = 103.3
    full_w: float = 251.7
    counter: bool = False

    @property
    def lag_s(self) -> float:
        """As `Calibration.lag_s` defines it."""
        return self.delay_s + 0.5 * self.averaging_s

    def trace(
        self, seed: int, *, period_s: float = 20.0, cycles: int = 6, poll_s: float = 0.1
    ) -> tuple[Trace, list[float]]:
        """Its readings over a whole calibration, and the edges of the load."""
        random = np.random.default_rng(seed)
        begin_s = 1e5 + random.uniform(0.0, 100.0)
        edges_s = square_wave(begin_s + 0.5 * period_s, period_s, cycles)
        end_s = edges_s[-1] + 0.5 * period_s
        count = int((end_s - begin_s) / self.refresh_s) + 3
        spans_s = self.refresh_s * (1.0 + self.jitter * random.uniform(-1.0, 1.0, size=count))
        made_s = begin_s - self.refresh_s * random.uniform(0.0, 1.0) + np.concatenate([[0.0], np.cumsum(spans_s)])
        shown = self._shown(made_s, SquareWave(np.array(edges_s)), random)
        polls_s = np.arange(begin_s + self.refresh_s, end_s, poll_s)
        polls_s = polls_s + 0.02 * poll_s * random.uniform(0.0, 1.0, size=len(polls_s))
        readings = shown[np.searchsorted(made_s, polls_s, side="right") - 1]
        return Trace.from_arrays(polls_s, readings, kind="energy" if self.counter else "power"), edges_s

    def _shown(self, made_s: Floats, load: SquareWave, random: np.random.Generator) -> Floats:
        latest_s = made_s - self.delay_s
        height_w = self.full_w - self.idle_w
        if self.counter:
            exact = self.idle_w * (latest_s - latest_s[0]) + height_w * load.on_time(latest_s)
            exact = exact + 1000.0
        else:
            width_s = max(self.averaging_s, 1e-4)
            share = (load.on_time(latest_s) - load.on_time(latest_s - width_s)) / width_s
            exact = self.idle_w + height_w * share + self.noise_w * random.standard_normal(len(made_s))
        return np.asarray(np.round(exact / self.step) * self.step)
