"""Run files: one HDF5 file per run, schema version 1 (docs/run-file.md), written once.

`write_run` writes to a temporary name in the same folder, validates what it wrote and renames it, so a file under its
own name is complete. `read_run` gives the record back, or says why the file is none.
"""

import io
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from wattsweep.disk import in_place_of, obstacle, to_disk
from wattsweep.errors import RunFileError, UnreachableError
from wattsweep.grid import Run, Settings, experiment_id, make_run
from wattsweep.networks import count_parameters
from wattsweep.power import Energy, RunEnergy, SourceDescription, Trace
from wattsweep.runs.attributes import Node, keep_copy
from wattsweep.runs.record import DataFacts, Network, Phase, RunPower, RunRecord, Segment, SegmentPower
from wattsweep.runs.sealed import create_sealed, open_sealed
from wattsweep.training import HISTORY_NAMES

FORMAT = "wattsweep-run"
SCHEMA_VERSION = 1

UNREADABLE = (OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, MemoryError)
"""What h5py, NumPy and our own checks raise where content was damaged."""

TRACE_UNITS = {"sequence": "1", "before_s": "s", "after_s": "s", "wall_s": "s", "values": "W", "status": "1"}
NO_SAMPLES = {name: np.empty(0, {"sequence": "i8", "status": "i1"}.get(name, "f8")) for name in TRACE_UNITS}
TRACE_FACTS = ("kind", "refresh_s", "step", "wrap_j", "lag_s", "accuracy", "refresh_known")
BLOCK_ATTRIBUTES = [
    field.name
    for field in fields(RunPower)
    if field.name not in ("source", "selected_because", "trace", "energy", "epoch_energy_j")
]

T = TypeVar("T")


def write_run(path: Path, record: RunRecord) -> None:
    """Write a run file; it appears under its name only when it is complete, on disk and valid."""
    with in_place_of(path) as temporary:
        # HDF5 may end the process where a disk is full; made in memory, the write is Python's and raises OSError.
        image = io.BytesIO()
        with create_sealed(image) as file:
            write_group(file, record)
        temporary.write_bytes(image.getbuffer())
        to_disk(temporary)
        read_run(temporary)


def read_run(path: Path, *, traces: bool = True) -> RunRecord:
    """The record in a run file; without `traces`, theirs are left unread: empty, and no energies per epoch.

    Raises RunFileError where the file is missing, truncated, damaged, foreign, of another version, or contradicts
    itself.
    """
    try:
        with open_sealed(path) as file:
            return read_group(file, str(path), traces=traces)
    except FileNotFoundError:
        raise RunFileError(f"{path}: there is no such run file.") from None
    except UNREADABLE as error:
        raise invalid(str(path), error) from error


def read_group(group: h5py.Group, where: str, *, traces: bool = True) -> RunRecord:
    """The record in an HDF5 group of a run file's content, called `where` in errors; raises as `read_run` does."""
    try:
        check_format(group)
        record = _read(Node(group, copy=not traces), traces)
    except UNREADABLE as error:
        raise invalid(where, error) from error
    _check_consistency(where, record)
    return record


def invalid(where: str, error: Exception) -> RunFileError:
    """The error for what cannot be read as a run file; UnreachableError where the disk is in the way."""
    return unreachable(where, error) or RunFileError(
        f"{where}: not a valid run file ({error}); move it away and its run is trained again."
    )


def unreachable(where: str, error: Exception) -> UnreachableError | None:
    """The error for what the disk does not give; None where it is not the disk that is in the way."""
    words = obstacle(error) if isinstance(error, OSError) else ""
    return UnreachableError(f"{where}: cannot be read ({words}).") if words else None


