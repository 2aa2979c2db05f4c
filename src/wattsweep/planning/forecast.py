"""What a plan will cost: wall time of every shard, node-hours and kWh, each with a range, and where they go by size.

`forecast(plan, learned)` predicts by the book, corrected by what finished runs have taught (`learned`). It changes
nothing about the plan: which experiments a shard holds, and its id, follow from the book alone.

A range is that of all runs erring to one side, so that of a sum is the sum of the ranges.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets import split_counts
from wattsweep.grid import Settings
from wattsweep.planning.fitting import BEYOND, Fit
from wattsweep.planning.plan import Plan, PlannedExperiment
from wattsweep.planning.power import NodePower, node_power
from wattsweep.planning.prediction import (
    BOOK,
    BOOK_RANGE,
    COMPILE_LAYER_S,
    COMPILE_S,
    RUN_FILE_S,
    SHARD_START_S,
    TERMS,
    block_idle_s,
    run_terms,
)

Floats = NDArray[np.float64]
JOULES_PER_KWH = 3.6e6
PARAMETER_TERM = TERMS.index("row and parameter")


@dataclass(frozen=True, slots=True)
class Range:
    """A number with the range that it is expected in."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> "Range":
        """All of it times a factor."""
        return Range(self.low * factor, self.mid * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Learned:
    """What finished runs have taught: fits and powers per kind of run, and actual : predicted of whole shards.

    `shard_ratio` is 1 where no shard was finished in one attempt.
    """

    fits: tuple[Fit, ...] = ()
    powers: tuple[NodePower, ...] = ()
    shard_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class SizeCost:
    """The experiments of sizes from 2^log2_size to below the double: what they cost; kwh is None where unknown."""

    log2_size: int
    experiments: int
    runs: int
    hours: Range
    kwh: Range | None


@dataclass(frozen=True)
class Forecast:
    """What a plan will cost.

    `shard_s` are low, middle and high wall times in s of the shards `shard_ids`, [3, n]; `shards` is the same by id.
    `hours` are those of a node, `runs` those that the grid asks for with the further ones of long blocks. `kwh` is None
    where the power of a node is not known, `kwh_basis` says from what it is. `beyond` is the share of the hours on
    networks much larger than any that was fitted, `fitted` that on kinds of runs that were, `arithmetic` that of matrix
    products.
    """

    shard_ids: tuple[str, ...]
    shard_s: Floats = field(compare=False)
    hours: Range
    runs: float
    kwh: Range | None
    kwh_basis: str
    sizes: Sequence[SizeCost]
    beyond: float
    fitted: float
    arithmetic: float

    @cached_property
    def shards(self) -> dict[str, Range]:
        """The wall time in s of every shard."""
        return {name: Range(*seconds) for name, seconds in zip(self.shard_ids, self.shard_s.T.tolist(), strict=True)}

    def times(self, ratio: float) -> "Forecast":
        """The same, where everything takes so many times as long."""
        sizes = [
            replace(one, hours=one.hours.times(ratio), kwh=None if one.kwh is None else one.kwh.times(ratio))
            for one in self.sizes
        ]
        return replace(
            self,
            shard_s=self.shard_s * ratio,
            hours=self.hours.times(ratio),
            kwh=None if self.kwh is None else self.kwh.times(ratio),
            sizes=sizes,
        )


def forecast(plan: Plan, learned: Learned | None = None) -> Forecast:
    """Predict what a plan costs; without `learned`, by the book alone."""
    learned = learned or Learned()
    experiments = plan.experiments
    if not experiments:
        return Forecast((), np.empty((3, 0)), Range(0, 0, 0), 0.0, None, "nothing is planned", (), 0.0, 0.0, 0.0)
    columns = _Columns.of(plan, experiments)
    ways = _ways(plan, experiments, columns, learned)
    run_s, setup = ways.run_s, ways.setup
    repetitions, depth = columns.repetitions, columns.depth
    power = plan.config.power
    runs = np.broadcast_to(repetitions, run_s.shape)
    if power.source != "none":
        most = np.maximum(repetitions, power.max_block_repetitions)
        runs = np.minimum(np.maximum(repetitions, power.min_window_s / np.maximum(run_s, 1e-12)), most)
    busy_s = setup * (COMPILE_S + COMPILE_LAYER_S * depth) + runs * (run_s + RUN_FILE_S)
    # Quicker runs are more runs in a block of a given time, each with its file.
    busy_s = np.stack([busy_s.min(axis=0), busy_s[1], busy_s.max(axis=0)])
    idle_s = block_idle_s(power)
    block_s = busy_s + idle_s
    starts = np.cumsum([0, *(len(shard.experiments) for shard in plan.shards)])[:-1]
    shard_s = SHARD_START_S + np.add.reduceat(block_s, starts, axis=1)
    kwh = _kwh(busy_s, idle_s, ways.watts)
    predicted = Forecast(
        shard_ids=tuple(shard.shard_id for shard in plan.shards),
        shard_s=shard_s,
        hours=_range(shard_s.sum(axis=1) / 3600),
        runs=float(runs[1].sum()),
        kwh=None if kwh is None else _range(kwh.sum(axis=1)),
        kwh_basis=ways.kwh_basis,
        sizes=_by_size(columns, block_s / 3600, kwh),
        beyond=float(block_s[1, ways.beyond].sum() / block_s[1].sum()),
        fitted=float(block_s[1, ways.fitted].sum() / block_s[1].sum()),
        arithmetic=float((ways.arithmetic * runs[1] * run_s[1]).sum() / block_s[1].sum()),
    )
    return predicted if learned.shard_ratio == 1 else predicted.times(learned.shard_ratio)


@dataclass(frozen=True)
class _Columns:
    """Numbers of every experiment: terms [n, TERMS] of one run, and what its block depends on."""

    terms: Floats
    repetitions: Floats
    depth: Floats
    size: Floats
    n_parameters: Floats

    @classmethod
    def of(cls, plan: Plan, experiments: Sequence[PlannedExperiment]) -> "_Columns":
        """The columns of some experiments of a plan; a grid has few networks and very many experiments."""
        known: dict[tuple[Any, ...], int] = {}
        terms: list[tuple[float, ...]] = []
        places = []
        for one in experiments:
            settings = one.experiment.settings
            data = (settings.dataset_source, settings.dataset, settings.test_split)
            key = (one.widths, one.n_inputs, *data, settings.epochs, settings.batch_size)
            place = known.get(key)
            if place is None:
                place = known[key] = len(terms)
                facts = plan.datasets[settings.dataset_source, settings.dataset]
                terms.append(_terms(one, facts.n_observations, settings))
            places.append(place)

        def column(values: Iterable[float]) -> Floats:
            return np.fromiter(values, dtype=np.float64, count=len(experiments))

        return cls(
            np.array(terms)[places],
            repetitions=column(one.experiment.repetitions for one in experiments),
            depth=column(one.experiment.settings.depth for one in experiments),
            size=column(one.experiment.settings.size for one in experiments),
            n_parameters=column(one.n_parameters for one in experiments),
        )


_split_counts = lru_cache(maxsize=1024)(split_counts)


def _terms(one: PlannedExperiment, n_observations: int, settings: Settings) -> tuple[float, ...]:
    n_train, n_test = _split_counts(n_observations, settings.test_split)
    return run_terms(
        one.widths,
        one.n_inputs,
        n_train=n_train,
        n_test=n_test,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
    )


@dataclass
class _Ways:
    """What the ways of training say of every experiment: low, middle and high seconds of a run [3, n], and more."""

    run_s: Floats
    setup: Floats
    beyond: NDArray[np.bool_]
    fitted: NDArray[np.bool_]
    arithmetic: Floats
    watts: list[tuple[NDArray[np.bool_], NodePower | None]] = field(default_factory=list)

    @property
    def kwh_basis(self) -> str:
        """From what energies are."""
        return "; ".join(dict.fromkeys(power.basis for _, power in self.watts if power is not None))


def _ways(plan: Plan, experiments: Sequence[PlannedExperiment], columns: _Columns, learned: Learned) -> _Ways:
    """Predict the runs of every way of training among the experiments: engine, precision, hardware."""
    count, threads = len(experiments), plan.config.training.threads
    ways = _Ways(np.empty((3, count)), np.ones(count), np.zeros(count, bool), np.zeros(count, bool), np.empty(count))
    examples, numbers = ways_of(experiments)
    for number, settings in enumerate(examples):
        chosen = np.array(numbers) == number
        fits = [fit for fit in learned.fits if fit.kind.serves(settings, threads)]
        terms = columns.terms[chosen]
        ways.run_s[:, chosen], ways.beyond[chosen] = _run_s(terms, columns.n_parameters[chosen], settings, fits)
        ways.fitted[chosen] = bool(fits)
        weights = [fit.experiments for fit in fits]
        ways.setup[chosen] = np.average([fit.setup for fit in fits], weights=weights) if fits else 1.0
        rates = np.average([fit.rates for fit in fits], axis=0, weights=weights) if fits else BOOK[settings.engine]
        ways.arithmetic[chosen] = terms[:, PARAMETER_TERM] * rates[PARAMETER_TERM] / (terms @ np.asarray(rates))
        power = node_power(plan.config, settings, learned.powers, threads, os.cpu_count() or 1)
        ways.watts.append((chosen, power))
    return ways


_way = attrgetter("engine", "precision", "vectorised", "hardware")


def ways_of(experiments: Sequence[PlannedExperiment]) -> tuple[list[Settings], list[int]]:
    """Settings of one experiment for each way of training among some, and the number of every experiment's way."""
    known: dict[tuple[Any, ...], int] = {}
    examples: list[Settings] = []
    numbers = []
    for one in experiments:
        settings = one.experiment.settings
        number = known.setdefault(_way(settings), len(examples))
        if number == len(examples):
            examples.append(settings)
        numbers.append(number)
    return examples, numbers


def _run_s(
    terms: Floats, n_parameters: Floats, settings: Settings, fits: Sequence[Fit]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Low, middle and high seconds of a run [3, n], and which lie beyond what was fitted."""
    if not fits:
        mid = terms @ np.array(BOOK[settings.engine])
        return np.stack([BOOK_RANGE[0] * mid, mid, BOOK_RANGE[1] * mid]), np.zeros(len(mid), bool)
    low, middle, high, beyond = [], [], [], np.ones(len(terms), bool)
    for fit in fits:
        mid = terms @ np.array(fit.rates) * fit.mid
        far = n_parameters > BEYOND * fit.largest
        low.append(mid / fit.mid * np.where(far, np.minimum(fit.low, BOOK_RANGE[0] * fit.mid), fit.low))
        high.append(mid / fit.mid * np.where(far, np.maximum(fit.high, BOOK_RANGE[1] * fit.mid), fit.high))
        middle.append(mid)
        beyond &= far
    weights = [fit.experiments for fit in fits]
    mid = np.average(middle, axis=0, weights=weights)
    return np.stack([np.min(low, axis=0), mid, np.max(high, axis=0)]), beyond


def _kwh(busy_s: Floats, idle_s: float, watts: list[tuple[NDArray[np.bool_], NodePower | None]]) -> Floats | None:
    """Low, middle and high kWh of every experiment [3, n]; None where the power of some is not known."""
    kwh = np.empty_like(busy_s)
    for chosen, power in watts:
        if power is None:
            return None
        load_w = np.array([power.load_low_w, power.load_w, power.load_high_w]).reshape(3, 1)
        kwh[:, chosen] = (busy_s[:, chosen] * load_w + idle_s * power.idle_w) / JOULES_PER_KWH
    return kwh


def _by_size(columns: _Columns, hours: Floats, kwh: Floats | None) -> list[SizeCost]:
    exponents = np.floor(np.log2(columns.size) + 1e-9).astype(np.int64)
    costs = []
    for exponent in np.unique(exponents):
        chosen = exponents == exponent
        costs.append(
            SizeCost(
                log2_size=int(exponent),
                experiments=int(chosen.sum()),
                runs=int(columns.repetitions[chosen].sum()),
                hours=_range(hours[:, chosen].sum(axis=1)),
                kwh=None if kwh is None else _range(kwh[:, chosen].sum(axis=1)),
            )
        )
    return costs


def _range(values: Floats) -> Range:
    low, mid, high = (float(value) for value in values)
    return Range(low, mid, high)


def three_quarters(sizes: Sequence[SizeCost]) -> tuple[int, float] | None:
    """Above which exponent the share of the hours is nearest to three quarters, and that share; None for one size."""
    total = math.fsum(cost.hours.mid for cost in sizes)
    above = [(cost.log2_size, math.fsum(one.hours.mid for one in sizes[n + 1 :])) for n, cost in enumerate(sizes[:-1])]
    if not above or total <= 0:
        return None
    exponent, hours = min(above, key=lambda one: abs(one[1] / total - 0.75))
    return exponent, hours / total
