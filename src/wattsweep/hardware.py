"""What this node is."""

import platform
import socket
from pathlib import Path


def node_name() -> str:
    """The node's short host name."""
    return socket.gethostname().split(".", maxsplit=1)[0]


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name as Linux gives it; the machine's architecture where it does not."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", maxsplit=1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
