"""Plans: predicted times, shards, what they will cost, and what is left out.

- `make_plan(config, datasets)` gives the `Plan`; `dataset_names(config)` says which datasets' facts it needs.
- `write_plan`, `read_plan`, `read_shard` and `read_shards` keep it on disk.
- `forecast(plan)` gives its costs by the book, `learn(plan, runs, shards)` by what is finished; `compare` sets
  predicted against actual; `write_prediction` keeps it beside the plan, and `wall_times` is what jobs ask for.
- `describe_plan` is all of it as text; `predict_run_s` predicts the training time of one run by the book.
- `overview` (module of that name) counts what a configuration asks for, before anything is read or prepared.
"""

from wattsweep.planning.files import plan_to_json, read_plan, read_shard, read_shards, write_plan
from wattsweep.planning.forecast import Forecast, Learned, Range, forecast
from wattsweep.planning.learning import compare, learn, read_prediction, wall_times, write_prediction
from wattsweep.planning.observed import FinishedRun, FinishedShard, Kind
from wattsweep.planning.plan import (
    Nonconformant,
    Plan,
    PlannedExperiment,
    Shard,
    dataset_names,
    garbage_kept,
    make_plan,
    sweep_counts,
)
from wattsweep.planning.prediction import predict_block_s, predict_run_s
from wattsweep.planning.summary import describe_plan

__all__ = [
    "FinishedRun",
    "FinishedShard",
    "Forecast",
    "Kind",
    "Learned",
    "Nonconformant",
    "Plan",
    "PlannedExperiment",
    "Range",
    "Shard",
    "compare",
    "dataset_names",
    "describe_plan",
    "forecast",
    "garbage_kept",
    "learn",
    "make_plan",
    "plan_to_json",
    "predict_block_s",
    "predict_run_s",
    "read_plan",
    "read_prediction",
    "read_shard",
    "read_shards",
    "sweep_counts",
    "wall_times",
    "write_plan",
    "write_prediction",
]
