"""Prepared datasets on disk: each is read and encoded once, then loaded by every run.

Use `prepare` to have the file of a dataset, `load` for its arrays, `read_facts` for its size alone (no array
is read). A file is a NumPy .npz of plain arrays and a JSON text; nothing in it is ever unpickled.
"""

import json
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wattsweep.datasets import bundled, pmlb_source, synthetic
from wattsweep.datasets.names import SOURCES, check_file_name
from wattsweep.datasets.preprocessing import encode, freeze
from wattsweep.datasets.types import Column, Dataset, Head, RawTable, Task
from wattsweep.disk import in_place_of, to_disk, why_not_written
from wattsweep.errors import DatasetError

FORMAT = "wattsweep dataset 1"
"""Changes whenever the rules of preprocessing or the layout of the file change."""


@dataclass(frozen=True)
class DatasetFacts:
    """What a prepared file says of its dataset, without its arrays; see `Dataset` for the meaning of each."""

    source: str
    name: str
    task: Task
    head: Head
    n_observations: int
    n_inputs: int
    n_outputs: int
    raw_features: int
    sha256: str


def dataset_path(cache_dir: Path, source: str, name: str) -> Path:
    """Where the prepared file of a dataset is: CACHE_DIR/source/name.npz.

    Raises ValueError for an unknown source or a name that could lead out of the folder.
    """
    if source not in SOURCES:
        raise ValueError(f"dataset source {source!r} is unknown, known sources are {', '.join(SOURCES)}")
    return Path(cache_dir) / source / f"{check_file_name(name)}.npz"


def prepare(source: str, name: str, cache_dir: Path, pmlb_dir: Path) -> Path:
    """Make sure that the prepared file of a dataset exists and is whole, and return its path.

    A whole file of the present format is kept as it is; else the dataset is read from its source (PMLB's from
    `pmlb_dir`, or downloaded into it), encoded, and the file appears under its name complete or not at all,
    also when several processes prepare it at once.

    Raises ValueError for an unknown dataset; DatasetError when it is not at hand, cannot be trained on or
    cannot be written.
    """
    path = dataset_path(cache_dir, source, name)
    with suppress(DatasetError):
        kept = load(path)
        if (kept.source, kept.name) == (source, name):
            return path
    dataset = encode(_read_source(source, name, Path(pmlb_dir)))
    try:
        _write(path, dataset)
    except OSError as error:
        raise DatasetError(f"dataset {source}:{name} cannot be written to {path}: {why_not_written(error)}") from error
    return path


def at_hand(source: str, name: str, cache_dir: Path, pmlb_dir: Path) -> bool:
    """Whether `prepare` would need no download for this dataset."""
    if source != "pmlb" or dataset_path(cache_dir, source, name).exists():
        return True
    from wattsweep.datasets.pmlb_source import local_file

    return local_file(name, pmlb_dir) is not None


def load(path: Path) -> Dataset:
    """The dataset of a prepared file. Raises DatasetError when the file is missing, truncated, altered or
    foreign.
    """
    metadata, arrays = _read_archive(Path(path), with_arrays=True)
    try:
        columns = tuple(Column(str(name), rule, int(width)) for name, rule, width in metadata["columns"])
        dataset = freeze(
            metadata["source"],
            metadata["name"],
            metadata["task"],
            metadata["head"],
            arrays["features"],
            arrays["responses"],
            metadata["raw_features"],
            columns,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, f"its description is incomplete: {error!r}") from error
    if dataset.sha256 != metadata.get("sha256"):
        raise _unusable(path, "its arrays do not match their checksum")
    return dataset


def read_facts(path: Path) -> DatasetFacts:
    """The size and kind of a prepared dataset, without reading its arrays.

    Raises DatasetError when the file is missing, truncated or foreign; the arrays themselves are not checked.
    """
    metadata, _ = _read_archive(Path(path), with_arrays=False)
    try:
        return DatasetFacts(**{key: metadata[key] for key in DatasetFacts.__dataclass_fields__})
    except KeyError as error:
        raise _unusable(path, f"its description is incomplete: {error!r}") from error


def _read_source(source: str, name: str, pmlb_dir: Path) -> RawTable:
    if source == "bundled":
        return bundled.read(name)
    if source == "pmlb":
        return pmlb_source.read(name, pmlb_dir)
    return synthetic.read(name)


def _write(path: Path, dataset: Dataset) -> None:
    metadata = {
        "format": FORMAT,
        **{key: getattr(dataset, key) for key in DatasetFacts.__dataclass_fields__},
        "columns": dataset.columns,
    }
    text = np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8)
    with in_place_of(path) as scratch:
        with scratch.open("xb") as stream:
            np.savez(stream, metadata=text, features=dataset.features, responses=dataset.responses)
        to_disk(scratch)


def _read_archive(path: Path, *, with_arrays: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {}
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream):
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                metadata = json.loads(archive["metadata"].tobytes())
                if with_arrays:
                    arrays = {key: archive[key] for key in ("features", "responses")}
    except FileNotFoundError as error:
        raise DatasetError(f"there is no prepared dataset {path}: prepare it first") from error
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _unusable(path, f"it is truncated or something else ({error})") from error

    found = metadata.get("format") if isinstance(metadata, dict) else None
    if found != FORMAT:
        raise _unusable(path, f"its format is {found!r}, not {FORMAT!r}")
    for key, array in arrays.items():
        if array.dtype != np.float32 or array.ndim != 2:
            raise _unusable(path, f"its {key} are {array.dtype} of {array.ndim} dimensions, not float32 of 2")
    return metadata, arrays


def _unusable(path: Path, why: str) -> DatasetError:
    return DatasetError(f"{path} is not a usable prepared dataset: {why}; delete the file and prepare it again")
