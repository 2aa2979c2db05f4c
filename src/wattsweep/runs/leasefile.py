"""The files of leases: their names, what is in them, and all that there are."""

import contextlib
import errno
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from wattsweep.runs.owner import Owner

STALE_BEATS = 4.0
"""A lease is stale after so many intervals without a heartbeat."""

Seen = tuple[Owner, int]
"""Whose a lease is, and its last heartbeat: the time of its file in ns, by the filesystem's clock."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as it was read: whose it is, and the seconds since its last heartbeat by the filesystem's clock."""

    shard_id: str
    number: int
    owner: Owner
    age_s: float

    @property
    def fresh(self) -> bool:
        """Whether its owner is taken to be alive."""
        return self.age_s < STALE_BEATS * self.owner.interval_s


def read_leases(folder: Path) -> list[LeaseState]:
    """The lease that holds, of every shard that has one. Where nothing can be written there, ages are by our clock."""
    states: dict[str, LeaseState] = {}
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    now_ns = _clock_ns(folder)
    for shard_id, number in filter(None, map(_parsed, names)):
        known = states.get(shard_id)
        if known is not None and known.number > number:
            continue
        lease = read_lease(lease_path(folder, shard_id, number), shard_id)
        if lease is not None:
            owner, beaten_ns = lease
            states[shard_id] = LeaseState(shard_id, number, owner, max(0.0, (now_ns - beaten_ns) / 1e9))
    return list(states.values())


def _clock_ns(folder: Path) -> int:
    probe = folder / f".clock.{uuid.uuid4().hex}.tmp"
    try:
        probe.write_bytes(b"\n")
        return probe.stat().st_mtime_ns
    except OSError:
        return time.time_ns()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def lease_path(folder: Path, shard_id: str, number: int) -> Path:
    """The file of the lease of a shard with this number, from 1."""
    return folder / (f"{shard_id}.json" if number <= 1 else f"{shard_id}.{number}.json")


def _parsed(name: str) -> tuple[str, int] | None:
    """The shard and number of a lease's name."""
    parts = name.split(".")
    if not parts[0] or parts[-1] != "json" or len(parts) > 3:
        return None
    number = parts[1] if len(parts) == 3 else "1"
    return (parts[0], int(number)) if number.isdigit() else None


def leases_of(folder: Path, shard_id: str) -> dict[int, Seen]:
    """Owner and last heartbeat (the filesystem's clock, in ns) of each lease of a shard, by its number."""
    names = map(_parsed, [path.name for path in folder.iterdir()])
    numbers = [name[1] for name in names if name is not None and name[0] == shard_id]
    found = {number: read_lease(lease_path(folder, shard_id, number), shard_id) for number in numbers}
    return {number: lease for number, lease in found.items() if lease is not None}


def read_lease(path: Path, shard_id: str) -> Seen | None:
    """Owner and last heartbeat in a lease; None where it is gone.

    It is opened before it is looked at: over NFS that alone shows what another node has just written.
    """
    try:
        with path.open("rb") as file:
            return Owner.from_bytes(file.read(), unknown=f"{shard_id} {path.name}"), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ESTALE:
            return None
        raise
