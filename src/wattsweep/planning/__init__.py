"""Plans: predicted times, shards, and what is left out.

- `make_plan(config, datasets)` gives the `Plan`; `dataset_names(config)` says which datasets' facts it needs.
- `write_plan`, `read_plan`, `read_shard` and `read_shards` keep it on disk.
- `describe_plan` is the plan as text; `predict_run_s` predicts the training time of one run.
"""

from wattsweep.planning.files import plan_to_json, read_plan, read_shard, read_shards, write_plan
from wattsweep.planning.plan import (
    Nonconformant,
    Plan,
    PlannedExperiment,
    Shard,
    dataset_names,
    make_plan,
    sweep_counts,
)
from wattsweep.planning.prediction import predict_block_s, predict_run_s
from wattsweep.planning.summary import describe_plan

__all__ = [
    "Nonconformant",
    "Plan",
    "PlannedExperiment",
    "Shard",
    "dataset_names",
    "describe_plan",
    "make_plan",
    "plan_to_json",
    "predict_block_s",
    "predict_run_s",
    "read_plan",
    "read_shard",
    "read_shards",
    "sweep_counts",
    "write_plan",
]
