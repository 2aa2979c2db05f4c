"""Shared libraries that stand before the C library in a process, made here by the compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest


def preloadable(source: Path, folder: Path) -> Path:
    """The shared library of a C file, for LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"there is no C compiler (cc or gcc) on the PATH to make {source.stem}.so with")
    library = folder / f"{source.stem}.so"
    command = [compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
