"""From a shape, a depth and a size to the widths of a network's layers.

Use `layer_widths` to get a network, `count_parameters` to know what it came to, and `relative_error` with
`CONFORMANCE_TOLERANCE` to decide whether it may stand for the size that was asked for.

The rules are BUTTER's (arXiv 2207.12547). A shape gives the widths of the dense layers as a function of one
free scale w; w is the whole number whose count of trainable parameters is closest to the wanted size.
"""

import difflib
import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from numbers import Integral

CONFORMANCE_TOLERANCE = 0.20
"""An experiment whose absolute relative error of size exceeds this is left out of a sweep."""

MIN_DEPTH, MAX_DEPTH = 2, 20
MIN_SIZE, MAX_SIZE = 2**5, 2**27

Rule = Callable[[int, int, int], list[int]]


def layer_widths(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> list[int]:
    """Widths of the `depth` dense layers of a network, output last, the input's width not included.

    `depth` counts the output layer and lies in 2..20; `size` is the wanted number of trainable parameters, in
    2^5..2^27; `n_inputs` and `n_outputs` are at least 1. Of two scales equally close to `size` the smaller is
    taken. The result may be far from `size` (see `relative_error`): even w = 1 can be too large.

    At depth 2 every shape gives the same network, but for `exponential`, which never goes below `n_outputs`.
    For `rectangle_residual` the widths are the rectangle's; its additions have no parameters.

    Raises ValueError for an unknown shape or a number that is out of range or not whole.
    """
    if shape not in _RULES:
        raise ValueError(_unknown_shape(shape))
    return list(
        _closest_widths(
            shape,
            _whole_number("depth", depth, MIN_DEPTH, MAX_DEPTH),
            _whole_number("size", size, MIN_SIZE, MAX_SIZE),
            _whole_number("n_inputs", n_inputs, 1),
            _whole_number("n_outputs", n_outputs, 1),
        )
    )


def count_parameters(n_inputs: int, widths: Sequence[int]) -> int:
    """Trainable parameters, kernels and biases, of dense layers of these widths: sum of (in + 1) x out."""
    total = 0
    for width in widths:
        total += (n_inputs + 1) * width
        n_inputs = width
    return total


def relative_error(size: int, n_parameters: int) -> float:
    """How far a network is from the size that was asked for: (n_parameters - size) / size."""
    return (n_parameters - size) / size


def smallest_network(shape: str, depth: int, n_inputs: int, n_outputs: int) -> int:
    """Trainable parameters of the smallest network of a shape and depth: that of scale w = 1."""
    return count_parameters(n_inputs, _RULES[shape](1, depth, n_outputs))


@lru_cache(maxsize=65536)
def _closest_widths(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> tuple[int, ...]:
    """Search for the scale: no width falls as w grows, so neither does the count of parameters."""
    rule = _RULES[shape]

    def widths_of(w: int) -> list[int]:
        return rule(w, depth, n_outputs)

    def too_small(w: int) -> bool:
        return count_parameters(n_inputs, widths_of(w)) < size

    # The first layer is at least w wide, so its own parameters alone exceed `size` at this bound.
    low, high = 1, size // (n_inputs + 1) + 1
    # Close in on a guess first: a plan asks for tens of thousands of networks.
    middle, step = min(_guess(shape, depth, size, n_inputs, n_outputs), high), 1
    while low < high:
        if too_small(middle):
            low = middle + 1
            middle = low + step if low + step < high else (low + high) // 2
        else:
            high = middle
            middle = high - step if high - step > low else (low + high) // 2
        step *= 4

    above = widths_of(low)
    if low == 1:
        return tuple(above)
    below = widths_of(low - 1)
    excess = count_parameters(n_inputs, above) - size
    shortfall = size - count_parameters(n_inputs, below)
    return tuple(below if shortfall <= excess else above)


def _guess(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> int:
    """About the scale of that size: with widths in proportion to it, the count is a polynomial of second degree."""
    ratios = _width_ratios(shape, depth)
    square = sum(one * other for one, other in itertools.pairwise(ratios))
    linear = (n_inputs + 1) * ratios[0] + sum(ratios[1:]) + n_outputs * ratios[-1]
    return max(1, int(2 * size / (linear + math.sqrt(linear * linear + 4 * square * size))))


@lru_cache(maxsize=1024)
def _width_ratios(shape: str, depth: int) -> tuple[float, ...]:
    """Widths of a very wide network's hidden layers over its scale."""
    w = 2**20
    return tuple(width / w for width in _RULES[shape](w, depth, 1)[:-1])


def _rectangle(w: int, depth: int, n_outputs: int) -> list[int]:
    return [w] * (depth - 1) + [n_outputs]


def _trapezoid(w: int, depth: int, n_outputs: int) -> list[int]:
    steps = depth - 1
    return [_round_ratio(w * (steps - k) + n_outputs * k, steps) for k in range(depth)]


def _exponential(w: int, depth: int, n_outputs: int) -> list[int]:
    # Rounding a float is safe: (m + 1/2)^(d-1) is never the whole number w^(d-1-k) o^k, so no tie can occur.
    steps = depth - 1
    ratio = n_outputs / w
    return [max(n_outputs, round(w * ratio ** (k / steps))) for k in range(steps)] + [n_outputs]


def _wide_first(w: int, depth: int, n_outputs: int, *, factor: int) -> list[int]:
    return [w] + [max(1, _round_ratio(w, factor))] * (depth - 2) + [n_outputs]


def _round_ratio(numerator: int, denominator: int) -> int:
    """The whole number nearest to a ratio of positive whole numbers, ties to even, without floats."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        return quotient + 1
    return quotient


_RULES: dict[str, Rule] = {
    "rectangle": _rectangle,
    "trapezoid": _trapezoid,
    "exponential": _exponential,
    "wide_first_2x": partial(_wide_first, factor=2),
    "wide_first_4x": partial(_wide_first, factor=4),
    "wide_first_8x": partial(_wide_first, factor=8),
    "wide_first_16x": partial(_wide_first, factor=16),
    "rectangle_residual": _rectangle,
}

SHAPES: tuple[str, ...] = tuple(_RULES)
"""Every shape that `layer_widths` knows."""


def _unknown_shape(shape: object) -> str:
    near = difflib.get_close_matches(str(shape), _RULES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"shape {shape!r} is unknown: {hint}known shapes are {', '.join(_RULES)}"


def _whole_number(what: str, value: object, least: int, most: int | None = None) -> int:
    allowed = f"a whole number of at least {least}" if most is None else f"a whole number in {least}..{most}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{what} is {value!r} ({type(value).__name__}): give {allowed}")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ValueError(f"{what} is {number}: give {allowed}")
    return number
