"""How far the energy of a window may be from the truth: what a source's samples leave open.

What is assumed of a source: it updates every `refresh_s`; an update shows the power of that moment, or its mean since
the update before; values are rounded to `step`; it may show things up to one and a half refreshes late unless its lag
is known, half a refresh then. benchmarks/energy_accuracy.py puts numbers to how often the interval holds the truth.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wattsweep.power.trace import Flags, Floats, Trace

UNKNOWN_LAG_REFRESHES = 1.5
KNOWN_LAG_REFRESHES = 0.5
LAGS_TRIED = 13
OVERSAMPLED = 0.75
"""A source is read more often than it updates where the time between reads is below this share of its refresh."""
MISSED = 1.5
"""A stretch so many refreshes long has missed some."""
MANY = 3.0
EXCURSION_VARIANCE = 0.5
"""Variance of the energy of an excursion that a single refresh saw, in (height x time)^2: the power may have come and
gone at any time around it. By simulation; see docs/measurement.md."""


@dataclass(frozen=True)
class Record:
    """The valid samples of a trace: `times_s` from the window's start, `values` (W, or J counted without wraps).

    `linked` says for each pair of neighbours whether the time between them is covered; `reads_s` is the longest read.
    """

    trace: Trace
    times_s: Floats
    values: Floats
    linked: Flags
    reads_s: float

    @cached_property
    def spacing_s(self) -> float:
        """The median time between valid samples in s; 0 for fewer than two."""
        return float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 0.0

    @cached_property
    def refresh_s(self) -> float:
        """The source's refresh interval in s, 0 where unknown."""
        return self.trace.refresh_s or 0.0

    @cached_property
    def powers_w(self) -> Floats:
        """The power at each sample, or over each stretch of a counter whose length is not 0."""
        if self.trace.kind == "power":
            return self.values
        lengths = np.diff(self.times_s)
        usable = (lengths > 0) & self.linked
        return np.asarray(np.diff(self.values)[usable] / lengths[usable])

    @cached_property
    def power_times_s(self) -> Floats:
        """The times of `powers_w`."""
        if self.trace.kind == "power":
            return self.times_s
        usable = (np.diff(self.times_s) > 0) & self.linked
        return np.asarray((0.5 * (self.times_s[1:] + self.times_s[:-1]))[usable])


@dataclass(frozen=True, slots=True)
class Doubt:
    """How far the truth may lie below and above the energy found, in J."""

    below_j: float
    above_j: float


def released(record: Record) -> Floats:
    """The values at the samples' times, each update counted at its first reading and not again.

    A source that is read more often than it updates holds its value until the next update. Power then moves from one
    update to the next on the straight line that ends where the new value is first read and begins one refresh before.
    A source that is not oversampled, and a counter, is left as read.
    """
    times, values, refresh_s = record.times_s, record.values, record.refresh_s
    if record.trace.kind == "energy" or len(times) < 3 or record.spacing_s > OVERSAMPLED * refresh_s:
        return values
    changes = np.flatnonzero(np.diff(values) != 0.0) + 1
    if len(changes) == 0:
        return values
    numbers = np.arange(len(times))
    following = np.searchsorted(changes, numbers, side="right")
    changing = following < len(changes)
    target = changes[np.minimum(following, len(changes) - 1)]
    began = np.concatenate([[0], changes])[following]
    ramp_from = np.maximum(times[target] - refresh_s, times[began])
    lengths = times[target] - ramp_from
    share = np.where(lengths > 0, (times - ramp_from) / np.where(lengths > 0, lengths, 1.0), 0.0)
    share = np.where(changing, np.clip(share, 0.0, 1.0), 0.0)
    return np.asarray(values + share * (values[target] - values))


