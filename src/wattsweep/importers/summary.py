"""BUTTER-E's summary_by_epoch: networks and loss curves of BUTTER's experiments, from Hive-partitioned Parquet."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from wattsweep.errors import AnalysisError
from wattsweep.importers.columns import QUANTILES
from wattsweep.importers.hive import partitions_of

ROWS_PER_BATCH = 64
WANTED = ("experiment_id", "num_free_parameters", "widths", "num_runs", "epoch")
CURVES = tuple(f"test_loss{best}_quantile_{q[1:]}" for best in ("", "_best") for q in QUANTILES)
QUARTILES = (("q25", "q1"), ("q50", "median"), ("q75", "q3"))
COMMON_EPOCHS = (2000, 3010)
EPOCHS = 3000


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """What the summary says of one published experiment; curves (float32) by their names in our table of curves.

    `last_losses` has the quartiles of the test loss at the last epoch and of the least test loss by then, by their
    names in experiments.parquet.
    """

    n_parameters: int
    widths: tuple[int, ...]
    n_runs: int
    epochs: int
    last_losses: Mapping[str, float | None]


def read_summary(
    folder: Path, wanted: set[int], counts: Counter[str]
) -> Iterator[tuple[int, SummaryRow, dict[str, Any], Mapping[str, str | None]]]:
    """The experiments of `wanted` (BUTTER's whole numbers): id, facts, curves and the values of the folders' names.

    A file's rows are read by dozens. Of an experiment that is there twice the later one is left out and counted. Raises
    AnalysisError where there is no Parquet file, or one lacks a column.
    """
    files = sorted(folder.rglob("*.parquet")) + sorted(folder.rglob("*.pq"))
    if not files:
        raise AnalysisError(f"{folder} has no Parquet file: unpack summary_by_epoch.tar there, or give --no-summary.")
    seen: set[int] = set()
    for path in files:
        try:
            file = pq.ParquetFile(path)
            names = set(file.schema_arrow.names)
            missing = [name for name in WANTED if name not in names]
            if missing:
                raise AnalysisError(f"{path} lacks the columns {', '.join(missing)}: download the summary again.")
            columns = [*WANTED, *(name for name in CURVES if name in names)]
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
                for row in _rows(batch):
                    identity = int(row["experiment_id"])
                    counts["experiments"] += 1
                    if identity not in wanted:
                        counts["experiments without a run here"] += 1
                    elif identity in seen:
                        counts["experiments that are there twice"] += 1
                    elif not len(row["epoch"]) or not row["widths"]:
                        counts["experiments without epochs or widths"] += 1
                    else:
                        seen.add(identity)
                        yield identity, *_facts(row), partitions_of(path, folder)
        except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise AnalysisError(
                f"{path} is no Parquet file of the summary: {str(error)[:200]}. Download the summary again."
            ) from None


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    lists = {name: batch.column(name) for name in batch.schema.names}
    for number in range(batch.num_rows):
        row: dict[str, Any] = {}
        for name, column in lists.items():
            cell = column[number]
            if name in ("experiment_id", "num_free_parameters", "num_runs", "widths"):
                row[name] = cell.as_py()
            else:
                row[name] = np.asarray(cell.values) if cell.is_valid else np.empty(0)
        yield row


def _facts(row: dict[str, Any]) -> tuple[SummaryRow, dict[str, Any]]:
    epochs = int(row["epoch"].max())
    curves: dict[str, Any] = {"epoch": row["epoch"].astype(np.int32), "test_loss_cv": None}
    losses: dict[str, float | None] = {}
    for published, ours in (("test_loss_quantile_", "test_loss_"), ("test_loss_best_quantile_", "test_loss_best_")):
        for quantile in QUANTILES:
            curve = row.get(f"{published}{quantile[1:]}")
            curves[f"{ours}{quantile}"] = None if curve is None or len(curve) == 0 else curve.astype(np.float32)
        for quantile, quartile in QUARTILES:
            curve = curves[f"{ours}{quantile}"]
            known = curve is not None and bool(np.isfinite(curve[-1]))
            losses[f"{ours}{quartile}"] = float(curve[-1]) if known else None
    low, high = COMMON_EPOCHS
    facts = SummaryRow(
        n_parameters=int(row["num_free_parameters"]),
        widths=tuple(int(width) for width in row["widths"]),
        n_runs=int(row["num_runs"]),
        epochs=EPOCHS if low <= epochs <= high else epochs,
        last_losses=losses,
    )
    return facts, curves
