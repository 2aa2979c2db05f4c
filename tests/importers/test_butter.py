"""BUTTER's two schemas: what an export writes, what an import reads, and that the one undoes the other."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support_records import SETTINGS, make_record, make_sweep, plan_of
from wattsweep.analysis.curves import read_curves
from wattsweep.errors import AnalysisError
from wattsweep.grid import Settings, experiment_id
from wattsweep.importers import export_butter, import_butter
from wattsweep.importers.butter_schema import PARTITIONS, REPETITION, SUMMARY
from wattsweep.tables import read_experiments, write_tables
from wattsweep.tables.columns import FACTS, PROVENANCE
from wattsweep.tables.columns import SETTINGS as SETTINGS_COLUMNS
from wattsweep.training import HISTORY_NAMES

SAME = (
    *("run_id", "experiment_id", "repetition", "planned", "seed", "started_at", "training_s", "epochs_trained"),
    *("diverged_at_epoch", "train_loss", "test_loss", "test_loss_best", "test_loss_best_epoch", "test_accuracy"),
    *(column.name for column in (*SETTINGS_COLUMNS, *FACTS)),
    *(name for name, _ in PROVENANCE),
)
"""Columns of runs.parquet that a way there and back does not change: all but those of power."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    records = make_sweep(datasets=("digits", "diabetes"), depths=(2, 3), sizes=(1024, 4096))
    extra = replace(SETTINGS, kernel_l2=0.01, label_noise=0.05, learning_rate=1e-5, optimizer="sgd", momentum=0.9)
    records += [make_record(extra, repetition) for repetition in range(2)]
    records.sort(key=lambda record: (record.run.experiment_id, record.run.repetition))
    write_tables(records, plan_of(records, 2), folder)
    return folder


