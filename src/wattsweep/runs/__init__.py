"""Runs: what one leaves behind, its file, and how runs and shards are executed.

- `execute_shard(shard, config)` trains what a shard misses.
- `read_run(path)` gives the `RunRecord` in a run file; `write_run` writes one.
- `describe_run(record)` and `run_facts(record)` show one, as text and as JSON values.
- `Layout(results)` says where files are.
"""

from wattsweep.runs.description import describe_run, run_facts
from wattsweep.runs.files import read_run, write_run
from wattsweep.runs.layout import Layout
from wattsweep.runs.marker import ShardResult
from wattsweep.runs.record import DataFacts, Network, Phase, RunPower, RunRecord
from wattsweep.runs.shards import execute_shard

__all__ = [
    "DataFacts",
    "Layout",
    "Network",
    "Phase",
    "RunPower",
    "RunRecord",
    "ShardResult",
    "describe_run",
    "execute_shard",
    "read_run",
    "run_facts",
    "write_run",
]
