"""Energy of a window from a trace, with its interval and its coverage."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wattsweep.errors import PowerError
from wattsweep.power.trace import Flags, Floats, Trace

Method = Literal["trapezoid", "counter", "share of block", "sum of segments", "refused"]

GAP_IN_REFRESHES = 3.0


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a window in J. The truth is expected in [lower, upper].

    `coverage` is the share of the window that valid samples support, 0 to 1. `n_samples` valid samples lie in the
    window, `n_excluded` others do; `n_refreshes` is how often the source updated in the covered time as far as it was
    sampled: min(n_samples, covered time / refresh).
    """

    joules: float
    lower: float
    upper: float
    coverage: float
    n_samples: int
    n_excluded: int
    n_refreshes: int
    method: Method


@dataclass(frozen=True)
class _Stretches:
    """The stretches between successive valid samples that overlap a window, clipped to it (`low_s` to `high_s`)."""

    low_s: Floats
    high_s: Floats
    start_s: Floats
    length_s: Floats
    before: Floats
    after: Floats

    def __len__(self) -> int:
        return len(self.length_s)

    def trapezoids(self) -> float:
        """The sum of mean value x time within the window, the values being on straight lines between samples."""
        means = 0.5 * (self._at(self.low_s) + self._at(self.high_s))
        return float(np.sum(means * (self.high_s - self.low_s)))

    def differences(self) -> float:
        """The sum of the rises of the values within the window."""
        return float(np.sum((self.after - self.before) * ((self.high_s - self.low_s) / self.length_s)))

    def _at(self, times_s: Floats) -> Floats:
        return self.before + (self.after - self.before) * ((times_s - self.start_s) / self.length_s)


def integrate(
    trace: Trace,
    start: float,
    end: float,
    *,
    max_gap: float | None = None,
    plausible: tuple[float, float] | None = None,
) -> Energy:
    """The energy of [start, end) (monotonic clock, s) by the trapezoid rule, or the difference of a counter.

    Samples that are not `Status.OK`, not finite or outside `plausible` (low, high, in the unit of the trace) are
    excluded and counted. Between two valid neighbours power is a straight line, and so is a counter; the edges of
    the window are interpolated on those lines. A stretch between valid neighbours longer than `max_gap` seconds
    (default: three refresh intervals of the source, or three sampling intervals where those are longer) is not
    covered: it adds no joules and lowers the coverage. That holds for counters too, which may wrap or be reset unseen.

    The interval, with c the covered and u the uncovered time:

    - rounding: every reading may be off by step/2 in the same direction: c x step/2; a counter's error is one step
      for each unbroken piece of the window (half a step at each end);
    - edges: what the source shows may be as old as one refresh, and the reading is known only to be inside its read:
      at each edge (refresh + half the longest read) x (highest - lowest power) of the samples within one refresh of the
      edge and their neighbours;
    - sampling (power only): between two samples that differ by D the power may have moved at any time, and what was
      read may be one refresh old; with w the longer of the stretch and the refresh, that is +-w D/2, uniform and
      independent from stretch to stretch. Twice its standard deviation: sqrt(sum (w D)^2 / 3);
    - uncovered time adds nothing to the lower end and u x the highest valid power of the trace to the upper end.

    lower = joules - rounding - edges - sampling (not below 0); upper = joules + all four. Without a covered stretch
    joules, lower and coverage are 0 and upper is inf. Bursts shorter than the refresh of a source that does not average
    leave no mark in its samples and so none in the interval.

    Raises ValueError where the window is empty or not finite, PowerError where a counter decreases.
    """
    if not (np.isfinite(start) and np.isfinite(end) and end > start):
        raise ValueError(f"the window [{start}, {end}) is empty; its end must lie after its start")
    order = np.lexsort((trace.values, trace.times_s))
    times, values = trace.times_s[order], trace.values[order]
    valid = _countable(trace, plausible)[order]
    inside = (times >= start) & (times < end)
    n_samples = int(np.count_nonzero(inside & valid))
    n_excluded = int(np.count_nonzero(inside & ~valid))
    reads_s = (trace.after_s - trace.before_s)[order][valid]
    times, values = times[valid], values[valid]

    gap = _default_gap(trace) if max_gap is None else max_gap
    covered = _covered_stretches(times, values, start, end, gap)
    uncovered_s = _uncovered_seconds(times, start, end, gap) if len(covered) else end - start
    covered_s = (end - start) - uncovered_s
    refresh_s, step = trace.refresh_s or 0.0, trace.step or 0.0
    if trace.kind == "power":
        joules = covered.trapezoids()
        rounding = 0.5 * step * covered_s
        sampling = _sampling_doubt(covered, refresh_s)
    else:
        _refuse_decrease(covered)
        joules = covered.differences()
        rounding = step * _pieces(covered)
        sampling = 0.0
        times, values = _slopes(times, values)
    age_s = refresh_s + 0.5 * float(reads_s.max(initial=0.0))
    edges = age_s * sum(_spread(times, values, edge, refresh_s) for edge in (start, end))
    doubt = rounding + edges + sampling
    highest_w = float(values.max()) if len(covered) else np.inf
    return Energy(
        joules=joules,
        lower=max(0.0, joules - doubt),
        upper=joules + doubt + (uncovered_s * highest_w if uncovered_s > 0 else 0.0),
        coverage=1.0 - uncovered_s / (end - start),
        n_samples=n_samples,
        n_excluded=n_excluded,
        n_refreshes=min(n_samples, round(covered_s / refresh_s)) if refresh_s > 0 else n_samples,
        method="trapezoid" if trace.kind == "power" else "counter",
    )