def doubt(record: Record, window_s: float, joules: float) -> Doubt:
    """How far the energy `joules` of [0, window_s) may be off. Uncovered time is not in it.

    With the covered time c, r the longer of refresh and sampling interval, and a standard deviation counted twice:

    - rounding: every reading is off by up to step/2, all readings of one value in the same direction. T_v being the
      time that the value v was shown: step/sqrt(3) x sqrt(sum T_v^2), at most c x step/2. A counter: one step for each
      unbroken piece of the window (half a step at each end).
    - sampling (power only): between two samples that differ by D the power may have moved at any time: variance
      (w D)^2 / 12, w being the longer of stretch and refresh. An excursion, up and down again within one refresh, has
      `EXCURSION_VARIANCE` (w h)^2 more, h being its height. A stretch of length L that missed refreshes may hold what
      others of that length held: D^2 is then at least the lesser of 2 var(power) and (L / r)^2 mean(D^2).
    - lag: the samples may show what was up to 1.5 refreshes (0.5 on either side where the lag is known) and half a read
      earlier: the window is slid by that, and the lowest and highest energy taken. Beyond the trace the power may be
      any of those within a refresh of its end.
    - accuracy: the share of its value that the source states.

    The first three are independent of each other and add as squares; accuracy adds to them.
    """
    if not record.linked.any():
        return Doubt(0.0, 0.0)
    independent = (_rounding, _sampling, _cut_stretches)
    spread_j2 = sum(part(record, window_s) ** 2 for part in independent)
    below_j, above_j = _lag(record, window_s)
    stated_j = (record.trace.accuracy or 0.0) * joules
    return Doubt(math.sqrt(spread_j2 + below_j**2) + stated_j, math.sqrt(spread_j2 + above_j**2) + stated_j)


def _inside(record: Record, window_s: float) -> tuple[Flags, Floats]:
    """Which covered stretches overlap the window, and how long each does."""
    overlap = np.minimum(record.times_s[1:], window_s) - np.maximum(record.times_s[:-1], 0.0)
    return record.linked & (overlap > 0), np.maximum(overlap, 0.0)


def _rounding(record: Record, window_s: float) -> float:
    step = record.trace.step or 0.0
    inside, overlap = _inside(record, window_s)
    if record.trace.kind == "energy":
        pieces = np.count_nonzero(inside[1:] & ~inside[:-1]) + int(inside[0]) if len(inside) else 0
        return step * pieces
    if step == 0.0:
        return 0.0
    shown = np.concatenate([record.values[:-1][inside], record.values[1:][inside]])
    halves = 0.5 * np.concatenate([overlap[inside], overlap[inside]])
    _, level = np.unique(shown, return_inverse=True)
    level_s = np.bincount(level, weights=halves)
    return step * min(0.5 * float(level_s.sum()), math.sqrt(float(np.sum(level_s**2)) / 3.0))


def _sampling(record: Record, window_s: float) -> float:
    if record.trace.kind == "energy":
        return 0.0
    inside, _ = _inside(record, window_s)
    lengths = np.diff(record.times_s)
    usual_s = max(record.refresh_s, record.spacing_s)
    moves = np.abs(np.diff(record.values))
    times_s = np.maximum(lengths, record.refresh_s)
    missed = inside & (lengths > MISSED * usual_s) if usual_s > 0 else np.zeros_like(inside)
    squares = moves**2
    if missed.any():
        others = squares[record.linked & ~missed]
        per_refresh = float(others.mean()) if len(others) else 0.0
        most = 2.0 * float(np.var(record.values))
        could = np.minimum(most, (lengths / usual_s) ** 2 * per_refresh)
        squares = np.where(missed, np.maximum(squares, could), squares)
    variance = float(np.sum((times_s**2 * squares)[inside])) / 12.0
    return 2.0 * math.sqrt(variance + EXCURSION_VARIANCE * _excursions(record, inside, usual_s))


def _excursions(record: Record, inside: Flags, usual_s: float) -> float:
    """The sum of (height x time)^2 over the excursions that no more than one refresh saw."""
    changes = np.flatnonzero(np.diff(record.values) != 0.0)
    if len(changes) < 2:
        return 0.0
    moves = np.diff(record.values)[changes]
    lasted_s = np.diff(record.times_s[changes + 1])
    heights = np.minimum(np.abs(moves[:-1]), np.abs(moves[1:]))
    turned = (moves[:-1] * moves[1:] < 0) & (lasted_s <= MISSED * usual_s) & inside[changes[:-1]]
    return float(np.sum((heights * usual_s)[turned] ** 2))


