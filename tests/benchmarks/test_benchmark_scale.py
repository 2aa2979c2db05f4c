"""The benchmark of scale runs, on a small part of the grid, and the shipped grids cost what is said of them."""

from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.measured import Measured
from benchmarks.scale_data import cut_to, facts, make_runs, preset
from wattsweep.planning import describe_plan, forecast, make_plan
from wattsweep.planning.forecast import three_quarters
from wattsweep.runs import Layout, read_run
from wattsweep.runs.finished import finished_runs


@pytest.mark.slow
def test_every_stage_is_measured_and_the_page_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "PAGE", tmp_path / "scale.md")
    scale.PAGE.write_text(f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n")
    bench = scale.Bench(tmp_path / "scratch")
    bench.runs(280)
    took = {name: stage.took["280"] for name, stage in bench.stages.items() if stage.took}
    assert took.keys() == bench.stages.keys() - {scale.UNPLANNED}
    assert all(found.wall_s > 0 and found.peak_mb > 10 for found in took.values())
    (sweep,) = bench.sweeps
    assert (sweep.runs, sweep.files) == (280, 280)
    # A file for every shard, and the index.
    assert sweep.packed_files == sweep.shards + 1
    scale.write(scale.report(bench))
    text = scale.PAGE.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for name in took:
        assert f"| {name} |" in text


def test_a_stage_that_fails_is_no_measurement(tmp_path: Path) -> None:
    wattsweep, _ = scale.Bench(tmp_path)._commands("280", tmp_path)
    with pytest.raises(RuntimeError, match=r"ended with 1: .*config\.yaml"):
        wattsweep(scale.PLAN, "plan")


@pytest.mark.slow
def test_made_up_runs_are_as_large_as_true_ones_and_valid(tmp_path: Path) -> None:
    config = cut_to(280, tmp_path)
    plan = make_runs(config, 280)
    layout = Layout(tmp_path)
    sizes = []
    for planned in plan.experiments:
        for record in finished_runs(layout, planned.experiment.experiment_id).values():
            path = layout.run(record.run)
            assert read_run(path).epochs_trained == 3000
            sizes.append(path.stat().st_size)
    assert len(sizes) == 280
    assert 180_000 < min(sizes) < max(sizes) < 260_000


def test_a_part_smaller_than_the_smallest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100 runs: one dataset and one shape are 280"):
        cut_to(100, tmp_path)


def test_growth_is_that_from_the_fewest_to_the_most_runs() -> None:
    stage = scale.Stage("x", took={"1,000": Measured(9.0, 1.0, 100.0), "60,000": Measured(9.0, 30.0, 150.0)})
    assert "| x | 30.0 | 1.5 | 60 |" in scale.growth([stage], [1000, 60_000])
    assert scale.growth([stage], [1000]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["butter", "butter-e"])
def test_about_three_quarters_of_the_papers_cost_lies_above_2_to_the_22(name: str, tmp_path: Path) -> None:
    plan = make_plan(preset(name, tmp_path), facts())
    found = three_quarters(forecast(plan).sizes)
    assert found is not None
    exponent, share = found
    assert exponent == 22
    assert 0.7 < share < 0.82
    assert f"{share:.0%} of the node-hours lie above 2^22 parameters" in describe_plan(plan)
