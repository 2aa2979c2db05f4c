"""What this node says of itself: name, processor, memory."""

import os
import platform
import socket
import subprocess
from pathlib import Path


def node_name() -> str:
    """The node's short host name."""
    return socket.gethostname().split(".", maxsplit=1)[0]


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name as Linux gives it; the machine's architecture where it does not."""
    return _cpu_fact(cpuinfo, "model name") or platform.machine()


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's instruction sets as Linux lists them; empty where it does not."""
    return _cpu_fact(cpuinfo, "flags", "Features")


def _cpu_fact(cpuinfo: Path, *names: str) -> str:
    """What the first line with one of these names says; empty where there is none."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", maxsplit=1)[1].strip() for line in lines if line.startswith(names)), "")


def memory_bytes(root: Path = Path("/")) -> int:
    """Main memory in bytes that this process may use: the node's, its control groups' limits, or Slurm's, if less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_group_limits(root)]
    slurm_mb = os.environ.get("SLURM_MEM_PER_NODE", "")
    if slurm_mb.isdigit():
        limits.append(int(slurm_mb) * 2**20)
    return min(limit for limit in limits if limit > 0)


def gpu_memory_bytes() -> int | None:
    """Memory in bytes of the first GPU that this process may use, as nvidia-smi tells; None where it does not."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(
            [*command, f"--id={chosen}"] if chosen else command, check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    first_mib = told.stdout.split("\n", maxsplit=1)[0].strip()
    return int(first_mib) * 2**20 if first_mib.isdigit() else None


def _group_limits(root: Path) -> list[int]:
    """The memory limits of this process's control groups and of those above them, of version 2 or 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for _, controllers, name in (line.split(":", maxsplit=2) for line in lines):
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        file = "memory.max" if controllers == "" else "memory.limit_in_bytes"
        group = top / name.lstrip("/")
        for folder in (group, *(above for above in group.parents if above.is_relative_to(top))):
            try:
                text = (folder / file).read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if text.isdigit():
                limits.append(int(text))
    return limits
