"""A shard's lease: who executes it, on a filesystem that its nodes share and that need not have locks (NFS, Lustre).

`with Lease(folder, shard_id, interval_s) as lease:` waits for the lease, renews it from a thread and gives it back;
`lease.check()` raises as soon as it is another's. `leasefile.read_leases(folder)` says who executes what.

A lease is a file. It is made by link(2), which one of any number of processes can do, and only its owner ever writes
it, in place. So nobody can write over another's: what is taken over is not replaced, the next lease has the next
number (SHARD.json, SHARD.2.json, ...), and the highest one holds. Who took one looks again afterwards, and steps back
where there is another that it did not know.

An owner is dead where the kernel says so (same node), or where it is silent: while the other watches, it renews
nothing, and then either its file is older than STALE_BEATS of its intervals by the clock of the filesystem, or Slurm
says that its job is gone, or it was watched for that long. Slurm's word alone is not enough: after a node failed, its
processes may go on.
"""

import contextlib
import errno
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from wattsweep.errors import LeaseError
from wattsweep.runs.leasefile import STALE_BEATS, Seen, lease_path, leases_of, read_lease
from wattsweep.runs.owner import Owner, is_dead, this_process
from wattsweep.runs.slurm import job_id, job_is_gone

WATCHED_BEATS = 1.5
"""An owner is watched for so many intervals before it is taken for dead."""
POLLS_PER_BEAT = 4
WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What link(2) says on a filesystem that has no links."""


@dataclass(slots=True)
class _Watched:
    """The owner that is waited for: since when it renewed nothing, and whether Slurm was asked."""

    owner: Owner
    beaten_ns: int
    since_s: float
    gone: bool | None = None


class Lease:
    """The right to execute a shard. As a context manager it is acquired on entry and released on exit.

    `wait_s` is how long to wait while another has it. `sleep` is how to wait, and may raise; `report` is told whom it
    waits for.
    """

    def __init__(
        self,
        folder: Path,
        shard_id: str,
        interval_s: float,
        *,
        wait_s: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = print,
    ) -> None:
        self.folder = folder
        self.shard_id = shard_id
        self.interval_s = interval_s
        self.owner = this_process(uuid.uuid4().hex, interval_s)
        self._wait_s = wait_s
        self._sleep = sleep
        self._report = report
        self._number = 0
        self._descriptor = -1
        self._beaten_s = 0.0
        self._trouble = "it was not renewed in time"
        self._lost = ""
        self._beating = threading.Lock()
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The lease's file."""
        return lease_path(self.folder, self.shard_id, self._number)

    @property
    def lost(self) -> bool:
        """Whether the lease is known to be another's."""
        return bool(self._lost)

    def acquire(self) -> None:
        """Take the lease. Raises LeaseError that names the owner where another has it for all of `wait_s`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._written() as temporary:
            self._wait_for(temporary)
        self._beaten_s = time.monotonic()
        self._thread = threading.Thread(target=self._beat_on, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LeaseError where the lease is another's, or could not be renewed for so long that it may be."""
        if not self._lost and time.monotonic() - self._beaten_s > WATCHED_BEATS * self.interval_s:
            # The process was held up, and its thread with it: nothing may be written on a right that old.
            self._beat()
        silent_s = time.monotonic() - self._beaten_s
        if not self._lost and silent_s > (STALE_BEATS - 1) * self.interval_s:
            self._lost = f"for {silent_s:.0f} s {self._trouble}"
        if self._lost:
            raise LeaseError(f"the lease of shard {self.shard_id} is lost: {self._lost}. ({self.path})")

    def release(self) -> None:
        """Give it back. Harmless where it is not held, or lost."""
        self._released.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            if self._is_ours(self.path):
                self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()

    @contextmanager
    def _written(self) -> Iterator[Path]:
        """Our lease under a name of its own, open; it is kept where it became the lease."""
        temporary = self.folder / f".{self.shard_id}.{self.owner.owner_id}.tmp"
        self._descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            self._write()
            yield temporary
        except BaseException:
            os.close(self._descriptor)
            self._descriptor = -1
            raise
        finally:
            temporary.unlink(missing_ok=True)

    def _write(self) -> None:
        os.pwrite(self._descriptor, self.owner.to_bytes(), 0)
        os.fsync(self._descriptor)

    def _wait_for(self, temporary: Path) -> None:
        """Return once the file is the lease."""
        deadline_s = time.monotonic() + self._wait_s
        watched: _Watched | None = None
        told = ""
        while True:
            found = leases_of(self.folder, self.shard_id)
            top = found.get(max(found, default=0))
            watched = _watch(watched, top)
            if top is None or watched is None or self._is_dead(top, watched):
                if self._take(temporary, found):
                    return
                continue
            owner = top[0]
            late_s = time.monotonic() - deadline_s
            if late_s > STALE_BEATS * owner.interval_s or (late_s >= 0 and not self._is_suspect(top, watched)):
                raise LeaseError(
                    f"shard {self.shard_id} is being executed by {owner}: wait for its end, or end it. (Lease: "
                    f"{lease_path(self.folder, self.shard_id, max(found))})"
                )
            if told != owner.owner_id:
                told = owner.owner_id
                self._report(f"shard {self.shard_id}: waiting for {owner}")
            self._sleep(owner.interval_s / POLLS_PER_BEAT)

    def _age_s(self, beaten_ns: int) -> float:
        """Seconds since a heartbeat, by the clock of the filesystem: that of a file just written there."""
        self._write()
        return (os.fstat(self._descriptor).st_mtime_ns - beaten_ns) / 1e9

    def _is_dead(self, lease: Seen, watched: _Watched) -> bool:
        owner, beaten_ns = lease
        if is_dead(owner):
            return True
        silent_s = time.monotonic() - watched.since_s
        if silent_s < WATCHED_BEATS * owner.interval_s:
            return False
        stale_s = STALE_BEATS * owner.interval_s
        return silent_s >= stale_s or self._age_s(beaten_ns) >= stale_s or _job_is_gone(owner, watched)

    def _is_suspect(self, lease: Seen, watched: _Watched) -> bool:
        """Whether a little more watching may show that the owner is dead."""
        owner, beaten_ns = lease
        return self._age_s(beaten_ns) >= STALE_BEATS * owner.interval_s or _job_is_gone(owner, watched)

    def _take(self, temporary: Path, dead: dict[int, Seen]) -> bool:
        """Make the file the lease after those of dead owners; whether that came true."""
        number = max(dead, default=0) + 1
        self._write()
        path = lease_path(self.folder, self.shard_id, number)
        self._make(temporary, path)
        # NFS may say of a link that it made that it was there: what the file holds does not lie.
        if not self._is_ours(path):
            return False
        known = {self.owner.owner_id, *(owner.owner_id for owner, _ in dead.values())}
        found = leases_of(self.folder, self.shard_id)
        if any(owner.owner_id not in known for owner, _ in found.values()):
            if self._is_ours(path):
                path.unlink(missing_ok=True)
            return False
        for other in found:
            if other != number:
                lease_path(self.folder, self.shard_id, other).unlink(missing_ok=True)
        self._number = number
        self._sweep({owner.owner_id for owner, _ in dead.values()})
        return True

    def _sweep(self, dead: set[str]) -> None:
        """Remove what processes that were killed while they made a lease left."""
        for path in self.folder.glob(f".{self.shard_id}.*.tmp"):
            found = read_lease(path, self.shard_id)
            if found is not None and (found[0].owner_id in dead or is_dead(found[0])):
                path.unlink(missing_ok=True)

    def _is_ours(self, path: Path) -> bool:
        found = read_lease(path, self.shard_id)
        return found is not None and found[0].owner_id == self.owner.owner_id

    def _make(self, temporary: Path, path: Path) -> None:
        """Give our file this name too, unless the name is taken; without links, make another file under it."""
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in WITHOUT_LINKS:
                raise
            with contextlib.suppress(FileExistsError):
                made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                os.dup2(made, self._descriptor, inheritable=False)
                os.close(made)
                self._write()

    def _beat_on(self) -> None:
        while not self._released.wait(self.interval_s):
            self._beat()

    def _beat(self) -> None:
        """Renew the lease, or note that it is lost."""
        with self._beating:
            now_s = time.monotonic()
            try:
                found = leases_of(self.folder, self.shard_id)
                top = found.get(max(found, default=0))
                if top is None or top[0].owner_id != self.owner.owner_id:
                    self._lost = f"it was taken over by {top[0]}" if top else "it was removed"
                    return
                self.owner = replace(self.owner, beats=self.owner.beats + 1)
                self._write()
                self._beaten_s = now_s
            except OSError as error:
                self._trouble = f"it could not be renewed ({error.strerror})"


def _job_is_gone(owner: Owner, watched: _Watched) -> bool:
    """Whether Slurm says that the owner's job is gone; asked once."""
    if not owner.slurm_job_id or owner.slurm_job_id == job_id():
        return False
    if watched.gone is None:
        watched.gone = job_is_gone(owner.slurm_job_id)
    return watched.gone


def _watch(watched: _Watched | None, lease: Seen | None) -> _Watched | None:
    """What is watched now: the same as before where the owner renewed nothing."""
    if lease is None:
        return None
    owner, beaten_ns = lease
    if watched is not None and (watched.owner, watched.beaten_ns) == lease:
        return watched
    return _Watched(owner, beaten_ns, time.monotonic())
