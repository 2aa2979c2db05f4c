"""The two ways from readings to a run's energy: `as_published`, BUTTER-E's rule as it was, and `interval`, ours.

The published rule takes a reading's power as constant until the next one, takes rows as they stand in the file, and
refuses a run for one reading of 0 W. Ours takes one node at a time, on straight lines between valid readings, and says
which part of the run is covered and how far off the energy may be.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wattsweep.importers.readings import JobReadings
from wattsweep.power import Trace, integrate

Join = Literal["as-published", "interval"]

MINUTE_S = 60.0
NO_FILE = "no power file for the job"
NO_READING = "no reading within the run"
TOO_FEW = "fewer readings than minutes - 1"
ZERO = "a reading of 0 W"
LITTLE_COVERED = "too little of the run is covered"
REASONS = (ZERO, NO_READING, TOO_FEW, NO_FILE)
"""Why the published join refuses a run, in the order of the published table."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the published rule makes of a run: joules, or a reason (empty where it is kept).

    `n_readings` counts the node's readings within the run; `other_nodes_j` is what of the joules are readings of other
    nodes.
    """

    reason: str
    joules: float | None = None
    n_readings: int = 0
    other_nodes_j: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """What the join by intervals makes of a run: joules in [lower, upper] and coverage, or a reason."""

    reason: str
    joules: float | None = None
    lower: float | None = None
    upper: float | None = None
    coverage: float | None = None
    n_samples: int = 0


def as_published(readings: JobReadings, node: str, start_s: float, end_s: float) -> Published:
    """The energy of [start_s, end_s] (Unix s) by the published rule, quirks and all, so that its counts come out.

    Among the node's readings from start to end, both included, let f be the first row and l the last. The energy is
    watts[f - 1] x (time of f - start) + 60 s x the sum of watts[f .. l - 1] + watts[l] x (end - time of l), where rows
    are those of the file, whatever node they are of, and the row before the first is the last. Refused, in this order:
    no reading at all; fewer than the minutes of the run - 1; a row of 0 W from f to l.
    """
    inside = readings.of_node(node) & (readings.times_s >= start_s) & (readings.times_s <= end_s)
    rows = np.flatnonzero(inside)
    n = len(rows)
    if n == 0:
        return Published(NO_READING)
    if n < (end_s - start_s) / MINUTE_S - 1:
        return Published(TOO_FEW, n_readings=n)
    first, last = int(rows[0]), int(rows[-1])
    watts = readings.watts
    if (watts[first : last + 1] == 0).any():
        return Published(ZERO, n_readings=n)
    before_s, after_s = readings.times_s[first] - start_s, end_s - readings.times_s[last]
    joules = watts[first - 1] * before_s + watts[last] * after_s + MINUTE_S * watts[first:last].sum()
    foreign = ~readings.of_node(node)
    others = MINUTE_S * watts[first:last][foreign[first:last]].sum()
    others += watts[first - 1] * before_s if foreign[first - 1] else 0.0
    return Published("", float(joules), n, float(others))


def interval(trace: Trace, start_s: float, end_s: float, *, min_coverage: float) -> Interval:
    """The energy of [start_s, end_s) (Unix s) of one node's trace, by `wattsweep.power.integrate`.

    Gaps of more than three minutes between valid readings are not covered. Refused where less than `min_coverage` of
    the run is.
    """
    energy = integrate(trace.window(start_s, end_s, margin_s=10 * MINUTE_S), start_s, end_s)
    if energy.coverage == 0:
        return Interval(NO_READING, coverage=0.0, n_samples=energy.n_samples)
    if energy.coverage < min_coverage:
        words = f"{LITTLE_COVERED}: {energy.coverage:.3f} by {energy.n_samples} valid readings, wanted {min_coverage:g}"
        return Interval(words, coverage=energy.coverage, n_samples=energy.n_samples)
    return Interval("", energy.joules, energy.lower, energy.upper, energy.coverage, energy.n_samples)


def reason_kind(reason: str) -> str:
    """A reason without its numbers."""
    return reason.split(":")[0]


PUBLISHED_COUNTS: tuple[tuple[str, int], ...] = (
    ("listed in butter_e_metadata.csv", 64988),
    ("left out: batch optimizer_energy_1_cpu", 23859),
    ("input", 41129),
    (ZERO, 470),
    (NO_READING, 137),
    (TOO_FEW, 14),
    (NO_FILE, 44),
    ("kept", 40464),
)
"""What the published join counted."""


def reasons_table(counts: Counter[str], intervals: Counter[str]) -> str:
    """The published counts beside ours: by the published rule, and by intervals (input, kept and reasons there)."""
    extra = [(name, None) for name in sorted(set(intervals) - {name for name, _ in PUBLISHED_COUNTS})]
    common = {"listed in butter_e_metadata.csv", "left out: batch optimizer_energy_1_cpu", "input"}
    lines = [f"{'runs':<40}{'published':>12}{'as-published':>14}{'interval':>12}"]
    for name, published in (*PUBLISHED_COUNTS, *extra):
        ours = f"{counts[name]:,}" if published is not None else ""
        by_interval = counts[name] if name in common else intervals[name]
        shown = "" if published is None else f"{published:,}"
        lines.append(f"{name:<40}{shown:>12}{ours:>14}{by_interval:>12,}")
    return "\n".join(lines)
