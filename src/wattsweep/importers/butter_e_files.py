"""The files of BUTTER-E (OEDI submission 5991) in a folder: where they are, and what their tables say."""

import csv
import math
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from wattsweep.errors import AnalysisError
from wattsweep.networks import SHAPES
from wattsweep.power.sources.csv_text import Utf8Stream, as_text
from wattsweep.power.sources.export_times import KNOWN, parse_times

SOURCE = "https://data.openei.org/submissions/5991"
WITHDRAWN_BATCH = "optimizer_energy_1_cpu"
BLOCK_BYTES = 4 << 20
NAMES: dict[str, tuple[str, ...]] = {
    "metadata": ("butter_e_metadata.csv",),
    "energy": ("butter_e_energy",),
    "sinfo": ("node_sinfo.csv", "slurm_node_sinfo.csv"),
    "power_dist": ("node_power_dist.csv", "butter_e_node_power_dist.csv"),
    "pmlb": ("pmlb.csv",),
    "summary": ("summary_by_epoch",),
}
"""What is looked for, under any of these names."""

NODE_TYPES = {
    (36, 751616, 1500000, "gpu:v100:2"): "gpu1",
    (36, 751616, 2400000, "gpu:v100:2"): "gpu2",
    (36, 85248, 900000, "(null)"): "cpu1",
    (36, 180224, 900000, "(null)"): "cpu2",
    (36, 751616, 1500000, "(null)"): "cpu3",
    (36, 751616, 2400000, "(null)"): "cpu4",
}
"""The published names of the node types, by CPUs, memory in MB, disk in MB and GPUs."""

METADATA_COLUMNS = (
    *("run_id", "experiment_id", "old_experiment_id", "slurm_job_id", "start_time", "update_time", "host_name"),
    *("size", "depth", "shape", "dataset", "learning_rate", "batch_size", "optimizer", "is_gpu", "batch"),
)


