"""What finished runs and shards teach about a plan, and prediction.json, where it is kept beside the plan.

- `learn(plan, runs, shards)` fits, `compare(plan, learned, runs, shards)` sets predicted beside actual.
- `write_prediction`, `read_prediction` keep it; `wall_times(folder)` is what jobs ask for.

A refit may change wall times that are asked for, and what is printed. It may not change plan.json, which experiments a
shard holds, or its id: those follow from the configuration and the book alone, so shards that exist stay.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wattsweep.disk import in_place_of
from wattsweep.errors import ConfigError
from wattsweep.planning.files import write_json
from wattsweep.planning.fitting import fit
from wattsweep.planning.forecast import Forecast, Learned, Range, forecast
from wattsweep.planning.observed import FinishedRun, FinishedShard, by_experiment
from wattsweep.planning.plan import Plan
from wattsweep.planning.power import measured_powers
from wattsweep.planning.prediction import BOOK, BOOK_VERSION, SHARD_START_S

PREDICTION_FILE = "prediction.json"
FORMAT = "wattsweep-prediction"
VERSION = 1
WHOLE = 0.98
"""The share of a shard's blocks, by the book's time, that an attempt trained which is taken for all of it."""
SHARD_WEIGHT = 2.0
"""What a shard as predicted counts for against those that were finished."""


@dataclass(frozen=True, slots=True)
class SizeError:
    """Runs of networks of 2^log2_size parameters, about: median actual : predicted by the book, and by the fit."""

    log2_size: int
    runs: int
    book: float
    fitted: float


@dataclass(frozen=True)
class Comparison:
    """Predicted against actual: node-hours of the shards that one attempt finished, and runs by size."""

    shards: int
    actual_h: float
    book_h: float
    fitted_h: float
    sizes: Sequence[SizeError]


def learn(plan: Plan, runs: Sequence[FinishedRun], shards: Sequence[FinishedShard]) -> tuple[Learned, Forecast]:
    """Fit the predictor to finished runs, then its sum over a shard to the plan's shards that were finished at once.

    Gives what was learned and what the plan costs by it.
    """
    learned = Learned(tuple(fit(runs)), tuple(measured_powers(runs)))
    predicted = forecast(plan, learned)
    whole = _whole(plan, shards)
    if not whole:
        return learned, predicted
    errors = [math.log(one.elapsed_s / predicted.shards[one.shard_id].mid) for one in whole]
    ratio = math.exp(float(np.median(errors)) * len(errors) / (len(errors) + SHARD_WEIGHT))
    return replace(learned, shard_ratio=ratio), predicted.times(ratio)


def compare(
    plan: Plan,
    learned: Learned,
    predicted: Forecast,
    runs: Sequence[FinishedRun],
    shards: Sequence[FinishedShard],
) -> Comparison | None:
    """Predicted against actual; None where no run is finished."""
    if not runs:
        return None
    whole = _whole(plan, shards)
    book = {shard.shard_id: shard.predicted_s for shard in plan.shards}
    return Comparison(
        shards=len(whole),
        actual_h=math.fsum(one.elapsed_s for one in whole) / 3600,
        book_h=math.fsum(book[one.shard_id] for one in whole) / 3600,
        fitted_h=math.fsum(predicted.shards[one.shard_id].mid for one in whole) / 3600,
        sizes=_by_size(learned, runs),
    )


def _whole(plan: Plan, shards: Sequence[FinishedShard]) -> list[FinishedShard]:
    """The plan's shards of which one attempt trained all."""
    booked = {shard.shard_id: shard.predicted_s - SHARD_START_S for shard in plan.shards}
    return [
        one
        for one in shards
        if one.shard_id in booked and one.elapsed_s > 0 and one.booked_s > WHOLE * booked[one.shard_id]
    ]


def _by_size(learned: Learned, runs: Sequence[FinishedRun]) -> list[SizeError]:
    rates = {one.kind: (np.array(BOOK[one.kind.engine]), one.mid * np.array(one.rates)) for one in learned.fits}
    errors: dict[int, list[tuple[int, float, float]]] = {}
    for kind, experiments in by_experiment(runs).items():
        book, fitted = rates[kind]
        for ones in experiments:
            run_s, terms = float(np.median([one.run_s for one in ones])), np.array(ones[0].terms)
            size = round(math.log2(ones[0].n_parameters))
            errors.setdefault(size, []).append((len(ones), run_s / float(terms @ book), run_s / float(terms @ fitted)))
    found = []
    for size, ratios in sorted(errors.items()):
        counts, book_ratios, fitted_ratios = zip(*ratios, strict=True)
        found.append(SizeError(size, sum(counts), float(np.median(book_ratios)), float(np.median(fitted_ratios))))
    return found


def write_prediction(folder: Path, learned: Learned, predicted: Forecast, fitted_on: Mapping[str, Any]) -> Path:
    """Write `folder`/prediction.json in place of what is there: what was learned, from what, and every shard's time."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "book": BOOK_VERSION,
        "fitted_on": dict(fitted_on),
        "fits": [one.to_json() for one in learned.fits],
        "powers": [one.to_json() for one in learned.powers],
        "shard_ratio": learned.shard_ratio,
        "node_hours": _digits(predicted.hours),
        "kwh": None if predicted.kwh is None else _digits(predicted.kwh),
        "shards_s": {shard_id: _digits(seconds) for shard_id, seconds in predicted.shards.items()},
    }
    path = folder / PREDICTION_FILE
    with in_place_of(path) as temporary:
        write_json(temporary, document)
    return path


def _digits(value: Range) -> list[float]:
    return [float(f"{number:.4g}") for number in (value.low, value.mid, value.high)]


def read_prediction(folder: Path) -> dict[str, Any]:
    """The content of `folder`/prediction.json; raises ConfigError where it is missing or no prediction."""
    path = folder / PREDICTION_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known = (document["format"], document["version"]) == (FORMAT, VERSION)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error!r}); `wattsweep plan` makes it anew.") from error
    if not known:
        raise ConfigError(f"{path}: not a prediction of version {VERSION}; `wattsweep plan` makes it anew.")
    return dict(document)


def wall_times(shards: Iterable[Mapping[str, Any]], folder: Path, margin: float) -> dict[str, float]:
    """Seconds to ask for, for every one of the `shards` of the plan in a folder: its predicted time with a margin.

    Where there is a prediction.json that is its middle times `margin`, but at least the upper end of its range; for
    shards that it does not know, and without one that was fitted, the book's time in plan.json times `margin`.
    """
    asked = {shard["shard_id"]: shard["predicted_s"] * margin for shard in shards}
    try:
        document = read_prediction(folder)
    except ConfigError:
        return asked
    if not document["fits"]:
        return asked
    for shard_id, (_, mid, high) in document["shards_s"].items():
        if shard_id in asked:
            asked[shard_id] = max(mid * margin, high)
    return asked
