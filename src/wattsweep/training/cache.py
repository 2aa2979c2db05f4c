"""Compiled programs on disk, for the next process that trains the same family on the same kind of machine.

TensorFlow reads its cache without looking whether a program is whole, and a damaged program trains wrongly or not at
all. So a process gets a folder of its own, filled with links to those programs of the store whose content has the
digest that names them; what it compiles anew goes into the store when it ends. What a process that was killed compiled
is lost, since nothing says that it is whole.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STORE_BYTES = 256 * 2**20
"""The store's limit; programs that have not been used for longest go first."""
FLAGS = "TF_XLA_FLAGS"
IN_USE = ".in-use-"
LEFT_S = 7 * 86400.0
"""A folder in use that nothing was compiled into for so long is taken for one of a process that was killed."""


@contextmanager
def compilation_cache(store: Path, machine: str, work: str = "") -> Iterator[int]:
    """Let TensorFlow, which is not yet imported, keep compiled programs below `store` while the context lasts.

    `machine` names all that a program depends on beside its own text: processor, versions, threads. Gives the number
    of programs that are there already. `work` names what one process at a time does, such as a shard: what is left in
    the store of a process that was killed at it is removed.
    """
    if work:
        _remove_left(store, work)
    store = store / hashlib.sha256(machine.encode()).hexdigest()[:16]
    store.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{IN_USE}{work}-", dir=store))
    before = os.environ.get(FLAGS)
    try:
        known = _fill(folder, store)
        options = [
            f"--tf_xla_persistent_cache_directory={_quoted(folder)}",
            "--tf_xla_persistent_cache_device_types=CPU",
        ]
        os.environ[FLAGS] = " ".join([*([before] if before else []), *options])
        yield len(known)
        _keep(folder, store, known)
        _prune(store)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop(FLAGS, None)
        else:
            os.environ[FLAGS] = before


def _quoted(path: Path) -> str:
    """A path as TensorFlow's flags take it, which end at a blank elsewhere."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _remove_left(store: Path, work: str) -> None:
    """Remove the folders of killed processes: those of this work, and old ones of any.

    Where one is removed under a process at work after all, TensorFlow makes it anew.
    """
    oldest_s = time.time() - LEFT_S
    for folder in store.glob(f"*/{IN_USE}*"):
        with suppress(FileNotFoundError):
            if folder.name.startswith(f"{IN_USE}{work}-") or folder.stat().st_mtime < oldest_s:
                shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, store: Path) -> set[str]:
    """Link the store's whole programs into the folder; their names. Damaged ones are removed from the store."""
    names = set()
    for path in store.glob("[!.]*/*.pb"):
        if _digest(path) != path.parent.name:
            shutil.rmtree(path.parent, ignore_errors=True)
            continue
        _link(path, folder / path.name)
        names.add(path.name)
    return names


def _keep(folder: Path, store: Path, known: set[str]) -> None:
    for path in folder.glob("*.pb"):
        if path.name not in known:
            target = store / _digest(path) / path.name
            target.parent.mkdir(exist_ok=True)
            _link(path, target)


def _prune(store: Path) -> None:
    used = 0
    for path in sorted(store.glob("[!.]*/*.pb"), key=lambda path: -path.stat().st_mtime):
        used += path.stat().st_size
        if used > STORE_BYTES:
            shutil.rmtree(path.parent, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the filesystem has none."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
