import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support_records import (
    JOULES_PER_BATCH,
    JOULES_PER_LAYER_BATCH,
    JOULES_PER_OPERATION,
    NET_W,
    REFUSED,
    SETTINGS,
    make_record,
    make_sweep,
    plan_of,
)
from wattsweep.analysis import MODEL_NAMES, EnergyModelFit, Group, fit_energy_model, fit_groups, read_fits, write_fits
from wattsweep.analysis.energy_model import usable
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError
from wattsweep.runs.record import RunRecord
from wattsweep.tables import read_experiments, write_tables

CONFIG = AnalysisConfig(bootstrap_samples=100)
GROUP = Group("compiled", "cpu", "Example CPU 2.0 GHz", "measured")


def tabulated(records: list[RunRecord], folder: Path) -> pd.DataFrame:
    ordered = sorted(records, key=lambda record: (record.run.experiment_id, record.run.repetition))
    write_tables(ordered, plan_of(ordered, 3), folder)
    return read_experiments(folder)


def values(fit: EnergyModelFit) -> dict[str, float]:
    return {coefficient.name: coefficient.value for coefficient in fit.coefficients}


def test_exact_data_give_back_the_coefficients(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(noise=0.0, repetitions=1), tmp_path)
    fit = fit_energy_model(experiments, "settings", GROUP, CONFIG)
    found = values(fit)
    assert found["operations"] == pytest.approx(JOULES_PER_OPERATION, rel=1e-6)
    assert found["layer overhead"] == pytest.approx(JOULES_PER_LAYER_BATCH, rel=1e-6)
    assert found["batch overhead"] == pytest.approx(JOULES_PER_BATCH, rel=1e-6)
    assert fit.held_out is not None
    assert fit.held_out.mape < 1e-6
    assert fit.held_out.n == fit.n_experiments == len(experiments)


def test_noisy_data_give_intervals_around_the_coefficients(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(noise=0.05, datasets=("digits", "wine", "diabetes")), tmp_path)
    fit = fit_energy_model(experiments, "settings", GROUP, CONFIG)
    for coefficient in fit.coefficients:
        assert 0 <= coefficient.lower <= coefficient.value <= coefficient.upper
    operations = fit.coefficients[0]
    assert operations.lower <= JOULES_PER_OPERATION <= operations.upper
    assert operations.upper - operations.lower < 0.5 * JOULES_PER_OPERATION
    assert math.fsum(coefficient.share for coefficient in fit.coefficients) == pytest.approx(1.0)
    assert fit.in_sample is not None
    assert fit.held_out is not None
    assert fit.in_sample.mape <= fit.held_out.mape < 0.1
    assert fit.held_out.within_10 > 0.8


def test_a_wider_confidence_is_a_wider_interval(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(noise=0.05), tmp_path)
    narrow, wide = (
        fit_energy_model(experiments, "settings", GROUP, AnalysisConfig(bootstrap_samples=100, confidence=confidence))
        for confidence in (0.5, 0.99)
    )
    for one, other in zip(narrow.coefficients, wide.coefficients, strict=True):
        assert other.lower <= one.lower
        assert one.upper <= other.upper


def test_time_takes_over_where_power_is_constant(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(noise=0.05), tmp_path)
    fit = fit_energy_model(experiments, "settings+time", GROUP, CONFIG)
    assert values(fit)["time"] == pytest.approx(NET_W)
    assert fit.coefficients[-1].unit == "W"
    assert fit.coefficients[-1].share == pytest.approx(1.0)


def test_held_out_predictions_do_not_see_their_own_network(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(noise=0.0, repetitions=1), tmp_path)
    # At depth 2 both shapes are one network: were its twin in the training part, an outlier would be half explained.
    twins = experiments["depth"] == 2
    experiments.loc[twins, "energy_per_datum_j_median"] *= 3.0
    fit = fit_energy_model(experiments, "settings", GROUP, CONFIG.model_copy(update={"folds": 12}))
    networks = experiments[["dataset", "widths"]].astype(str).agg(" ".join, axis=1)
    held_out = pd.Series([prediction.held_out_j for prediction in fit.predictions])
    for _, pair in held_out.groupby(networks.to_numpy()):
        assert np.ptp(pair) <= 1e-12 * pair.max()


