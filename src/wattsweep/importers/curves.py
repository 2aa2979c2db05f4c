"""Imported curves, as analysis wants them: a value for every epoch from 1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

ROWS_PER_BATCH = 256
Curve = NDArray[np.float32]


def published_curves(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of curves/ in a tables' folder, each with `experiment_id`, `n_runs` and three curves [epochs].

    `test_loss_median`, `test_loss_best_median` and `test_loss_cv` are as in `wattsweep.analysis.curves`. Where the
    files have only some epochs, log loss is a straight line between two of them, and before the first it is that of the
    first. Where they do not tell the median of the best loss so far, the best so far of the median stands in for it.
    What is not told is nan.
    """
    for path in sorted((folder / "curves").glob("**/*.parquet")):
        file = pq.ParquetFile(path)
        columns = ["experiment_id", "n_runs", "epoch", "test_loss_q50", "test_loss_best_q50", "test_loss_cv"]
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
            cells = {name: batch.column(name) for name in columns}
            for number in range(batch.num_rows):
                epoch, median, best, variation = (_values(cells[name][number]) for name in columns[2:])
                if epoch is None or median is None:
                    continue
                best = np.minimum.accumulate(median) if best is None else best
                variation = np.full(len(epoch), np.nan, dtype=np.float32) if variation is None else variation
                yield {
                    "experiment_id": cells["experiment_id"][number].as_py(),
                    "n_runs": cells["n_runs"][number].as_py(),
                    "test_loss_median": at_every_epoch(epoch, median),
                    "test_loss_best_median": at_every_epoch(epoch, best),
                    "test_loss_cv": at_every_epoch(epoch, variation),
                }


def at_every_epoch(epoch: NDArray[np.int64], values: Curve) -> Curve:
    """The values at every epoch from 1 to the last, from those at some; straight lines in the log of the values."""
    every = np.arange(1, int(epoch.max()) + 1)
    if np.array_equal(epoch, every):
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.exp(np.interp(every, epoch, np.log(values)))
    between[epoch - 1] = values
    return np.asarray(between, dtype=np.float32)


def _values(cell: Any) -> Any:
    return np.asarray(cell.values) if cell.is_valid and len(cell.values) else None
