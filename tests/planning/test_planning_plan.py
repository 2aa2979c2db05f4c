import json
from pathlib import Path
from typing import Any

import pytest

from wattsweep.config import Config, parse
from wattsweep.datasets import DatasetFacts
from wattsweep.errors import ConfigError
from wattsweep.planning import (
    dataset_names,
    describe_plan,
    make_plan,
    plan_to_json,
    predict_block_s,
    predict_run_s,
    read_plan,
    read_shard,
    read_shards,
    write_plan,
)

WINE = DatasetFacts("bundled", "wine", "classification", "softmax", 178, 13, 3, 13, "0" * 64)
DIGITS = DatasetFacts("bundled", "digits", "classification", "softmax", 1797, 64, 10, 64, "1" * 64)
FACTS = {("bundled", "wine"): WINE, ("bundled", "digits"): DIGITS}


def config(**changes: Any) -> Config:
    cube = {
        "dataset": ["wine", "digits"],
        "shape": ["rectangle", "exponential"],
        "size": {"powers_of_two": [6, 12]},
        "depth": [2, 3, 4],
        "repetitions": 2,
    }
    return parse({"sweeps": {"demo": cube | changes}, "scheduling": {"shard_wall_time": "5 min"}})


def test_the_plan_holds_every_experiment_once_or_says_why_not() -> None:
    plan = make_plan(config(), FACTS)
    ids = [planned.experiment.experiment_id for planned in plan.experiments]
    left_out = [one.experiment.experiment_id for one in plan.nonconformant]
    assert len(ids) + len(left_out) == len(set(ids + left_out)) == 2 * 2 * 7 * 3
    assert plan.runs == 2 * len(ids)


def test_an_experiment_far_from_its_size_is_left_out() -> None:
    # digits, one hidden unit: 64 + 1 weights and bias, then 10 x (1 + 1): 85 parameters where 64 are asked for.
    plan = make_plan(config(dataset="digits", shape="rectangle", size=64, depth=2), FACTS)
    assert plan.experiments == []
    (one,) = plan.nonconformant
    assert one.n_parameters == 85
    assert one.relative_error == pytest.approx(21 / 64)
    assert one.reason == "too small"
    assert "1  even the smallest network of that shape and depth is more than 20 % larger" in describe_plan(plan)
    assert "digits rectangle size 64 depth 2: nearest has 85 parameters (+32.8%)" in describe_plan(plan)


def test_a_new_depth_leaves_the_shards_of_others_alone() -> None:
    def shards(*depths: int) -> set[str]:
        return {shard.shard_id for shard in make_plan(config(depth=list(depths), epochs=30000), FACTS).shards}

    before, after = shards(2, 3, 4), shards(2, 3, 4, 5)
    assert len(before - after) <= 4
    assert len(before) > 10


def test_the_plan_does_not_depend_on_the_order_of_the_grid() -> None:
    one = make_plan(config(depth=[2, 3, 4]), FACTS)
    other = make_plan(config(depth=[4, 2, 3], dataset=["digits", "wine"]), FACTS)
    assert [shard.shard_id for shard in one.shards] == [shard.shard_id for shard in other.shards]


def test_more_repetitions_make_another_shard() -> None:
    some, more = (make_plan(config(repetitions=repetitions), FACTS) for repetitions in (2, 3))
    assert {shard.shard_id for shard in some.shards}.isdisjoint(shard.shard_id for shard in more.shards)


@pytest.mark.parametrize("wall_time", ["1 min", "5 min", "10 h"])
def test_an_experiments_repetitions_stay_in_one_shard(wall_time: str, tmp_path: Path) -> None:
    document = config(repetitions=50).model_dump(mode="json", by_alias=True)
    plan = make_plan(parse(document | {"scheduling": {"shard_wall_time": wall_time}}), FACTS)
    write_plan(plan, tmp_path)
    shards = read_shards(tmp_path)
    runs = [(one.experiment.experiment_id, one.experiment.repetitions) for shard in shards for one in shard.experiments]
    assert len(dict(runs)) == len(runs) == len(plan.experiments)
    assert {repetitions for _, repetitions in runs} == {50}
    assert (len(shards) == 1) == (wall_time == "10 h")


def test_files_give_the_plan_back(tmp_path: Path) -> None:
    plan = make_plan(config(), FACTS)
    write_plan(plan, tmp_path)
    assert read_plan(tmp_path / "plan.json") == json.loads(json.dumps(plan_to_json(plan)))
    for shard in plan.shards:
        assert read_shard(tmp_path / "shards" / f"{shard.shard_id}.json") == shard