@dataclass(frozen=True, slots=True)
class ButterEFiles:
    """The paths of the files; `summary` is None where an import without it was asked for."""

    metadata: Path
    energy: Path
    sinfo: Path
    power_dist: Path
    pmlb: Path
    summary: Path | None


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """One run of butter_e_metadata.csv; times are Unix s."""

    run_id: str
    experiment_id: str
    old_experiment_id: int | None
    job: str
    start_s: float
    end_s: float
    node: str
    size: int
    depth: int
    shape: str
    dataset: str
    learning_rate: str
    batch_size: int
    optimizer: str
    is_gpu: bool
    batch: str


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node: its type, its class (cpu or gpu), its GPUs, and quantiles of its power over two months, in W."""

    name: str
    node_type: str
    hardware_class: str
    device: str
    idle_w: float | None = None
    idle_lower_w: float | None = None
    idle_upper_w: float | None = None
    n_readings: int | None = None


@dataclass(frozen=True, slots=True)
class PmlbFacts:
    """A data set by pmlb.csv."""

    n_observations: int
    n_features: int
    n_outputs: int


def find_files(folder: Path, *, with_summary: bool = True) -> ButterEFiles:
    """The files in `folder`. Raises AnalysisError that names all that are missing, and those only to be unpacked."""
    found: dict[str, Path | None] = {}
    missing = []
    for key, names in NAMES.items():
        if key == "summary" and not with_summary:
            found[key] = None
            continue
        paths = [folder / name for name in names if (folder / name).exists()]
        if paths:
            found[key] = paths[0]
            continue
        packed = [
            one.name for name in names for one in sorted(folder.glob(f"{Path(name).stem}*.[zt]*")) if one.is_file()
        ]
        missing.append(names[0] + (f" (unpack {packed[0]})" if packed else ""))
    if missing:
        hint = "" if "summary_by_epoch" not in missing else "; summary_by_epoch can be left out with --no-summary"
        raise AnalysisError(
            f"{folder} lacks {', '.join(missing)}: download them from {SOURCE} and unpack them there{hint}."
        )
    return ButterEFiles(**found)  # type: ignore[arg-type]


def read_metadata(path: Path, zone: zoneinfo.ZoneInfo, counts: Counter[str]) -> Iterator[MetadataRow]:
    """The runs of butter_e_metadata.csv, block by block; run_data is not read. Rows that are no use are counted.

    Times without an offset are on the clock of `zone`. `counts` gets "listed", and the reasons. Raises AnalysisError
    where the file is no CSV or lacks a column.
    """
    try:
        with Utf8Stream(path.open("rb")) as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
                **as_text(METADATA_COLUMNS, counts, "row of another length", newlines_in_values=True),
            )
            for batch in reader:
                counts["listed"] += batch.num_rows
                yield from _rows(batch, zone, counts)
    except (OSError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _unreadable(path, error) from None


def _rows(batch: Any, zone: zoneinfo.ZoneInfo, counts: Counter[str]) -> Iterator[MetadataRow]:
    stamps = [parse_times(batch.column(name), zone, ignore_offset=False) for name in ("start_time", "update_time")]
    begun, ended = stamps
    known = (begun.fault == KNOWN) & (ended.fault == KNOWN)
    cells = {name: batch.column(name).to_pylist() for name in METADATA_COLUMNS}
    for number in range(batch.num_rows):
        row = {name: str(column[number]).strip() for name, column in cells.items()}
        start_s, end_s = float(begun.first_s[number]), float(ended.first_s[number])
        reason = "time that cannot be read" if not known[number] else _wrong(row, start_s, end_s)
        if reason:
            counts[reason] += 1
            continue
        yield MetadataRow(
            run_id=row["run_id"],
            experiment_id=row["experiment_id"],
            old_experiment_id=_whole(row["old_experiment_id"]),
            job=str(_whole(row["slurm_job_id"]) or row["slurm_job_id"]),
            start_s=start_s,
            end_s=end_s,
            node=row["host_name"],
            size=_whole(row["size"]) or 0,
            depth=_whole(row["depth"]) or 0,
            shape=row["shape"],
            dataset=row["dataset"],
            learning_rate=row["learning_rate"],
            batch_size=_whole(row["batch_size"]) or 0,
            optimizer=row["optimizer"],
            is_gpu=row["is_gpu"].lower() in ("true", "t", "1"),
            batch=row["batch"],
        )


def _wrong(row: dict[str, str], start_s: float, end_s: float) -> str:
    """Why a row is no use; empty where it is."""
    if end_s <= start_s:
        return "update_time is not after start_time"
    if not row["run_id"] or not row["host_name"]:
        return "no run_id or host_name"
    if not all(_whole(row[name]) for name in ("size", "depth", "batch_size")):
        return "number that cannot be read"
    if row["shape"] not in SHAPES:
        return "unknown shape"
    return ""


def _whole(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def read_nodes(files: ButterEFiles, counts: Counter[str]) -> dict[str, NodeFacts]:
    """The nodes of node_sinfo.csv; idle power is the 2 % quantile of node_power_dist.csv, from the 1 % to the 5 %.

    A node of several partitions is listed once. Nodes without a history are counted and have no idle power. Raises
    AnalysisError where a file lacks a column.
    """
    history = {row["node"]: row for row in _table(files.power_dist, ("node", "count", "p1", "p2", "p5"))}
    nodes: dict[str, NodeFacts] = {}
    for row in _table(files.sinfo, ("HOSTNAMES", "CPUS", "MEMORY", "TMP_DISK", "GRES")):
        name = row["HOSTNAMES"]
        if name in nodes:
            continue
        cpus, memory_mb, disk_mb = (_whole(row[column]) or 0 for column in ("CPUS", "MEMORY", "TMP_DISK"))
        other = f"{cpus} CPUs, {memory_mb} MB, {disk_mb} MB disk, {row['GRES']}"
        gpus = row["GRES"].split(":") if row["GRES"].startswith("gpu") else []
        own = history.get(name, {})
        idle = [_number(own.get(column)) for column in ("p2", "p1", "p5")]
        counts["nodes"] += 1
        counts["nodes without a history"] += idle[0] is None
        nodes[name] = NodeFacts(
            name=name,
            node_type=NODE_TYPES.get((cpus, memory_mb, disk_mb, row["GRES"]), other),
            hardware_class="gpu" if gpus else "cpu",
            device=f"{gpus[2]} x {gpus[1].upper()}" if len(gpus) == 3 else "gpu" if gpus else "cpu",
            idle_w=idle[0],
            idle_lower_w=idle[1],
            idle_upper_w=idle[2],
            n_readings=_whole(own.get("count", "")),
        )
    return nodes


def read_pmlb(path: Path) -> dict[str, PmlbFacts]:
    """The data sets of pmlb.csv: rows, feature columns, and one output or, with more than two classes, one for each."""
    facts = {}
    for row in _table(path, ("Dataset", "n_observations", "n_features", "n_classes", "Task")):
        n_observations, n_features = _whole(row["n_observations"]), _whole(row["n_features"])
        if n_observations and n_features:
            n_classes = int(_number(row["n_classes"]) or 0) if row["Task"] == "classification" else 0
            facts[row["Dataset"]] = PmlbFacts(n_observations, n_features, n_classes if n_classes > 2 else 1)
    return facts


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a small CSV; raises AnalysisError where it is none or lacks a column."""
    try:
        return _cells(path, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None


def _cells(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        missing = [name for name in columns if name not in names]
        if missing:
            raise AnalysisError(
                f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(names[:10]) or 'none'}. Download it "
                f"again from {SOURCE}."
            )
        return [{name: (value or "").strip() for name, value in row.items() if name} for row in reader]


def _unreadable(path: Path, error: Exception) -> AnalysisError:
    return AnalysisError(f"{path} cannot be read: {str(error)[:200]}. Download it again from {SOURCE}.")


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) and not np.isnan(number) else None
