"""Who holds a lease: a process, told apart from every other that ever had its number."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from wattsweep.hardware import node_name
from wattsweep.runs.slurm import job_id

BYTES = 1024
"""Length of a lease's content: always the same, so that writing it anew needs no room on the disk."""
UNKNOWN_INTERVAL_S = 15.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a lease and renews it every `interval_s`.

    `machine` is the kernel that it runs under, up to its next boot, and the processes that it sees; `started` is when
    the kernel started the process, in its own ticks.
    """

    owner_id: str
    host: str
    machine: str
    pid: int
    started: int
    slurm_job_id: str
    since: str
    interval_s: float
    beats: int = 0

    def to_bytes(self) -> bytes:
        """The content of its lease."""
        return json.dumps(asdict(self)).encode().ljust(BYTES - 1) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, *, unknown: str) -> "Owner":
        """The owner in a lease; one that is called `unknown` where it cannot be read, as while it is being made."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return cls(unknown, "", "", 0, 0, "", "", UNKNOWN_INTERVAL_S)

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        job = f" (Slurm job {self.slurm_job_id})" if self.slurm_job_id else ""
        return f"process {self.pid} on {self.host}{job} since {self.since}"


def this_process(owner_id: str, interval_s: float) -> Owner:
    """The owner that this process is."""
    return Owner(
        owner_id=owner_id,
        host=node_name(),
        machine=_machine(),
        pid=os.getpid(),
        started=_started(os.getpid()) or 0,
        slurm_job_id=job_id(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        interval_s=interval_s,
    )


def is_dead(owner: Owner) -> bool:
    """Whether the owner was a process of this machine and is none any more; False where that cannot be told."""
    if not owner.machine or not owner.started or owner.machine != _machine():
        return False
    started = _started(owner.pid)
    if started is not None:
        return started != owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(owner.pid)


def _machine() -> str:
    """The host, its boot and its name space of processes; empty where they are not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{node_name()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process from its state on; empty where it says nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] in (["Z"], ["X"])


def _started(pid: int) -> int | None:
    """When a process that runs was started, in the kernel's ticks; None where none of this number does."""
    stat = _stat(pid)
    return int(stat[19]) if len(stat) > 19 and stat[0] not in ("Z", "X") else None
