"""Files that are written whole or not at all, on filesystems that nodes share."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OBSTACLES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your quota is used up: free some space, or ask for more",
    errno.EROFS: "the filesystem is read-only: name results that can be written (`paths.results`)",
    errno.EACCES: "this user may not do that: change the permissions, or name other results (`paths.results`)",
    errno.EPERM: "this user may not do that: change the permissions, or name other results (`paths.results`)",
    errno.EIO: "the disk does not answer: have it looked at",
    errno.ESTALE: "the shared filesystem lost the file: see whether it is mounted everywhere",
}
"""What stands in the way, and the remedy, by the number of an OSError."""

LEFT_S = 60.0
"""A temporary file that nobody has written to for so long was left by a process that was killed."""


def obstacle(error: OSError) -> str:
    """What an error of the disk means to a user, and the remedy; empty where it is of another kind."""
    words = OBSTACLES.get(error.errno or 0, "")
    where = f"{error.filename}: " if words and error.filename else ""
    return f"{where}{words}" if words else ""


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A temporary name in the file's folder; what is written there gets the file's name if all goes well.

    The name is no other process's, on whichever node. What killed processes left under such names is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Process ids do not tell the processes of several nodes apart.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        temporary.rename(path)
        _remove_left(path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_left(path: Path) -> None:
    """Remove what was left of earlier attempts to write a file that has just been written."""
    now_s = path.stat().st_mtime  # the filesystem's clock, not the node's
    with os.scandir(path.parent) as entries:
        named = [one for one in entries if one.name.startswith(f".{path.name}.") and one.name.endswith(".tmp")]
    for one in named:
        with contextlib.suppress(FileNotFoundError):
            if now_s - one.stat().st_mtime > LEFT_S:
                Path(one).unlink()


def to_disk(path: Path) -> None:
    """Flush a file or folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
