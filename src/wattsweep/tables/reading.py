"""Reads the tables back as data frames."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from wattsweep.errors import AnalysisError
from wattsweep.tables.columns import EXPERIMENTS, RUNS, Table


def read_runs(folder: Path) -> pd.DataFrame:
    """runs.parquet of a tables' folder, one row per run. Raises AnalysisError where it is missing or foreign."""
    return _read(RUNS, folder)


def read_experiments(folder: Path) -> pd.DataFrame:
    """experiments.parquet of a tables' folder. Raises AnalysisError where it is missing or foreign."""
    return _read(EXPERIMENTS, folder)


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
