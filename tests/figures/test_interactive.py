import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support_published import make_published
from wattsweep.analysis import fit_groups
from wattsweep.config import AnalysisConfig
from wattsweep.errors import AnalysisError
from wattsweep.figures import FIGURES, FigureInputs
from wattsweep.figures.interactive import PANELS, interactive, read_interactive, write_interactive
from wattsweep.figures.interactive.table import shared_table
from wattsweep.hardware import profile


@pytest.fixture(scope="module")
def inputs() -> FigureInputs:
    made = make_published(
        datasets=("529_pollen", "537_houses"),
        shapes=("rectangle", "exponential"),
        depths=(2, 3),
        sizes=tuple(2**power for power in range(5, 23, 3)),
        epochs=600,
    )
    fits = fit_groups(made.experiments, AnalysisConfig(bootstrap_samples=20))
    return FigureInputs(made.runs, made.experiments, fits, made.curves, [profile("eagle-cpu"), profile("eagle-gpu")])


@pytest.fixture(scope="module")
def found(inputs: FigureInputs) -> dict[str, Any]:
    return interactive(inputs)


def test_every_figure_can_be_explored(found: dict[str, Any]) -> None:
    assert set(PANELS) == set(FIGURES) == set(found["figures"])
    assert [name for name, panels in found["figures"].items() if not panels] == []


def test_marks_fit_the_shared_table(found: dict[str, Any], inputs: FigureInputs) -> None:
    table = found["table"]
    assert table["rows"] == table["of"] == len(inputs.experiments)
    for name, panels in found["figures"].items():
        for marks in [marks for panel in panels for marks in panel["marks"]]:
            for axis in ("x", "y"):
                if isinstance(marks.get(axis), str):
                    assert marks[axis] in table["columns"], name
            lengths = {len(marks[key]) for key in ("x", "y", "rows", "lines") if isinstance(marks.get(key), list)}
            if marks["mode"] in ("points", "lines", "histogram"):
                assert len(lengths) <= 1, name
                assert all(0 <= row < table["rows"] for row in marks.get("rows", [])), name
            if marks["mode"] == "bars":
                assert len(marks["x"]) == len(marks["y"]) + 1
            if marks["mode"] == "heat":
                assert {len(row) for row in marks["z"]} == {len(marks["x"])}
                assert len(marks["z"]) == len(marks["y"])


def test_points_are_those_of_the_table(found: dict[str, Any], inputs: FigureInputs) -> None:
    columns = found["table"]["columns"]
    ids = [columns["experiment_id"]["names"][at] for at in columns["experiment_id"]["at"]]
    known = inputs.experiments.drop_duplicates("experiment_id").set_index("experiment_id")
    parameters = known.loc[ids, "n_parameters"]
    assert columns["n_parameters"] == list(parameters)
    assert all(value is None or np.isfinite(value) for value in columns["energy_per_datum_j"])


def test_lines_of_equal_loss_go_one_way(found: dict[str, Any]) -> None:
    for panel in found["figures"]["iso_loss_samples"]:
        (marks,) = panel["marks"]
        for (x, line), (next_x, next_line) in pairwise(zip(marks["x"], marks["lines"], strict=True)):
            assert next_line > line or (next_line == line and next_x >= x)


def test_too_many_experiments_are_thinned_evenly(inputs: FigureInputs) -> None:
    table = shared_table(inputs, most=20)
    document = table.document()
    assert document["rows"] == 20
    assert document["of"] == len(inputs.experiments)
    assert table.frame["dataset"].nunique() == 2
    assert np.isnan(table.rows(inputs.experiments.index)).sum() == len(inputs.experiments) - 20
    assert json.dumps(document, allow_nan=False)


def test_advice_is_in_step_with_the_lines(found: dict[str, Any], inputs: FigureInputs) -> None:
    assert {one["dataset"] for one in found["advice"]} == {"529_pollen", "537_houses"}
    for one in found["advice"]:
        assert all(before >= after for before, after in pairwise(one["test_loss"]))
        assert all(before <= after for before, after in pairwise(one["energy_j"]))
        energies = [one["energy_j"][at] for at in one["steps"]]
        assert energies[0] == one["energy_j"][-1]
        assert all(after <= before * 0.5005 for before, after in pairwise(energies))


def test_it_is_kept_as_plain_json(found: dict[str, Any], tmp_path: Path) -> None:
    write_interactive(found, tmp_path)
    assert json.loads(read_interactive(tmp_path)) == json.loads(json.dumps(found, allow_nan=False))
    with pytest.raises(AnalysisError, match=r"interactive\.json is not there: make it with `wattsweep figures`"):
        read_interactive(tmp_path / "elsewhere")


def test_nothing_trained_is_nothing_to_explore(inputs: FigureInputs) -> None:
    empty = FigureInputs(inputs.runs.iloc[:0], inputs.experiments.iloc[:0], [])
    document = interactive(empty)
    assert document["table"]["rows"] == 0
    assert document["advice"] == []
    assert json.dumps(document, allow_nan=False)
