import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from tests.support_records import (
    IDLE_W,
    NET_W,
    REFUSED,
    SETTINGS,
    STARTED_AT_S,
    forbidden,
    known_energy_per_datum,
    make_record,
    make_sweep,
    plan_of,
)
from wattsweep.errors import AnalysisError
from wattsweep.grid import Experiment, experiment_id
from wattsweep.runs.record import RunRecord
from wattsweep.tables import read_experiments, read_runs, write_tables
from wattsweep.tables import writing as writing_module
from wattsweep.tables.columns import EXPERIMENTS, RUNS


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_in_full(tmp_path: Path) -> None:
    record = make_record()
    write_tables([record], plan_of([record], 1), tmp_path)
    row = read_runs(tmp_path).iloc[0]
    assert row["run_id"] == record.run.run_id
    assert row["seed"] == record.run.seed
    assert row["planned"]
    assert (row["dataset"], row["shape"], row["size"], row["engine"]) == ("digits", "rectangle", 1024, "compiled")
    assert list(row["widths"]) == list(record.network.widths)
    assert row["started_at"] == pd.Timestamp(STARTED_AT_S + 100.0, unit="s", tz="UTC")
    assert row["setup_s"] == 3.5
    assert row["energy_per_datum_j"] == pytest.approx(known_energy_per_datum(SETTINGS))
    assert row["energy_gross_j"] == pytest.approx(row["energy_net_j"] * (IDLE_W + NET_W) / NET_W)
    assert row["energy_net_lower_j"] < row["energy_net_j"] < row["energy_net_upper_j"]
    assert (row["block_s"], row["coverage"], row["energy_status"]) == (12.0, 1.0, "ok")
    assert row["energy_reason"] is None or pd.isna(row["energy_reason"])
    assert pd.isna(row["slurm_job_id"])
    assert row["test_loss_best_epoch"] == SETTINGS.epochs
    assert row["test_loss_best"] == row["test_loss"] == record.history["val_loss"][-1]


def test_files_have_the_registered_schemas(tmp_path: Path) -> None:
    records = make_sweep(repetitions=1)
    write_tables(records, plan_of(records, 1), tmp_path)
    for table in (RUNS, EXPERIMENTS):
        written = pq.read_schema(tmp_path / table.path)
        assert written.equals(table.schema)
        assert written.field("depth").metadata[b"unit"] == b"layers"


def test_the_best_epoch_is_the_first_least_finite_loss(tmp_path: Path) -> None:
    record = make_record()
    losses = np.array([np.nan, 3.0, 1.0, 2.0, 1.0, np.nan], dtype=np.float32)
    history = {name: values[: len(losses)] for name, values in record.history.items()} | {"val_loss": losses}
    write_tables([replace(record, history=history)], {}, tmp_path)
    row = read_runs(tmp_path).iloc[0]
    assert (row["epochs_trained"], row["diverged_at_epoch"]) == (6, 1)
    assert (row["test_loss_best"], row["test_loss_best_epoch"]) == (1.0, 3)
    assert pd.isna(row["test_loss"])


def test_a_history_without_losses_is_an_error(tmp_path: Path) -> None:
    record = make_record()
    with pytest.raises(AnalysisError, match=f"run {record.run.run_id} has no val_loss"):
        write_tables([replace(record, history={"loss": record.history["loss"]})], {}, tmp_path)


def test_refused_energies_are_null_kept_and_counted(tmp_path: Path) -> None:
    records = [
        make_record(repetition=0),
        make_record(repetition=1, refused=REFUSED),
        make_record(repetition=2, refused=REFUSED),
    ]
    counts = write_tables(records, plan_of(records, 3), tmp_path)
    runs = read_runs(tmp_path)
    assert runs["energy_net_j"].isna().tolist() == [False, True, True]
    assert runs["energy_status"].tolist() == ["ok", "refused", "refused"]
    assert runs["energy_reason"][1] == REFUSED
    assert runs["test_loss"].notna().all()
    assert counts.energy == {"ok": 1, "refused": 2}
    assert counts.refusals == {"energy refused": 2}
    experiment = read_experiments(tmp_path).iloc[0]
    assert (experiment["n_runs"], experiment["n_measured"], experiment["n_refused"]) == (3, 1, 2)
    assert experiment["energy_net_j_median"] == runs["energy_net_j"][0]