def test_a_foreign_file_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"format": "other"}')
    with pytest.raises(ConfigError, match="not a plan of version 1"):
        read_plan(tmp_path / "plan.json")


def test_the_datasets_of_a_config_are_named_once() -> None:
    assert dataset_names(config(dataset=["wine", "digits", "bundled:wine"])) == [
        ("bundled", "wine"),
        ("bundled", "digits"),
    ]


def test_predicted_time_grows_with_all_that_costs() -> None:
    def seconds(widths: tuple[int, ...] = (64, 64, 3), **changes: Any) -> float:
        facts = {"n_train": 1000, "n_test": 250, "epochs": 100, "batch_size": 64, "engine": "compiled"}
        return predict_run_s(widths, 13, **{**facts, **changes})

    base = seconds()
    assert seconds(epochs=200) == pytest.approx(2 * base)
    assert seconds(widths=(256, 256, 3)) > base
    assert seconds(widths=(64, 64, 64, 3)) > base
    assert seconds(n_train=4000) > base
    assert seconds(batch_size=16) > base
    assert seconds(engine="keras-fit") > 10 * base


def test_a_block_is_predicted_to_be_extended_only_where_power_is_measured() -> None:
    measured = parse({"sweeps": config().model_dump(mode="json")["sweeps"], "power": {"min_window": "60 s"}}).power
    unmeasured = measured.model_copy(update={"source": "none"})
    assert predict_block_s(1.0, 2, 3, measured) > 60
    assert predict_block_s(1.0, 2, 3, unmeasured) < 10
    assert predict_block_s(100.0, 2, 3, measured) > 200


def test_a_shard_is_for_one_kind_of_hardware() -> None:
    plan = make_plan(config(hardware=["gpu", "cpu"]), FACTS)
    assert {shard.hardware for shard in plan.shards} == {"cpu", "gpu"}
    for shard in plan.shards:
        assert {planned.experiment.settings.hardware for planned in shard.experiments} == {shard.hardware}
    cpu = {shard.shard_id for shard in plan.shards if shard.hardware == "cpu"}
    assert cpu == {shard.shard_id for shard in make_plan(config(hardware="cpu"), FACTS).shards}


def test_the_files_of_a_plan_name_a_shards_hardware(tmp_path: Path) -> None:
    write_plan(make_plan(config(hardware=["gpu", "cpu"]), FACTS), tmp_path)
    for shard in read_plan(tmp_path / "plan.json")["shards"]:
        path = tmp_path / "shards" / f"{shard['shard_id']}.json"
        assert json.loads(path.read_text())["hardware"] == shard["hardware"] == read_shard(path).hardware


def test_a_size_between_two_widths_is_left_out_for_that_reason() -> None:
    # digits, w hidden units: 65 w + 10 (w + 1) = 75 w + 10, so 85 and 160 where 128 are asked for: -34 % and +25 %.
    plan = make_plan(config(dataset="digits", shape="rectangle", size=128, depth=2), FACTS)
    (one,) = plan.nonconformant
    assert (one.n_parameters, one.reason) == (160, "between widths")
    assert plan_to_json(plan)["nonconformant"][0]["reason"] == "between widths"
    assert "1  the networks of two neighbouring widths are both more than 20 % off" in describe_plan(plan)


def test_a_network_that_two_experiments_ask_for_is_shown_once() -> None:
    axes = {"dataset": "digits", "shape": "rectangle", "size": 64, "depth": 2, "hardware": ["cpu", "gpu"]}
    plan = make_plan(config(**axes), FACTS)
    assert len(plan.nonconformant) == 2
    text = describe_plan(plan)
    assert text.count("digits rectangle size 64 depth 2") == 1
    assert "2  even the smallest network" in text


def test_what_has_no_rates_is_predicted_like_what_has_and_the_plan_says_so() -> None:
    usual = make_plan(config(), FACTS)
    document = config(hardware="gpu", precision="mixed_bfloat16").model_dump(mode="json", by_alias=True)
    other = make_plan(parse(document | {"training": {"repetitions": "vectorised"}}), FACTS)
    assert sorted(one.predicted_s for one in other.experiments) == sorted(one.predicted_s for one in usual.experiments)
    assert "for want of measured rates" not in describe_plan(usual)
    assert (
        "for want of measured rates: hardware: gpu, precision: mixed_bfloat16, repetitions: vectorised"
    ) in describe_plan(other)
