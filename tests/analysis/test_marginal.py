import pytest

from tests.support_experiments import make_experiments, noisy, with_energy
from wattsweep.analysis import marginal_costs
from wattsweep.config import AnalysisConfig

CONFIG = AnalysisConfig(bootstrap_samples=100)


def test_costs_of_a_linear_world() -> None:
    experiments = make_experiments().assign(epochs=10)
    # 3 nJ a parameter and 40 uJ a layer for each datum; an epoch costs 5 mJ a row on top.
    energy = 3e-9 * experiments["n_parameters"] + 4e-5 * experiments["depth"] + 5e-3
    costs = {
        (cost.per, cost.least_parameters): cost for cost in marginal_costs(with_energy(experiments, energy), CONFIG)
    }
    parameter = costs["parameter", 0]
    assert parameter.value == pytest.approx(3e-9, rel=1e-6)
    assert [parameter.lower, parameter.upper] == pytest.approx([3e-9, 3e-9], rel=1e-6)
    assert parameter.unit == "J/datum"
    assert costs["layer", 0].value == pytest.approx(4e-5, rel=0.05)
    assert costs["row", 0].unit == "J/epoch"
    assert costs["row", 0].value == pytest.approx(5e-3, rel=0.15)  # and that of layers and parameters


def test_intervals_hold_the_median_and_narrow_with_confidence() -> None:
    experiments = make_experiments().assign(epochs=10)
    table = with_energy(experiments, noisy(3e-9 * experiments["n_parameters"].to_numpy() + 1e-4, 0.02, 0))
    wide = marginal_costs(table, CONFIG, least_parameters=[1000])
    narrow = marginal_costs(table, CONFIG.model_copy(update={"confidence": 0.5}), least_parameters=[1000])
    for one, other in zip(wide, narrow, strict=True):
        assert one.lower <= other.lower <= other.value <= other.upper <= one.upper
        assert one.n_lines <= one.n_slopes


def test_what_no_line_tells_of_is_left_out() -> None:
    experiments = make_experiments(datasets=("a",), depths=(3,), shapes=("rectangle",), log2_sizes=(8, 10))
    table = with_energy(experiments, experiments["n_parameters"].to_numpy() * 1e-9)
    assert [(cost.per, cost.least_parameters) for cost in marginal_costs(table, CONFIG)] == [("parameter", 0)]
