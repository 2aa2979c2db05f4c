import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.support_records import REFUSED, SETTINGS, make_record, make_sweep, plan_of
from wattsweep.analysis import EnergyModelFit, fit_groups
from wattsweep.config import AnalysisConfig
from wattsweep.figures import FIGURES, power_mark, save
from wattsweep.figures.captions import FOLDER, PAGE, captions, page
from wattsweep.figures.energy_against_loss import unbeaten
from wattsweep.figures.style import MARK_ID
from wattsweep.power.sources.base import Origin
from wattsweep.tables import read_experiments, read_runs, write_tables

NAMES = sorted(FIGURES)
Inputs = tuple[pd.DataFrame, pd.DataFrame, list[EnergyModelFit]]


def inputs(folder: Path, *, origin: Origin | None) -> Inputs:
    records = make_sweep(origin=origin, noise=0.1)
    write_tables(records, plan_of(records, 3), folder)
    experiments = read_experiments(folder)
    return read_runs(folder), experiments, fit_groups(experiments, AnalysisConfig(bootstrap_samples=20))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs(tmp_path_factory.mktemp("measured"), origin="measured")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs(tmp_path_factory.mktemp("simulated"), origin="simulated")


def marks(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts if text.get_gid() == MARK_ID]


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in figure.texts)


@pytest.mark.parametrize("name", NAMES)
def test_drawn_twice_the_bytes_are_the_same(name: str, simulated: Inputs, tmp_path: Path) -> None:
    first = save(FIGURES[name](*simulated), tmp_path / "first", name)
    second = save(FIGURES[name](*simulated), tmp_path / "second", name)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_files_are_svg_and_pdf_without_a_date_and_a_readable_png(name: str, measured: Inputs, tmp_path: Path) -> None:
    svg, pdf, png = save(FIGURES[name](*measured), tmp_path, name)
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert b"CreationDate" not in pdf.read_bytes()
    assert ET.parse(svg).getroot().tag.endswith("svg")  # noqa: S314
    assert "date" not in svg.read_text().lower()
    with Image.open(png) as image:
        assert image.width >= 1000


@pytest.mark.parametrize("name", NAMES)
def test_simulated_power_is_marked_and_measured_power_is_not(name: str, measured: Inputs, simulated: Inputs) -> None:
    assert marks(FIGURES[name](*simulated)) == ["SIMULATED POWER - not a measurement"]
    assert marks(FIGURES[name](*measured)) == []


def test_mixed_origins_are_marked_in_a_figure(measured: Inputs, simulated: Inputs) -> None:
    both = pd.concat([measured[1], simulated[1]])
    for name in ("energy_per_datum", "energy_against_loss"):
        assert marks(FIGURES[name](measured[0], both, [])) == [
            "PARTLY SIMULATED POWER - not all of this is a measurement"
        ]


def test_the_mark_in_words() -> None:
    assert power_mark(["measured", "none"]) == ""
    assert power_mark(["modelled"]) == "MODELLED POWER - not a measurement"
    assert power_mark(["simulated", "modelled"]) == "MODELLED AND SIMULATED POWER - not a measurement"


@pytest.mark.parametrize("name", NAMES)
def test_every_axis_says_its_unit(name: str, measured: Inputs) -> None:
    for axes in FIGURES[name](*measured).axes:
        for label in (axes.get_xlabel(), axes.get_ylabel()):
            if "energy" in label or "per datum" in label:
                assert label.endswith((", J", "J per datum"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("empty", [True, False])
def test_a_figure_without_measured_runs_says_so(name: str, empty: bool, tmp_path: Path) -> None:
    records = [] if empty else [make_record(origin=None)]
    write_tables(records, {}, tmp_path)
    experiments = read_experiments(tmp_path)
    figure = FIGURES[name](read_runs(tmp_path), experiments, fit_groups(experiments, AnalysisConfig()))
    assert words(figure).split(". ")[0].removeprefix(FIGURES[name].title).strip().startswith("No e")
    assert marks(figure) == []
    save(figure, tmp_path, name)


def test_a_single_experiment_can_be_drawn(tmp_path: Path) -> None:
    write_tables([make_record()], {}, tmp_path)
    for name in ("energy_per_datum", "energy_against_loss"):
        save(FIGURES[name](read_runs(tmp_path), read_experiments(tmp_path), []), tmp_path, name)


def test_what_has_no_place_on_the_axes_is_counted(measured: Inputs, tmp_path: Path) -> None:
    runs, experiments, _ = measured
    write_tables([make_record(SETTINGS, refused=REFUSED)], {}, tmp_path)
    changed = pd.concat([experiments.copy(), read_experiments(tmp_path)], ignore_index=True)
    changed.loc[:1, ["energy_net_j_median", "energy_per_datum_j_median"]] = -1.0
    total = len(changed)
    for name in ("energy_per_datum", "energy_against_loss"):
        assert (
            f"Not shown, of {total} experiments: 1 without a measured energy, 2 with a net energy of 0 J or less."
            in words(FIGURES[name](runs, changed, []))
        )


def test_predictions_far_from_the_measured_are_counted(measured: Inputs) -> None:
    fit = measured[2][0]
    wild = [
        replace(prediction, held_out_j=joules) for prediction, joules in zip(fit.predictions, [1.0, 0.0], strict=False)
    ]
    changed = replace(fit, predictions=(*wild, *fit.predictions[2:]))
    figure = FIGURES["predicted_against_measured"](measured[0], measured[1], [changed])
    assert any("1 at 2 or more" in text.get_text() for text in figure.axes[1].texts)


def test_the_front_holds_what_nothing_beats() -> None:
    data = pd.DataFrame(
        {
            "test_loss_median": [0.1, 0.2, 0.2, 0.3, 0.4],
            "energy_net_j_median": [9.0, 5.0, 4.0, 6.0, 1.0],
        }
    )
    front = unbeaten(data)
    np.testing.assert_array_equal(front["test_loss_median"], [0.1, 0.2, 0.4])
    np.testing.assert_array_equal(front["energy_net_j_median"], [9.0, 4.0, 1.0])


def test_captions_are_up_to_date() -> None:
    folder = Path(__file__).parents[2] / FOLDER
    for name, text in captions().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run python -m wattsweep.figures.captions"
    assert (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8") == page()
    assert (folder / "workflow.rst").is_file()


def test_the_workflow_knows_every_figure(repository: Path) -> None:
    rules = (repository / "workflow/rules/common.smk").read_text(encoding="utf-8")
    listed = rules[rules.index("FIGURE_CATEGORIES = {") :].split("}")[0]
    assert re.findall(r'"(\w+)":', listed) == list(FIGURES)
