"""Loads whose energy is known, and a meter that shows them: what benchmarks/energy_accuracy.py integrates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wattsweep.power import Status, Trace

Floats = NDArray[np.float64]
POINTS_PER_REFRESH = 64


@dataclass(frozen=True)
class Load:
    """A load by its energy from time 0 at every moment of a grid, straight lines between: J, W and s."""

    times_s: Floats
    energy_j: Floats

    def between(self, start_s: Floats | float, end_s: Floats | float) -> Floats:
        """The energy of [start_s, end_s) in J."""
        ends = np.interp(end_s, self.times_s, self.energy_j) - np.interp(start_s, self.times_s, self.energy_j)
        return np.asarray(ends)


@dataclass(frozen=True, slots=True)
class Meter:
    """How a meter shows a load: each update is the mean of its last `averaging_s` (0: of that moment), `lag_s` late.

    `dropped` is the share of readings that fail, half of them one by one and half in rows of three.
    """

    refresh_s: float
    step_w: float
    averaging_s: float
    lag_s: float
    poll_s: float
    dropped: float


def make_load(waveform: str, random: np.random.Generator, length_s: float, refresh_s: float) -> Load:
    """A load of `length_s` seconds: square, sine, ramp or bursts, its time scale some refreshes of the meter."""
    times = np.linspace(0.0, length_s, int(POINTS_PER_REFRESH * length_s / refresh_s))
    base_w, height_w = random.uniform(80.0, 400.0), random.uniform(20.0, 300.0)
    period_s = refresh_s * float(np.exp(random.uniform(np.log(4.0), np.log(80.0))))
    phase = random.uniform(0.0, 1.0)
    if waveform == "square":
        shape = ((times / period_s + phase) % 1.0 < random.uniform(0.2, 0.8)).astype(float)
    elif waveform == "sine":
        shape = 0.5 + 0.5 * np.sin(2 * np.pi * (times / period_s + phase))
    elif waveform == "ramp":
        shape = (times / period_s + phase) % 1.0
    elif waveform == "bursts":
        starts = np.cumsum(random.exponential(period_s, size=int(3 * length_s / period_s) + 3))
        lengths = random.uniform(0.5, 4.0, size=len(starts)) * refresh_s
        moments = np.concatenate([starts, starts + lengths])
        changes = np.concatenate([np.ones(len(starts)), -np.ones(len(starts))])
        order = np.argsort(moments)
        running = np.concatenate([[0.0], np.cumsum(changes[order])])
        shape = (running[np.searchsorted(moments[order], times, side="right")] > 0).astype(float)
    else:
        raise ValueError(f"no waveform {waveform!r}")
    power = base_w + height_w * shape
    energy = np.concatenate([[0.0], np.cumsum(0.5 * (power[1:] + power[:-1]) * np.diff(times))])
    return Load(times, energy)


def read_meter(load: Load, meter: Meter, random: np.random.Generator, *, told_lag: bool) -> Trace:
    """The trace of a load read through a meter; refresh and step are told, the lag where `told_lag`."""
    last_s = float(load.times_s[-1])
    times = np.arange(random.uniform(0.0, meter.poll_s), last_s, meter.poll_s)
    times = times + random.uniform(0.0, 0.02 * meter.poll_s, size=len(times))
    phase_s = random.uniform(0.0, meter.refresh_s)
    updated = np.floor((times - phase_s) / meter.refresh_s) * meter.refresh_s + phase_s - meter.lag_s
    window_s = max(meter.averaging_s, 1e-3 * meter.refresh_s)
    shown = load.between(updated - window_s, updated) / window_s
    values = np.round(shown / meter.step_w) * meter.step_w
    failed = random.uniform(size=len(times)) < 0.5 * meter.dropped
    rows = np.flatnonzero(random.uniform(size=len(times)) < meter.dropped / 6.0)
    failed[np.minimum((rows[:, None] + np.arange(3)).ravel(), len(times) - 1)] = True
    status = np.where(failed, int(Status.FAILED), int(Status.OK))
    late_s = meter.lag_s + 0.5 * meter.averaging_s
    return Trace.from_arrays(
        times,
        np.where(failed, np.nan, values),
        kind="power",
        status=status,
        refresh_s=meter.refresh_s,
        step=meter.step_w,
        lag_s=late_s if told_lag else None,
    )
