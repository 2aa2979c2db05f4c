"""Energy of a window from a trace, with its interval and its coverage."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wattsweep.power.counters import unwrap
from wattsweep.power.doubt import Record, doubt, released
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


def integrate(
    trace: Trace,
    start: float,
    end: float,
    *,
    max_gap: float | None = None,
    plausible: tuple[float, float] | None = None,
) -> Energy:
    """The energy of [start, end) (monotonic clock, s) by the trapezoid rule, or the difference of a counter.

    Samples that are not `Status.OK`, not finite or, with `plausible` (lowest, highest W), outside it are excluded and
    counted. Between two valid neighbours power is a straight line, and so is a counter; the edges of the window are
    interpolated on those lines. Where a source is read more often than it updates, a repeated value counts at the time
    of its first reading (`wattsweep.power.doubt.released`). A stretch between valid neighbours longer than `max_gap`
    seconds (default: three refresh intervals of the source, or three sampling intervals where those are longer or the
    refresh is not known) is not covered: it adds no joules and lowers the coverage. So is one over which a counter was
    reset, or may have wrapped more than one number of times (`wattsweep.power.counters.unwrap`). A source whose lag is
    known is read that much later, and later still by half the time that a reading may be old.

    The interval is [joules - d, joules + d + u x highest power], not below 0, with u the uncovered time and d by
    `wattsweep.power.doubt.doubt`, from step, refresh, lag, edges, gaps and accuracy. Without a covered stretch joules,
    lower and coverage are 0 and upper is inf. Bursts shorter than the refresh of a source that does not average leave
    no mark in its samples and so none in the interval.

    Windows that meet add up: the energy of [a, c) is that of [a, b) plus that of [b, c).

    Raises ValueError where the window is empty or not finite.
    """
    if not (np.isfinite(start) and np.isfinite(end) and end > start):
        raise ValueError(f"the window [{start}, {end}) is empty; its end must lie after its start")
    late_s = _late_s(trace)
    order = np.lexsort((trace.values, trace.times_s))
    times, values = trace.times_s[order] - start - late_s, trace.values[order]
    window_s = end - start
    valid = _countable(trace, plausible)[order]
    inside = (times >= 0) & (times < window_s)
    reads_s = float((trace.after_s - trace.before_s)[order][valid].max(initial=0.0))
    if trace.kind == "energy":
        counted = unwrap(times[valid], values[valid], trace.wrap_j, plausible)
        valid[np.flatnonzero(valid)[~counted.kept]] = False
        shown, breaks = counted.energy_j, counted.breaks
    else:
        shown, breaks = values[valid], np.zeros(max(0, int(valid.sum()) - 1), dtype=np.bool_)
    n_samples, n_excluded = int(np.count_nonzero(inside & valid)), int(np.count_nonzero(inside & ~valid))
    times = times[valid]

    gap = _default_gap(trace) if max_gap is None else max_gap
    linked = (np.diff(times) <= gap) & ~breaks
    record = Record(trace, times, shown, linked, reads_s)
    uncovered_s = _uncovered_seconds(times, linked, window_s)
    covered_s = window_s - uncovered_s
    joules = _covered_joules(times, released(record), linked, window_s, trace.kind == "energy")
    d = doubt(record, window_s, joules)
    highest_w = float(record.powers_w.max()) if covered_s > 0 and len(record.powers_w) else np.inf
    return Energy(
        joules=joules,
        lower=max(0.0, joules - d.below_j),
        upper=joules + d.above_j + (uncovered_s * highest_w if uncovered_s > 0 else 0.0),
        coverage=1.0 - uncovered_s / window_s,
        n_samples=n_samples,
        n_excluded=n_excluded,
        n_refreshes=min(n_samples, round(covered_s / trace.refresh_s)) if trace.refresh_s else n_samples,
        method="counter" if trace.kind == "energy" else "trapezoid",
    )


def _countable(trace: Trace, plausible: tuple[float, float] | None) -> Flags:
    valid = trace.valid & np.isfinite(trace.times_s)
    if plausible is None or trace.kind == "energy":
        return valid
    low, high = plausible
    return valid & (trace.values >= low) & (trace.values <= high)


def _late_s(trace: Trace) -> float:
    """How long after its moment a reading is taken on average: the known lag, and half of what its value may be old.

    0 where the lag is not known: the interval then holds what it may be.
    """
    if trace.lag_s is None:
        return 0.0
    return trace.lag_s + 0.5 * min(trace.spacing_s or 0.0, trace.refresh_s or 0.0)


def _default_gap(trace: Trace) -> float:
    known_s = (trace.refresh_s or 0.0) if trace.refresh_known else 0.0
    return GAP_IN_REFRESHES * max(known_s, trace.spacing_s or 0.0)


def _covered_joules(times: Floats, values: Floats, linked: Flags, window_s: float, counter: bool) -> float:
    """The energy of [0, window_s): the sum over the linked stretches, each clipped to it."""
    low, high = np.maximum(times[:-1], 0.0), np.minimum(times[1:], window_s)
    chosen = linked & (high > low)
    low, high, first = low[chosen], high[chosen], times[:-1][chosen]
    before, after, length = values[:-1][chosen], values[1:][chosen], np.diff(times)[chosen]
    if counter:
        return float(np.sum((after - before) * ((high - low) / length)))
    middle = 0.5 * ((low - first) + (high - first)) / length
    return float(np.sum((before + (after - before) * middle) * (high - low)))


def _uncovered_seconds(times: Floats, linked: Flags, window_s: float) -> float:
    """The time of the window in no covered stretch, summed from its parts so that it is exactly 0 for a full cover."""
    low, high = np.maximum(times[:-1], 0.0), np.minimum(times[1:], window_s)
    inside = high > low
    if not (inside & linked).any():
        return window_s
    inner = float(np.sum((high - low)[inside & ~linked]))
    return max(0.0, float(times[0])) + inner + max(0.0, window_s - float(times[-1]))