def test_runs_without_power_are_kept(tmp_path: Path) -> None:
    record = make_record(origin=None)
    counts = write_tables([record], plan_of([record], 1), tmp_path)
    row = read_runs(tmp_path).iloc[0]
    assert (row["power_origin"], row["energy_status"]) == ("none", "none")
    assert row["energy_reason"] == "power was not measured"
    assert counts.origins == {"none": 1}
    assert pd.isna(read_experiments(tmp_path)["energy_net_j_median"][0])


def test_medians_and_quartiles_are_over_the_runs(tmp_path: Path) -> None:
    records = [make_record(repetition=number, noise=0.1) for number in range(5)]
    write_tables(records, plan_of(records, 5), tmp_path)
    runs, experiment = read_runs(tmp_path), read_experiments(tmp_path).iloc[0]
    for name in ("energy_net_j", "energy_per_datum_j", "training_s", "test_loss", "test_accuracy"):
        expected = np.percentile(runs[name], [25, 50, 75])
        np.testing.assert_allclose([experiment[f"{name}_{part}"] for part in ("q1", "median", "q3")], expected)
    assert experiment["n_blocks"] == 1


def test_operations_of_an_experiment_by_hand(tmp_path: Path) -> None:
    # diabetes: 10 inputs, 1 output, 442 rows: 353 to train on in 6 batches of 64, 89 to test on in 2.
    record = make_record(replace(SETTINGS, dataset="diabetes", depth=2, size=36))
    assert record.network.widths == (3, 1)
    write_tables([record], {}, tmp_path)
    row = read_experiments(tmp_path).iloc[0]
    forward = 64 * (30 + 3 + 3 + 1)
    backward = 64 * (6 + 30 + 2 + 3 + 3) + 37 * 65
    assert row["train_batches"] == 6
    assert row["macs_per_epoch"] == 6 * (forward + backward) + 2 * forward


def test_origins_of_power_and_kinds_of_hardware_stay_apart(tmp_path: Path) -> None:
    records = [
        make_record(repetition=0, origin="measured"),
        make_record(repetition=1, origin="simulated"),
        make_record(repetition=2, origin=None),
        make_record(repetition=3, origin="measured", provenance={"cpu_model": "Another CPU"}),
        make_record(repetition=4, origin="measured"),
    ]
    counts = write_tables(records, plan_of(records, 5), tmp_path)
    experiments = read_experiments(tmp_path)
    keys = list(zip(experiments["cpu_model"], experiments["power_origin"], experiments["n_runs"], strict=True))
    first = "Example CPU 2.0 GHz"
    assert keys == [("Another CPU", "measured", 1), (first, "measured", 2), (first, "none", 1), (first, "simulated", 1)]
    assert counts.origins == {"measured": 3, "none": 1, "simulated": 1}
    for name in ("runs.parquet", "experiments.parquet"):
        metadata = pq.ParquetFile(tmp_path / name).metadata.metadata
        assert json.loads(metadata[b"power_origins"]) == counts.origins
        assert metadata[b"wattsweep_version"]


def test_planned_further_and_missing_runs_are_counted(tmp_path: Path) -> None:
    records = [make_record(repetition=number) for number in range(4)]
    stranger = make_record(replace(SETTINGS, depth=4))
    plan = plan_of(records, 2) | {"f" * 16: Experiment("f" * 16, SETTINGS, 3, ("main", "other"))}
    ordered = sorted([*records, stranger], key=lambda record: (record.run.experiment_id, record.run.repetition))
    counts = write_tables(ordered, plan, tmp_path)
    assert (counts.runs, counts.planned, counts.further, counts.missing) == (5, 2, 3, 3)
    experiments = read_experiments(tmp_path).set_index("experiment_id")
    assert len(experiments["sweeps"][stranger.run.experiment_id]) == 0
    assert list(experiments["sweeps"][experiment_id(SETTINGS)]) == ["main"]


