"""The sweep that docs/energy-model.md is made of is at hand, and gives the errors that the page says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.energy_model import BEGIN, END, EXPERIMENTS, KEPT, NODE, PAGE, error_rows
from wattsweep.analysis import fit_groups
from wattsweep.config import AnalysisConfig


@pytest.fixture(scope="module")
def experiments() -> pd.DataFrame:
    return pd.read_parquet(EXPERIMENTS)


def test_the_sweep_is_as_wide_as_was_asked(experiments: pd.DataFrame) -> None:
    assert set(KEPT) <= set(experiments.columns)
    assert len(experiments) >= 300
    assert experiments["dataset"].nunique() >= 4
    assert experiments["shape"].nunique() >= 3
    assert experiments["depth"].nunique() >= 5
    assert (experiments["size"].min(), experiments["size"].max()) == (2**6, 2**20)
    assert set(experiments["power_origin"]) == {"simulated"}
    assert (experiments["energy_per_datum_j_median"] > 0).all()


def test_the_page_has_the_errors_of_the_kept_sweep(experiments: pd.DataFrame) -> None:
    said = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    config = AnalysisConfig(hardware=[str(NODE)], bootstrap_samples=20)
    (fit,) = [one for one in fit_groups(experiments, config) if one.model == "settings"]
    for row in error_rows(fit):
        assert "| " + " | ".join(row) + " |" in said


def test_the_model_beats_the_published_form(experiments: pd.DataFrame) -> None:
    config = AnalysisConfig(hardware=[str(NODE)], bootstrap_samples=20)
    fits = {one.model: one for one in fit_groups(experiments, config)}
    for kind in ("held out", "held out by dataset", "held out by size"):
        assert (
            fits["settings"].errors[kind].mape
            < fits["published"].errors[kind].mape
            < fits["operations"].errors[kind].mape
        )


def test_how_it_was_made_is_said() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for words in ("configs/energy-model.yaml", "--keep", "simulated"):
        assert words in page
    assert re.search(r"name: this-cpu", Path(NODE).read_text(encoding="utf-8"))
