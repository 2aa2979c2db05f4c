"""The plan: which experiments of a grid are trained, in which shards, and which are not and why."""

import gc
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, Literal

from wattsweep.config import Config, PowerConfig
from wattsweep.datasets import DatasetFacts, split_counts
from wattsweep.grid import Experiment, Settings, expand
from wattsweep.networks import CONFORMANCE_TOLERANCE, count_parameters, layer_widths, relative_error, smallest_network
from wattsweep.planning.prediction import SHARD_START_S, predict_block_s, predict_run_s
from wattsweep.planning.shards import pack, shard_id

Datasets = Mapping[tuple[str, str], DatasetFacts]

Reason = Literal["too small", "between widths"]
REASONS: dict[Reason, str] = {
    "too small": "even the smallest network of that shape and depth is more than 20 % larger",
    "between widths": "the networks of two neighbouring widths are both more than 20 % off",
}
"""Why a size has no network."""


@dataclass(frozen=True, slots=True)
class PlannedExperiment:
    """An experiment with the network and the predicted wall time of its block."""

    experiment: Experiment
    n_inputs: int
    widths: tuple[int, ...]
    n_parameters: int
    predicted_s: float


@dataclass(frozen=True, slots=True)
class Nonconformant:
    """An experiment that is left out: no network of its shape and depth comes within 20 % of its size."""

    experiment: Experiment
    n_parameters: int
    reason: Reason

    @property
    def relative_error(self) -> float:
        """(parameters - size) / size."""
        return relative_error(self.experiment.settings.size, self.n_parameters)


@dataclass(frozen=True, slots=True)
class Shard:
    """Experiments that one job trains, one after another."""

    shard_id: str
    experiments: tuple[PlannedExperiment, ...]

    @property
    def hardware(self) -> str:
        """What its job trains on: any, cpu or gpu; the same for all of its experiments."""
        return self.experiments[0].experiment.settings.hardware

    @property
    def runs(self) -> int:
        """Runs that the grid asks of it."""
        return sum(planned.experiment.repetitions for planned in self.experiments)

    @property
    def predicted_s(self) -> float:
        """Predicted wall time of its job in s."""
        return SHARD_START_S + sum(planned.predicted_s for planned in self.experiments)


@dataclass(frozen=True)
class Plan:
    """All that will be done for a configuration."""

    config: Config
    datasets: Datasets
    shards: tuple[Shard, ...]
    nonconformant: tuple[Nonconformant, ...]
    unknown: tuple[Experiment, ...] = ()
    """Experiments on data whose facts were not given: not yet held to the 20 % rule, in no shard, not predicted."""

    @cached_property
    def experiments(self) -> list[PlannedExperiment]:
        """The experiments to be trained, in the order of the shards."""
        return [planned for shard in self.shards for planned in shard.experiments]

    @cached_property
    def runs(self) -> int:
        """Runs that the grid asks for."""
        return sum(shard.runs for shard in self.shards)

    @cached_property
    def predicted_s(self) -> float:
        """Predicted wall time of all shards, one after another, in s."""
        return sum(shard.predicted_s for shard in self.shards)


def make_plan(config: Config, datasets: Datasets) -> Plan:
    """The plan of a configuration, given the facts of the datasets that its sweeps name.

    Experiments on a dataset without facts are counted as unknown: what its columns become is not guessed.
    """
    with garbage_kept():
        planned, nonconformant, unknown = _sort_out(config, datasets)
        planned.sort(key=_order)
        shards = tuple(_shards(planned, config))
    return Plan(config, datasets, shards, tuple(nonconformant), tuple(unknown))


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Work without the search for reference cycles: a plan is a million objects and has none."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def _sort_out(
    config: Config, datasets: Datasets
) -> tuple[list[PlannedExperiment], list[Nonconformant], list[Experiment]]:
    """Experiments to be trained, those without a network of their size, and those on data that is not at hand."""
    planned: list[PlannedExperiment] = []
    unknown: list[Experiment] = []
    nonconformant: list[Nonconformant] = []
    # A grid trains one network, for one predicted time, under very many settings.
    known: dict[tuple[Any, ...], _Network | None] = {}
    for experiment in expand(config):
        key = (experiment.repetitions, *_what_a_network_depends_on(experiment.settings))
        if key not in known:
            known[key] = _network_of(experiment, datasets, config.power)
        network = known[key]
        if network is None:
            unknown.append(experiment)
        elif network.reason is None:
            planned.append(PlannedExperiment(experiment, *network.planned))
        else:
            nonconformant.append(Nonconformant(experiment, network.planned[2], network.reason))
    return planned, nonconformant, unknown