def _lag(record: Record, window_s: float) -> tuple[float, float]:
    """How much less and more energy the window may hold where the samples show what was earlier."""
    if record.trace.lag_s is None:
        earliest_s, latest_s = 0.0, UNKNOWN_LAG_REFRESHES * record.refresh_s + 0.5 * record.reads_s
    else:
        latest_s = KNOWN_LAG_REFRESHES * record.refresh_s + 0.5 * record.reads_s
        earliest_s = -latest_s
    lags = np.linspace(earliest_s, latest_s, LAGS_TRIED)
    begin_low, begin_high = _moved(record, 0.0, lags)
    end_low, end_high = _moved(record, window_s, lags)
    least, most = end_low - begin_high, end_high - begin_low
    return max(0.0, -float(least.min())), max(0.0, float(most.max()))


def _moved(record: Record, edge_s: float, lags_s: Floats) -> tuple[Floats, Floats]:
    """The energy between an edge of the window and that edge moved by each lag: its lowest and highest value.

    Gaps are crossed on straight lines here, since only what is near the edge counts.
    """
    times, values = record.times_s, released(record)
    if record.trace.kind == "energy":
        cumulative = values
    else:
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(times))])
    moved = _cumulative_at(record, times, values, cumulative, edge_s + lags_s)
    at_edge = _cumulative_at(record, times, values, cumulative, np.array([edge_s]))
    low, high = moved[0] - at_edge[0], moved[1] - at_edge[1]
    return np.minimum(low, high), np.maximum(low, high)


def _cumulative_at(
    record: Record, times: Floats, values: Floats, cumulative: Floats, at_s: Floats
) -> tuple[Floats, Floats]:
    """The energy from the first sample to each time; beyond the samples, with the lowest and highest power near."""
    clipped = np.clip(at_s, times[0], times[-1])
    index = np.clip(np.searchsorted(times, clipped, side="right") - 1, 0, len(times) - 2)
    since, length = clipped - times[index], times[index + 1] - times[index]
    share = np.where(length > 0, since / np.where(length > 0, length, 1.0), 0.0)
    if record.trace.kind == "energy":
        within = cumulative[index] + share * (cumulative[index + 1] - cumulative[index])
    else:
        within = cumulative[index] + since * (values[index] + 0.5 * share * (values[index + 1] - values[index]))
    beyond = at_s - clipped
    low_w, high_w = _around(record, np.where(beyond < 0, times[0], times[-1]))
    return within + beyond * low_w, within + beyond * high_w


def _around(record: Record, edges_s: Floats) -> tuple[Floats, Floats]:
    """The lowest and highest power within two refreshes of each time, and of its neighbours."""
    reach_s = 2.0 * max(record.refresh_s, record.spacing_s)
    if len(record.powers_w) == 0:
        return np.zeros_like(edges_s), np.zeros_like(edges_s)
    bounds = {}
    for edge_s in set(edges_s.tolist()):
        first = max(0, int(np.searchsorted(record.power_times_s, edge_s - reach_s)) - 1)
        near = record.powers_w[first : int(np.searchsorted(record.power_times_s, edge_s + reach_s, side="right")) + 1]
        bounds[edge_s] = (float(near.min()), float(near.max())) if len(near) else (0.0, float(record.powers_w.max()))
    low, high = zip(*(bounds[edge_s] for edge_s in edges_s.tolist()), strict=True)
    return np.array(low), np.array(high)


def _cut_stretches(record: Record, window_s: float) -> float:
    """Of a counter's stretch over many refreshes, cut by an edge of the window, all may lie on one side of the cut."""
    if record.trace.kind == "power" or record.refresh_s == 0:
        return 0.0
    total = 0.0
    for edge_s in (0.0, window_s):
        index = int(np.searchsorted(record.times_s, edge_s, side="right")) - 1
        if not 0 <= index < len(record.linked) or not record.linked[index]:
            continue
        first_s, last_s = record.times_s[index], record.times_s[index + 1]
        if last_s - first_s > MANY * record.refresh_s:
            counted = record.values[index + 1] - record.values[index]
            total += (counted * min(edge_s - first_s, last_s - edge_s) / (last_s - first_s)) ** 2
    return math.sqrt(total)
