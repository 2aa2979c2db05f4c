import re
from typing import Any

import numpy as np
import pytest

from tests.planning.support_planning import CPU, GPU, by_book, config, finished, plan_of
from wattsweep.planning import Plan, describe_plan, forecast, learn
from wattsweep.planning.forecast import three_quarters
from wattsweep.planning.power import measured_powers
from wattsweep.planning.prediction import BOOK_RANGE

MEASURED = {"source": "ipmi", "min_window": "60 s", "idle_window": "10 s"}


def runs_of(plan: Plan, factor: float = 1.0, **changes: Any) -> list[Any]:
    return [finished(one, lambda run: factor * by_book(run), **changes) for one in plan.experiments]


@pytest.mark.parametrize("power", [{"source": "none"}, MEASURED])
def test_without_finished_runs_the_book_is_forecast(power: dict[str, Any]) -> None:
    plan = plan_of(config(power))
    predicted = forecast(plan)
    for shard in plan.shards:
        assert predicted.shards[shard.shard_id].mid == pytest.approx(shard.predicted_s)
    assert predicted.hours.mid == pytest.approx(plan.predicted_s / 3600)
    assert predicted.hours.low < predicted.hours.mid < predicted.hours.high
    assert predicted.fitted == predicted.beyond == 0
    sizes = predicted.sizes
    assert [one.log2_size for one in sizes] == list(range(7 if sizes[0].log2_size == 7 else 6, 19))
    assert sum(one.experiments for one in sizes) == len(plan.experiments)
    assert sum(one.runs for one in sizes) == plan.runs
    starts_h = len(plan.shards) * 12.0 / 3600
    assert sum(one.hours.mid for one in sizes) + starts_h == pytest.approx(predicted.hours.mid)


def test_a_plan_of_nothing_costs_nothing() -> None:
    plan = plan_of(config(dataset="digits", shape="rectangle", size=64, depth=2))
    predicted = forecast(plan)
    assert (predicted.hours.high, predicted.shards, predicted.kwh) == (0, {}, None)
    assert describe_plan(plan).endswith("no experiment is ready to train")


def test_finished_runs_make_the_forecast_theirs_and_narrower() -> None:
    plan = plan_of(config())
    book = forecast(plan)
    learned, predicted = learn(plan, runs_of(plan, 2.0), [])
    assert predicted.hours.mid == pytest.approx(2 * book.hours.mid, rel=0.1)
    assert predicted.fitted == 1
    assert predicted.hours.high / predicted.hours.low < 0.5 * book.hours.high / book.hours.low
    assert "finished runs of" in describe_plan(plan, predicted, learned)


def test_much_larger_networks_than_were_trained_keep_the_books_range() -> None:
    plan = plan_of(config())
    small = [one for one in plan.experiments if one.n_parameters < 2000]
    _, predicted = learn(plan, [finished(one, by_book) for one in small], [])
    _, whole = learn(plan, runs_of(plan), [])
    assert predicted.beyond > 0.5
    assert whole.beyond == 0
    low, high = BOOK_RANGE
    assert predicted.hours.high / predicted.hours.mid > 0.8 * high
    assert predicted.hours.low / predicted.hours.mid < 1.3 * low
    text = describe_plan(plan, predicted, learn(plan, [finished(one, by_book) for one in small], [])[0])
    assert "of the hours lie on networks much larger than any of those" in text


def test_runs_on_a_gpu_say_nothing_of_those_on_a_cpu() -> None:
    plan = plan_of(config(hardware=["cpu", "gpu"]))
    learned, predicted = learn(plan, runs_of(plan, 0.1, kind=GPU), [])
    assert 0 < predicted.fitted < 0.5
    book = forecast(plan)
    assert 0.4 < predicted.hours.mid / book.hours.mid < 0.6
    text = describe_plan(plan, predicted, learned)
    assert "the rest by the book" in text
    assert "hardware: gpu" not in text


def test_two_kinds_of_nodes_widen_the_range() -> None:
    plan = plan_of(config())
    other = CPU._replace(cpu_model="Older CPU")
    _, alike = learn(plan, runs_of(plan), [])
    _, mixed = learn(plan, [*runs_of(plan), *runs_of(plan, 3.0, kind=other)], [])
    assert mixed.hours.low == pytest.approx(alike.hours.low, rel=0.01)
    assert mixed.hours.mid == pytest.approx(2 * alike.hours.mid, rel=0.1)
    assert mixed.hours.high > 2.9 * alike.hours.mid