@dataclass(frozen=True, slots=True)
class _Network:
    """A network with what a PlannedExperiment has beside its experiment; `reason` where its size is not conformant."""

    planned: tuple[int, tuple[int, ...], int, float]
    reason: Reason | None


_what_a_network_depends_on = attrgetter(
    *("dataset_source", "dataset", "shape", "size", "depth", "epochs", "batch_size", "test_split", "engine")
)


def _network_of(experiment: Experiment, datasets: Datasets, power: PowerConfig) -> _Network | None:
    """The network of an experiment; None where the facts of its data are not known."""
    settings = experiment.settings
    facts = datasets.get((settings.dataset_source, settings.dataset))
    if facts is None:
        return None
    widths, n_parameters = _widths(settings.shape, settings.depth, settings.size, facts.n_inputs, facts.n_outputs)
    n_train, n_test = _split_counts(facts.n_observations, settings.test_split)
    run_s = predict_run_s(
        widths,
        facts.n_inputs,
        n_train=n_train,
        n_test=n_test,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        engine=settings.engine,
    )
    block_s = predict_block_s(run_s, experiment.repetitions, settings.depth, power)
    conformant = abs(relative_error(settings.size, n_parameters)) <= CONFORMANCE_TOLERANCE
    return _Network((facts.n_inputs, widths, n_parameters, block_s), None if conformant else _reason(experiment, facts))


def _shards(planned: list[PlannedExperiment], config: Config) -> Iterator[Shard]:
    """Shards of experiments in order: never for two kinds of hardware, since a process has one."""
    for _, alike in itertools.groupby(planned, key=lambda one: one.experiment.settings.hardware):
        groups = pack(
            list(alike),
            item_id=lambda one: one.experiment.experiment_id,
            item_s=lambda one: one.predicted_s,
            shard_s=config.scheduling.shard_wall_time_s,
        )
        for group in groups:
            yield Shard(shard_id([_content(one) for one in group]), tuple(group))


@lru_cache(maxsize=65536)
def _widths(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> tuple[tuple[int, ...], int]:
    """Widths and parameters."""
    widths = layer_widths(shape, depth, size, n_inputs, n_outputs)
    return tuple(widths), count_parameters(n_inputs, widths)


_split_counts = lru_cache(maxsize=1024)(split_counts)


def _reason(experiment: Experiment, facts: DatasetFacts) -> Reason:
    settings = experiment.settings
    smallest = smallest_network(settings.shape, settings.depth, facts.n_inputs, facts.n_outputs)
    return "too small" if smallest > settings.size else "between widths"


def _order(planned: PlannedExperiment) -> tuple[Any, ...]:
    """Hardware and data first, then depth and size: neighbours share a program, and a new depth touches few shards."""
    settings: Settings = planned.experiment.settings
    data = (settings.hardware, settings.dataset_source, settings.dataset, settings.engine)
    return (*data, settings.depth, settings.size, planned.widths, planned.experiment.experiment_id)


def _content(planned: PlannedExperiment) -> str:
    """What a shard's id stands for: its experiments and how many runs of each."""
    return f"{planned.experiment.experiment_id}x{planned.experiment.repetitions}"


def sweep_counts(plan: Plan) -> dict[str, dict[str, int]]:
    """Per sweep, the experiments and runs to be trained, and the experiments not conformant and unknown."""
    counts = {
        sweep: dict.fromkeys(("experiments", "runs", "nonconformant", "unknown"), 0) for sweep in plan.config.sweeps
    }
    for planned in plan.experiments:
        for sweep in planned.experiment.sweeps:
            counts[sweep]["experiments"] += 1
            counts[sweep]["runs"] += planned.experiment.repetitions
    left_out = [("nonconformant", one.experiment) for one in plan.nonconformant]
    for kind, experiment in [*left_out, *(("unknown", one) for one in plan.unknown)]:
        for sweep in experiment.sweeps:
            counts[sweep][kind] += 1
    return counts


def unknown_datasets(plan: Plan) -> list[str]:
    """`source:name` of the datasets whose facts were not given."""
    names = (f"{one.settings.dataset_source}:{one.settings.dataset}" for one in plan.unknown)
    return list(dict.fromkeys(names))


def dataset_names(config: Config) -> list[tuple[str, str]]:
    """(source, name) of every dataset that the sweeps of a configuration name, each once."""
    names = [name for hypercubes in config.sweeps.values() for cube in hypercubes for name in cube.dataset]
    return [_source_and_name(name) for name in dict.fromkeys(names)]


def _source_and_name(full_name: str) -> tuple[str, str]:
    source, name = full_name.split(":", maxsplit=1)
    return source, name
