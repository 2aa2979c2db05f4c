from dataclasses import replace
from typing import Any

import pytest

from tests.planning.support_planning import by_book, config, finished, plan_of
from wattsweep.planning import FinishedShard, Plan, compare, describe_plan, forecast, learn
from wattsweep.planning.prediction import SHARD_START_S

MEASURED = {"source": "ipmi", "min_window": "60 s", "idle_window": "10 s"}


def line(text: str, start: str) -> str:
    (found,) = [line for line in text.split("\n") if line.startswith(start)]
    return found


def rows(text: str) -> dict[str, list[str]]:
    """The cells of the table by size, after the name of the size."""
    lines = [line for line in text.split("\n") if line.startswith("2^")]
    return {line[:14].strip(): line[14:].split() for line in lines}


def test_before_submission_it_says_runs_shards_hours_and_kwh_with_ranges() -> None:
    plan = plan_of(config({"source": "simulated", "simulated": {"idle_w": 100, "slope_w": 50}}))
    text, predicted = describe_plan(plan), forecast(plan)
    assert line(text, "runs").split()[1].rstrip(",") == f"{plan.runs:,}"
    assert "further ones to fill blocks" in line(text, "runs")
    assert line(text, "shards").split()[1] == f"{len(plan.shards):,},"
    for start, value in (("node-hours", predicted.hours), ("kWh", predicted.kwh)):
        assert value is not None
        assert line(text, start).split()[1] == f"{value.mid:.3g}"
        assert f"({value.low:.3g} to {value.high:.3g})" in line(text, start)
    assert "the book's rates; cores differ" in line(text, "basis")


def test_the_rows_by_size_add_up_to_the_whole() -> None:
    plan = plan_of(config())
    table = rows(describe_plan(plan))
    assert sum(int(cells[0].replace(",", "")) for cells in table.values()) == len(plan.experiments)
    assert sum(int(cells[1].replace(",", "")) for cells in table.values()) == plan.runs
    # What a shard takes to start belongs to no size.
    starts = SHARD_START_S * len(plan.shards) / plan.predicted_s
    assert sum(float(cells[3].rstrip("%")) for cells in table.values()) == pytest.approx(100 * (1 - starts), abs=0.5)
    assert all(cells[4] == "?" for cells in table.values())


def test_experiments_that_fill_no_shard_but_burst_it_are_counted() -> None:
    assert "longer than scheduling.shard_wall_time" not in describe_plan(plan_of(config(size=256)))
    plan = plan_of(config(size=[256, 2**18], epochs=30000))
    alone = [shard for shard in plan.shards if len(shard.experiments) == 1 and shard.predicted_s > 600]
    assert alone
    assert f"{len(alone)} of them are one experiment that takes longer than scheduling.shard_wall_time" in (
        describe_plan(plan)
    )


def told(plan: Plan, factor: float, **changes: Any) -> str:
    """What is printed when every run and every shard took so many times what the book says."""
    runs = [finished(one, lambda run: factor * by_book(run), **changes) for one in plan.experiments]
    shards = [FinishedShard(one.shard_id, factor * one.predicted_s, one.predicted_s) for one in plan.shards]
    learned, predicted = learn(plan, runs, shards)
    return describe_plan(plan, predicted, learned, compare(plan, learned, predicted, runs, shards))


def test_predicted_stands_beside_actual_for_shards_and_by_size() -> None:
    plan = plan_of(config())
    text = told(plan, 3.0)
    assert f"finished: {len(plan.shards)} of {len(plan.shards)} shards in one go" in text
    assert "actual : predicted 3.00" in text
    sizes = [line.split() for line in text.split("\n") if line.startswith("about 2^")]
    assert sum(int(cells[2]) for cells in sizes) == len(plan.experiments)
    assert {cells[3] for cells in sizes} == {"3.00"}
    assert all(0.9 < float(cells[4]) < 1.1 for cells in sizes)


@pytest.mark.parametrize(("factor", "said"), [(1.2, False), (0.8, False), (2.0, True), (0.4, True)])
def test_only_shards_of_quite_another_length_than_asked_for_are_spoken_of(factor: float, said: bool) -> None:
    assert ("times scheduling.shard_wall_time" in told(plan_of(config()), factor)) is said


def test_runs_of_nobodys_power_leave_kwh_unknown_and_measured_ones_tell_it() -> None:
    plan = plan_of(config(MEASURED))
    assert "kWh         not known: power.source is ipmi" in told(plan, 1.0)
    text = told(plan, 1.0, origin="measured", mean_w=210.0, idle_w=100.0, block_id="b")
    assert "from the mean power of 1 blocks: 210 W, 100 W at rest" in line(text, "kWh")
    assert "?" not in " ".join(" ".join(cells) for cells in rows(text).values())


def test_a_finished_run_on_a_gpu_ends_the_remark_that_none_was_measured() -> None:
    plan = plan_of(config(hardware="gpu"))
    remark = "for want of measured rates: hardware: gpu"
    assert remark in describe_plan(plan)
    kind = replace(finished(plan.experiments[0], 1.0)).kind._replace(device="gpu: Example")
    assert remark not in told(plan, 1.0, kind=kind)
