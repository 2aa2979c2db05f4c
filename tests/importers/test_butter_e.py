"""BUTTER-E's files into our tables: counts by reason and energies as worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.importers.support_oedi import Submission, small_submission
from wattsweep.errors import AnalysisError
from wattsweep.grid import Settings, experiment_id
from wattsweep.importers import import_butter_e
from wattsweep.importers.butter_e import ImportReport
from wattsweep.importers.joins import NO_FILE, NO_READING, TOO_FEW, ZERO
from wattsweep.tables import read_experiments, read_runs

Imported = tuple[ImportReport, Path]


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    return small_submission(tmp_path_factory.mktemp("oedi") / "5991")


@pytest.fixture(scope="module")
def published(submission: Submission, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    output = tmp_path_factory.mktemp("as-published")
    return import_butter_e(submission.folder, output), output


@pytest.fixture(scope="module")
def by_interval(submission: Submission, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    output = tmp_path_factory.mktemp("interval")
    return import_butter_e(submission.folder, output, join="interval"), output


def by_run(imported: Imported, table: str = "runs.parquet") -> dict[str, dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(imported[1] / table).to_pylist()
    return {row["run_id"]: row for row in rows}


def energies(imported: Imported) -> dict[str, float]:
    runs = by_run(imported)
    return {name: row["energy_gross_j"] for name, row in runs.items() if row["energy_gross_j"] is not None}


BY_THE_PUBLISHED_RULE = {
    # readings of the node at :01 .. :04; the row before is the other node's 200 W, and so is every second row between:
    # 200 x 30 + 60 x (300 + 200 + 300 + 200 + 300 + 200) + 300 x 30 = 6000 + 90000 + 9000
    "interleaved": 105_000.0,
    # 240 x 30 + 60 x (300 + 360) + 300 x 30 = 7200 + 39600 + 9000
    "ramp": 55_800.0,
    # 300 W x 180 s
    "after the gap": 54_000.0,
    # 200 W x 600 s and 400 W x 600 s
    "first pass": 120_000.0,
    "second pass": 240_000.0,
    # 300 W x 180 s: 01:58:30 to 03:01:30 on the clock
    "spring": 54_000.0,
    # 250 W x 80000 s
    "long": 20_000_000.0,
    # 320 W x 120 s, and x 600 s
    **{f"short {number}": 38_400.0 for number in range(17)},
    "short 17": 192_000.0,
    # 500 W x 600 s, 529 W x 600 s
    "on gpu1": 300_000.0,
    "on gpu2": 317_400.0,
    # 240 W x 50, 60 and 100 s
    "tecator 0": 12_000.0,
    "tecator 1": 14_400.0,
    "tecator 2": 24_000.0,
}

BY_INTERVALS = BY_THE_PUBLISHED_RULE | {
    # the node's own: 300 W x 240 s
    "interleaved": 72_000.0,
    # trapezoids: 285 x 30 + 330 x 60 + 330 x 60 + 285 x 30 = 8550 + 19800 + 19800 + 8550
    "ramp": 56_700.0,
    # the reading of 0 W is no reading; the 120 s between its neighbours are bridged: 300 W x 240 s
    "zero": 72_000.0,
}


def test_energies_by_the_published_rule(published: Imported) -> None:
    assert energies(published) == pytest.approx(BY_THE_PUBLISHED_RULE)


def test_energies_by_intervals(by_interval: Imported) -> None:
    assert energies(by_interval) == pytest.approx(BY_INTERVALS)


def test_counts_by_reason(published: Imported) -> None:
    report, _ = published
    # 12 of jobs 1 to 10, 18 of job 11, 2 on GPUs, 3 of 505_tecator
    assert report.as_published == {
        "listed in butter_e_metadata.csv": 40,
        "left out: batch optimizer_energy_1_cpu": 2,
        "input": 35,
        ZERO: 1,
        # the run whose node is not in its job's file, and the one in an hour that nothing settles
        NO_READING: 2,
        # 6 readings in 11 minutes
        TOO_FEW: 1,
        NO_FILE: 1,
        "kept": 30,
    }
    assert report.interval == {
        NO_READING: 2,
        # covered: 18:00:30 to 18:02 and 18:08 to 18:11:30, 300 s of 660 s
        "too little of the run is covered": 1,
        NO_FILE: 1,
        "kept": 31,
    }


def test_rows_that_are_no_use_are_counted(published: Imported) -> None:
    report, _ = published
    assert report.metadata["run_id that is there twice"] == 1
    assert report.metadata["update_time is not after start_time"] == 1
    assert report.metadata["dataset that is not in pmlb.csv"] == 1
    assert report.readings["ambiguous hour, settled"] == 120
    assert report.readings["ambiguous hour, not settled"] == 11
    assert report.readings["hour that the clock left out"] == 3
    assert report.readings["of 0 W"] == 1
    assert report.missing_power_files == ["6.csv"]
    told = report.describe()
    assert "6.csv" in told
    kept = next(line for line in told.splitlines() if line.startswith("kept"))
    assert kept.split() == ["kept", "40,464", "30", "31"]


def test_both_joins_stand_side_by_side(published: Imported) -> None:
    table = by_run(published, "published.parquet")
    assert table["interleaved"]["as_published_j"] == pytest.approx(105_000)
    assert table["interleaved"]["interval_j"] == pytest.approx(72_000)
    # 3 readings of 200 W for 60 s, and the row before the first for 30 s
    assert table["interleaved"]["other_nodes_j"] == pytest.approx(42_000)
    assert table["ramp"]["other_nodes_j"] == 0
    assert table["zero"]["as_published_reason"] == ZERO
    assert table["zero"]["interval_reason"] is None
    assert table["gap"]["coverage"] == pytest.approx(300 / 660)
    lower, upper = table["ramp"]["interval_lower_j"], table["ramp"]["interval_upper_j"]
    assert lower < 56_700 < upper


def test_origin_and_idle_power_are_explicit(by_interval: Imported) -> None:
    runs = by_run(by_interval)
    assert {row["power_origin"] for row in runs.values()} == {"measured"}
    assert {row["power_source"] for row in runs.values()} == {"published"}
    assert {row["power_scope"] for row in runs.values()} == {"node"}
    one = runs["ramp"]
    assert "history" in one["power_detail"]
    assert "interval" in one["power_selected_because"]
    # the node's quantiles: 2 % 218 W, 1 % 217 W, 5 % 221 W
    assert (one["idle_w"], one["idle_lower_w"], one["idle_upper_w"]) == (218, 217, 221)
    # 56700 - 218 x 180
    assert one["energy_net_j"] == pytest.approx(17_460)
    # 3000 epochs of the 39073 rows that ceil(0.2 x 48842) = 9769 test rows leave
    assert one["energy_per_datum_j"] == pytest.approx(17_460 / (3000 * 39_073))


def test_networks_come_from_the_summary_or_our_rule(published: Imported) -> None:
    runs = by_run(published)
    # 1054 parameters and widths 9, 9, 1 leave (1054 - 90 - 10) / 9 - 1 = 105 inputs
    assert runs["ramp"]["n_inputs"] == 105
    assert list(runs["ramp"]["widths"]) == [9, 9, 1]
    assert runs["ramp"]["head"] == "binary"
    # rectangle, depth 2, 8 inputs, 4 outputs: w x 9 + (w + 1) x 4 = 13 w + 4 is nearest to 64 for w = 5 (69)
    assert list(runs["short 0"]["widths"]) == [5, 4]
    assert runs["short 0"]["n_parameters"] == 69
    assert published[0].networks == {"from summary": 11 + 2, "from rule": 1 + 18 + 3}
    assert published[0].summary["experiments without a run here"] == 1


def test_an_experiment_has_the_id_that_our_grid_gives_it(published: Imported) -> None:
    runs = by_run(published)
    settings = Settings(
        dataset_source="pmlb",
        dataset="adult",
        shape="rectangle",
        size=1024,
        depth=3,
        epochs=3000,
        batch_size=256,
        learning_rate=1e-4,
        optimizer="adam",
        label_noise=0.0,
        test_split=0.2,
        engine="keras-fit",
        hardware="cpu",
    )
    assert runs["ramp"]["experiment_id"] == experiment_id(settings)
    assert runs["on gpu1"]["device"] == "2 x V100"


def test_experiments_and_curves(published: Imported) -> None:
    experiments = read_experiments(published[1])
    adult = experiments[(experiments["dataset"] == "adult") & (experiments["hardware"] == "cpu")].iloc[0]
    assert (adult["n_runs"], adult["n_measured"], adult["n_refused"]) == (11, 6, 5)
    # median of 54000, 54000, 55800, 105000, 120000, 240000
    assert adult["energy_gross_j_median"] == pytest.approx(80_400)
    assert adult["test_loss_median"] == pytest.approx(0.5)
    assert adult["test_loss_best_median"] == pytest.approx(0.4)
    curves = pd.read_parquet(published[1] / "curves")
    assert sorted(curves["experiment_id"]) == sorted(experiments[experiments["dataset"] == "adult"]["experiment_id"])
    one = curves[curves["experiment_id"] == adult["experiment_id"]].iloc[0]
    assert list(one["epoch"]) == [1, 10, 100, 1000, 3000]
    assert one["test_loss_best_q50"] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.4])


def test_repetitions_are_numbered_by_start(published: Imported) -> None:
    runs = read_runs(published[1])
    adult = runs[(runs["dataset"] == "adult") & (runs["hardware"] == "cpu")].sort_values("repetition")
    assert list(adult["repetition"]) == list(range(11))
    assert adult["started_at"].is_monotonic_increasing


def test_an_import_gives_the_same_twice(submission: Submission, published: Imported, tmp_path: Path) -> None:
    import_butter_e(submission.folder, tmp_path)
    for name in ("runs.parquet", "experiments.parquet", "published.parquet", "nodes.parquet", "import.json"):
        assert (tmp_path / name).read_bytes() == (published[1] / name).read_bytes()
    assert json.loads((tmp_path / "import.json").read_text(encoding="utf-8"))["as_published"]["kept"] == 30


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "butter_e_energy.zip").write_bytes(b"")
    with pytest.raises(AnalysisError) as raised:
        import_butter_e(tmp_path, tmp_path / "out")
    words = str(raised.value)
    for name in ("butter_e_metadata.csv", "butter_e_energy (unpack butter_e_energy.zip)", "node_sinfo.csv"):
        assert name in words
    for name in ("node_power_dist.csv", "pmlb.csv", "summary_by_epoch", "--no-summary"):
        assert name in words
    assert not (tmp_path / "out").exists()


def test_without_the_summary_networks_follow_our_rule(submission: Submission, tmp_path: Path) -> None:
    report = import_butter_e(submission.folder, tmp_path, with_summary=False)
    assert report.networks == {"from rule": 35}
    assert report.as_published["kept"] == 30


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    files = small_submission(tmp_path / "5991")
    (files.folder / "node_sinfo.csv").write_text("HOSTNAMES, CPUS\nr1, 36\n", encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"node_sinfo.csv lacks the columns MEMORY, TMP_DISK, GRES"):
        import_butter_e(files.folder, tmp_path / "out")


def test_a_power_file_that_is_no_use_is_named(tmp_path: Path) -> None:
    files = small_submission(tmp_path / "5991")
    (files.folder / "butter_e_energy" / "2.csv").write_text("time,host\n1,2\n", encoding="utf-8")
    report = import_butter_e(files.folder, tmp_path / "out")
    assert report.as_published[NO_FILE] == 2
    assert list(report.unreadable_power_files) == ["2.csv"]
    assert "power file 2.csv is no use" in report.describe()
