"""What a run was made by and on: versions, commit, node, Slurm ids."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import wattsweep
from wattsweep.hardware import cpu_model, node_name
from wattsweep.training import Runtime

PACKAGES = {
    "tensorflow_version": ("tensorflow", "tensorflow-cpu"),
    "keras_version": ("keras",),
    "numpy_version": ("numpy",),
    "h5py_version": ("h5py",),
}
SLURM_VARIABLES = {"slurm_job_id": "SLURM_JOB_ID", "slurm_node": "SLURMD_NODENAME"}


def provenance(runtime: Runtime) -> dict[str, str]:
    """Names and values for a run file; what is not known is left out."""
    facts = {
        "wattsweep_version": wattsweep.__version__,
        "git_commit": git_commit(),
        "python_version": platform.python_version(),
        "host": node_name(),
        "platform": platform.platform(),
        "cpu_model": cpu_model(),
        "device": runtime.device,
        "threads": str(runtime.threads),
    }
    facts |= {name: version(*packages) for name, packages in PACKAGES.items()}
    facts |= {name: os.environ.get(variable, "") for name, variable in SLURM_VARIABLES.items()}
    return {name: value for name, value in facts.items() if value}


def git_commit() -> str:
    """The commit of the source that is running, with `+` where files differ from it; empty outside a checkout."""
    folder = Path(wattsweep.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def version(*packages: str) -> str:
    """The version of the first of these packages that is installed; empty where none is."""
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
