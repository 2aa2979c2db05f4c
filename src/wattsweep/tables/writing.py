"""Writes the tables from a stream of run records, with flat memory."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import wattsweep
from wattsweep.disk import LEFT_WHERE_SLOW_S, folder_in_place_of, in_place_of
from wattsweep.grid import Experiment
from wattsweep.runs.record import RunRecord
from wattsweep.tables.columns import EPOCHS, EXPERIMENTS, RUNS, SOURCES, Table
from wattsweep.tables.experiments import experiment_rows
from wattsweep.tables.rows import Emissions, Row, epochs_row, run_row, source_rows

ROWS_PER_BATCH = 4096
EPOCH_BYTES_HELD = 64 * 2**20


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What went into the tables. `further` runs are those past the planned repetitions or of no planned experiment.

    `missing` planned runs have no run file. `origins` counts runs by origin of power, `energy` by status and
    `refusals` by kind of reason.
    """

    runs: int = 0
    experiments: int = 0
    planned: int = 0
    further: int = 0
    missing: int = 0
    origins: dict[str, int] = field(default_factory=dict)
    energy: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        return asdict(self)


def write_tables(
    records: Iterable[RunRecord],
    planned: Mapping[str, Experiment],
    folder: Path,
    emissions: Emissions | None = None,
) -> TableCounts:
    """Write runs.parquet, sources.parquet, experiments.parquet and epochs/ in `folder`, replacing what is there.

    `records` come sorted by experiment_id and repetition, and `planned` maps the ids of the planned experiments to
    them. Tables appear under their names only when they are complete; the same records give the same bytes. Raises
    ValueError where the records are not sorted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tally = _Tally()
    with (
        TableFile(RUNS, folder / "runs.parquet") as runs_file,
        TableFile(SOURCES, folder / "sources.parquet") as sources_file,
        TableFile(EXPERIMENTS, folder / "experiments.parquet") as experiments_file,
        CurvesFolder(EPOCHS, folder / "epochs") as epochs_folder,
    ):
        for experiment_id, group in groupby(_in_order(records), key=lambda record: record.run.experiment_id):
            asked = planned.get(experiment_id)
            rows = []
            for record in group:
                row = run_row(record, asked, emissions)
                runs_file.add(row)
                for source in source_rows(record):
                    sources_file.add(source)
                epochs_folder.add(record.settings.dataset, record.settings.shape, epochs_row(record))
                tally.count(row)
                rows.append(row)
            summaries = experiment_rows(rows, asked)
            for summary in summaries:
                experiments_file.add(summary)
        metadata = {
            "wattsweep_version": wattsweep.__version__,
            "power_origins": json.dumps(dict(sorted(tally.origins.items()))),
        }
        runs_file.complete(metadata)
        sources_file.complete(metadata)
        experiments_file.complete(metadata)
        epochs_folder.complete(metadata)
    return tally.counts(planned, experiments=experiments_file.rows)


def refusal_kinds(reason: str) -> list[str]:
    """The kinds of refusal in a reason: what stands before the numbers in each of its parts."""
    return [part.split(":")[0].strip() for part in reason.split("; ") if part.strip()]


def _in_order(records: Iterable[RunRecord]) -> Iterator[RunRecord]:
    last = ("", -1)
    for record in records:
        key = (record.run.experiment_id, record.run.repetition)
        if key <= last:
            raise ValueError(f"run {key} comes after {last}: sort the records by experiment_id and repetition")
        last = key
        yield record


class _Tally:
    """Counts rows of runs as they pass."""

    def __init__(self) -> None:
        self.runs = 0
        self.planned = 0
        self.origins: Counter[str] = Counter()
        self.energy: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    def count(self, row: Row) -> None:
        self.runs += 1
        self.planned += row["planned"]
        self.origins[row["power_origin"]] += 1
        self.energy[row["energy_status"]] += 1
        if row["energy_status"] == "refused":
            self.refusals.update(refusal_kinds(row["energy_reason"] or "no reason given"))

    def counts(self, planned: Mapping[str, Experiment], *, experiments: int) -> TableCounts:
        asked = sum(experiment.repetitions for experiment in planned.values())
        return TableCounts(
            runs=self.runs,
            experiments=experiments,
            planned=self.planned,
            further=self.runs - self.planned,
            missing=asked - self.planned,
            origins=dict(sorted(self.origins.items())),
            energy=dict(sorted(self.energy.items())),
            refusals=dict(sorted(self.refusals.items())),
        )


class TableFile:
    """A Parquet file under a temporary name; it takes its own at the end of the block, if that ends well."""

    def __init__(self, table: Table, path: Path) -> None:
        self._table = table
        self._path = path
        self._open = ExitStack()
        self._rows: list[Row] = []
        self.rows = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(in_place_of(self._path, LEFT_WHERE_SLOW_S))
            writer = pq.ParquetWriter(temporary, self._table.schema, compression="zstd")
            self._writer = stack.enter_context(writer)
            self._open = stack.pop_all()
        return self

    def add(self, row: Row) -> None:
        """Take a row; rows are written by thousands."""
        self._rows.append(row)
        self.rows += 1
        if len(self._rows) >= ROWS_PER_BATCH:
            self._flush()

    def complete(self, metadata: Mapping[str, str]) -> None:
        """Write what is held, and the file's metadata."""
        self._flush()
        self._writer.add_key_value_metadata(dict(metadata))

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._table.schema))
            self._rows = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)


