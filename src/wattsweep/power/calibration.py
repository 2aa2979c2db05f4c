"""What a power source is really like, from how it shows a known square wave of load.

`analyse` is the whole of it: a trace and the times of the load's edges in, a `Calibration` out. The load is made by
`wattsweep.power.cpu_load`; calibrations are kept by `wattsweep.power.profiles`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from wattsweep.errors import PowerError
from wattsweep.power.counters import unwrap
from wattsweep.power.response import Indices, Response, SquareWave, Updates, edges_array, fit_response, settled
from wattsweep.power.sources.base import Origin
from wattsweep.power.trace import Flags, Floats, Kind, Trace
from wattsweep.power.updates import AS_FAST_AS_POLLED, Estimate, find_refresh, find_step, updates_seen

FEWEST_SAMPLES = 20
FAR_OFF = 0.5
"""Values further outside the middle 96 % than this share of its width are glitches."""

CLIPPED_AT = 5.0
FEWEST_FREE = 5
NOISE_SPAN_S = 1.0

COUNTER_AVERAGES = "a counter takes no mean of its own: its power is the mean between two readings"
TOO_SLOW = (
    "the source follows a load more slowly than half a period of it, {half:.3g} s, or does not see it: calibrate with "
    "a longer --period"
)
UNSEEN = "the load does not show in this source's values: it does not see the CPUs, or something else used them"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found of a source. Every `Estimate` has a value with its uncertainty, or the reason why it has none.

    - `refresh_s`: time between two updates of the value.
    - `step`: the quantum of the values, in W, or J for a counter.
    - `lag_s`: how late an update shows the middle of what it shows: one made at time u shows the mean of the power over
      a stretch whose middle is at u - lag_s. It is the source's own delay and half its averaging time. What a reader at
      a random moment sees is half a refresh older on average (`seen_lag_s`), as a value stands until the next update.
    - `averaging_s`: width of the stretch over which a value is the mean, as a box; 0 shows what was at one moment.
    - `noise_w`: standard deviation of the power of updates under a constant load, rounding to a step included; of a
      counter, that of its mean power over 1 s or a refresh, the longer.
    - `idle_w`, `full_w`: power with the load off and on.

    `n_edges` is how often the load changed, `n_samples` how many valid samples there were, `polled_every_s` their
    median distance. `load_share` is the share of the CPUs that the load got while on, None where that is unknown.
    """

    refresh_s: Estimate
    step: Estimate
    lag_s: Estimate
    averaging_s: Estimate
    noise_w: Estimate
    idle_w: Estimate
    full_w: Estimate
    kind: Kind
    origin: Origin
    n_edges: int
    n_samples: int
    polled_every_s: float
    load_share: float | None = None

    @property
    def seen_lag_s(self) -> float | None:
        """How old what a reader sees is on average: `lag_s` and half a refresh; None where either is untold."""
        if self.lag_s.value is None or self.refresh_s.value is None:
            return None
        return self.lag_s.value + 0.5 * self.refresh_s.value

    def facts(self) -> dict[str, float]:
        """What was found, by the names that a `SourceDescription` has for it; what is untold is left out.

        So is a counter's step, as its values show the unit that they are written in, not the one that they are counted
        in, and a lag that is not known to half a refresh.
        """
        found = {"refresh_s": self.refresh_s.value}
        sure_s = 0.5 * (self.refresh_s.value or 0.0)
        if self.lag_s.value is not None and (self.lag_s.uncertainty or 0.0) <= sure_s:
            found["lag_s"] = max(0.0, self.lag_s.value)
        if self.kind == "power":
            found |= {"step": self.step.value, "averaging_s": self.averaging_s.value}
        return {name: value for name, value in found.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """The calibration as a JSON object."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: value.to_json() if isinstance(value, Estimate) else value for key, value in values.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The calibration that `to_json` made; keys of later versions are ignored."""
        known: dict[str, Any] = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        estimates = {key: Estimate(**value) for key, value in known.items() if isinstance(value, dict)}
        return cls(**known | estimates)


def analyse(
    trace: Trace, edges_s: Sequence[float], *, origin: Origin = "measured", load_share: float | None = None
) -> Calibration:
    """What `trace` says of its source, read while a load went on at edges_s[0], off at edges_s[1] and so on.

    The trace should be polled several times faster than the source updates, and reach from half a period before the
    first edge to half a period behind the last. Its own `refresh_s`, `step` and `lag_s` are not used. Edges that are
    not equally far apart tell the most: they meet the source's updates at all phases.

    Raises PowerError for fewer than 20 valid samples or a counter that was reset, ValueError where the edges do not
    increase.
    """
    load = SquareWave(edges_array(edges_s))
    times_s, values, poll_s = _readings(trace)
    refresh, step = find_refresh(times_s, values, len(load.edges_s)), find_step(values)
    made_s, first = updates_seen(times_s, values, refresh.value)
    blur_s = poll_s + float(np.median(trace.after_s - trace.before_s))
    updates = Updates(made_s[first], values[first], trace.kind, step.value, blur_s)
    response = fit_response(updates, load)
    lag, averaging = _lag_and_averaging(response, refresh, updates, load)
    if response.visible and not response.at_limit:
        steady, passed = settled(updates, load, response)
    else:
        at_once = replace(response, middle_s=0.0, averaging_s=0.0, middle_error_s=0.0, averaging_error_s=0.0)
        steady, passed = settled(updates, load, at_once)
    plateaus = [] if response.at_limit else _plateaus(updates, steady, passed, max(NOISE_SPAN_S, refresh.value or 0.0))
    too_slow = TOO_SLOW.format(half=load.shortest_half_s()) if response.at_limit else ""
    return Calibration(
        refresh_s=refresh,
        step=step,
        lag_s=lag,
        averaging_s=averaging,
        noise_w=Estimate.untold(too_slow) if too_slow else _noise(plateaus, updates),
        idle_w=Estimate.untold(too_slow) if too_slow else _level(plateaus, 0, response, updates),
        full_w=Estimate.untold(too_slow) if too_slow else _level(plateaus, 1, response, updates),
        kind=trace.kind,
        origin=origin,
        n_edges=len(load.edges_s),
        n_samples=len(values),
        polled_every_s=poll_s,
        load_share=load_share,
    )


@dataclass(frozen=True)
class _Plateau:
    """The powers of updates (W) between two edges that show one level alone."""

    level: int
    powers_w: Floats


def _readings(trace: Trace) -> tuple[Floats, Floats, float]:
    """Times and values of the valid samples in order, without wraps and glitches, and their usual distance."""
    order = np.argsort(trace.times_s[trace.valid], kind="stable")
    times_s, values = trace.times_s[trace.valid][order], trace.values[trace.valid][order]
    if len(values) < FEWEST_SAMPLES:
        raise PowerError(
            f"The calibration has {len(values)} valid samples of {len(trace)}; at least {FEWEST_SAMPLES} are needed. "
            "See with `wattsweep meter --watch` whether the source answers, and calibrate for longer."
        )
    if trace.kind == "energy":
        counted = unwrap(times_s, values, trace.wrap_j, None)
        if counted.breaks.any():
            raise PowerError(
                f"The energy counter was reset {int(counted.breaks.sum())} times during the calibration; calibrate "
                "again while nothing resets it."
            )
        times_s, values = times_s[counted.kept], counted.energy_j
    else:
        low, high = np.percentile(values, [2, 98])
        reach = FAR_OFF * (high - low) if high > low else np.inf
        usual = (values >= low - reach) & (values <= high + reach)
        times_s, values = times_s[usual], values[usual]
    return times_s, values, float(np.median(np.diff(times_s)))


def _lag_and_averaging(
    response: Response, refresh: Estimate, updates: Updates, load: SquareWave
) -> tuple[Estimate, Estimate]:
    counter = updates.kind == "energy"
    if not response.visible or response.at_limit:
        untold = Estimate.untold(TOO_SLOW.format(half=load.shortest_half_s()) if response.at_limit else UNSEEN)
        return untold, Estimate.untold(COUNTER_AVERAGES) if counter else untold
    # rounding hides the ends of a ramp: the source's mean over A moves by a step within A x step / height
    hidden_s = 0.0
    if not counter:
        hidden_s = response.averaging_s * (updates.step or 0.0) / (response.levels_w[1] - response.levels_w[0])
    lag_doubt_s = math.hypot(2.0 * response.middle_error_s, 0.5 * hidden_s)
    doubt_s = math.hypot(2.0 * response.averaging_error_s, hidden_s)
    if refresh.value is not None:
        lag = Estimate(response.middle_s, lag_doubt_s)
    elif refresh.reason.startswith(AS_FAST_AS_POLLED):
        # every reading was taken as an update, though it was up to two polls old
        age_s = 0.5 * float(np.median(np.diff(updates.made_s)))
        lag = Estimate(response.middle_s - age_s, lag_doubt_s + age_s)
        doubt_s += 2.0 * updates.blur_s
    else:
        untold = Estimate.untold(f"what is late cannot be told from what is held: {refresh.reason}")
        return untold, Estimate.untold(COUNTER_AVERAGES) if counter else untold
    if counter:
        return lag, Estimate.untold(COUNTER_AVERAGES)
    # an update that is dated a little wrongly looks like an average over that time
    near_0 = response.averaging_s if response.averaging_s < 2.0 * updates.blur_s else 0.0
    return lag, Estimate(response.averaging_s, max(doubt_s, near_0))


def _plateaus(updates: Updates, steady: Flags, passed: Indices, span_s: float) -> list[_Plateau]:
    found = []
    for number in np.unique(passed[steady]):
        chosen = steady & (passed == number)
        powers_w = updates.values[chosen]
        if updates.kind == "energy":
            powers_w = _slopes(updates.made_s[chosen], powers_w, span_s)
        if len(powers_w):
            found.append(_Plateau(int(number % 2), powers_w))
    return found


def _slopes(times_s: Floats, values_j: Floats, span_s: float) -> Floats:
    """The mean powers over successive spans of at least `span_s`."""
    numbers = np.floor((times_s - times_s[0]) / span_s + 1e-9)
    ends = np.flatnonzero(np.diff(numbers, prepend=-1.0) > 0)
    return np.asarray(np.diff(values_j[ends]) / np.diff(times_s[ends]))


def _noise(plateaus: list[_Plateau], updates: Updates) -> Estimate:
    """The standard deviation around each plateau's median, without outliers; 95 % by the chi-square distribution."""
    long = [one.powers_w for one in plateaus if len(one.powers_w) > 1]
    residuals = np.concatenate([powers_w - np.median(powers_w) for powers_w in long]) if long else np.zeros(0)
    if len(residuals) - len(long) < FEWEST_FREE:
        return Estimate.untold(
            "too few updates show one level alone: calibrate with a longer --period or more --cycles"
        )
    spread_w = 1.4826 * float(np.median(np.abs(residuals)))
    kept = residuals[np.abs(residuals) <= CLIPPED_AT * spread_w] if spread_w > 0 else residuals
    free = max(1, len(kept) - len(long))
    noise_w = math.sqrt(float(np.sum(kept**2)) / free)
    # Wilson and Hilferty's approximation of chi-square's 2.5 % point over its degrees of freedom
    low = max(0.05, (1.0 - 2.0 / (9.0 * free) - 1.96 * math.sqrt(2.0 / (9.0 * free))) ** 3)
    rounding_w = (updates.step or 0.0) / math.sqrt(12.0) if updates.kind == "power" else 0.0
    return Estimate(noise_w, max(noise_w * (1.0 / math.sqrt(low) - 1.0), rounding_w if noise_w < rounding_w else 0.0))


def _level(plateaus: list[_Plateau], level: int, response: Response, updates: Updates) -> Estimate:
    if level == 1 and not response.visible:
        return Estimate.untold(UNSEEN)
    means_w = np.array([one.powers_w.mean() for one in plateaus if one.level == level])
    doubts_w = [2.0 * response.level_errors_w[level]]
    if len(means_w) > 1:
        doubts_w.append(2.0 * float(means_w.std(ddof=1)) / math.sqrt(len(means_w)))
    rounding_w = 0.5 * (updates.step or 0.0) if updates.kind == "power" else 0.0
    value_w = float(means_w.mean()) if len(means_w) > 1 else response.levels_w[level]
    return Estimate(value_w, math.hypot(max(doubts_w), rounding_w))
