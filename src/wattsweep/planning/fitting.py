"""Fits seconds per run to finished runs, for what is asked of Slurm and shown to people. It moves no shard.

`fit(runs)` gives a `Fit` for every kind of run among them: rates for the book's terms, none negative, that make the
relative errors small, and where actual : predicted lies. A rate on which the runs say little stays where the book puts
it, in proportion to the others: the first shards hold small networks, and what they cost says little of large ones.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattsweep.planning.observed import FinishedRun, Kind, by_experiment
from wattsweep.planning.prediction import BOOK, BOOK_RANGE, COMPILE_LAYER_S, COMPILE_S, TERMS, Rates

Floats = NDArray[np.float64]

BOOK_WEIGHT = 1.0
"""What the book counts for in the fit of a rate, in experiments that consist of that term alone."""
RANGE_WEIGHT = 4.0
"""What the book's range counts for, in experiments."""
QUANTILES = (0.05, 0.5, 0.95)
FOLDS = 5
BEYOND = 4.0
"""A network of more than so many times the parameters of the largest that was fitted has the book's range."""
SWEEPS = 200


@dataclass(frozen=True, slots=True)
class Fit:
    """What runs of a kind take: `terms x rates` seconds, times low to high, `mid` in the middle.

    `setup` is the setup of a block in proportion to the book's. It all rests on `runs` runs of `experiments`
    experiments, of at most `largest` parameters.
    """

    kind: Kind
    rates: Rates
    low: float
    mid: float
    high: float
    setup: float
    runs: int
    experiments: int
    largest: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, for prediction.json."""
        return {
            "kind": self.kind._asdict(),
            "seconds_per": dict(zip(TERMS, self.rates, strict=True)),
            "actual_to_predicted": [self.low, self.mid, self.high],
            "setup_to_book": self.setup,
            "runs": self.runs,
            "experiments": self.experiments,
            "largest_n_parameters": self.largest,
        }


def fit(runs: Iterable[FinishedRun]) -> list[Fit]:
    """A fit for every kind among some finished runs, the kind with most experiments first."""
    fits = [_fit_kind(kind, experiments) for kind, experiments in by_experiment(runs).items()]
    return sorted(fits, key=lambda one: (-one.experiments, one.kind))


def _fit_kind(kind: Kind, ordered: Sequence[Sequence[FinishedRun]]) -> Fit:
    """Repetitions are no independent experiments: each experiment counts once, with its median time."""
    seconds = np.array([np.median([run.run_s for run in runs]) for runs in ordered])
    terms = np.array([runs[0].terms for runs in ordered]) * np.array(
        [np.median([run.epochs for run in runs]) / runs[0].epochs for runs in ordered]
    ).reshape(-1, 1)
    book = np.array(BOOK[kind.engine])
    low, mid, high = _range(_held_out_errors(terms, seconds, book))
    return Fit(
        kind=kind,
        rates=tuple(float(rate) for rate in _rates(terms, seconds, book)),
        low=low,
        mid=mid,
        high=high,
        setup=_setup(ordered),
        runs=sum(len(one) for one in ordered),
        experiments=len(ordered),
        largest=max(runs[0].n_parameters for runs in ordered),
    )


def _rates(terms: Floats, seconds: Floats, book: Floats) -> Floats:
    """Rates x >= 0 of least sum of (terms x / seconds - 1)^2, held to the book's times a common factor."""
    shares = terms * book / seconds[:, None]
    # One experiment alone moves the factor by half of its deviation.
    factor = math.exp(float(np.median(-np.log(shares.sum(axis=1)))) * len(seconds) / (len(seconds) + 1))
    gram = shares.T @ shares + BOOK_WEIGHT * np.eye(len(book))
    wanted = shares.sum(axis=0) + BOOK_WEIGHT * factor
    scales = np.full(len(book), factor)
    for _ in range(SWEEPS):
        for term in range(len(book)):
            rest = wanted[term] - gram[term] @ scales + gram[term, term] * scales[term]
            scales[term] = max(0.0, rest / gram[term, term])
    return np.asarray(book * scales, dtype=np.float64)


def _held_out_errors(terms: Floats, seconds: Floats, book: Floats) -> Floats:
    """log(actual / predicted) of every experiment, predicted without it where there are enough."""
    count = len(seconds)
    errors = np.empty(count)
    folds = FOLDS if count >= 2 * FOLDS else 1
    for fold in range(folds):
        held = np.arange(count) % folds == fold
        rates = _rates(terms[~held], seconds[~held], book) if folds > 1 else _rates(terms, seconds, book)
        errors[held] = np.log(seconds[held] / (terms[held] @ rates))
    return errors


def _range(errors: Floats) -> tuple[float, float, float]:
    """Where actual : predicted lies: quantiles of the errors, held to the book's range while there are few."""
    weight = len(errors) / (len(errors) + RANGE_WEIGHT)
    book = np.log([BOOK_RANGE[0], 1.0, BOOK_RANGE[1]])
    low, mid, high = np.exp(weight * np.quantile(errors, QUANTILES) + (1 - weight) * book).tolist()
    return low, mid, high


def _setup(experiments: Sequence[Sequence[FinishedRun]]) -> float:
    """Mean setup of a block over the book's; the mean, since some blocks compile and others find the program made."""
    actual, booked = 0.0, 0.0
    for runs in experiments:
        blocks = {run.block_id: run.setup_s for run in runs if run.setup_s is not None}
        actual += sum(blocks.values())
        booked += len(blocks) * (COMPILE_S + COMPILE_LAYER_S * len(runs[0].widths))
    return actual / booked if booked > 0 else 1.0