def write_group(file: h5py.Group, record: RunRecord) -> None:
    """Write a record into an HDF5 group, the root of a run file or that of a packed run."""
    file.attrs["format"] = FORMAT
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["utc_offset_s"] = record.utc_offset_s
    file.attrs["runs_at_once"] = record.runs_at_once
    _write_attributes(file.create_group("run"), asdict(record.run))
    _write_attributes(file.create_group("settings"), asdict(record.settings))
    _write_attributes(file.create_group("network"), asdict(record.network))
    _write_attributes(file.create_group("data"), asdict(record.data))
    _write_attributes(file.create_group("provenance"), record.provenance)
    history = np.stack([record.history[name] for name in HISTORY_NAMES], axis=1)
    epochs = file.create_dataset(
        "epochs", data=history, chunks=history.shape, shuffle=True, compression=1, fletcher32=True
    )
    epochs.attrs["columns"] = list(HISTORY_NAMES)
    phases = file.create_group("phases")
    phases.attrs["names"] = [phase.name for phase in record.phases]
    for name in ("start_s", "end_s"):
        _write_checked(phases, name, np.array([getattr(phase, name) for phase in record.phases])).attrs["unit"] = "s"
    for number, segment in enumerate(record.segments):
        write_segment(file.create_group(f"segments/{number}"), segment)
    if record.marks is not None:
        _write_checked(file, "marks", np.asarray(record.marks)).attrs["columns"] = ["epoch", "end_s"]
    if record.power is not None:
        _write_power(file.create_group("power"), record.power)
    for number, power in enumerate(record.also):
        _write_power(file.create_group(f"also/{number}"), power)
    keep_copy(file)


def write_segment(group: h5py.Group, segment: Segment) -> None:
    """Write a segment of a run into a group of its own."""
    apart = ("idle_before", "power")
    _write_attributes(group, {f.name: getattr(segment, f.name) for f in fields(Segment) if f.name not in apart})
    if segment.idle_before is not None:
        idle = segment.idle_before
        _write_attributes(group.create_group("idle_before"), {"start_s": idle.start_s, "end_s": idle.end_s})
    if segment.power is not None:
        _write_measured(group, segment.power)


def read_segments(file: h5py.Group) -> tuple[Segment, ...]:
    """The segments in a checkpoint's file, in order; none where it has none."""
    return _read_segments(Node(file), traces=True)


def _read_segments(node: Node, traces: bool) -> tuple[Segment, ...]:
    return tuple(_read_segment(one, traces) for one in node.numbered("segments"))


def _read_segment(node: Node, traces: bool) -> Segment:
    idle = Phase("idle_before", **node["idle_before"].attributes) if "idle_before" in node else None
    power = SegmentPower(**_read_measured(node, traces)) if "energy" in node else None
    return Segment(idle_before=idle, power=power, **node.attributes)


def _write_measured(group: h5py.Group, power: RunPower | SegmentPower) -> None:
    """What was read and the energy that follows from it."""
    _write_attributes(group.create_group("source"), power.source.to_json())
    _write_energy(group.create_group("energy"), power.energy)
    _write_trace(group.create_group("trace"), power.trace)


def _read_measured(node: Node, traces: bool) -> dict[str, Any]:
    return {
        "source": SourceDescription.from_json(node["source"].attributes),
        "energy": read_energy(node["energy"]),
        "trace": _read_trace(node["trace"], traces),
    }


def _write_energy(group: h5py.Group, energy: RunEnergy) -> None:
    values = asdict(energy)
    _write_attributes(group.create_group("gross"), values.pop("gross"))
    _write_attributes(group, values)


def read_energy(node: Node) -> RunEnergy:
    """The energy in a group `energy` of a run file."""
    return RunEnergy(gross=_build(Energy, node["gross"]), **node.attributes)


def _write_power(group: h5py.Group, power: RunPower) -> None:
    group.attrs["selected_because"] = power.selected_because
    _write_attributes(group.create_group("block"), {name: getattr(power, name) for name in BLOCK_ATTRIBUTES})
    _write_measured(group, power)
    if power.epoch_energy_j is not None:
        energies = _write_checked(group, "epoch_energy_j", power.epoch_energy_j)
        energies.attrs["columns"] = ["joules", "lower", "upper"]


def _write_trace(group: h5py.Group, trace: Trace) -> None:
    _write_attributes(group, {name: getattr(trace, name) for name in TRACE_FACTS})
    for name, unit in TRACE_UNITS.items():
        column = getattr(trace, name)
        _write_checked(group, name, column).attrs["unit"] = "J" if name == "values" and trace.kind == "energy" else unit


