"""How a source follows a load that steps between two levels at known times: its lag, its averaging and the levels.

The model of a power source: an update made at time u shows the mean of the power over [u - D - A, u - D], with the
averaging time A and the delay D. An energy counter's update shows the energy up to u - D.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wattsweep.power.trace import Flags, Floats, Kind

Indices = NDArray[np.intp]

GRID_POINTS = 25
ZOOMS = 5
NEGLIGIBLE = 1e-3
"""Grid values that are less likely than the best one by this factor are left out of the next, finer grid."""

SHORTEST_AVERAGING_S = 1e-3
LONG_AFTER_S = 1e6
VISIBLE = 8.0
"""A load shows where its height is this many standard errors."""

FEWEST_GROUPS = 4


@dataclass(frozen=True)
class SquareWave:
    """A load of level 0 before the first of `edges_s`, 1 from there to the second, and so on in turn."""

    edges_s: Floats

    def on_time(self, times_s: Floats) -> Floats:
        """The time spent at level 1 until each of `times_s`, in s; it begins to count at the first edge."""
        return np.interp(times_s, *self._counted)

    @cached_property
    def _counted(self) -> tuple[Floats, Floats]:
        on = np.arange(len(self.edges_s)) % 2 == 0
        knots = np.append(self.edges_s, self.edges_s[-1] + LONG_AFTER_S)
        return knots, np.concatenate([[0.0], np.cumsum(np.diff(knots) * on)])

    def shortest_half_s(self) -> float:
        """The shortest time between two edges, in s."""
        return float(np.diff(self.edges_s).min())


@dataclass(frozen=True)
class Updates:
    """What a source put out: `values` (W or J) at `made_s`, each of them known to within `blur_s` altogether."""

    made_s: Floats
    values: Floats
    kind: Kind
    step: float | None
    blur_s: float


@dataclass(frozen=True, slots=True)
class Response:
    """What fits best: the middle of what an update shows is `middle_s` before it, and it averages over `averaging_s`.

    Doubts are standard errors. `levels_w` are the powers at level 0 and 1. `visible` is False where the load does not
    show, and `at_limit` True where the load's halves are too short for this source; nothing else holds then.
    """

    middle_s: float
    middle_error_s: float
    averaging_s: float
    averaging_error_s: float
    levels_w: tuple[float, float]
    level_errors_w: tuple[float, float]
    visible: bool
    at_limit: bool


def fit_response(updates: Updates, load: SquareWave) -> Response:
    """The response by least squares: on grids of delay and averaging time, each finer than the one before.

    For every pair on a grid the two levels that fit best follow from linear least squares. The pair is the mean over
    the last grid weighted with exp(-(S - S_min) / (2 s^2)), S being the sum of squares and s^2 the greater of
    S_min / (n - 4) and step^2 / 12. Its standard error is the greater of the spread of that mean and of the jackknife
    over the load's edges; a quarter of what is not known of the times of updates adds to it as a square.
    """
    half_s = load.shortest_half_s()
    counter = updates.kind == "energy"
    scene = _Scene(updates, load)
    middles = np.linspace(-updates.blur_s, half_s, 2 * GRID_POINTS)
    widths = np.zeros(1) if counter else np.linspace(0.0, half_s, 2 * GRID_POINTS)
    for _ in range(ZOOMS):
        squares = scene.squares(middles, widths)
        weights = scene.weights(squares[0])
        middles, widths = _closer(middles, weights.sum(axis=1)), _closer(widths, weights.sum(axis=0))
    squares = scene.squares(middles, widths)
    middle, width, middle_spread, width_spread = _moments(scene.weights(squares[0]), middles, widths)
    deleted = np.array([_moments(scene.weights(one), middles, widths)[:2] for one in squares[1:]])
    middle_knife, width_knife = _jackknife(deleted)
    levels, errors, visible = scene.levels(middle, width)
    # a source in step with the polls is dated wrongly by the same time at every edge
    blur = 0.25 * updates.blur_s
    return Response(
        middle_s=middle,
        middle_error_s=float(np.sqrt(max(middle_spread, middle_knife) ** 2 + blur**2)),
        averaging_s=width,
        averaging_error_s=float(np.sqrt(max(width_spread, width_knife) ** 2 + blur**2)),
        levels_w=levels,
        level_errors_w=errors,
        visible=visible,
        at_limit=max(middle, width) > 0.95 * half_s,
    )


def settled(updates: Updates, load: SquareWave, response: Response) -> tuple[Flags, Indices]:
    """Which updates show one level alone, with a margin for what is not known of times; the edges before that level."""
    margin_s = updates.blur_s + 2.0 * max(response.middle_error_s, response.averaging_error_s)
    reach_s = 0.5 * response.averaging_s + margin_s
    passed = np.searchsorted(load.edges_s, updates.made_s - response.middle_s - reach_s)
    return passed == np.searchsorted(load.edges_s, updates.made_s - response.middle_s + reach_s), passed


class _Scene:
    """Updates and load, cut into one group of updates for each edge."""

    def __init__(self, updates: Updates, load: SquareWave) -> None:
        self._load = load
        self._counter = updates.kind == "energy"
        self._floor = ((updates.step or 0.0) ** 2) / 12.0
        self._origin_s = float(updates.made_s.mean())
        self._made_s = updates.made_s
        self._mean = float(updates.values.mean())
        self._values = updates.values - self._mean
        self._blur_s = updates.blur_s
        middles_s = 0.5 * (load.edges_s[1:] + load.edges_s[:-1])
        group = np.searchsorted(middles_s, updates.made_s)
        self._starts = np.flatnonzero(np.diff(group, prepend=-1) != 0)

    def squares(self, middles: Floats, widths: Floats) -> Floats:
        """Sums of squares [subset, middle, width]: of all updates first, then without each group in turn."""
        sums = np.array([[self._sums(middle, width) for width in widths] for middle in middles])
        whole = sums.sum(axis=2, keepdims=True)
        kept = np.concatenate([whole, whole - sums], axis=2) if len(self._starts) >= FEWEST_GROUPS else whole
        squares = np.moveaxis(_least_squares(kept), 2, 0)
        too_early = middles[:, None] - 0.5 * widths[None, :] < -self._blur_s - 1e-12
        return np.where(too_early, np.inf, squares)

    def weights(self, squares: Floats) -> Floats:
        """How likely each point of a grid of sums of squares is, the sum being 1."""
        best = float(squares.min())
        variance = max(best / max(1, len(self._values) - 4), self._floor, 1e-12 * float(np.var(self._values)) + 1e-300)
        weights = np.exp(-0.5 * (squares - best) / variance)
        return np.asarray(weights / weights.sum())

    def levels(self, middle: float, width: float) -> tuple[tuple[float, float], tuple[float, float], bool]:
        """The two levels in W with their standard errors, and whether they differ visibly."""
        columns = self._columns(middle, width)
        solution, *_ = np.linalg.lstsq(columns, self._values, rcond=None)
        residuals = self._values - columns @ solution
        variance = max(float(residuals @ residuals) / max(1, len(residuals) - 4), self._floor)
        covariance = variance * np.linalg.pinv(columns.T @ columns)
        height = float(solution[-1])
        low = float(solution[-2]) + (0.0 if self._counter else self._mean)
        errors = np.sqrt(np.diag(covariance)[-2:])
        high_error = float(np.sqrt(max(0.0, covariance[-1, -1] + covariance[-2, -2] + 2 * covariance[-1, -2])))
        visible = height > VISIBLE * max(float(errors[1]), 1e-9)
        return (low, low + height), (float(errors[0]), high_error), visible

    def _columns(self, middle: float, width: float) -> Floats:
        latest_s = self._made_s - middle + 0.5 * width
        if self._counter:
            on_s = self._load.on_time(latest_s)
            return np.column_stack([np.ones_like(on_s), self._made_s - self._origin_s, on_s])
        width = max(width, SHORTEST_AVERAGING_S)
        share = (self._load.on_time(latest_s) - self._load.on_time(latest_s - width)) / width
        return np.column_stack([np.ones_like(share), share])

    def _sums(self, middle: float, width: float) -> Floats:
        """The products that least squares needs, [group, column, column], the values being the last column."""
        columns = self._columns(middle, width)
        columns = np.column_stack([columns - columns.mean(axis=0) * (np.ptp(columns, axis=0) > 0), self._values])
        return np.asarray(np.add.reduceat(columns[:, :, None] * columns[:, None, :], self._starts, axis=0))


def _least_squares(sums: Floats) -> Floats:
    """The sums of squared residuals of the last column on the others, which a load that rises must explain."""
    inner, mixed, values = sums[..., :-1, :-1], sums[..., :-1, -1], sums[..., -1, -1]
    solution = (np.linalg.pinv(inner, hermitian=True) @ mixed[..., None])[..., 0]
    explained = np.sum(solution * mixed, axis=-1)
    if inner.shape[-1] == 1:
        return np.asarray(np.maximum(values - explained, 0.0))
    others = [*range(inner.shape[-1] - 1), -1]
    without = _least_squares(sums[..., others, :][..., others])
    return np.asarray(np.where(solution[..., -1] > 0, np.maximum(values - explained, 0.0), without))


def _closer(points: Floats, weights: Floats) -> Floats:
    """A finer grid over the points that count, one further on each side."""
    if len(points) == 1:
        return points
    chosen = np.flatnonzero(weights > NEGLIGIBLE * weights.max())
    low, high = max(0, chosen[0] - 1), min(len(points) - 1, chosen[-1] + 1)
    return np.linspace(points[low], points[high], GRID_POINTS)


def _moments(weights: Floats, middles: Floats, widths: Floats) -> tuple[float, float, float, float]:
    """The means of both quantities and their standard deviations."""
    across, along = weights.sum(axis=1), weights.sum(axis=0)
    middle, width = float(across @ middles), float(along @ widths)
    return (
        middle,
        width,
        float(np.sqrt(across @ (middles - middle) ** 2)),
        float(np.sqrt(along @ (widths - width) ** 2)),
    )


def _jackknife(deleted: Floats) -> tuple[float, float]:
    """The standard errors of two quantities from their values without each group in turn."""
    count = len(deleted)
    if count < 2:
        return 0.0, 0.0
    errors = np.sqrt((count - 1) / count * np.sum((deleted - deleted.mean(axis=0)) ** 2, axis=0))
    return float(errors[0]), float(errors[1])


def edges_array(edges_s: Sequence[float]) -> Floats:
    """Edge times as an increasing array. Raises ValueError where they do not increase or are fewer than two."""
    edges = np.asarray(edges_s, dtype=np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"a square wave has at least two edges at increasing times; these are {list(edges_s)[:6]}")
    return edges
