"""Packs a finished shard's run files into one: results/packed/SHARD.h5, for filesystems that count files.

`pack_shard(layout, shard_id)` packs what is loose of the experiments of a finished shard; it may be called again at any
time. `write_index(layout)` is to be called once after some. A packed file is written under another name, read back and
compared with the run files, renamed, and only then are the run files removed: at every moment each run is in at least
one of the two, and a run in both is read once.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wattsweep.disk import in_place_of, to_disk, write_text
from wattsweep.errors import RunFileError
from wattsweep.runs.facts import RunFacts, facts_of
from wattsweep.runs.files import read_group, read_run
from wattsweep.runs.layout import Layout
from wattsweep.runs.lease import Lease
from wattsweep.runs.packed import (
    FACTS,
    FORMAT,
    INDEX,
    SCHEMA_VERSION,
    open_packed,
    read_index,
    run_ids_in,
)
from wattsweep.runs.record import RunRecord
from wattsweep.runs.sealed import create_sealed, open_sealed

HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class PackedShard:
    """What became of a shard: the `runs` in its packed file, those `packed` into it now, and files `removed`."""

    shard_id: str
    runs: int
    packed: int
    removed: int


def finished_shards(layout: Layout) -> list[str]:
    """The ids of the shards that have a marker, sorted."""
    return sorted(path.stem for path in layout.marker("x").parent.glob("[!.]*.json"))


def pack_shard(layout: Layout, shard_id: str) -> PackedShard:
    """Pack the run files of a finished shard's experiments; what is packed already stays as it is.

    The shard's lease is held meanwhile: LeaseError where another process has it. Raises RunFileError where the shard
    has no marker, a run file is damaged, or a run that is both packed and loose is not the same in both; OSError where
    the disk does not take it. Nothing is removed then.
    """
    with Lease(layout.leases, shard_id, HEARTBEAT_S) as lease:
        return _pack(layout, shard_id, lease)


def _pack(layout: Layout, shard_id: str, lease: Lease) -> PackedShard:
    path = layout.packed / f"{shard_id}.h5"
    loose = {file.stem: file for experiment in _experiments(layout, shard_id) for file in _loose(layout, experiment)}
    known = _packed_already(path)
    fresh = {run_id: file for run_id, file in loose.items() if run_id not in known}
    _check(path, {run_id: _digest(read_run(file)) for run_id, file in loose.items() if run_id in known})
    if fresh:
        with in_place_of(path) as temporary:
            digests = _write(temporary, shard_id, path if known else None, fresh)
            _check(temporary, digests)
            to_disk(temporary)
            lease.check()
    for file in loose.values():
        _remove(file)
    return PackedShard(shard_id, len(known) + len(fresh), len(fresh), len(loose))


def _packed_already(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with open_packed(path) as file:
        return {run_id for group in file.values() for run_id in run_ids_in(group)}


def write_index(layout: Layout) -> None:
    """Write down which packed file holds which experiments, so that not every reader looks into them all."""
    if layout.packed.exists():
        write_text(layout.packed / INDEX, json.dumps(read_index(layout.packed)) + "\n")


def _experiments(layout: Layout, shard_id: str) -> list[str]:
    """The experiments of a finished shard, as its marker says."""
    marker = layout.marker(shard_id)
    try:
        runs = json.loads(marker.read_text(encoding="utf-8"))["runs"]
        return sorted({run["experiment_id"] for run in runs})
    except FileNotFoundError:
        raise RunFileError(f"{marker}: there is no such marker; a shard is packed when it is finished.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFileError(f"{marker}: not a shard's marker ({error!r}).") from error


def _loose(layout: Layout, experiment_id: str) -> list[Path]:
    return sorted(layout.experiment(experiment_id).glob("[!.]*.h5"))


def _write(path: Path, shard_id: str, earlier: Path | None, fresh: Mapping[str, Path]) -> dict[str, bytes]:
    """Write a packed file of the runs of an earlier one and of run files; digests of what they hold, by run."""
    digests: dict[str, bytes] = {}
    facts: dict[str, list[RunFacts]] = {}

    def take(record: RunRecord) -> None:
        digests[record.run.run_id] = _digest(record)
        facts.setdefault(record.run.experiment_id, []).append(facts_of(record))

    with _Sink(path) as sink:
        with create_sealed(sink) as packed:
            packed.attrs["format"] = FORMAT
            packed.attrs["schema_version"] = SCHEMA_VERSION
            packed.attrs["shard_id"] = shard_id
            if earlier is not None:
                with open_packed(earlier) as file:
                    for name, group in file.items():
                        for run_id in run_ids_in(group):
                            take(read_group(group[run_id], f"{earlier}, run {run_id}"))
                        file.copy(group, packed, name)
            for run_id, run_file in fresh.items():
                record = read_run(run_file)
                if record.run.run_id != run_id:
                    raise RunFileError(f"{run_file}: holds run {record.run.run_id}; move it away.")
                take(record)
                with open_sealed(run_file) as file:
                    file.copy(file["/"], packed.require_group(record.run.experiment_id), run_id)
            for name, ones in facts.items():
                _write_facts(packed[name], ones)
        sink.check()
    return digests


def _write_facts(group: h5py.Group, facts: list[RunFacts]) -> None:
    """Write the facts of an experiment's runs in place of what its group has."""
    ordered = sorted(facts, key=lambda one: one.run.repetition)
    content = np.frombuffer(json.dumps([one.to_json() for one in ordered]).encode(), dtype=np.uint8)
    if FACTS in group:
        del group[FACTS]
    group.create_dataset(FACTS, data=content, chunks=content.shape, compression=1, fletcher32=True)


class _Sink(io.FileIO):
    """A file for HDF5 to write, which may end the process where a disk is full: it is told of no error, `check` is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of it, as long as there was no error."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Make the file that long."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self) -> None:
        """Raise the first error that there was."""
        if self._error is not None:
            raise self._error


def _check(path: Path, digests: Mapping[str, bytes]) -> None:
    """Raise RunFileError where runs of a packed file are not those of these digests."""
    if not digests:
        return
    missing = dict(digests)
    with open_packed(path) as file:
        for group in file.values():
            for run_id in digests.keys() & run_ids_in(group):
                same = _digest(read_group(group[run_id], f"{path}, run {run_id}")) == missing.pop(run_id)
                if not same:
                    raise RunFileError(f"{path}: run {run_id} is not as in its run file; both are kept: move one away.")
    if missing:
        raise RunFileError(f"{path}: the runs {', '.join(missing)} are missing from it; their run files are kept.")


def _digest(record: RunRecord) -> bytes:
    """SHA-256 of all that a record holds."""
    digest = hashlib.sha256()
    _feed(digest, record)
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif is_dataclass(value):
        for field in fields(value):
            _feed(digest, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(f"{name}=".encode())
            _feed(digest, value[name])
    elif isinstance(value, tuple):
        digest.update(f"({len(value)}".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{value!r};".encode())


def _remove(run_file: Path) -> None:
    """Remove a run file, and its experiment's folder with the last one."""
    run_file.unlink(missing_ok=True)
    for folder in run_file.parents[:2]:
        try:
            folder.rmdir()
        except OSError:
            return
