from pathlib import Path

import numpy as np
import pytest

from tests.support_records import make_sweep, plan_of
from wattsweep.analysis.curves import read_curves, reduce_runs
from wattsweep.errors import AnalysisError
from wattsweep.tables import write_tables


def test_medians_over_the_runs_of_an_experiment(tmp_path: Path) -> None:
    records = make_sweep(sizes=(1024, 4096), depths=(2,))
    write_tables(records, plan_of(records, 3), tmp_path)
    curves = read_curves(tmp_path)
    ids = sorted({record.run.experiment_id for record in records})
    assert list(curves["experiment_id"]) == ids
    losses = [record.history["val_loss"] for record in records if record.run.experiment_id == ids[0]]
    row = curves.iloc[0]
    assert row["n_runs"] == 3
    np.testing.assert_allclose(row["test_loss_median"], np.median(losses, axis=0), rtol=1e-6)
    best = np.median(np.minimum.accumulate(losses, axis=1), axis=0)
    np.testing.assert_allclose(row["test_loss_best_median"], best, rtol=1e-6)
    spread = np.std(losses, axis=0, ddof=1) / np.mean(losses, axis=0)
    np.testing.assert_allclose(row["test_loss_cv"], spread, rtol=1e-4)


def test_runs_that_diverged_count_as_infinite() -> None:
    row = reduce_runs([np.array([4.0, 2.0, 3.0]), np.array([6.0, np.nan]), np.array([5.0, 1.0, 2.0])])
    np.testing.assert_array_equal(row["test_loss_median"], [5.0, 2.0, 3.0])
    np.testing.assert_array_equal(row["test_loss_best_median"], [5.0, 2.0, 2.0])
    np.testing.assert_allclose(row["test_loss_cv"], [0.2, np.sqrt(0.5) / 1.5, np.sqrt(0.5) / 2.5], rtol=1e-6)


def test_one_run_has_no_variation() -> None:
    row = reduce_runs([np.array([4.0, 2.0])])
    assert np.isnan(row["test_loss_cv"]).all()


def test_runs_apart_from_each_other_are_refused(tmp_path: Path) -> None:
    records = make_sweep(sizes=(1024,), depths=(2,), shapes=("rectangle",), datasets=("wine",))
    write_tables(records, plan_of(records, 3), tmp_path)
    part = next(tmp_path.glob("epochs/**/*.parquet"))
    (part.parent / "part-1.parquet").write_bytes(part.read_bytes())
    with pytest.raises(AnalysisError, match="do not stand together"):
        read_curves(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"epochs is not there: make it with `wattsweep tables`"):
        read_curves(tmp_path)


def test_no_runs_give_no_curves(tmp_path: Path) -> None:
    write_tables([], {}, tmp_path)
    assert read_curves(tmp_path).empty
