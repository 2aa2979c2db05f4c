"""What lies below a results folder, as the entities of its data card: files, folders, and the columns of tables."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq

from wattsweep.figures import FIGURES
from wattsweep.tables.columns import EPOCHS, TABLES

Entity = dict[str, Any]

FORMATS = {
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one kind, by a pattern below the results folder; `energy`: what they hold follows from power."""

    pattern: str
    name: str
    holds: str
    energy: bool = False


KINDS = (
    Kind("report.html", "Report", "What was asked and what ran, how power was measured, figures, the model.", True),
    Kind("figures/*", "Figures", "A figure.", True),
    Kind("fit/*.json", "Energy model", "Coefficients with intervals, and errors on held-out experiments.", True),
    Kind("tables/*.parquet", "Table", "A table beside runs and experiments.", True),
    Kind("tables/*/**/*.parquet", "Curves", "Metrics at every epoch."),
    Kind("tables/*.json", "Counts", "How many runs there are, which are missing, and why."),
    Kind("plan/config.json", "Configuration", "What was asked, with every default written out."),
    Kind("plan/plan.json", "Plan", "The experiments, runs and shards that the configuration stands for."),
    Kind("nodes/*.json", "Meter", "What a calibration found of the power sources of a node.", True),
)
"""The first that names a file tells of it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is told of as a whole, since it may hold very many files."""

    path: str
    name: str
    holds: str


FOLDERS = (
    Folder(
        "runs", "Run files", "An HDF5 file for each run: settings, metrics at every epoch, energies, the power trace."
    ),
    Folder("packed", "Packed runs", "An HDF5 file for each shard, with a group per run that is as a run file."),
    Folder("traces", "Traces", "What the recorders wrote, as read, in CSV."),
    Folder("datasets", "Datasets", "The arrays that were trained on, in NumPy's format."),
    Folder("failures", "Failures", "The tracebacks of runs that failed, in JSON."),
)


def reference(entity: Entity) -> Entity:
    """A reference to an entity."""
    return {"@id": entity["@id"]}


def several(values: list[Any]) -> Any:
    """The values; a single one without the list around it, as JSON-LD has it."""
    return values[0] if len(values) == 1 else values


def counted(n: int, noun: str) -> str:
    """A number and its noun: "1 run", "2 runs"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def file_entities(results: Path, power: str | list[str]) -> list[Entity]:
    """Every file that the card names, with its size and checksum; `power` says of which power energies are."""
    found: dict[Path, Kind] = {}
    for kind in KINDS:
        for path in sorted(results.glob(kind.pattern)):
            if path.is_file() and path.suffix in FORMATS and not path.name.startswith("."):
                found.setdefault(path, kind)
    return [_file(results, path, kind, power) for path, kind in found.items()]


def folder_entities(results: Path, power: str | list[str]) -> list[Entity]:
    """The folders that hold something, with how much."""
    entities = []
    for folder in FOLDERS:
        sizes = list(_sizes(results / folder.path))
        if sizes:
            entity: Entity = {
                "@id": f"{folder.path}/",
                "@type": "Dataset",
                "name": folder.name,
                "description": f"{folder.holds} {counted(len(sizes), 'file')}.",
                "contentSize": str(sum(sizes)),
            }
            if folder.path in ("runs", "packed", "traces"):
                entity["measurementTechnique"] = power
            entities.append(entity)
    return entities


def column_entities(results: Path, files: list[Entity]) -> list[Entity]:
    """The columns of the Parquet files among `files`, each once; those files then refer to theirs.

    Units and descriptions are those in the files themselves, which `wattsweep.tables.columns` gave them.
    """
    columns: dict[str, Entity] = {}
    for entity in files:
        path = results / entity["name"]
        if path.suffix != ".parquet":
            continue
        own = [_column(entity["name"], field) for field in pq.read_schema(path)]
        columns |= {column["@id"]: column for column in own}
        entity["variableMeasured"] = several([reference(column) for column in own])
    return list(columns.values())


def _file(results: Path, path: Path, kind: Kind, power: str | list[str]) -> Entity:
    place = path.relative_to(results).as_posix()
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    entity: Entity = {
        "@id": quote(place, safe="/="),
        "@type": "File",
        "name": place,
        "description": _description(place, path, kind),
        "contentSize": str(path.stat().st_size),
        "encodingFormat": FORMATS[path.suffix],
        "sha256": checksum,
    }
    if kind.energy:
        entity["measurementTechnique"] = power
    return entity


def _description(place: str, path: Path, kind: Kind) -> str:
    if place == "figures/findings.json":
        return "Findings: whether those of the papers hold on these data, and the numbers behind each verdict."
    if place.startswith("figures/") and path.stem in FIGURES:
        figure = FIGURES[path.stem]
        return f"{figure.title.removesuffix('.')}. {figure.caption}"
    rows = {f"tables/{table.path}": table.row for table in TABLES}
    if place.startswith("tables/epochs/"):
        return f"Curves: a row is {EPOCHS.row}."
    if place in rows:
        return f"Table: a row is {rows[place]}."
    return f"{kind.name}: {kind.holds}"


def _column(place: str, field: Any) -> Entity:
    """A column; those of the many files of curves are the same ones."""
    table = "/".join(place.split("/")[:2])
    told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    column = {"@id": f"#{quote(f'{table}/{field.name}')}", "@type": "PropertyValue", "name": field.name}
    if told.get("description"):
        column["description"] = told["description"]
    if told.get("unit"):
        column["unitText"] = told["unit"]
    return column


def _sizes(folder: Path) -> Iterator[int]:
    for at, _, names in os.walk(folder):
        for name in names:
            if not name.startswith("."):
                yield (Path(at) / name).stat().st_size