@pytest.fixture(scope="module")
def exported(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    counts = export_butter(tables, folder)
    # 2 data sets x 2 shapes x 2 depths x 2 sizes x 3 runs, and 2 runs of one more experiment
    assert (counts.runs, counts.experiments, counts.without_curves) == (50, 17, 0)
    return folder


@pytest.fixture(scope="module")
def again(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("again")
    import_butter(exported, folder)
    return folder


def rows_of(folder: Path, name: str, key: str = "run_id") -> dict[str, dict[str, Any]]:
    path = folder / name
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    return {row[key]: row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()}


def test_a_way_there_and_back_gives_the_same_runs(tables: Path, again: Path) -> None:
    before, after = rows_of(tables, "runs.parquet"), rows_of(again, "runs.parquet")
    assert {run: {name: row[name] for name in SAME} for run, row in after.items()} == {
        run: {name: row[name] for name in SAME} for run, row in before.items()
    }
    assert {row["power_origin"] for row in after.values()} == {"none"}
    assert {row["energy_reason"] for row in after.values()} == {"BUTTER publishes no power"}


def test_a_way_there_and_back_gives_the_same_curves(tables: Path, again: Path) -> None:
    before, after = rows_of(tables, "epochs"), rows_of(again, "epochs")
    assert before == after
    assert len(before) == 50


def test_a_way_there_and_back_gives_the_same_experiments(tables: Path, again: Path) -> None:
    key = "experiment_id"
    before, after = rows_of(tables, "experiments.parquet", key), rows_of(again, "experiments.parquet", key)
    names = [name for name in next(iter(before.values())) if not name.startswith(("energy", "n_", "power"))]
    assert {one: {name: row[name] for name in names} for one, row in after.items()} == {
        one: {name: row[name] for name in names} for one, row in before.items()
    }
    assert all(after[one]["n_planned"] == row["n_planned"] == 2 for one, row in before.items())


def test_files_are_where_and_of_the_types_that_butter_has(exported: Path) -> None:
    for name, columns in (("all_repetitions", REPETITION), ("complete_summary", SUMMARY)):
        files = sorted((exported / name).rglob("*.parquet"))
        assert len(files) == 17
        parts = files[0].relative_to(exported / name).parent.parts
        assert tuple(part.split("=")[0] for part in parts) == PARTITIONS
        schema = pq.read_schema(files[0])
        wanted = dict(columns)
        assert all(schema.field(field).type == wanted[field] for field in schema.names)
        assert not {"dataset", "learning_rate", "depth", "shape"} & set(schema.names)
    some = "learning_rate=1e-05/batch_size=64/kernel_regularizer.type=l2/label_noise=0.05/epochs=20"
    assert list((exported / "all_repetitions" / "dataset=digits" / some).rglob("*.parquet"))
    assert list((exported / "all_repetitions").rglob("kernel_regularizer.type=__HIVE_DEFAULT_PARTITION__"))


def test_the_summary_is_over_repetitions(tables: Path, exported: Path) -> None:
    curves = rows_of(tables, "epochs")
    runs = [row for row in rows_of(tables, "runs.parquet").values() if row["dataset"] == "diabetes"]
    identity = runs[0]["experiment_id"]
    losses = np.array([curves[run["run_id"]]["val_loss"] for run in runs if run["experiment_id"] == identity])
    path = next((exported / "complete_summary").rglob(f"part-{identity}.parquet"))
    row = pq.read_table(path, partitioning=None).to_pylist()[0]
    assert row["num_runs"] == 3
    assert row["num"] == [3] * 20
    assert row["test_loss_num_finite"] == [3] * 20
    # of three values the middle one is the median, and quartiles lie half way to it
    low, middle, high = np.sort(losses, axis=0)
    assert row["test_loss_median"] == pytest.approx(middle)
    assert row["test_loss_q1"] == pytest.approx((low + middle) / 2, rel=1e-6)
    assert row["test_loss_q3"] == pytest.approx((middle + high) / 2, rel=1e-6)
    assert row["test_loss_min"] == pytest.approx(low)
    assert row["test_loss_stddev"] == pytest.approx(losses.std(axis=0, ddof=1), rel=1e-5)
    assert row["test_loss_min_epoch_median"] == 20
    assert row["test_loss_min_value_min"] == pytest.approx(low[-1])


def test_an_export_gives_the_same_twice(tables: Path, exported: Path, tmp_path: Path) -> None:
    export_butter(tables, tmp_path)
    for path in exported.rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / path.relative_to(exported)).read_bytes()
    with pytest.raises(AnalysisError, match=r"all_repetitions.*exist already"):
        export_butter(tables, tmp_path)


def published_files(folder: Path) -> None:
    """Two runs and a summary of one experiment, in BUTTER's own columns and types, without anything of ours."""
    values = "dataset=wine_quality_white/learning_rate=0.0001/batch_size=256"
    place = (
        f"{values}/kernel_regularizer.type=__HIVE_DEFAULT_PARTITION__/label_noise=0/epochs=4/shape=rectangle/depth=2"
    )
    # 11 inputs and 7 classes: widths 53 and 7 have 12 x 53 + 54 x 7 = 636 + 378 = 1014 parameters
    shared = {
        "experiment_id": pa.array([2032462] * 2, pa.uint32()),
        "primary_sweep": pa.array([True] * 2),
        "optimizer_sweep": pa.array([True] * 2),
        "batch": pa.array(["primary_sweep_1"] * 2),
        "kernel_regularizer.l1": pa.array([None] * 2, pa.float32()),
        "optimizer": pa.array(["adam"] * 2),
        "output_activation": pa.array(["softmax"] * 2),
        "size": pa.array([1024] * 2, pa.uint64()),
        "task": pa.array(["AspectTestTask"] * 2),
        "test_split": pa.array([0.2] * 2, pa.float32()),
        "num_free_parameters": pa.array([1014] * 2, pa.uint64()),
        "widths": pa.array([[53, 7]] * 2, pa.list_(pa.uint32())),
        "network_structure": pa.array(["{}"] * 2),
        "command": pa.array(['{"type": "AspectTestTask"}'] * 2),
    }
    history = {
        name: pa.array([[0.9, 0.5, 0.4, 0.6], [0.9, 0.6, 0.5, math.nan]], pa.list_(pa.float32()))
        for name in HISTORY_NAMES
    }
    runs = shared | {
        "run_id": pa.array(["later", "earlier"]),
        "hostname": pa.array(["r1i0n1", "r1i0n2"]),
        "seed": pa.array([7, 8], pa.int64()),
        "start_time": pa.array([1_650_000_100, 1_650_000_000], pa.int64()),
        "update_time": pa.array([1_650_000_160, 1_650_000_090], pa.int64()),
        **history,
    }
    summary = {name: column.slice(0, 1) for name, column in shared.items() if name != "command"} | {
        "num_runs": pa.array([2], pa.uint8()),
        "num": pa.array([[2] * 4], pa.list_(pa.uint8())),
        **{
            f"test_loss_{statistic}": pa.array([[0.9, 0.5, 0.4, 0.6]], pa.list_(pa.float32()))
            for statistic in ("min", "q1", "median", "q3", "max")
        },
        "test_loss_min_value_median": pa.array([0.45], pa.float32()),
    }
    for name, columns in (("primary_sweep", runs), ("primary_sweep_summary", summary)):
        target = folder / name / place
        target.mkdir(parents=True)
        pq.write_table(pa.table(columns), target / "part-0.parquet")


def test_butters_own_files(tmp_path: Path) -> None:
    published_files(tmp_path / "butter")
    report = import_butter(tmp_path / "butter", tmp_path / "tables")
    assert report.counts == {"rows of runs": 2, "rows of summaries": 1, "runs": 2, "experiments": 1}
    runs = rows_of(tmp_path / "tables", "runs.parquet")
    settings = Settings(
        dataset_source="pmlb",
        dataset="wine_quality_white",
        shape="rectangle",
        size=1024,
        depth=2,
        epochs=4,
        batch_size=256,
        learning_rate=1e-4,
        optimizer="adam",
        label_noise=0.0,
        test_split=0.2,
        engine="keras-fit",
    )
    assert {row["experiment_id"] for row in runs.values()} == {experiment_id(settings)}
    # repetitions are numbered by start
    assert (runs["earlier"]["repetition"], runs["later"]["repetition"]) == (0, 1)
    assert (runs["later"]["training_s"], runs["earlier"]["training_s"]) == (60, 90)
    assert runs["later"]["head"] == "softmax"
    # 4898 rows: ceil(0.2 x 4898) = 980 for the test
    assert (runs["later"]["n_inputs"], runs["later"]["n_train"], runs["later"]["n_test"]) == (11, 3918, 980)
    assert runs["later"]["test_loss"] == pytest.approx(0.6)
    assert runs["earlier"]["test_loss"] is None
    assert runs["earlier"]["diverged_at_epoch"] == 4
    published = rows_of(tmp_path / "tables", "published.parquet")
    assert published["later"]["old_experiment_id"] == 2032462
    experiment = read_experiments(tmp_path / "tables").iloc[0]
    assert list(experiment["sweeps"]) == ["primary", "optimizer"]
    assert experiment["n_planned"] == 2
    curves = rows_of(tmp_path / "tables", "curves", "experiment_id")[experiment_id(settings)]
    assert curves["epoch"] == [1, 2, 3, 4]
    assert curves["test_loss_q50"] == pytest.approx([0.9, 0.5, 0.4, 0.6])
    assert curves["test_loss_best_q50"] is None


def test_runs_of_an_experiment_stand_together_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    published_files(tmp_path / "butter")
    path = next((tmp_path / "butter" / "primary_sweep").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    # the same network for another size, and the first run once more: 1014, 2048, 1014, 2048, 1014
    other = table.set_column(table.schema.get_field_index("size"), "size", pa.array([2048] * 2, pa.uint64()))
    names = pa.array(["other later", "other earlier"])
    other = other.set_column(table.schema.get_field_index("run_id"), "run_id", names)
    mixed = [table.slice(0, 1), other.slice(0, 1), table.slice(1, 1), other.slice(1, 1), table.slice(0, 1)]
    pq.write_table(pa.concat_tables(mixed), path)
    report = import_butter(tmp_path / "butter" / "primary_sweep", tmp_path / "tables")
    assert report.left_out == {"run_id that is there twice": 1}
    assert report.counts == {"rows of runs": 5, "runs": 4, "experiments": 2}
    curves = read_curves(tmp_path / "tables")
    assert list(curves["n_runs"]) == [2, 2]
    runs = rows_of(tmp_path / "tables", "runs.parquet")
    assert (runs["other earlier"]["repetition"], runs["other later"]["repetition"]) == (0, 1)


def test_a_summary_alone_gives_experiments(tmp_path: Path) -> None:
    published_files(tmp_path / "butter")
    report = import_butter(tmp_path / "butter" / "primary_sweep_summary", tmp_path / "tables")
    assert report.counts == {"rows of summaries": 1, "runs": 0, "experiments": 1}
    one = read_experiments(tmp_path / "tables").iloc[0]
    assert (one["n_runs"], one["n_measured"]) == (2, 0)
    assert one["test_loss_median"] == pytest.approx(0.6)
    assert one["test_loss_best_median"] == pytest.approx(0.45)
    assert one["power_origin"] == "none"


def test_rows_that_are_no_use_are_counted(tmp_path: Path) -> None:
    published_files(tmp_path / "butter")
    path = next((tmp_path / "butter" / "primary_sweep").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    for name, values in (
        ("val_loss", pa.array([None, [0.5]], pa.list_(pa.float32()))),
        ("num_free_parameters", pa.array([1014, 1015], pa.uint64())),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, path)
    report = import_butter(tmp_path / "butter" / "primary_sweep", tmp_path / "tables")
    assert report.left_out == {
        "no loss or val_loss": 1,
        "widths and num_free_parameters contradict each other": 1,
    }
    assert "left out: 1 rows, no loss or val_loss" in report.describe()
    document = json.loads((tmp_path / "tables" / "import.json").read_text(encoding="utf-8"))
    assert document["left_out"]["no loss or val_loss"] == 1


def test_folders_without_or_with_too_much_of_it(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="holds no Parquet of BUTTER's runs or summaries"):
        import_butter(tmp_path / "nothing", tmp_path / "tables")
    published_files(tmp_path / "butter")
    (tmp_path / "butter" / "primary_sweep").rename(tmp_path / "butter" / "all_repetitions")
    published_files(tmp_path / "more")
    (tmp_path / "more" / "primary_sweep").rename(tmp_path / "butter" / "primary_sweep")
    with pytest.raises(
        AnalysisError, match=r"several data sets of runs, which overlap: all_repetitions, primary_sweep"
    ):
        import_butter(tmp_path / "butter", tmp_path / "tables")
