import numpy as np
import pandas as pd
import pytest

from tests.support_published import CPU, GPU, make_published
from wattsweep.analysis.groups import commonest
from wattsweep.analysis.iso_loss import COLUMNS, first_epoch_at, iso_loss, minima, relative_energy


def test_where_a_loss_is_first_reached() -> None:
    loss = np.array([4.0, 2.0, 2.0, 2.0, 1.0])
    found = first_epoch_at(loss, np.array([5.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.5]))
    np.testing.assert_allclose(found, [1.0, 1.0, 1.5, 2.0, 4.5, 5.0, np.nan])
    assert np.isnan(first_epoch_at(np.empty(0), np.array([1.0]))).all()


def three_networks() -> tuple[pd.DataFrame, pd.DataFrame]:
    found = make_published(
        machines=(CPU,), datasets=("537_houses",), shapes=("rectangle",), depths=(3,), sizes=(64, 256, 1024), epochs=4
    )
    curves = found.curves.copy()
    logs = ([2.0, 1.0, 0.0, 0.0], [1.0, 0.0, -2.0, -2.0], [1.5, 0.5, -0.5, -2.0])
    curves["test_loss_best_median"] = [np.exp(np.array(log)) for log in logs]
    experiments = found.experiments.copy()
    experiments["energy_per_datum_j_median"] = np.array([1.0, 3.0, 2.0]) / experiments["n_train"]
    experiments["training_s_median"] = 8.0
    experiments["macs_per_epoch"] = [10, 20, 30]
    return experiments, curves


def test_energy_operations_and_time_at_each_level_by_hand() -> None:
    lines = iso_loss(*three_networks(), n_levels=4)
    np.testing.assert_allclose(np.log(np.unique(lines["test_loss"])), [-2, -2 / 3, 2 / 3, 2])
    smallest = lines[lines["row"] == 0]
    np.testing.assert_array_equal(smallest["level"], [0, 1])
    np.testing.assert_allclose(smallest["epoch"], [1, 2 + 1 / 3])
    np.testing.assert_allclose(smallest["energy_j"], [1, 2 + 1 / 3])
    np.testing.assert_allclose(smallest["macs"], [10, 23 + 1 / 3])
    np.testing.assert_allclose(smallest["training_s"], [2, 4 + 2 / 3])
    largest = lines[lines["row"] == 2]
    np.testing.assert_array_equal(largest["level"], [0, 1, 2, 3])
    np.testing.assert_allclose(largest["epoch"], [1, 1 + 5 / 6, 3 + 1 / 9, 4])
    np.testing.assert_allclose(largest["energy_j"], [2, 3 + 2 / 3, 6 + 2 / 9, 8])


def test_least_energy_at_each_level_by_hand() -> None:
    lines = iso_loss(*three_networks(), n_levels=4)
    found = minima(lines)
    np.testing.assert_array_equal(found["level"], [0, 1])
    np.testing.assert_array_equal(found["row"], [0, 0])
    assert list(found["place"]) == ["smallest", "smallest"]
    relative = relative_energy(lines)
    at_1 = relative[relative["level"] == 1].set_index("row")["relative_energy"]
    np.testing.assert_allclose(at_1.loc[[0, 1, 2]], [1, 4 / (7 / 3), 11 / 7])
    found = minima(lines, least_networks=2)
    np.testing.assert_array_equal(found["level"], [0, 1, 2, 3])
    np.testing.assert_array_equal(found["row"], [0, 0, 2, 2])
    assert list(found["place"]) == ["smallest", "smallest", "largest", "largest"]


def test_hardware_and_settings_have_lines_of_their_own() -> None:
    found = make_published(
        machines=(CPU, GPU), datasets=("537_houses",), shapes=("rectangle", "trapezoid"), depths=(2, 3), epochs=100
    )
    experiments = found.experiments.copy()
    lines = iso_loss(experiments, found.curves)
    assert list(lines.columns) == list(COLUMNS)
    # At depth 2 both shapes are a rectangle, so a machine has three lines, not four.
    assert lines["line"].nunique() == 6
    assert lines["level"].between(0, 199).all()
    assert (lines.groupby("line")["device"].nunique() == 1).all()
    experiments.loc[experiments["shape"] == "trapezoid", "learning_rate"] = 1e-3
    assert iso_loss(experiments, found.curves)["line"].nunique() == 8


def test_what_has_no_energy_or_no_finite_loss_has_no_line() -> None:
    experiments, curves = three_networks()
    experiments.loc[0, "energy_per_datum_j_median"] = np.nan
    experiments.loc[1, "energy_per_datum_j_median"] = -1.0
    assert iso_loss(experiments.iloc[:2], curves).empty
    curves["test_loss_best_median"] = pd.Series([np.full(4, np.inf)] * 3)
    assert iso_loss(experiments, curves).empty
    assert minima(iso_loss(experiments, curves)).empty


def test_missing_names_of_hardware_lose_nothing() -> None:
    experiments, curves = three_networks()
    experiments["cpu_model"] = None
    assert iso_loss(experiments, curves, n_levels=4)["row"].nunique() == 3


@pytest.mark.parametrize("rows", [0, 3])
def test_commonest_settings(rows: int) -> None:
    experiments = three_networks()[0].iloc[:rows].copy()
    if rows:
        experiments.loc[0, "batch_size"] = 32
    chosen = commonest(experiments)
    assert (len(chosen.experiments), chosen.n_other) == ((2, 1) if rows else (0, 0))
    if rows:
        assert chosen.settings["batch_size"] == 256