class CurvesFolder:
    """A folder of Parquet files, one for each (dataset, shape), that replaces the old one when it is complete."""

    def __init__(self, table: Table, path: Path) -> None:
        self._table = table
        self._path = path
        self._open = ExitStack()
        self._held: dict[str, list[Row]] = {}
        self._bytes: Counter[str] = Counter()
        self._writers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._temporary = self._open.enter_context(folder_in_place_of(self._path))
        return self

    def add(self, dataset: str, shape: str, row: Row) -> None:
        """Take a row; its curves are arrays, or None."""
        place = f"dataset={quote(dataset, safe='')}/shape={quote(shape, safe='')}"
        self._held.setdefault(place, []).append(row)
        self._bytes[place] += sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))
        if self._bytes.total() > EPOCH_BYTES_HELD:
            self._flush(self._bytes.most_common(1)[0][0])

    def complete(self, metadata: Mapping[str, str]) -> None:
        """Write what is held, and the files' metadata."""
        for place in list(self._held):
            self._flush(place)
        for writer in self._writers.values():
            writer.add_key_value_metadata(dict(metadata))

    def _flush(self, place: str) -> None:
        rows = self._held.pop(place)
        del self._bytes[place]
        if place not in self._writers:
            (self._temporary / place).mkdir(parents=True)
            writer = pq.ParquetWriter(
                self._temporary / place / "part-0.parquet",
                self._table.schema,
                compression="zstd",
                # Hardly a value of a curve is met twice: looking for it costs five times the rest, and larger files.
                use_dictionary=["experiment_id"],
            )
            self._writers[place] = self._open.enter_context(writer)
        self._writers[place].write_table(_curves_table(self._table, rows))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)


def _curves_table(table: Table, rows: list[Row]) -> Any:
    """The Arrow table of some rows; curves go in as arrays, which is far faster than value by value."""
    columns = []
    for column in table.columns:
        values = [row[column.name] for row in rows]
        columns.append(
            _curves(values, column.type) if pa.types.is_list(column.type) else pa.array(values, type=column.type)
        )
    return pa.Table.from_arrays(columns, schema=table.schema)


def _curves(curves: list[np.ndarray[Any, Any] | None], wanted: Any) -> Any:
    lengths = [0 if curve is None else len(curve) for curve in curves]
    known = [curve for curve in curves if curve is not None]
    values = np.concatenate(known) if known else np.empty(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    absent = pa.array([curve is None for curve in curves])
    flat = pa.array(values.astype(wanted.value_type.to_pandas_dtype()), type=wanted.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=absent)
