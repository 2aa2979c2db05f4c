"""Fits BUTTER's three equations of the number of parameters (see `wattsweep.analysis.generalisation`).

Least squares in the quantity that each equation gives. An interval holds the values of its parameter at which the best
fit of the others is no worse than an F test allows: the profile of the likelihood (Bates and Watts, Nonlinear
Regression Analysis and Its Applications, 1988, chapter 6). It may be open at an end that the data do not bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, least_squares
from scipy.stats import f as f_distribution

from wattsweep.errors import AnalysisError

Floats = NDArray[np.float64]
Model = Callable[[Floats, Floats], Floats]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Parameter:
    """A fitted parameter and its interval; an end is infinite where the data do not bound it."""

    name: str
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation: `model` maps x [n] and parameters to `quantity`, `back` maps that to what the figure shows."""

    words: str
    quantity: str
    names: tuple[str, ...]
    model: Model
    back: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class CurveFit:
    """A fitted equation: call it with numbers of parameters for its epochs, losses or slopes.

    `r_squared` is of the quantity that was fitted, over `n` points whose log10 of parameters spans `span`.
    """

    equation: Equation
    parameters: tuple[Parameter, ...]
    n: int
    r_squared: float
    span: tuple[float, float]

    def __call__(self, n_parameters: ArrayLike) -> Floats:
        """What the equation gives at these numbers of parameters; nan where it has no real value."""
        x = np.log10(np.asarray(n_parameters, dtype=np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.equation.back(self.equation.model(x, np.array([one.value for one in self.parameters])))

    def parameter(self, name: str) -> Parameter:
        """The parameter of this name."""
        return next(one for one in self.parameters if one.name == name)


def _line(x: Floats, theta: Floats) -> Floats:
    return np.asarray(theta[0] * x + theta[1])


def _hyperbola(x: Floats, theta: Floats) -> Floats:
    c, s0, p, phi = theta
    return np.asarray(c * np.power(np.maximum(x - s0, 1e-9), -p) + phi)


def _parabola(x: Floats, theta: Floats) -> Floats:
    l, s1, a0 = theta  # noqa: E741
    return np.asarray(-l * (x - s1) ** 2 + a0)


def _epochs(cube_root: Floats) -> Floats:
    return np.where(cube_root > 0, np.power(np.abs(cube_root), -3.0), np.nan)


MINIMIZING_EPOCH = Equation("t^(-1/3) = m log10(s) + b", "t^(-1/3)", ("m", "b"), _line, _epochs)
MINIMUM_LOSS = Equation(
    "log10(f) = c (log10(s) - s0)^(-p) + phi",
    "log10(f)",
    ("c", "s0", "p", "phi"),
    _hyperbola,
    lambda value: np.power(10.0, value),
)
DESCENT_SLOPE = Equation("a = -l (log10(s) - s1)^2 + a0", "a", ("l", "s1", "a0"), _parabola, lambda value: value)


def fit_minimizing_epoch(n_parameters: ArrayLike, epochs: ArrayLike, confidence: float = CONFIDENCE) -> CurveFit:
    """Equation 1 through minimizing epochs [n] of networks of `n_parameters` [n].

    Raises AnalysisError where there are fewer than 4 different sizes.
    """
    x, y = _points(n_parameters, np.asarray(epochs, dtype=np.float64) ** (-1 / 3), MINIMIZING_EPOCH)
    start = np.polyfit(x, y, 1)
    return _fitted(MINIMIZING_EPOCH, x, y, [start], [-np.inf] * 2, [np.inf] * 2, confidence)


def fit_minimum_loss(n_parameters: ArrayLike, losses: ArrayLike, confidence: float = CONFIDENCE) -> CurveFit:
    """Equation 2 through minimum losses [n], above 0, of networks of `n_parameters` [n].

    s0 lies below the smallest network's log10 of parameters, and p between 0.05 and 20: the bounds of where the
    equation has a meaning and can be told from its neighbours. Raises AnalysisError where there are fewer than 6
    different sizes.
    """
    x, y = _points(n_parameters, np.log10(np.asarray(losses, dtype=np.float64)), MINIMUM_LOSS)
    starts = []
    for s0 in x.min() - np.array([0.1, 0.5, 1.5, 4.0]):
        for p in (0.5, 1.0, 2.0, 4.0):
            basis = np.column_stack([(x - s0) ** -p, np.ones_like(x)])
            c, phi = np.linalg.lstsq(basis, y)[0]
            starts.append(np.array([c, s0, p, phi]))
    starts.sort(key=lambda theta: float(((_hyperbola(x, theta) - y) ** 2).sum()))
    low, high = [-np.inf, x.min() - 20.0, 0.05, -np.inf], [np.inf, x.min() - 1e-3, 20.0, np.inf]
    return _fitted(MINIMUM_LOSS, x, y, starts[:3], low, high, confidence)


def fit_descent_slope(n_parameters: ArrayLike, slopes: ArrayLike, confidence: float = CONFIDENCE) -> CurveFit:
    """Equation 3 through descent slopes [n] of networks of `n_parameters` [n].

    Raises AnalysisError where there are fewer than 5 different sizes.
    """
    x, y = _points(n_parameters, np.asarray(slopes, dtype=np.float64), DESCENT_SLOPE)
    square, linear, constant = np.polyfit(x, y, 2)
    centre = -linear / (2 * square) if square else float(x.mean())
    start = np.array([-square, centre, constant - square * centre**2])
    return _fitted(DESCENT_SLOPE, x, y, [start], [-np.inf] * 3, [np.inf] * 3, confidence)


def _points(n_parameters: ArrayLike, y: Floats, equation: Equation) -> tuple[Floats, Floats]:
    x = np.log10(np.asarray(n_parameters, dtype=np.float64))
    needed, sizes = len(equation.names) + 2, len(np.unique(x))
    if sizes < needed:
        raise AnalysisError(f"{equation.words} needs networks of {needed} sizes or more; there are {sizes}")
    return x, y


def _fitted(
    equation: Equation,
    x: Floats,
    y: Floats,
    starts: Sequence[Floats],
    low: Sequence[float],
    high: Sequence[float],
    confidence: float,
) -> CurveFit:
    problem = _Problem(equation.model, x, y, np.array(low, dtype=np.float64), np.array(high, dtype=np.float64))
    theta, squares = min((problem.solve(start) for start in starts), key=lambda found: found[1])
    freedom = len(x) - len(theta)
    allowed = squares * (1 + f_distribution.ppf(confidence, 1, freedom) / freedom)
    steps = problem.steps(theta, squares / freedom)
    ends = [problem.interval(theta, index, allowed, steps[index]) for index in range(len(theta))]
    total = float(((y - y.mean()) ** 2).sum())
    return CurveFit(
        equation,
        tuple(Parameter(name, float(v), *end) for name, v, end in zip(equation.names, theta, ends, strict=True)),
        len(x),
        1 - squares / total if total > 0 else float("nan"),
        (float(x.min()), float(x.max())),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Points, a model of them, and bounds of its parameters."""

    model: Model
    x: Floats
    y: Floats
    low: Floats
    high: Floats

    def solve(self, start: Floats, fixed: int | None = None) -> tuple[Floats, float]:
        """The parameters of least squares from `start`, one of them `fixed`, and the sum of squares."""
        free = [index for index in range(len(start)) if index != fixed]
        theta = np.array(start, dtype=np.float64)
        if not free:
            return theta, float((self.residuals(theta) ** 2).sum())
        low, high = self.low[free], self.high[free]

        def residuals(values: Floats) -> Floats:
            theta[free] = values
            return self.residuals(theta)

        inside = np.clip(theta[free], low + 1e-9, high - 1e-9)
        found = least_squares(residuals, inside, bounds=(low, high), x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12)
        theta[free] = found.x
        return theta.copy(), float(2 * found.cost)

    def residuals(self, theta: Floats) -> Floats:
        return self.model(self.x, theta) - self.y

    def steps(self, theta: Floats, variance: float) -> Floats:
        """A first guess at the standard error of each parameter, from the curvature at the optimum."""
        size = 1e-6 * np.maximum(np.abs(theta), 1e-3)
        jacobian = np.column_stack(
            [(self.residuals(theta + step) - self.residuals(theta - step)) / (2 * step.max()) for step in np.diag(size)]
        )
        covariance = np.linalg.pinv(jacobian.T @ jacobian) * variance
        return np.sqrt(np.maximum(np.diag(covariance), 0.0)) + 1e-9 * np.maximum(np.abs(theta), 1e-3)

    def interval(self, theta: Floats, index: int, allowed: float, step: float) -> tuple[float, float]:
        """Where the profile of a parameter crosses the allowed sum of squares, below and above the optimum."""
        ends = [self._end(theta, index, allowed, sign * step) for sign in (-1, 1)]
        return ends[0], ends[1]

    def _end(self, theta: Floats, index: int, allowed: float, step: float) -> float:
        bound = self.low[index] if step < 0 else self.high[index]
        nearby = theta.copy()

        def excess(value: float) -> float:
            trial = nearby.copy()
            trial[index] = value
            return self.solve(trial, index)[1] - allowed

        inner, outer = float(theta[index]), float(theta[index])
        for doubling in range(24):
            outer = float(theta[index] + step * 2**doubling)
            if (outer - bound) * np.sign(step) >= 0:
                return float(np.copysign(np.inf, step)) if excess(bound) < 0 else self._between(excess, inner, bound)
            trial = nearby.copy()
            trial[index] = outer
            nearby, squares = self.solve(trial, index)
            if squares > allowed:
                return self._between(excess, inner, outer)
            inner = outer
        return float(np.copysign(np.inf, step))

    def _between(self, excess: Callable[[float], float], inner: float, outer: float) -> float:
        low, high = excess(inner), excess(outer)
        if low > 0 or high < 0:
            return outer
        return float(brentq(excess, inner, outer, xtol=1e-6 * abs(outer - inner) + 1e-12, rtol=1e-4))
