"""How often a source updates and in which steps, told from readings that were taken faster than it updates."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from wattsweep.power.trace import Flags, Floats

FEWEST_CHANGES = 8
AS_FAST_AS_POLLED = "the value changes as fast as it was polled"
CHANGES_PER_EDGE = 1.5
FEWEST_LEVELS = 7
"""The differences of n random multiples of a step share a greater divisor in 1 of 58 cases at n = 7 (1 - 1/zeta(6))."""

RESOLVED = 2.0
"""A refresh below this many polls cannot be told from one below it: the changes fall onto successive polls."""
STEADY_POLL = 1.5
"""A gap above this many usual ones says too little about when the value changed."""
UNSTEADY = 1.15
"""The shortest spans of a source whose refresh wanders are shorter than its refresh, by up to this factor."""

CANDIDATE_RATIO = 1.002
AS_GOOD = 0.85
LEAST_SCORE = 0.2

ODD_LEVELS = 0.1
PARTS = 1e6
OFF_PARTS = 0.01


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity that a calibration found: the truth is expected in `value` +- `uncertainty` (about 95 %).

    Where it cannot be told both are None and `reason` says why, in words.
    """

    value: float | None
    uncertainty: float | None
    reason: str = ""

    @classmethod
    def untold(cls, reason: str) -> Self:
        """A quantity that cannot be told, for this reason."""
        return cls(None, None, reason)

    def to_json(self) -> dict[str, Any]:
        """The estimate as a JSON object."""
        return asdict(self)


def find_refresh(times_s: Floats, values: Floats, n_edges: int = 0) -> Estimate:
    """The time between two updates in s, from `values` polled at `times_s` (increasing) under a load of `n_edges`.

    A change is known to lie between two polls; its time is taken in their middle. The spans between successive changes
    are whole multiples of the refresh, off by up to a poll. So the refresh is the largest time R, up to 15 % above the
    shortest spans (their 5th percentile), at which the mean of cos(2 pi span / R) has a peak as good as its best (at
    least 0.85 of it); then the sum of the spans over the sum of their multiples, from the short spans on to longer
    ones as far as their multiples are sure. The uncertainty is two standard errors of that ratio. Refreshes below two
    polls, fewer than 8 changes or 1.5 for each edge of the load, and changes without a rhythm cannot be told.
    """
    gaps = np.diff(times_s)
    changed = np.flatnonzero(np.diff(values) != 0.0)
    fewest = max(FEWEST_CHANGES, math.ceil(CHANGES_PER_EDGE * n_edges))
    if len(changed) < fewest:
        return Estimate.untold(
            f"the value changed only {len(changed)} times in {len(values)} readings; at least {fewest} are needed"
        )
    poll_s = float(np.median(gaps))
    at_s = times_s[changed] + 0.5 * gaps[changed]
    sure = gaps[changed] <= STEADY_POLL * poll_s
    spans = np.diff(at_s)[sure[1:] & sure[:-1]]
    if len(spans) < FEWEST_CHANGES - 1:
        return Estimate.untold(f"the polls were too irregular: only {len(spans)} spans between changes are known")
    shortest_s = float(np.percentile(spans, 5))
    if shortest_s < (RESOLVED - 0.5) * poll_s:
        return Estimate.untold(f"{AS_FAST_AS_POLLED}, every {poll_s:.3g} s; it is at most {RESOLVED * poll_s:.3g} s")
    first = _rhythm(spans, (RESOLVED - 0.5) * poll_s, UNSTEADY * shortest_s + poll_s)
    if first is None:
        return Estimate.untold(f"the changes have no rhythm: from {shortest_s:.3g} s to {spans.max():.3g} s apart")
    return _refined(spans, first, poll_s)


