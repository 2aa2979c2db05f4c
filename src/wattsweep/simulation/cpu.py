"""The node's CPU use, from /proc/stat."""

from dataclasses import dataclass
from pathlib import Path

PROC_STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Time that all CPUs of the node have spent busy and idle since boot, in clock ticks."""

    busy: int
    idle: int


def read_cpu_times(path: Path = PROC_STAT) -> CpuTimes:
    """The node's CPU times now.

    Idle is idle + iowait. Busy is user + nice + system + irq + softirq; guest time stands in user and nice already.
    Steal, the time a hypervisor gave to others, is in neither: this node's CPUs were not there (man 5 proc_stat).
    """
    with path.open(encoding="ascii") as file:
        cells = file.readline().split()
    if cells[:1] != ["cpu"] or len(cells) < 8:
        raise ValueError(f"{path} does not begin with a line of CPU times")
    user, nice, system, idle, iowait, irq, softirq = (int(cell) for cell in cells[1:8])
    return CpuTimes(busy=user + nice + system + irq + softirq, idle=idle + iowait)


def cpu_use(before: CpuTimes, after: CpuTimes) -> float | None:
    """The share of the node's CPU time spent busy between two readings, 0 to 1; None where no tick passed.

    Differences below 0 count as 0: the kernel's iowait may decrease.
    """
    busy = max(0, after.busy - before.busy)
    idle = max(0, after.idle - before.idle)
    return busy / (busy + idle) if busy + idle > 0 else None
