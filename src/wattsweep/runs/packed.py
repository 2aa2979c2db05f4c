"""Reads packed runs: results/packed/SHARD.h5 has a group per experiment, and in it one per run: a run file's content.

- `packed_records(layout, experiment)` and `packed_facts(layout, experiment)` give an experiment's packed runs.
- `read_packed(path, run_id)` gives one run, `facts_in(path)` the facts of all of a file.

Which files hold an experiment stands in packed/index.json, which `wattsweep.runs.packing` writes. It is only a
shortcut: files that it does not know, or knows otherwise, are looked into.
"""

import json
import time
from functools import lru_cache
from pathlib import Path

import h5py

from wattsweep.errors import RunFileError
from wattsweep.runs.facts import RunFacts
from wattsweep.runs.files import UNREADABLE, read_group, unreachable
from wattsweep.runs.layout import Layout
from wattsweep.runs.record import RunRecord
from wattsweep.runs.sealed import RECENT_NS, open_sealed

FORMAT = "wattsweep-packed"
SCHEMA_VERSION = 1
FACTS = "facts"
"""The dataset in an experiment's group that has the facts of its runs, as JSON; every other name there is a run."""
INDEX = "index.json"

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns of a file: it is looked into again when either is another."""


def packed_records(layout: Layout, experiment_id: str, *, traces: bool = True) -> list[RunRecord]:
    """An experiment's packed runs; raises RunFileError where a file or a run in it is damaged."""
    return [one for path in files_with(layout, experiment_id) for one in _records_in(path, experiment_id, traces)]


def packed_facts(layout: Layout, experiment_id: str) -> list[RunFacts]:
    """The facts of an experiment's packed runs; raises RunFileError where a file is damaged."""
    found: list[RunFacts] = []
    for path in files_with(layout, experiment_id):
        with open_packed(path) as file:
            if experiment_id in file:
                found += facts_in_group(file[experiment_id], f"{path}, experiment {experiment_id}")
    return found


def read_packed(path: Path, run_id: str) -> RunRecord:
    """A run of a packed file; raises RunFileError where it is not there or damaged."""
    with open_packed(path) as file:
        for group in file.values():
            if run_id in group:
                return read_group(group[run_id], f"{path}, run {run_id}")
    raise RunFileError(f"{path}: holds no run {run_id}.")


def facts_in(path: Path) -> list[RunFacts]:
    """The facts of all runs of a packed file, by experiment and repetition; raises RunFileError where it is damaged."""
    with open_packed(path) as file:
        return [one for name, group in file.items() for one in facts_in_group(group, f"{path}, experiment {name}")]


def facts_in_group(group: h5py.Group, where: str) -> list[RunFacts]:
    """The facts in the group of an experiment, called `where` in errors."""
    try:
        return [RunFacts.from_json(one) for one in json.loads(group[FACTS][()].tobytes())]
    except UNREADABLE as error:
        raise RunFileError(f"{where}: its facts cannot be read ({error}).") from error


def run_ids_in(group: h5py.Group) -> list[str]:
    """The runs in the group of an experiment."""
    return [name for name in group if name != FACTS]


def is_packed(path: Path) -> bool:
    """Whether a file says that it is a packed shard."""
    try:
        with open_sealed(path) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def describe_packed(facts: list[RunFacts]) -> str:
    """The runs of a packed shard as text."""
    lines = [f"{len(facts)} runs of {len({one.run.experiment_id for one in facts})} experiments"]
    for one in facts:
        settings, power = one.settings, one.power
        energy = "power was not measured"
        if power is not None:
            energy = f"{power.energy.gross.joules:.4g} J ({power.source.origin})" if power.status == "ok" else "refused"
        lines.append(
            f"run {one.run.run_id}  experiment {one.run.experiment_id}, repetition {one.run.repetition}: "
            f"{settings.dataset} {settings.shape} size {settings.size} depth {settings.depth}, {one.training_s:.3f} s, "
            f"{energy}"
        )
    return "\n".join(lines)


def files_with(layout: Layout, experiment_id: str) -> list[Path]:
    """The packed files that hold runs of an experiment."""
    folder = layout.packed
    try:
        changed_ns = folder.stat().st_mtime_ns
    except FileNotFoundError:
        return []
    if time.time_ns() - changed_ns < RECENT_NS:
        _files_by_experiment.cache_clear()
    return [folder / name for name in _files_by_experiment(folder, changed_ns).get(experiment_id, ())]


_looked_into: dict[tuple[Path, Stamp], tuple[str, ...]] = {}


def read_index(folder: Path) -> dict[str, tuple[Stamp, tuple[str, ...]]]:
    """Every packed file's stamp and experiments by its name; raises RunFileError for one that cannot be read."""
    known = _written_index(folder)
    found = {}
    for path in sorted(folder.glob("[!.]*.h5")):
        stamp = _stamp(path)
        experiments = known.get((path, stamp)) or _looked_into.get((path, stamp))
        if experiments is None:
            with open_packed(path) as file:
                experiments = _looked_into[path, stamp] = tuple(file)
        found[path.name] = (stamp, experiments)
    return found


def _written_index(folder: Path) -> dict[tuple[Path, Stamp], tuple[str, ...]]:
    try:
        document = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return {(folder / name, (size, ns)): tuple(names) for name, ((size, ns), names) in document.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


@lru_cache(maxsize=2)
def _files_by_experiment(folder: Path, changed_ns: int) -> dict[str, list[str]]:  # noqa: ARG001 (part of the key)
    """Names of packed files by experiment, read anew when the folder has changed."""
    names: dict[str, list[str]] = {}
    for name, (_, experiments) in read_index(folder).items():
        for experiment_id in experiments:
            names.setdefault(experiment_id, []).append(name)
    return names


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _records_in(path: Path, experiment_id: str, traces: bool) -> list[RunRecord]:
    with open_packed(path) as file:
        if experiment_id not in file:
            return []
        group = file[experiment_id]
        return [read_group(group[one], f"{path}, run {one}", traces=traces) for one in run_ids_in(group)]


def open_packed(path: Path) -> h5py.File:
    """A packed file, opened to be read; raises RunFileError where it is none, or (UnreachableError) out of reach."""
    try:
        file = open_sealed(path)
    except FileNotFoundError:
        raise RunFileError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise unreachable(str(path), error) or RunFileError(f"{path}: not a packed file ({error}).") from error
    found = (file.attrs.get("format"), file.attrs.get("schema_version"))
    if found != (FORMAT, SCHEMA_VERSION):
        file.close()
        raise RunFileError(f"{path}: its format and version are {found}, not {(FORMAT, SCHEMA_VERSION)}.")
    return file
