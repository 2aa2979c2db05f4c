"""A small grid, and finished runs of it that take a known time."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wattsweep.config import Config, parse
from wattsweep.datasets import DatasetFacts, split_counts
from wattsweep.planning import FinishedRun, Kind, Plan, PlannedExperiment, make_plan
from wattsweep.planning.prediction import BOOK

WINE = DatasetFacts("bundled", "wine", "classification", "softmax", 178, 13, 3, 13, "0" * 64)
DIGITS = DatasetFacts("bundled", "digits", "classification", "softmax", 1797, 64, 10, 64, "1" * 64)
FACTS = {("bundled", "wine"): WINE, ("bundled", "digits"): DIGITS}
CPU = Kind("compiled", "float32", False, "cpu", "Example CPU", 1)
GPU = Kind("compiled", "float32", False, "gpu: Example", "Example CPU", 1)


def config(power: dict[str, Any] | None = None, **changes: Any) -> Config:
    cube = {
        "dataset": ["wine", "digits"],
        "shape": ["rectangle", "exponential"],
        "size": {"powers_of_two": [6, 18]},
        "depth": [2, 3, 4],
        "repetitions": 2,
    }
    scheduling = {"shard_wall_time": "10 min"}
    return parse({"sweeps": {"demo": cube | changes}, "scheduling": scheduling, "power": power or {"source": "none"}})


def plan_of(config: Config) -> Plan:
    return make_plan(config, FACTS)


def finished(one: PlannedExperiment, run_s: float | Callable[[FinishedRun], float], **changes: Any) -> FinishedRun:
    """A finished run of an experiment, of a time that may depend on what it is."""
    settings = one.experiment.settings
    facts = FACTS[settings.dataset_source, settings.dataset]
    n_train, n_test = split_counts(facts.n_observations, settings.test_split)
    values: dict[str, Any] = {
        "experiment_id": one.experiment.experiment_id,
        "kind": CPU,
        "widths": one.widths,
        "n_inputs": one.n_inputs,
        "n_parameters": one.n_parameters,
        "n_train": n_train,
        "n_test": n_test,
        "batch_size": settings.batch_size,
        "epochs": settings.epochs,
    }
    values |= changes
    seconds = run_s if isinstance(run_s, float) else run_s(FinishedRun(**values, run_s=1.0))
    return FinishedRun(**values, run_s=seconds)


def by_book(run: FinishedRun) -> float:
    """The book's time of a run in s."""
    return float(np.dot(run.terms, BOOK[run.kind.engine]))


def terms_of(one: PlannedExperiment) -> tuple[float, ...]:
    return finished(one, 1.0).terms
