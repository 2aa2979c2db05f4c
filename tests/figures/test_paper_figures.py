"""The papers' figures on a sweep of known physics, as large as theirs in small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.support_published import CPU, GPU, make_published
from wattsweep.analysis import fit_groups
from wattsweep.config import AnalysisConfig
from wattsweep.figures import FIGURES, FigureInputs, findings, read_findings, save, write_findings
from wattsweep.figures.style import MARK_ID
from wattsweep.hardware import profile

PAPERS = sorted(name for name, kind in FIGURES.items() if kind.of)
SIZES = tuple(2**power for power in range(5, 25, 2))
PROFILES = [profile("eagle-cpu"), profile("eagle-gpu")]


def make_inputs(origin: str = "measured") -> FigureInputs:
    made = make_published(
        datasets=("529_pollen", "537_houses"),
        shapes=("rectangle", "exponential"),
        depths=(2, 3, 6),
        sizes=SIZES,
        epochs=3000,
        origin=origin,
    )
    fits = fit_groups(made.experiments, AnalysisConfig(bootstrap_samples=20))
    return FigureInputs(made.runs, made.experiments, fits, made.curves, PROFILES)


@pytest.fixture(scope="module")
def inputs() -> FigureInputs:
    return make_inputs()


@pytest.fixture(scope="module")
def figures(inputs: FigureInputs) -> dict[str, Figure]:
    return {name: FIGURES[name].figure(inputs) for name in PAPERS}


def fresh(inputs: FigureInputs) -> FigureInputs:
    return FigureInputs(inputs.runs, inputs.experiments, inputs.fits, inputs.curves, inputs.profiles)


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in figure.texts)


def test_all_figures_of_both_papers_are_there() -> None:
    assert {FIGURES[name].of for name in PAPERS} == {
        *(f"BUTTER-E, figure {number}" for number in range(1, 8)),
        "BUTTER, the butter zone",
        "BUTTER, the butter zone's twin",
        "BUTTER, minimizing epoch",
        "BUTTER, minimum loss",
        "BUTTER, descent slope",
    }
    assert all(FIGURES[name].finding is not None and FIGURES[name].claim for name in PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_drawn_again_from_the_tables_the_bytes_are_the_same(
    name: str, inputs: FigureInputs, figures: dict[str, Figure], tmp_path: Path
) -> None:
    first = save(figures[name], tmp_path / "first", name)
    second = save(FIGURES[name].figure(fresh(inputs)), tmp_path / "second", name)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", PAPERS)
def test_every_figure_has_panels_and_labels(name: str, figures: dict[str, Figure]) -> None:
    shown = [axes for axes in figures[name].axes if axes.get_visible()]
    assert shown
    assert any(axes.get_xlabel() for axes in shown)
    assert any(axes.get_ylabel() for axes in shown)


@pytest.mark.parametrize("name", PAPERS)
def test_text_stays_within_the_figure(name: str, figures: dict[str, Figure]) -> None:
    figure = figures[name]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    renderer = canvas.get_renderer()
    outside = []
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        labels = [axes.xaxis.label, axes.yaxis.label, *figure.texts]
        for text in labels:
            box = text.get_window_extent(renderer)
            if text.get_text() and (box.x0 < 0 or box.y0 < 0 or box.x1 > width + 1 or box.y1 > height + 1):
                outside.append(text.get_text())
    assert outside == []


def test_findings_that_the_physics_has_built_in(inputs: FigureInputs) -> None:
    found = findings(inputs)
    assert set(found) == set(PAPERS)
    expected = {
        "working_set_energy": "holds",
        "iso_loss_samples": "holds",
        "quality_control": "holds",
        "butter_zone": "holds",
        "minimizing_epoch": "holds",
        "minimum_loss": "holds",
        "descent_slope": "holds",
    }
    assert {name: found[name].verdict for name in expected} == expected
    assert "2^1" in found["energy_trends"].here
    assert "rank correlation -1.00" in found["butter_zone"].here


def test_findings_are_kept_and_read_back(inputs: FigureInputs, tmp_path: Path) -> None:
    found = findings(inputs)
    write_findings(found, tmp_path)
    assert read_findings(tmp_path) == found
    assert str(found["butter_zone"]).startswith(FIGURES["butter_zone"].claim)


def test_too_little_data_is_said_in_figure_and_finding(inputs: FigureInputs) -> None:
    one = FigureInputs(inputs.runs.iloc[:3], inputs.experiments.iloc[:1], [], inputs.curves.iloc[:1], inputs.profiles)
    for name, finding in findings(one).items():
        assert finding.verdict == "not enough data", name
        assert FIGURES[name].figure(one).texts
    assert "too few" in words(FIGURES["prediction_ratio"].figure(one))


def test_unknown_caches_are_said(inputs: FigureInputs) -> None:
    without = FigureInputs(inputs.runs, inputs.experiments, [], inputs.curves)
    for name in ("working_set_energy", "iso_loss_aggregate", "iso_loss_minima"):
        assert "Cache sizes are not known of CPU Xeon Gold 6154" in words(FIGURES[name].figure(without))
        finding = FIGURES[name].finding
        assert finding is not None
        assert finding(without).verdict == "not enough data"


def test_simulated_power_is_marked(inputs: FigureInputs) -> None:
    simulated = inputs.experiments.assign(power_origin="simulated")
    runs = inputs.runs.assign(power_origin="simulated")
    fits = [replace(fit, group=replace(fit.group, power_origin="simulated")) for fit in inputs.fits]
    marked = FigureInputs(runs, simulated, fits, inputs.curves, inputs.profiles)
    for name in PAPERS:
        figure = FIGURES[name].figure(marked)
        assert [text.get_text() for text in figure.texts if text.get_gid() == MARK_ID] == [
            "SIMULATED POWER - not a measurement"
        ]


def test_other_settings_are_not_mixed_in(inputs: FigureInputs) -> None:
    experiments = inputs.experiments.copy()
    some = experiments["experiment_id"].isin(experiments["experiment_id"].unique()[:5])
    experiments.loc[some, "learning_rate"] = 1e-2
    changed = FigureInputs(inputs.runs, experiments, [], inputs.curves)
    for name in ("butter_zone", "minimum_loss"):
        assert "5 experiments of other settings are not shown." in words(FIGURES[name].figure(changed))


def test_runs_that_a_rule_finds_are_counted(inputs: FigureInputs) -> None:
    runs = inputs.runs.copy()
    runs.loc[0, "training_s"] = 80_000.0
    figure = FIGURES["quality_control"].figure(FigureInputs(runs, inputs.experiments, []))
    assert f"{len(runs) - 1:,} of {len(runs):,} runs are kept. Found: long run 1" in words(figure)


@pytest.mark.parametrize("machine", [CPU, GPU])
def test_one_kind_of_hardware_is_enough(machine: object) -> None:
    assert machine in (CPU, GPU)
    made = make_published(
        machines=(CPU if machine is CPU else GPU,),
        datasets=("537_houses",),
        shapes=("rectangle",),
        depths=(3,),
        sizes=SIZES[::3],
        epochs=60,
        repetitions=1,
    )
    one = FigureInputs(made.runs, made.experiments, [], made.curves, PROFILES)
    for name in PAPERS:
        assert FIGURES[name].figure(one).texts
    assert all(isinstance(str(finding), str) for finding in findings(one).values())


def test_diverged_curves_leave_holes_and_no_errors(inputs: FigureInputs) -> None:
    medians = list(inputs.curves["test_loss_median"])
    medians[0] = np.where(np.arange(3000) < 1000, medians[0], np.inf)
    medians[1] = np.full(3000, np.inf)
    curves = inputs.curves.assign(test_loss_median=pd.Series(medians))
    changed = FigureInputs(inputs.runs, inputs.experiments, [], curves)
    for name in ("butter_zone", "minimum_loss"):
        assert isinstance(FIGURES[name].figure(changed), Figure)


def test_frames_without_columns_of_curves_are_enough(inputs: FigureInputs) -> None:
    figure = FIGURES["butter_zone"](inputs.runs, inputs.experiments, [])
    assert "No experiments with curves" in words(figure)
    assert isinstance(pd.DataFrame(inputs.iso_loss), pd.DataFrame)
