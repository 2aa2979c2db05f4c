"""Which runs the rules find: on BUTTER-E's files as the fixture writes them, and on runs of our own."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.importers.support_oedi import small_submission
from tests.support_records import REFUSED, SETTINGS, make_record, plan_of
from wattsweep.analysis.quality import Quality, judge, run_time_deviations, write_quality
from wattsweep.importers import import_butter_e
from wattsweep.tables import read_runs, write_tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    import_butter_e(small_submission(folder / "5991").folder, folder / "tables")
    return folder / "tables"


@pytest.fixture(scope="module")
def quality(tables: Path) -> Quality:
    return judge(read_runs(tables))


def rules_of(quality: Quality) -> dict[str, list[str]]:
    frame = quality.frame()
    return dict(zip(frame["run_id"], frame["rules"], strict=True))


def test_counts_by_rule(quality: Quality) -> None:
    assert {name: count for name, count in quality.counts().items() if count} == {
        "zero_reading": 1,
        "no_reading": 2,
        "too_few_readings": 1,
        "no_power_file": 1,
        "long_run": 1,
        "unusual_run_time": 1,
    }
    # 35 runs less 5 without an energy, the one of 80000 s and the one of 600 s
    assert int(quality.kept.sum()) == 28


def test_each_run_says_which_rules_find_it(quality: Quality) -> None:
    rules = rules_of(quality)
    assert rules["zero"] == ["zero_reading"]
    assert rules["gap"] == ["too_few_readings"]
    assert rules["of another node"] == ["no_reading"]
    assert rules["without a file"] == ["no_power_file"]
    assert rules["long"] == ["long_run"]
    assert rules["short 17"] == ["unusual_run_time"]
    assert rules["ramp"] == []


def test_deviations_are_of_the_population_in_log_time(quality: Quality) -> None:
    frame = quality.frame().set_index("run_id")["run_time_deviations"]
    # of n equal values and one other, that one is sqrt(n) standard deviations from the mean, whatever their ratio,
    # and the others 1 / sqrt(n): 17 runs of 120 s and one of 600 s
    assert frame["short 17"] == pytest.approx(math.sqrt(17))
    assert frame["short 0"] == pytest.approx(1 / math.sqrt(17))
    # the long run is the only one of its dataset and size
    assert math.isnan(frame["long"])


def test_nothing_is_deleted(tables: Path, quality: Quality) -> None:
    write_quality(quality, tables)
    rows = pq.read_table(tables / "quality.parquet").to_pylist()
    assert [row["run_id"] for row in rows] == list(read_runs(tables)["run_id"])
    assert all(row["kept"] == (row["rules"] == []) for row in rows)
    assert next(row for row in rows if row["run_id"] == "long")["run_time_deviations"] is None


def test_it_is_told_rule_by_rule(quality: Quality) -> None:
    told = quality.describe()
    assert "run time over 75,000 s" in told
    assert "35 runs" in told
    assert "zero_energy" not in told


def test_runs_of_our_own(tmp_path: Path) -> None:
    records = [
        make_record(repetition=0),
        make_record(repetition=1, refused=REFUSED),
        make_record(repetition=2, origin=None),
    ]
    write_tables(records, plan_of(records, 3), tmp_path)
    quality = judge(read_runs(tmp_path))
    assert list(rules_of(quality).values()) == [[], ["energy_refused"], ["not_measured"]]


def test_an_energy_of_zero_is_found(tables: Path) -> None:
    runs = read_runs(tables)
    runs.loc[runs["run_id"] == "ramp", "energy_gross_j"] = 0.0
    assert rules_of(judge(runs))["ramp"] == ["zero_energy"]


def test_equal_run_times_have_no_deviation(tmp_path: Path) -> None:
    records = [make_record(SETTINGS, repetition) for repetition in range(3)]
    write_tables(records, plan_of(records, 3), tmp_path)
    assert all(math.isnan(value) for value in run_time_deviations(read_runs(tmp_path)))
