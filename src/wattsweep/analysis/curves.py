"""Curves of test loss against epochs, reduced over the repetitions of an experiment.

`read_curves` makes them of the tables' epochs/, `reduce_runs` of arrays at hand.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wattsweep.errors import AnalysisError
from wattsweep.importers.curves import published_curves

Floats = NDArray[np.float64]

CURVES = ("test_loss_median", "test_loss_best_median", "test_loss_cv")
COLUMNS = ("experiment_id", "n_runs", *CURVES)


def read_curves(folder: Path) -> pd.DataFrame:
    """A row for each experiment in the epochs/ of a tables' folder, sorted by id; see `reduce_runs` for its columns.

    Experiments that only the curves/ of an import has follow `wattsweep.importers.curves`. Reads row group by row
    group, only the test loss. Raises AnalysisError where there is neither folder.
    """
    epochs = folder / "epochs"
    if not epochs.is_dir() and not (folder / "curves").is_dir():
        raise AnalysisError(f"{epochs} is not there: make it with `wattsweep tables`")
    rows = []
    for path in sorted(epochs.glob("**/*.parquet")):
        for experiment_id, group in groupby(_test_losses(path), key=lambda item: item[0]):
            rows.append({"experiment_id": experiment_id} | reduce_runs([loss for _, loss in group]))
    told = {row["experiment_id"] for row in rows}
    rows += [row for row in published_curves(folder) if row["experiment_id"] not in told]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    twice = frame.loc[frame["experiment_id"].duplicated(), "experiment_id"]
    if len(twice):
        raise AnalysisError(f"{epochs}: the runs of experiment {twice.iloc[0]} do not stand together; sort them by it")
    return frame.sort_values("experiment_id", ignore_index=True)


def reduce_runs(test_losses: Sequence[Floats]) -> dict[str, Any]:
    """What a row of curves holds of one experiment's runs, each an array [epochs] of test loss.

    - `n_runs`: their number.
    - `test_loss_median` [epochs]: median over the runs; a loss that is not finite, or past the end of a run that was
      stopped, counts as infinite.
    - `test_loss_best_median` [epochs]: median over the runs of the least loss so far.
    - `test_loss_cv` [epochs]: standard deviation (of n - 1) over the runs / their mean, of finite losses; nan where
      fewer than two are.
    """
    losses = np.full((len(test_losses), max(map(len, test_losses))), np.inf)
    for row, loss in zip(losses, test_losses, strict=True):
        row[: len(loss)] = loss
    losses[~np.isfinite(losses)] = np.inf
    return {
        "n_runs": len(losses),
        "test_loss_median": np.median(losses, axis=0).astype(np.float32),
        "test_loss_best_median": np.median(np.minimum.accumulate(losses, axis=1), axis=0).astype(np.float32),
        "test_loss_cv": _variation(losses).astype(np.float32),
    }


def _variation(losses: Floats) -> Floats:
    finite = np.isfinite(losses)
    known = np.where(finite, losses, 0.0)
    n = finite.sum(axis=0)
    mean = known.sum(axis=0) / np.maximum(n, 1)
    spread = np.sqrt((np.where(finite, losses - mean, 0.0) ** 2).sum(axis=0) / np.maximum(n - 1, 1))
    return np.where((n > 1) & (mean > 0), spread / np.where(mean > 0, mean, 1.0), np.nan)


def _test_losses(path: Path) -> Iterator[tuple[str, Floats]]:
    """The experiment and the test loss [epochs] of each run in a file; runs without a curve are passed over."""
    file: Any = pq.ParquetFile(path)
    for index in range(file.num_row_groups):
        group = file.read_row_group(index, columns=["experiment_id", "val_loss"]).combine_chunks()
        ids = group.column("experiment_id").to_pylist()
        lists = group.column("val_loss").combine_chunks()
        ends = lists.offsets.to_numpy()
        values = lists.values.to_numpy().astype(np.float64)
        for experiment_id, start, end in zip(ids, ends, ends[1:], strict=False):
            if end > start:
                yield experiment_id, values[start:end]
