"""HDF5 files with a seal: a checksum of all their bytes, which is looked at before HDF5 sees any of them.

HDF5 has checksums of its own, but none of the heap that texts are in, and some damage keeps its library busy for ever.
The seal stands in the file's user block, its first 512 bytes, which HDF5 leaves to others.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import h5py

CHECKED = ("v108", "v108")
"""The oldest format of HDF5 in which all that describes the content has checksums too."""

USER_BLOCK = 512
MAGIC = b"wattsweep-seal crc32 "
SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 1 << 20
RECENT_NS = 2_000_000_000
"""Within a tick of the filesystem's clock a file may change twice under one time: so recent a time says nothing."""


@contextmanager
def create_sealed(file: BinaryIO) -> Iterator[h5py.File]:
    """An HDF5 file to be filled, in a binary file open for reading and writing; sealed where all goes well."""
    with h5py.File(file, "w", libver=CHECKED, userblock_size=USER_BLOCK) as content:
        yield content
    write_seal(file)


def write_seal(file: BinaryIO) -> None:
    """Seal the content of a binary file, open for reading and writing, that HDF5 wrote with a user block."""
    seal = _seal(file)
    file.seek(0)
    file.write(seal)


def open_sealed(path: Path) -> h5py.File:
    """An HDF5 file, opened to be read once its seal was found whole; one of before there were seals is opened as it is.

    Raises FileNotFoundError, and OSError where the file is damaged or no HDF5 file.
    """
    status = path.stat()
    if time.time_ns() - status.st_mtime_ns < RECENT_NS:
        _check(path)
    else:
        _check_once(path, status.st_size, status.st_mtime_ns)
    # Such a file never changes under its name, and not every filesystem has locks.
    return h5py.File(path, "r", locking=False)


@lru_cache(maxsize=1024)
def _check_once(path: Path, size: int, changed_ns: int) -> None:  # noqa: ARG001 (parts of the key)
    _check(path)


def _check(path: Path) -> None:
    """Raise OSError where a file is not as it was sealed."""
    with path.open("rb") as file:
        header = file.read(USER_BLOCK)
        if header.startswith(MAGIC):
            if not header.startswith(_seal(file)):
                raise OSError("it is damaged: its seal is not that of its content")
        elif not header.startswith(SIGNATURE):
            raise OSError("it is no HDF5 file, or its beginning is damaged")


def _seal(file: BinaryIO) -> bytes:
    file.seek(USER_BLOCK)
    checksum = 0
    while chunk := file.read(CHUNK_BYTES):
        checksum = crc32(chunk, checksum)
    return MAGIC + b"%08x\n" % checksum