def test_epochs_are_partitioned_by_dataset_and_shape(tmp_path: Path) -> None:
    records = make_sweep(repetitions=2)
    write_tables(records, plan_of(records, 2), tmp_path)
    frame = pyarrow.dataset.dataset(tmp_path / "epochs", partitioning="hive").to_table().to_pandas()
    assert len(frame) == len(records)
    assert set(frame["dataset"]) == {"digits", "wine"}
    by_id = frame.set_index("run_id")
    for record in records[::7]:
        row = by_id.loc[record.run.run_id]
        assert row["shape"] == record.settings.shape
        for metric in ("loss", "val_loss", "val_kullback_leibler_divergence"):
            np.testing.assert_array_equal(row[metric], record.history[metric])


def test_a_missing_metric_is_null(tmp_path: Path) -> None:
    record = make_record()
    history = {name: values for name, values in record.history.items() if name != "hinge"}
    write_tables([replace(record, history=history), make_record(repetition=1)], {}, tmp_path)
    frame = pq.read_table(tmp_path / "epochs/dataset=digits/shape=rectangle/part-0.parquet").to_pandas()
    assert frame["hinge"][0] is None
    assert len(frame["hinge"][1]) == len(frame["loss"][0]) == SETTINGS.epochs


def test_same_records_same_bytes_and_old_tables_are_replaced(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_tables(make_sweep(datasets=("diabetes",)), {}, second)
    for folder in (first, second):
        records = make_sweep()
        write_tables(records, plan_of(records, 3), folder)
    assert files_of(first) == files_of(second)
    assert not [name for name in files_of(first) if "diabetes" in name or "writing" in name]


def test_batches_of_rows_do_not_change_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = make_sweep(repetitions=2)
    write_tables(records, {}, tmp_path / "whole")
    monkeypatch.setattr(writing_module, "ROWS_PER_BATCH", 5)
    monkeypatch.setattr(writing_module, "EPOCH_BYTES_HELD", 10_000)
    write_tables(records, {}, tmp_path / "parts")
    pd.testing.assert_frame_equal(read_runs(tmp_path / "whole"), read_runs(tmp_path / "parts"))
    assert pq.ParquetFile(tmp_path / "parts/runs.parquet").num_row_groups > 5
    tables = [pyarrow.dataset.dataset(tmp_path / name / "epochs", partitioning="hive") for name in ("whole", "parts")]
    assert tables[0].to_table().sort_by("run_id").equals(tables[1].to_table().sort_by("run_id"))


def test_records_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive = 0

    class Counted(RunRecord):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def stream() -> Iterator[RunRecord]:
        nonlocal alive
        for number in range(20):
            record = make_record(repetition=number)
            alive += 1
            yield Counted(**{name: getattr(record, name) for name in RunRecord.__dataclass_fields__})
            assert alive <= 3

    assert write_tables(stream(), {}, tmp_path).runs == 20


def test_a_failure_leaves_the_old_tables(tmp_path: Path) -> None:
    write_tables(make_sweep(repetitions=1), {}, tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(OSError, match="could not be read"):
        write_tables(forbidden([make_record()]), {}, tmp_path)
    assert files_of(tmp_path) == before


def test_unsorted_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sort the records"):
        write_tables([make_record(repetition=1), make_record(repetition=0)], {}, tmp_path)


def test_no_records_make_empty_tables(tmp_path: Path) -> None:
    counts = write_tables([], {"a" * 16: Experiment("a" * 16, SETTINGS, 2, ("main",))}, tmp_path)
    assert (counts.runs, counts.missing) == (0, 2)
    assert len(read_runs(tmp_path)) == len(read_experiments(tmp_path)) == 0
    assert (tmp_path / "epochs").is_dir()


def test_tables_that_are_not_there_or_foreign_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"runs\.parquet is not there: make it with `wattsweep tables`"):
        read_runs(tmp_path)
    pd.DataFrame({"run_id": ["a"]}).to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(AnalysisError, match="lacks the columns experiment_id, repetition"):
        read_runs(tmp_path)
