"""The record of a power source: samples with their times and statuses, as read, never repaired."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["power", "energy"]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST_CHANGES = 5
FEWEST_LEVELS = 6
COLUMNS = ("sequence", "before_s", "after_s", "wall_s", "values", "status")
"""The arrays of a trace, one entry per sample."""


class Status(IntEnum):
    """What a sample is worth. Only `OK` samples count towards an energy."""

    OK = 0
    ZERO = 1
    """The source said 0 W, which no running node draws."""
    FAILED = 2
    """The source did not answer, or answered with an error."""
    STALE = 3
    """The source repeated a value that it had stopped updating."""
    IMPLAUSIBLE = 4
    """The source gave a value that cannot be true."""

    @property
    def word(self) -> str:
        """The status as trace files spell it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading. `before_s` and `after_s` are on the monotonic clock of the node, the wall times are Unix UTC."""

    sequence: int
    before_s: float
    after_s: float
    wall_before_s: float
    wall_after_s: float
    value: float
    status: Status


@dataclass(frozen=True, eq=False)
class Trace:
    """The samples of a window, as read: arrays of one length, one entry per sample.

    `values` are W for kind "power" and J (a counter that only grows) for kind "energy". `before_s` and `after_s`
    stand around each read on the node's monotonic clock, `wall_s` is the middle of the read in Unix time (nan where
    unknown), `status` holds `Status` codes. `refresh_s` is the time between two updates of the source and `step` its
    smallest change (in the unit of `values`); None where neither the source nor the samples tell. `wrap_j` is the value
    at which a counter goes back to 0 (None: never), `lag_s` the time from the middle of what an update shows to the
    update (None: not known), `accuracy` the share of its value that it states to be off by. `refresh_known` is False
    where the refresh is an estimate from these samples: no gap is bridged on the strength of it.
    """

    sequence: NDArray[np.int64]
    before_s: Floats
    after_s: Floats
    wall_s: Floats
    values: Floats
    status: NDArray[np.int8]
    kind: Kind
    refresh_s: float | None = None
    step: float | None = None
    wrap_j: float | None = None
    lag_s: float | None = None
    accuracy: float | None = None
    refresh_known: bool = True

    def __post_init__(self) -> None:
        columns = (self.sequence, self.before_s, self.after_s, self.wall_s, self.values, self.status)
        if any(column.shape != self.values.shape or column.ndim != 1 for column in columns):
            shapes = ", ".join(str(column.shape) for column in columns)
            raise ValueError(f"the columns of a trace are one-dimensional and of one length; these are {shapes}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def times_s(self) -> Floats:
        """The time of each sample: the middle between before and after its read, on the monotonic clock."""
        return 0.5 * (self.before_s + self.after_s)

    @property
    def valid(self) -> Flags:
        """Which samples are `Status.OK` and finite."""
        return np.asarray((self.status == Status.OK) & np.isfinite(self.values), dtype=np.bool_)

    @property
    def spacing_s(self) -> float | None:
        """The median time between two successive samples, valid or not; None for fewer than two samples."""
        if len(self) < 2:
            return None
        return float(np.median(np.diff(np.sort(self.times_s))))

    @classmethod
    def from_arrays(
        cls,
        times_s: ArrayLike,
        values: ArrayLike,
        *,
        kind: Kind,
        status: ArrayLike | None = None,
        refresh_s: float | None = None,
        step: float | None = None,
        wrap_j: float | None = None,
        lag_s: float | None = None,
        accuracy: float | None = None,
    ) -> Self:
        """A trace of readings that took no time, at `times_s` (monotonic clock), with unknown wall times.

        Without `status`, a value that is not finite is `FAILED`, 0 W is `ZERO` and all others are `OK`. Refresh and
        step are estimated (`estimate_refresh`, `estimate_step`) where not given.
        """
        times = np.array(times_s, dtype=np.float64, ndmin=1)
        readings = np.array(values, dtype=np.float64, ndmin=1)
        if status is None:
            codes = np.where(np.isfinite(readings), int(Status.OK), int(Status.FAILED)).astype(np.int8)
            if kind == "power":
                codes[readings == 0.0] = Status.ZERO
        else:
            codes = np.array(status, dtype=np.int8, ndmin=1)
        trace = cls(
            sequence=np.arange(len(times), dtype=np.int64),
            before_s=times,
            after_s=times.copy(),
            wall_s=np.full(times.shape, np.nan),
            values=readings,
            status=codes,
            kind=kind,
            wrap_j=wrap_j,
            lag_s=lag_s,
            accuracy=accuracy,
        )
        return trace.described(refresh_s=refresh_s, step=step)

    @classmethod
    def from_samples(
        cls,
        samples: list[Sample],
        *,
        kind: Kind,
        refresh_s: float | None = None,
        step: float | None = None,
        wrap_j: float | None = None,
        lag_s: float | None = None,
        accuracy: float | None = None,
    ) -> Self:
        """The trace of `samples`, with refresh and step estimated where not given."""
        trace = cls(
            sequence=np.array([s.sequence for s in samples], dtype=np.int64),
            before_s=np.array([s.before_s for s in samples], dtype=np.float64),
            after_s=np.array([s.after_s for s in samples], dtype=np.float64),
            wall_s=np.array([0.5 * (s.wall_before_s + s.wall_after_s) for s in samples], dtype=np.float64),
            values=np.array([s.value for s in samples], dtype=np.float64),
            status=np.array([s.status for s in samples], dtype=np.int8),
            kind=kind,
            wrap_j=wrap_j,
            lag_s=lag_s,
            accuracy=accuracy,
        )
        return trace.described(refresh_s=refresh_s, step=step)

    def described(self, *, refresh_s: float | None, step: float | None) -> Self:
        """The same samples with this refresh and step, each estimated from the samples where it is None."""
        return replace(
            self,
            refresh_s=estimate_refresh(self) if refresh_s is None else refresh_s,
            refresh_known=refresh_s is not None,
            step=estimate_step(self) if step is None else step,
        )

    def window(self, start: float, end: float, margin_s: float) -> Self:
        """The samples whose times lie in [start - margin_s, end + margin_s], with this trace's refresh and step.

        The nearest valid sample beyond either edge is kept however far it is: `integrate` interpolates from it.
        """
        times = self.times_s
        before, after = times[self.valid & (times <= start)], times[self.valid & (times >= end)]
        first = min(start - margin_s, before.max(initial=-np.inf)) if len(before) else start - margin_s
        last = max(end + margin_s, after.min(initial=np.inf)) if len(after) else end + margin_s
        chosen = (times >= first) & (times <= last)
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})


def estimate_refresh(trace: Trace) -> float | None:
    """The time between two updates of the source in s, or None for fewer than two samples.

    The lower quartile of the times between successive changes of the valid values, but not less than the median time
    between samples: faster updates than samples cannot be seen, and stretches of constant power, which lengthen the
    times between changes, do not move a lower quartile until they are most of the trace. With fewer than five changes
    it is the median time between samples. Errors are towards a short refresh, so towards less coverage.
    """
    spacing = trace.spacing_s
    if spacing is None:
        return None
    order = np.argsort(trace.times_s[trace.valid], kind="stable")
    times = trace.times_s[trace.valid][order]
    changed_at = times[1:][np.diff(trace.values[trace.valid][order]) != 0.0]
    if len(changed_at) <= FEWEST_CHANGES:
        return spacing
    return max(spacing, float(np.percentile(np.diff(changed_at), 25)))


def estimate_step(trace: Trace) -> float | None:
    """The smallest difference between two distinct valid values, or None where all are equal.

    A source that rounds to a step shows no smaller difference. A short trace may show only multiples of the step; with
    few distinct values of power the greatest common divisor of the values is taken where that is less. Errors are
    towards a large step.
    """
    distinct = np.unique(trace.values[trace.valid])
    if len(distinct) < 2:
        return None
    smallest = float(np.diff(distinct).min())
    if trace.kind == "power" and len(distinct) <= FEWEST_LEVELS:
        return min(smallest, _common_divisor(distinct))
    return smallest


def _common_divisor(values: Floats) -> float:
    """Euclid's algorithm on floats: what is left below a millionth of the largest value is rounding."""
    tolerance = 1e-6 * float(np.abs(values).max())
    divisor = 0.0
    for value in np.abs(values).tolist():
        while value > tolerance:
            remainder = divisor % value
            divisor, value = value, 0.0 if value - remainder < tolerance else remainder
    return divisor
