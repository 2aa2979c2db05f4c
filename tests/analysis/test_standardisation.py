"""Standardised energies, worked out by hand on BUTTER-E's files as the fixture writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.importers.support_oedi import small_submission
from tests.support_records import IDLE_W, make_record, plan_of
from wattsweep.analysis.quality import judge
from wattsweep.analysis.standardisation import Standardised, read_nodes, standardise, write_standardised
from wattsweep.errors import AnalysisError
from wattsweep.importers import import_butter_e
from wattsweep.tables import read_experiments, read_runs, write_tables
from wattsweep.tables.columns import FACTS, SETTINGS


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("standardisation")
    import_butter_e(small_submission(folder / "5991").folder, folder / "tables", join="interval")
    return folder / "tables"


@pytest.fixture(scope="module")
def done(tables: Path) -> Standardised:
    runs = read_runs(tables)
    return standardise(runs, judge(runs), read_nodes(tables))


def run(done: Standardised, name: str) -> dict[str, Any]:
    row = done.runs[done.runs["run_id"] == name].iloc[0]
    return {str(column): value for column, value in row.items()}


def check(done: Standardised, beginning: str) -> tuple[str, bool]:
    found = next(one for one in done.checks if one.words.startswith(beginning))
    return found.words, found.holds


def test_idle_power_by_type_of_node(done: Standardised) -> None:
    # the median of 218 W and 222 W; one node of each other type
    assert done.type_idle_w == {"cpu1": 220, "cpu3": 309, "gpu1": 374, "gpu2": 403}
    assert done.references == {"cpu": "cpu1", "gpu": "gpu1"}
    assert run(done, "ramp")["idle_w"] == 218


def test_energies_are_brought_to_the_reference_type(done: Standardised) -> None:
    # 220 - 309 = -89 W: (320 - 89) x 120
    assert run(done, "short 0")["offset_w"] == -89
    assert run(done, "short 0")["energy_standardised_j"] == pytest.approx(27_720)
    # 374 - 403 = -29 W: (529 - 29) x 600, as on gpu1
    assert run(done, "on gpu2")["energy_standardised_j"] == pytest.approx(300_000)
    assert run(done, "on gpu1")["energy_standardised_j"] == pytest.approx(300_000)
    assert run(done, "ramp")["energy_standardised_j"] == pytest.approx(56_700)


def test_overhead_by_the_rule_and_where_it_cannot_be_had(done: Standardised) -> None:
    # 12000, 14400, 24000 J and 50, 60, 100 s: the 5 % quantile of three values lies a tenth of the way from the first
    # to the second: 12000 + 0.1 x 2400, 50 + 0.1 x 10
    joules, seconds, basis = done.overhead["cpu"]
    assert joules == pytest.approx(12_240)
    assert seconds == pytest.approx(51)
    assert basis == "rule, over 3 runs"
    # no run of 505_tecator on GPUs
    assert done.overhead["gpu"] == (271_560, 656, "published numbers")


def test_energy_of_training(done: Standardised) -> None:
    one = run(done, "short 0")
    assert one["energy_training_j"] == pytest.approx(27_720 - 12_240)
    assert one["training_s"] == pytest.approx(120 - 51)
    # 12958 rows: ceil(0.2 x 12958) = 2592 for the test, 10366 to train on, 41 batches of 256: 10496 places
    assert one["energy_per_datum_j"] == pytest.approx(15_480 / (3000 * 10_366))
    assert one["energy_per_row_slot_j"] == pytest.approx(15_480 / (3000 * 10_496))


def test_shapes_of_depth_2_are_one_experiment(done: Standardised) -> None:
    nursery = done.experiments[done.experiments["dataset"] == "nursery"]
    assert len(nursery) == 1
    one = nursery.iloc[0]
    # the run of 600 s is flagged
    assert (one["shape"], one["n_shapes"], one["n_runs"]) == ("rectangle", 2, 17)
    assert one["energy_training_j_median"] == pytest.approx(15_480)


def test_medians_by_experiment_and_class(done: Standardised) -> None:
    adult = done.experiments[done.experiments["dataset"] == "adult"].set_index("hardware_class")
    # by intervals: 54000, 54000, 56700, 72000, 72000, 120000, 240000 J, on the reference type
    assert adult.loc["cpu", "energy_standardised_j_median"] == pytest.approx(72_000)
    assert adult.loc["cpu", "n_runs"] == 7
    assert adult.loc["gpu", "energy_training_j_median"] == pytest.approx(300_000 - 271_560)
    assert "505_tecator" not in set(done.experiments["dataset"])
    assert run(done, "tecator 0")["left_out"]


def test_operations_are_those_of_experiments(tables: Path, done: Standardised) -> None:
    columns = ["experiment_id", "macs_per_epoch"]
    both = done.experiments[columns].merge(read_experiments(tables)[columns], on="experiment_id", how="left")
    assert list(both["macs_per_epoch_x"]) == list(both["macs_per_epoch_y"])


def test_large_networks_have_large_numbers_of_operations(tables: Path) -> None:
    runs = read_runs(tables)
    # 10000 x 10000 kernels times 256 rows are more than 32 bits hold
    widths = np.array([10_000, 10_000, 1], dtype=np.int32)
    wide = runs.assign(widths=pd.Series([widths for _ in range(len(runs))], dtype=object))
    done = standardise(wide, judge(wide), read_nodes(tables))
    assert (done.experiments["macs_per_epoch"] > 2**40).all()


def test_assumptions_are_checked_and_told(done: Standardised) -> None:
    words, holds = check(done, "types of node differ by a constant power")
    assert "29.0 W apart in the median, 0.0 W after" in words
    assert holds
    # the GPU runs of 600 s are shorter than the published start-up of 656 s
    words, holds = check(done, "a start-up costs every run the same")
    assert "2 of" in words
    assert not holds
    assert check(done, "with depth 2 all shapes are one network")[1]
    assert check(done, "nodes of one type idle alike")[1]
    told = done.describe()
    assert "DOUBTFUL: a start-up" in told
    assert "cpu1 220 W" in told


def test_a_run_that_draws_less_than_its_idle_node_is_told(tables: Path) -> None:
    runs = read_runs(tables)
    nodes = read_nodes(tables)
    assert nodes is not None
    done = standardise(runs, judge(runs), nodes.assign(idle_w=nodes["idle_w"] + 100))
    assert not check(done, "no run draws less than its idle node")[1]


def test_runs_on_unknown_nodes_are_left_out_and_counted(tables: Path) -> None:
    runs = read_runs(tables)
    nodes = read_nodes(tables)
    assert nodes is not None
    done = standardise(runs, judge(runs), nodes[nodes["node"] != "r102u25"])
    words, holds = check(done, "every run's node has a type")
    assert words.startswith("every run's node has a type and an idle power: 17 of 29 runs")
    assert not holds


def test_experiments_have_the_columns_that_the_model_reads(done: Standardised) -> None:
    shared = {column.name for column in (*SETTINGS, *FACTS)}
    others = {"device", "cpu_model", "power_origin", "n_refused", "n_diverged", "macs_per_epoch", "train_batches"}
    assert shared | others | {"energy_per_datum_j_median", "training_s_median"} <= set(done.experiments.columns)


def test_tables_are_written(done: Standardised, tmp_path: Path) -> None:
    for path in write_standardised(done, tmp_path):
        assert path.is_file()
    again = pd.read_parquet(tmp_path / "standardised_experiments.parquet")
    assert list(again["n_runs"]) == list(done.experiments["n_runs"])


def test_another_reference_and_overhead(tables: Path) -> None:
    runs = read_runs(tables)
    done = standardise(runs, judge(runs), read_nodes(tables), overhead="none", references={"cpu": "cpu3"})
    # 309 - 309 = 0 and 309 - 220 = 89 W: 56700 + 89 x 180
    assert run(done, "short 0")["energy_training_j"] == pytest.approx(38_400)
    assert run(done, "ramp")["energy_training_j"] == pytest.approx(56_700 + 16_020)
    assert "505_tecator" in set(done.experiments["dataset"])
    with pytest.raises(AnalysisError, match=r"reference cpu=cpu9: no such type.*cpu1, cpu3"):
        standardise(runs, judge(runs), read_nodes(tables), references={"cpu": "cpu9"})
    with pytest.raises(AnalysisError, match=r"overhead of gpu runs.*505_tecator.*--overhead published"):
        standardise(runs, judge(runs), read_nodes(tables), overhead="rule")


def test_runs_of_our_own_have_measured_idle_power(tmp_path: Path) -> None:
    records = [make_record(repetition=repetition) for repetition in range(3)]
    write_tables(records, plan_of(records, 3), tmp_path)
    runs = read_runs(tmp_path)
    done = standardise(runs, judge(runs), read_nodes(tmp_path))
    assert done.type_idle_w == {"Example CPU 2.0 GHz": IDLE_W}
    assert done.overhead["cpu"] == (0, 0, "none subtracted")
    assert list(done.runs["energy_training_j"]) == pytest.approx(list(runs["energy_gross_j"]))
    measured = runs.assign(energy_setup_j=10.0)
    assert standardise(measured, judge(measured)).overhead["cpu"][2].startswith("setup was measured apart")


def test_nothing_left_is_an_error(tables: Path) -> None:
    runs = read_runs(tables).head(1).assign(energy_status="none")
    with pytest.raises(AnalysisError, match="None of 1 runs is kept"):
        standardise(runs, judge(runs), read_nodes(tables))
