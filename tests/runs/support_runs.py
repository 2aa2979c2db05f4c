"""Small shards on bundled data under a simulated meter, their records, and a full disk."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wattsweep.config import Config, parse
from wattsweep.datasets import prepare, read_facts
from wattsweep.planning import Shard, make_plan
from wattsweep.runs import Layout, RunRecord, ShardResult, execute_shard
from wattsweep.runs.finished import finished_runs

CUBE = {"dataset": "wine", "shape": "rectangle", "size": 256, "depth": [2, 3], "epochs": 40, "repetitions": 2}


def config(results: Path, cube: dict[str, Any] = CUBE, **power: Any) -> Config:
    quick = {
        "source": "simulated",
        "interval": "50 ms",
        "min_window": "150 ms",
        "idle_window": "400 ms",
        "simulated": {"refresh": "100 ms", "idle_w": 100, "slope_w": 0},
    }
    return parse({"sweeps": {"demo": cube}, "power": quick | power, "paths": {"results": str(results)}})


def shard_of(config: Config) -> Shard:
    facts = read_facts(prepare("bundled", "wine", Layout(config.paths.results).datasets, config.paths.pmlb))
    plan = make_plan(config, {("bundled", "wine"): facts})
    return Shard("0123456789ab", tuple(plan.experiments))


def run(config: Config) -> tuple[ShardResult, list[str]]:
    lines: list[str] = []
    return execute_shard(shard_of(config), config, report=lines.append), lines


def records(config: Config) -> dict[tuple[str, int], RunRecord]:
    layout = Layout(config.paths.results)
    ids = [planned.experiment.experiment_id for planned in shard_of(config).experiments]
    return {(one, number): record for one in ids for number, record in finished_runs(layout, one).items()}


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """A full disk, as the kernel tells of it: a write beyond this size fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