def _rhythm(spans: Floats, least_s: float, most_s: float) -> float | None:
    """The largest period that the spans are multiples of about as well as of any; None where there is none."""
    count = max(3, math.ceil(math.log(most_s / least_s) / math.log(CANDIDATE_RATIO)))
    candidates = np.geomspace(least_s, most_s, count)
    short = spans[spans <= np.median(spans)]
    scores = np.array([np.cos(2 * np.pi * short / period).mean() for period in candidates])
    peaks = np.flatnonzero((scores[1:-1] >= scores[:-2]) & (scores[1:-1] >= scores[2:])) + 1
    if len(peaks) == 0 or scores[peaks].max() < LEAST_SCORE:
        return None
    return float(candidates[peaks[scores[peaks] >= AS_GOOD * scores[peaks].max()][-1]])


def _refined(spans: Floats, refresh_s: float, poll_s: float) -> Estimate:
    most = max(1.0, round(float(np.percentile(spans, 25)) / refresh_s))
    error_s = 0.0
    for _ in range(6):
        multiples = np.maximum(1.0, np.round(spans / refresh_s))
        used = multiples <= most
        total = float(multiples[used].sum())
        refresh_s = float(spans[used].sum()) / total
        residuals = spans[used] - multiples[used] * refresh_s
        error_s = math.sqrt(float(np.sum(residuals**2))) / total
        most = max(most, math.floor(0.125 * refresh_s / max(error_s, poll_s / total)))
    return Estimate(refresh_s, 2.0 * max(error_s, poll_s / math.sqrt(12.0) / total))


def find_step(values: Floats) -> Estimate:
    """The quantum of `values` in their unit: the largest one that all but a tenth of the levels are multiples of.

    Levels are counted from the most frequent one, so that the quantum need not divide an offset, and in millionths of
    the unit, in which sources give their values exactly. Fewer than 7 levels may share a multiple of the step by
    chance; then, and where values are no whole millionths, the step cannot be told. It is exact where it can.
    """
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) < 2:
        return Estimate.untold("the value never changed")
    closest = float(np.diff(levels).min())
    if len(levels) < FEWEST_LEVELS:
        return Estimate.untold(
            f"only {len(levels)} different values were seen: the step is {closest:.4g} or a whole part of it"
        )
    parts = np.round(levels * PARTS)
    if np.abs(levels * PARTS - parts).max() > OFF_PARTS:
        return Estimate.untold(f"the values have no common step; the closest two are {closest:.3g} apart")
    offsets = (parts - parts[np.argmax(counts)]).astype(np.int64)
    candidates = np.unique(np.append(np.diff(offsets), np.gcd.reduce(offsets)))
    spared = math.floor(ODD_LEVELS * len(levels))
    step = next(one for one in candidates[::-1] if np.count_nonzero(offsets % one) <= spared)
    return Estimate(float(step) / PARTS, 0.0)


def updates_seen(times_s: Floats, values: Floats, refresh_s: float | None) -> tuple[Floats, Flags]:
    """When each reading's value was put out, in s, and which readings are the first of their update.

    An update is dated by the change that it made, halfway between two polls; where the value did not change, by whole
    refreshes from the last change, or back from the first. Without a refresh, every reading counts as an update of its
    own, made when it was read.
    """
    if refresh_s is None:
        return times_s, np.ones(len(times_s), dtype=np.bool_)
    changed = np.flatnonzero(np.diff(values) != 0.0)
    if len(changed) == 0:
        return times_s - 0.5 * refresh_s, np.ones(len(times_s), dtype=np.bool_)
    at_s = 0.5 * (times_s[changed] + times_s[changed + 1])
    latest = np.searchsorted(changed, np.arange(len(times_s)), side="left") - 1
    since_s = at_s[np.maximum(latest, 0)]
    made_s = since_s + np.floor((times_s - since_s) / refresh_s) * refresh_s
    changes = np.concatenate([[True], np.diff(values) != 0.0])
    first = changes | np.concatenate([[True], np.diff(made_s) > 0.5 * refresh_s])
    # where the expected update came a little later as a change, the change is the update
    rows = np.flatnonzero(first)
    early = ~changes[rows[:-1]] & (np.diff(made_s[rows]) < 0.5 * refresh_s)
    first[rows[:-1][early]] = False
    return made_s, np.asarray(first, dtype=np.bool_)
