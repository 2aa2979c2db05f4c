"""Reads the tables back as data frames."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wattsweep.errors import AnalysisError
from wattsweep.planning import FinishedRun, Kind
from wattsweep.tables.columns import EXPERIMENTS, RUNS, Table


def read_runs(folder: Path) -> pd.DataFrame:
    """runs.parquet of a tables' folder, one row per run. Raises AnalysisError where it is missing or foreign."""
    return _read(RUNS, folder)


def read_experiments(folder: Path) -> pd.DataFrame:
    """experiments.parquet of a tables' folder. Raises AnalysisError where it is missing or foreign."""
    return _read(EXPERIMENTS, folder)


LEARNED_FROM_ROWS = 20_000
LEARNED_FROM = (
    *("experiment_id", "engine", "precision", "vectorised", "device", "cpu_model", "threads", "widths", "n_inputs"),
    *("n_parameters", "n_train", "n_test", "batch_size", "epochs_trained", "training_s", "runs_at_once", "setup_s"),
    *("block_id", "energy_status", "power_origin", "mean_w", "idle_w"),
)


def finished_runs(folder: Path) -> list[FinishedRun]:
    """What runs.parquet tells the predictor; nothing where there is no such table, or one without the columns.

    Of a long one it is the first rows: they are sorted by experiment_id, a hash, so those are a random choice.
    """
    try:
        with pq.ParquetFile(folder / RUNS.path) as file:
            batches = file.iter_batches(LEARNED_FROM_ROWS, columns=list(LEARNED_FROM))
            rows = next(batches).to_pylist() if file.metadata.num_rows else []
        return [_finished_run(row) for row in rows]
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return []


def _finished_run(row: dict[str, Any]) -> FinishedRun:
    measured = row["energy_status"] == "ok"
    return FinishedRun(
        experiment_id=row["experiment_id"],
        kind=Kind(
            *(row["engine"], row["precision"], row["vectorised"], row["device"] or "cpu", row["cpu_model"] or ""),
            int(row["threads"] or 1),
        ),
        widths=tuple(row["widths"]),
        n_inputs=row["n_inputs"],
        n_parameters=row["n_parameters"],
        n_train=row["n_train"],
        n_test=row["n_test"],
        batch_size=row["batch_size"],
        epochs=row["epochs_trained"],
        run_s=row["training_s"] / row["runs_at_once"],
        setup_s=row["setup_s"],
        block_id=row["block_id"] or "",
        origin=row["power_origin"],
        mean_w=row["mean_w"] if measured else None,
        idle_w=row["idle_w"] if measured else None,
    )


def _read(table: Table, folder: Path) -> pd.DataFrame:
    path = folder / table.path
    if not path.is_file():
        raise AnalysisError(f"{path} is not there: make it with `wattsweep tables`")
    found: Any = pq.ParquetFile(path)
    missing = [column.name for column in table.columns if column.name not in found.schema_arrow.names]
    if missing:
        raise AnalysisError(f"{path} lacks the columns {', '.join(missing)}: make it anew with `wattsweep tables`")
    frame: pd.DataFrame = found.read().to_pandas()
    return frame
