"""Files that are written whole or not at all, on filesystems that nodes share."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
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

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

LEFT_S = 60.0
"""A temporary file that nobody has written to for so long was left by a process that was killed."""

LEFT_WHERE_SLOW_S = 3600.0
"""The same of what is written piece by piece, with work in between."""


def obstacle(error: OSError) -> str:
    """What an error of the disk means to a user, and the remedy; empty where it is of another kind."""
    words = OBSTACLES.get(error.errno or 0, "")
    where = f"{error.filename}: " if words and error.filename else ""
    return f"{where}{words}" if words else ""


def why_not_written(error: OSError) -> str:
    """What keeps a file of the results from being written, and the remedy."""
    return OBSTACLES.get(error.errno or 0, f"{error.strerror or error}: choose another place")


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text, whole or not at all, in place of an earlier one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, whole or not at all, in place of an earlier one."""
    with in_place_of(path) as temporary:
        temporary.write_bytes(content)
        to_disk(temporary)


@contextmanager
def in_place_of(path: Path, left_s: float = LEFT_S) -> Iterator[Path]:
    """A temporary name in the file's folder; what is written there gets the file's name if all goes well.

    The name is no other process's, on whichever node. What killed processes left under such names `left_s` ago is
    removed. An error of a full disk that names no file names this one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path, Path.rename, left_s) as temporary:
        yield temporary


@contextmanager
def folder_in_place_of(path: Path) -> Iterator[Path]:
    """As `in_place_of`, a temporary folder, which takes the place of the one of that name."""
    with _replacing(path, _exchange, LEFT_WHERE_SLOW_S) as temporary:
        temporary.mkdir(parents=True)
        yield temporary


@contextmanager
def _replacing(path: Path, take_name: Callable[[Path, Path], object], left_s: float) -> Iterator[Path]:
    temporary = _temporary(path)
    try:
        yield temporary
        take_name(temporary, path)
        _remove_left(path, left_s)
        to_disk(path.parent)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        _remove(temporary)


def _exchange(new: Path, path: Path) -> None:
    """Give a folder the name of another, which is removed."""
    replaced = _temporary(path)
    while True:
        with contextlib.suppress(FileNotFoundError):
            path.rename(replaced)
        try:
            new.rename(path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                # Another process was faster, and its folder is replaced in turn.
                _remove(replaced)
                continue
            with contextlib.suppress(OSError):
                replaced.rename(path)
            raise
        _remove(replaced)
        return


def _name(error: OSError, path: Path) -> None:
    """Name what there is no room for: an error of write(2) names nothing. Other errors may be of what was read."""
    if error.errno in NO_ROOM and not error.filename:
        error.filename = str(path)


def _temporary(path: Path) -> Path:
    # Process ids do not tell the processes of several nodes apart.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _remove_left(path: Path, left_s: float) -> None:
    """Remove what was left of earlier attempts to write what has just been written."""
    now_s = path.stat().st_mtime  # the filesystem's clock, not the node's
    with os.scandir(path.parent) as entries:
        named = [one for one in entries if one.name.startswith(f".{path.name}.") and one.name.endswith(".tmp")]
    for one in named:
        with contextlib.suppress(FileNotFoundError):
            if now_s - _last_written_s(Path(one)) > left_s:
                _remove(Path(one))


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _last_written_s(path: Path) -> float:
    return max([path.stat().st_mtime, *(inner.stat().st_mtime for inner in path.rglob("*"))])


def to_disk(path: Path) -> None:
    """Flush a file or folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