def _countable(trace: Trace, plausible: tuple[float, float] | None) -> Flags:
    valid = trace.valid & np.isfinite(trace.times_s)
    if plausible is None:
        return valid
    low, high = plausible
    return valid & (trace.values >= low) & (trace.values <= high)


def _default_gap(trace: Trace) -> float:
    return GAP_IN_REFRESHES * max(trace.refresh_s or 0.0, trace.spacing_s or 0.0)


def _covered_stretches(times: Floats, values: Floats, start: float, end: float, gap: float) -> _Stretches:
    lengths = np.diff(times)
    low, high = np.maximum(times[:-1], start), np.minimum(times[1:], end)
    chosen = (high > low) & (lengths <= gap)
    return _Stretches(
        low_s=low[chosen],
        high_s=high[chosen],
        start_s=times[:-1][chosen],
        length_s=lengths[chosen],
        before=values[:-1][chosen],
        after=values[1:][chosen],
    )


def _uncovered_seconds(times: Floats, start: float, end: float, gap: float) -> float:
    """The time of the window in no covered stretch, summed from its parts so that it is exactly 0 for a full cover."""
    low, high = np.maximum(times[:-1], start), np.minimum(times[1:], end)
    gaps = (high > low) & (np.diff(times) > gap)
    inner = float(np.sum((high - low)[gaps]))
    return max(0.0, float(times[0]) - start) + inner + max(0.0, end - float(times[-1]))


def _sampling_doubt(covered: _Stretches, refresh_s: float) -> float:
    moves = np.abs(covered.after - covered.before) * np.maximum(covered.length_s, refresh_s)
    return float(np.sqrt(np.sum(moves**2) / 3.0))


def _refuse_decrease(covered: _Stretches) -> None:
    falls = np.flatnonzero(covered.after < covered.before)
    if len(falls):
        first = falls[0]
        raise PowerError(
            f"The energy counter fell from {covered.before[first]} J to {covered.after[first]} J at "
            f"{covered.start_s[first]} s: it wrapped or was reset. Integrate the windows before and after it apart."
        )


def _slopes(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The middle of each stretch of a counter and the mean power over it."""
    lengths = np.diff(times)
    apart = lengths > 0
    return (0.5 * (times[:-1] + times[1:]))[apart], np.diff(values)[apart] / lengths[apart]


def _spread(times: Floats, powers: Floats, edge: float, reach_s: float) -> float:
    """Highest - lowest power of the samples within `reach_s` of `edge` and the neighbour on each side."""
    first = max(0, int(np.searchsorted(times, edge - reach_s, side="left")) - 1)
    last = int(np.searchsorted(times, edge + reach_s, side="right")) + 1
    near = powers[first:last]
    return float(np.ptp(near)) if len(near) else 0.0


def _pieces(covered: _Stretches) -> int:
    """The number of unbroken covered pieces of the window."""
    if len(covered.low_s) == 0:
        return 0
    return 1 + int(np.count_nonzero(covered.low_s[1:] > covered.high_s[:-1]))
