"""What the machine and its programs are, for the page."""

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.loops.fused import compiler
from wattsweep.hardware import cpu_model

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "tf-keras", "torch", "numpy")


def machine() -> dict[str, str]:
    """Each fact under its name."""
    facts = {
        "CPU": cpu_model(),
        "cores": str(os.cpu_count()),
        "caches of a core": ", ".join(caches()) or "unknown",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": platform.platform(),
        "Python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    cc = compiler()
    if cc:
        facts["C compiler"] = subprocess.run([cc, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    facts["date"] = dt.datetime.now(dt.UTC).date().isoformat()
    return facts


def caches() -> list[str]:
    """The caches of the first core as Linux lists them."""
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        found.append(f"L{level} {kind.lower()} {size}")
    return found