def test_kwh_of_a_simulated_meter_lie_between_rest_and_full_load() -> None:
    plan = plan_of(config({"source": "simulated", "simulated": {"idle_w": 100, "slope_w": 50}}))
    predicted = forecast(plan)
    assert predicted.kwh is not None
    low, high = predicted.hours.low * 0.1, predicted.hours.high * 0.15
    assert low * 0.9 < predicted.kwh.low < predicted.kwh.mid < predicted.kwh.high < high
    assert "simulated, not a measurement" in describe_plan(plan)


@pytest.mark.parametrize(("source", "words"), [("none", "power.source is none"), ("auto", "measure what a node draws")])
def test_where_no_power_is_known_the_plan_says_so(source: str, words: str) -> None:
    plan = plan_of(config({"source": source}))
    assert forecast(plan).kwh is None
    text = describe_plan(plan)
    assert "kWh         not known" in text
    assert words in text


def test_kwh_come_from_the_power_that_finished_runs_had() -> None:
    plan = plan_of(config(MEASURED))
    runs = runs_of(plan, origin="measured", mean_w=200.0, idle_w=100.0, block_id="a")
    learned, predicted = learn(plan, runs, [])
    assert predicted.kwh is not None
    idle_h = len(plan.experiments) * 14.0 / 3600
    starts_h = len(plan.shards) * 12.0 / 3600
    busy_h = predicted.hours.mid - idle_h - starts_h
    assert predicted.kwh.mid == pytest.approx(0.2 * busy_h + 0.1 * idle_h)
    assert "kWh         " in describe_plan(plan, predicted, learned)
    assert "from the mean power of 1 blocks: 200 W, 100 W at rest" in describe_plan(plan, predicted, learned)


def test_measured_watts_are_preferred_and_kinds_of_watts_never_mixed() -> None:
    one = plan_of(config()).experiments[0]
    runs = [finished(one, 1.0, origin="simulated", mean_w=500.0, idle_w=400.0, block_id=str(n)) for n in range(9)]
    runs += [finished(one, 1.0, origin="measured", mean_w=210.0, idle_w=100.0, block_id="x")]
    runs += [finished(one, 1.0, origin="measured", mean_w=210.0, idle_w=100.0, block_id="x")]
    runs += [finished(one, 1.0)]
    (found,) = measured_powers(runs)
    assert (found.origin, found.load_w, found.idle_w, found.blocks) == ("measured", 210.0, 100.0, 1)


def test_three_quarters_of_butters_cost_lie_above_2_to_the_22() -> None:
    """They are bound by arithmetic, so the plan says so and offers a GPU or a shorter list."""
    plan = plan_of(config(dataset="digits", size={"powers_of_two": [5, 24]}, epochs=3000))
    predicted = forecast(plan)
    found = three_quarters(predicted.sizes)
    assert found is not None
    assert found[0] == 22
    assert found[1] == pytest.approx(0.75, abs=0.05)
    text = describe_plan(plan)
    assert "of the node-hours lie above 2^22 parameters" in text
    assert "are matrix products,\nwhich only a GPU or a shorter list of sizes makes cheaper" in text
    shares = [one.hours.mid for one in predicted.sizes]
    assert np.argmax(shares) == len(shares) - 1
    rows = [line for line in text.split("\n") if line.startswith("2^")]
    assert " to 2^1" in rows[0]
    assert rows[-1].startswith("2^24 ")


def test_a_small_plan_says_what_starting_its_jobs_costs_so_that_shares_add_up() -> None:
    text = describe_plan(plan_of(config(size=[256, 1024], epochs=10)))
    table = text.split("share", 1)[1]
    shares = [float(share) for share in re.findall(r"([0-9.]+)%", table.split("of the node-hours")[0])]
    assert "starting jobs" in table
    assert sum(shares[: table.count("\n2^") + 1]) == pytest.approx(100, abs=0.5)
    assert "seconds each" in text


def test_one_size_has_no_share_above_it() -> None:
    assert three_quarters(forecast(plan_of(config(size=4096))).sizes) is None
