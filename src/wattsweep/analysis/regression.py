"""Non-negative, robust least squares on relative errors, for many weightings of the same data at once.

The estimate c of measured = inputs c (1 + error), c >= 0, minimises the sum of w h (measured / fitted - 1)^2, where
fitted = inputs c is that of the step before, w are given weights (counts of a resample, 0 for what is held out), and h
Huber's weights (Huber, Robust Statistics, 1981) of the relative errors, in units of their median absolute deviation:
iteratively reweighted least squares. Dividing by the fitted value, not the measured one, leaves the estimate without
the bias of squared noise. Each step is a non-negative least squares problem (Lawson and Hanson, Solving Least Squares
Problems, 1974), solved on the matrix of products of its few columns.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

HUBER = 1.345
"""Errors up to this many standard deviations count in full: 95 % of least squares' efficiency on normal errors."""
NORMAL_MAD = 1.4826
MAX_STEPS = 30
CONVERGED = 1e-7
ROUGHLY = 1e-3
"""Near enough where what is wanted is how far estimates lie apart."""
ROUNDING = 1e-12
"""A coefficient whose term explains less than this share of the largest is what rounding left of 0."""
SMALLEST_SPREAD = 1e-9
RIDGE = 1e-12
CELLS_AT_ONCE = 4_000_000


def solve(inputs: Floats, measured: Floats) -> Floats:
    """The coefficients [terms] of inputs [experiments, terms]; measured [experiments] is positive."""
    return np.asarray(solve_weighted(inputs, measured, np.ones((1, len(measured))))[0])


def solve_weighted(
    inputs: Floats,
    measured: Floats,
    weights: Floats,
    start: Floats | None = None,
    tolerance: float = CONVERGED,
) -> Floats:
    """The coefficients [weightings, terms] under each row of weights [weightings, experiments], from `start` [terms].

    Steps end when none changes what is fitted by more than the share `tolerance`.

    Rows of weights are independent of each other; they are worked on together, as many as memory is for.
    """
    at_once = max(1, CELLS_AT_ONCE // max(1, len(measured)))
    parts = [
        _solve_part(inputs, measured, weights[first : first + at_once], start, tolerance)
        for first in range(0, len(weights), at_once)
    ]
    return np.concatenate(parts)


def _solve_part(inputs: Floats, measured: Floats, weights: Floats, start: Floats | None, tolerance: float) -> Floats:
    # Terms differ by many orders of magnitude; solvers' tolerances are absolute.
    scale = np.linalg.norm(inputs / measured[:, None], axis=0)
    scale[scale == 0] = 1.0
    columns = inputs / scale
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    # The first step divides by the measured values: nothing is fitted yet.
    fitted = np.broadcast_to(measured if start is None else inputs @ start, weights.shape)
    robust = np.ones_like(weights)
    for step in range(MAX_STEPS):
        effective = weights * robust / fitted**2
        gram = (effective @ products).reshape(len(weights), inputs.shape[1], inputs.shape[1])
        found = _nnls(gram, (effective * measured) @ columns)
        # What is fitted as nothing would weigh without bound.
        before, fitted = fitted, np.maximum(found @ columns.T, 1e-3 * measured)
        errors = measured / fitted - 1.0
        robust = _huber(errors, weights)
        if step and np.all(np.abs(fitted - before) <= tolerance * before):
            break
    return np.asarray(found / scale, dtype=np.float64)


def _huber(errors: Floats, weights: Floats) -> Floats:
    """Huber's weights of errors [weightings, experiments], each weighting scaled by its own spread."""
    sizes = np.abs(errors)
    spread = np.array([np.median(size[weight > 0]) for size, weight in zip(sizes, weights, strict=True)])
    limit = HUBER * NORMAL_MAD * np.maximum(spread, SMALLEST_SPREAD)[:, None]
    return np.asarray(limit / np.maximum(sizes, limit))


def _nnls(gram: Floats, target: Floats) -> Floats:
    """The non-negative x of least x'Gx - 2x't for each G [n, terms, terms] and t [n, terms]."""
    # What the rows that weigh tell nothing of is to be 0, not whatever rounding makes of it.
    ridge = RIDGE * np.max(np.einsum("nii->ni", gram), axis=1)
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0) + ridge[:, None]
    rotated = np.einsum("nij,ni->nj", vectors, target)
    # Where no coefficient is held at 0 the answer is that of plain least squares, for all at once.
    found = np.einsum("nij,nj->ni", vectors, rotated / values)
    roots = np.sqrt(values)
    for number in np.flatnonzero((found < 0).any(axis=1)):
        matrix = roots[number][:, None] * vectors[number].T
        found[number], _ = nnls(matrix, rotated[number] / roots[number])
    found[found < ROUNDING * found.max(axis=1, keepdims=True)] = 0.0
    return np.asarray(found)