def test_same_seed_same_fit(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(), tmp_path)
    assert fit_groups(experiments, CONFIG) == fit_groups(experiments, CONFIG)
    other = fit_groups(experiments, CONFIG.model_copy(update={"seed": 1}))
    assert other[0].coefficients != fit_groups(experiments, CONFIG)[0].coefficients


def test_useless_energies_are_left_out_and_counted(tmp_path: Path) -> None:
    records = make_sweep(repetitions=1)
    records += [make_record(replace(SETTINGS, depth=7), refused=REFUSED)]
    experiments = tabulated(records, tmp_path)
    experiments.loc[experiments["depth"] == 5, "energy_per_datum_j_median"] *= -1
    experiments.loc[experiments.index[experiments["depth"] == 3][0], "n_diverged"] = 1
    fit = fit_energy_model(experiments, "settings", GROUP, CONFIG)
    n_negative = int((experiments["depth"] == 5).sum())
    reasons = {"energy was refused": 1, "net energy is not positive": n_negative, "training diverged": 1}
    assert fit.excluded == reasons
    assert fit.n_experiments == len(experiments) - sum(reasons.values())
    kept, _ = usable(experiments)
    assert {p.experiment_id for p in fit.predictions} == set(kept["experiment_id"])


def test_too_few_experiments_are_an_error_with_the_numbers(tmp_path: Path) -> None:
    experiments = tabulated(make_sweep(repetitions=1), tmp_path)
    with pytest.raises(AnalysisError, match=r"3 experiments have .* a model of 3 terms needs 4: widen the sweep"):
        fit_energy_model(experiments[:3], "settings", GROUP, CONFIG)
    with pytest.raises(AnalysisError, match=r"of \d+ distinct networks, fewer than analysis.folds = 41"):
        fit_energy_model(experiments, "settings", GROUP, CONFIG.model_copy(update={"folds": 41}))


def test_groups_are_fitted_apart_and_none_is_dropped(tmp_path: Path) -> None:
    simulated = [
        replace(record, provenance={**record.provenance, "cpu_model": "Another CPU"})
        for record in make_sweep(origin="simulated", repetitions=1)
    ]
    lonely = make_record(replace(SETTINGS, engine="keras-fit"))
    blind = make_record(replace(SETTINGS, depth=9), origin=None)
    experiments = pd.concat(
        [
            tabulated(make_sweep(repetitions=1), tmp_path / "a"),
            tabulated(simulated, tmp_path / "b"),
            tabulated([lonely, blind], tmp_path / "c"),
        ]
    )
    fits = fit_groups(experiments, CONFIG)
    assert len(fits) == 4 * len(MODEL_NAMES)
    found = {(fit.group.engine, fit.group.power_origin): fit for fit in fits}
    assert found[("compiled", "measured")].fitted
    assert found[("compiled", "simulated")].group.simulated
    assert not found[("keras-fit", "measured")].fitted
    assert found[("keras-fit", "measured")].reason.startswith("1 experiments have a positive net energy")
    assert found[("compiled", "none")].excluded == {"power was not measured": 1}


def test_fits_are_written_and_read_back(tmp_path: Path) -> None:
    fits = fit_groups(tabulated(make_sweep(origin="simulated"), tmp_path), CONFIG)
    fits += fit_groups(tabulated([make_record()], tmp_path), CONFIG)
    write_fits(fits, tmp_path / "model" / "fits.json")
    text = (tmp_path / "model" / "fits.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["fits"][0]["simulated"] is True
    assert read_fits(tmp_path / "model" / "fits.json") == fits


def test_foreign_fit_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "fits.json"
    with pytest.raises(AnalysisError, match="is not there: make it with"):
        read_fits(path)
    path.write_text("{")
    with pytest.raises(AnalysisError, match="is not JSON"):
        read_fits(path)
    for text in ("[]", '{"format": "wattsweep-energy-model", "version": 99}'):
        path.write_text(text)
        with pytest.raises(AnalysisError, match="has format and version"):
            read_fits(path)
