"""The work of training, as analyses use it; the rule itself is `wattsweep.workload`, which tables need too."""

from wattsweep.workload import Workload, split_workload, workload

__all__ = ["Workload", "split_workload", "workload"]
