"""One recorder at a time on a node and source, unless several agree to share it: a lock that ends with its process.

Locks are files in a folder of the node's own memory or disk (`WATTSWEEP_LOCKS`, else the system's folder for temporary
files), held by the kernel's flock: a killed owner holds nothing. Each says who holds it. Where jobs have such a folder
each to itself, as with Slurm's job_container plug-in, set WATTSWEEP_LOCKS to one that they share.
"""

import fcntl
import getpass
import hashlib
import json
import os
import socket
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from wattsweep.errors import PowerError

FOLDER_VARIABLE = "WATTSWEEP_LOCKS"


def lock_folder() -> Path:
    """Where the locks of this node are."""
    return Path(os.environ.get(FOLDER_VARIABLE) or Path(tempfile.gettempdir()) / "wattsweep-locks")


class SourceLock:
    """The right to record a source on this node, from `acquire` to `release` or the end of the process.

    `identity` names the source (`wattsweep.power.sources.specs.identity`), `purpose` is what others are told: the trace
    file that is being written, say. Any number of `shared` ones hold it at one time, but none beside one that is not.
    """

    def __init__(self, identity: str, purpose: str, *, shared: bool = False) -> None:
        self._identity = identity
        self._purpose = purpose
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._path = lock_folder() / f"{name}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it. Raises PowerError that names the owner where another process holds it."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, self._kind | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise PowerError(
                f"The source '{self._identity}' of this node is being recorded by {owner}: two at a time would count "
                f"one energy for both. Wait for its end, or stop it. (Lock: {self._path})"
            ) from None
        self._descriptor = descriptor
        owner_facts = {
            "pid": os.getpid(),
            "user": _user(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "purpose": self._purpose,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner_facts).encode() + b"\n", 0)

    def release(self) -> None:
        """Give it back. Harmless where it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _open(self) -> int:
        """The lock file, opened; every user of the node may open it."""
        try:
            if not self._path.parent.exists():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.parent.chmod(0o1777)
            if self._path.exists():
                # the kernel refuses O_CREAT on another user's file in a folder that all may write
                return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.fchmod(descriptor, 0o666)
        except OSError as error:
            raise PowerError(
                f"The lock {self._path} cannot be opened ({error.strerror}). Set {FOLDER_VARIABLE} to a folder of this "
                "node that its users may write."
            ) from None
        return descriptor

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def _owner(content: bytes) -> str:
    try:
        facts = json.loads(content)
        return f"process {facts['pid']} of {facts['user']} since {facts['since']} ({facts['purpose']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
