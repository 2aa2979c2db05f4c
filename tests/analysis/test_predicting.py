from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.support_experiments import COEFFICIENTS, HARDWARE, make_experiments, noisy, true_energy, with_energy
from wattsweep.analysis import EnergyModelFit, Group, choose_fits, fit_energy_model, predict_runs, write_fits
from wattsweep.analysis.predicting import predict, trained_by
from wattsweep.cli import app
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError

GROUP = Group("compiled", "cpu", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz", "simulated")
CONFIG = AnalysisConfig(bootstrap_samples=20)

CONFIGURATION = """
sweeps:
  more:
    dataset: digits
    shape: rectangle
    size: [1024, 65536]
    depth: 3
    epochs: 100
    repetitions: 4
paths:
  results: {results}
"""


@pytest.fixture(scope="module")
def fits() -> list[EnergyModelFit]:
    experiments = make_experiments(log2_sizes=(8, 11, 14, 17), depths=(2, 3, 6))
    table = with_energy(experiments, noisy(true_energy(experiments), 0.05, 0))
    return [
        fit_energy_model(table, model, GROUP, CONFIG, HARDWARE) for model in ("settings", "settings+time", "runtime")
    ]


def test_new_settings_are_predicted_within_their_interval(fits: list[EnergyModelFit]) -> None:
    new = make_experiments(log2_sizes=(9, 12, 15), depths=(4, 5))
    found = predict(fits[0], new)
    truth = true_energy(new)
    assert found[:, 0] == pytest.approx(truth, rel=0.1)
    assert ((found[:, 1] < truth) & (truth < found[:, 2])).mean() > 0.95


def test_runs_are_priced_whole(fits: list[EnergyModelFit]) -> None:
    new = make_experiments(log2_sizes=(12,), depths=(4,))
    found = predict_runs(choose_fits(fits, "compiled"), new)
    joules = true_energy(new) * new["epochs"] * new["n_train"]
    assert found["energy_net_j"].to_numpy() == pytest.approx(joules.to_numpy(), rel=0.1)
    assert found["training_s"].to_numpy() == pytest.approx(joules.to_numpy() / 25.0, rel=0.1)
    assert (found["training_s_lower"] < found["training_s_upper"]).all()
    assert not found["beyond_fit"].any()


def test_extrapolations_are_marked(fits: list[EnergyModelFit]) -> None:
    new = make_experiments(log2_sizes=(12, 20), depths=(4,), datasets=("a",))
    found = predict_runs(choose_fits(fits, "compiled"), new)
    assert list(found["beyond_fit"]) == list(found["size"] == 2**20)


def test_a_model_that_needs_time_cannot_predict(fits: list[EnergyModelFit]) -> None:
    with pytest.raises(AnalysisError, match="it cannot predict; take the models settings and runtime"):
        predict(fits[1], make_experiments(log2_sizes=(12,), depths=(4,)))


def test_fits_are_chosen_by_engine_and_hardware(fits: list[EnergyModelFit]) -> None:
    gpu = [replace(fit, group=replace(GROUP, device="Tesla V100")) for fit in fits]
    measured = [replace(fit, group=replace(GROUP, power_origin="measured")) for fit in fits]
    assert choose_fits([*fits, *measured], "compiled").group.power_origin == "measured"
    assert choose_fits([*fits, *gpu], "compiled", device="v100").group.device == "Tesla V100"
    with pytest.raises(AnalysisError, match="choose one with --device or --cpu-model"):
        choose_fits([*fits, *gpu], "compiled")
    with pytest.raises(
        AnalysisError, match="no model was fitted for engine keras-fit: fitted groups are compiled on cpu"
    ):
        choose_fits(fits, "keras-fit")


def test_hardware_that_was_asked_for_decides() -> None:
    asked = pd.DataFrame({"hardware": ["any", "cpu", "gpu"]})
    assert list(trained_by(asked, GROUP)) == [True, True, False]
    assert list(trained_by(asked, replace(GROUP, device="V100"))) == [True, False, True]


def test_the_command_prices_a_configuration(
    fits: list[EnergyModelFit], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_fits(fits, tmp_path / "results" / "fit" / "energy_model.json")
    config = tmp_path / "more.yaml"
    config.write_text(CONFIGURATION.format(results=tmp_path / "results"), encoding="utf-8")
    app(["predict", "--config", str(config), "--output", str(tmp_path / "out.csv")], standalone_mode=False)
    text = capsys.readouterr().out
    assert "simulated power, net of idling" in text
    assert "all 8 runs: " in text
    rows = pd.read_csv(tmp_path / "out.csv")
    assert list(rows["size"]) == [1024, 65536]
    assert (rows["energy_net_j_lower"] < rows["energy_net_j"]).all()
    assert len(COEFFICIENTS) == len(fits[0].coefficients) + 1  # nothing here is beyond L3
    app(["predict", "--config", str(config), "--json"], standalone_mode=False)
    assert '"training_s_upper"' in capsys.readouterr().out