def _read_trace(node: Node, traces: bool) -> Trace:
    columns: dict[str, Any] = {name: node[name].values() for name in TRACE_UNITS} if traces else NO_SAMPLES
    facts: dict[str, Any] = {name: value for name, value in node.attributes.items() if name in TRACE_FACTS}
    return Trace(**columns, **facts)


def _write_checked(group: h5py.Group, name: str, values: NDArray[Any]) -> h5py.Dataset:
    """A dataset whose values have a checksum; one without values needs none."""
    return group.create_dataset(name, data=values, fletcher32=values.size > 0, chunks=values.size > 0 or None)


def _write_attributes(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """One attribute per value; None leaves its attribute out."""
    for name, value in values.items():
        if value is not None:
            group.attrs[name] = value


def _read(node: Node, traces: bool) -> RunRecord:
    root, epochs, network = node.attributes, node["epochs"], node["network"].attributes
    columns = [str(name) for name in epochs.attributes["columns"]]
    history = epochs.values()
    if history.shape[1:] != (len(columns),):
        raise ValueError(f"epochs is of shape {history.shape}, {len(columns)} columns are named")
    return RunRecord(
        run=_build(Run, node["run"]),
        settings=_build(Settings, node["settings"]),
        network=Network(network["n_inputs"], tuple(int(w) for w in network["widths"]), network["n_parameters"]),
        data=_build(DataFacts, node["data"]),
        provenance={name: str(value) for name, value in node["provenance"].attributes.items()},
        history=dict(zip(columns, history.T, strict=True)),
        phases=read_phases(node["phases"]),
        utc_offset_s=float(root["utc_offset_s"]),
        power=_read_power(node["power"], traces) if "power" in node else None,
        runs_at_once=int(root.get("runs_at_once", 1)),
        segments=_read_segments(node, traces),
        marks=node["marks"].values() if "marks" in node else None,
        also=tuple(_read_power(one, traces) for one in node.numbered("also")),
    )


def read_phases(node: Node) -> tuple[Phase, ...]:
    """The phases in a group `phases` of a run file."""
    names = [str(name) for name in node.attributes["names"]]
    windows = zip(names, node["start_s"].values().tolist(), node["end_s"].values().tolist(), strict=True)
    return tuple(Phase(name, start_s, end_s) for name, start_s, end_s in windows)  # type: ignore[arg-type]


def _read_power(node: Node, traces: bool) -> RunPower:
    return RunPower(
        selected_because=str(node.attributes["selected_because"]),
        epoch_energy_j=node["epoch_energy_j"].values() if traces and "epoch_energy_j" in node else None,
        **_read_measured(node, traces),
        **node["block"].attributes,
    )


def _build(kind: type[T], node: Node) -> T:
    return kind(**node.attributes)


def check_format(file: h5py.Group) -> None:
    """Raise ValueError where a group is not the content of a run file of this version."""
    found = file.attrs.get("format")
    if found != FORMAT:
        raise ValueError(f"its format is {found!r}, not {FORMAT!r}")
    version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"its schema version is {version}, this wattsweep reads {SCHEMA_VERSION}")


def _check_consistency(where: str, record: RunRecord) -> None:
    network, epochs = record.network, record.settings.epochs
    lengths = {len(values) for values in record.history.values()}
    if lengths == {record.diverged_at_epoch}:
        epochs = record.epochs_trained
    claims = {
        "experiment id": (record.run.experiment_id, experiment_id(record.settings)),
        "run": (record.run, make_run(record.run.experiment_id, record.run.repetition)),
        "parameter count": (network.n_parameters, count_parameters(network.n_inputs, network.widths)),
        "history": (sorted(record.history), sorted(HISTORY_NAMES)),
        "epochs": (lengths, {epochs}),
    }
    for name, (stated, derived) in claims.items():
        if stated != derived:
            raise RunFileError(f"{where}: its {name} is {stated}, its other contents say {derived}; move it away.")
