import json
from pathlib import Path

import pytest

from tests.planning.support_planning import by_book, config, finished, plan_of
from wattsweep.errors import ConfigError
from wattsweep.planning import (
    FinishedRun,
    FinishedShard,
    Plan,
    compare,
    describe_plan,
    forecast,
    learn,
    plan_to_json,
    read_plan,
    read_prediction,
    wall_times,
    write_plan,
    write_prediction,
)
from wattsweep.planning.prediction import SHARD_START_S


def runs_of(plan: Plan, factor: float) -> list[FinishedRun]:
    return [finished(one, lambda run: factor * by_book(run)) for one in plan.experiments]


def shards_of(plan: Plan, factor: float, count: int = 10) -> list[FinishedShard]:
    return [
        FinishedShard(shard.shard_id, factor * shard.predicted_s, shard.predicted_s - SHARD_START_S)
        for shard in plan.shards[:count]
    ]


def test_a_refit_moves_no_shard(tmp_path: Path) -> None:
    """Shards follow from the configuration and the book; only times that are asked for are learned."""
    plan = plan_of(config())
    write_plan(plan, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    learned, predicted = learn(plan, runs_of(plan, 3.0), shards_of(plan, 3.0))
    write_prediction(tmp_path, learned, predicted, {})
    again = plan_of(config())
    write_plan(again, tmp_path)
    assert [shard.shard_id for shard in again.shards] == [shard.shard_id for shard in plan.shards]
    assert plan_to_json(again) == plan_to_json(plan)
    assert {path: path.read_bytes() for path in before} == before


def test_jobs_ask_for_what_was_learned(tmp_path: Path) -> None:
    plan = plan_of(config())
    write_plan(plan, tmp_path)
    shards = read_plan(tmp_path / "plan.json")["shards"]
    by_the_book = wall_times(shards, tmp_path, 1.5)
    assert by_the_book == {shard.shard_id: pytest.approx(1.5 * shard.predicted_s) for shard in plan.shards}
    learned, predicted = learn(plan, runs_of(plan, 4.0), shards_of(plan, 4.0))
    write_prediction(tmp_path, learned, predicted, {"runs": 3})
    asked = wall_times(shards, tmp_path, 1.5)
    assert asked.keys() == by_the_book.keys()
    for shard in plan.shards:
        assert asked[shard.shard_id] >= 1.49 * predicted.shards[shard.shard_id].mid
        assert asked[shard.shard_id] >= 0.99 * predicted.shards[shard.shard_id].high
    largest = max(plan.shards, key=lambda shard: shard.predicted_s)
    assert asked[largest.shard_id] > 3 * by_the_book[largest.shard_id]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "wattsweep-prediction", "version": 99}'])
def test_a_prediction_that_cannot_be_read_leaves_the_books_times(content: str, tmp_path: Path) -> None:
    plan = plan_of(config())
    write_plan(plan, tmp_path)
    shards = read_plan(tmp_path / "plan.json")["shards"]
    before = wall_times(shards, tmp_path, 2.0)
    (tmp_path / "prediction.json").write_text(content)
    assert wall_times(shards, tmp_path, 2.0) == before
    with pytest.raises(ConfigError, match=r"prediction\.json"):
        read_prediction(tmp_path)


def test_shards_that_a_prediction_does_not_know_ask_for_the_books_time(tmp_path: Path) -> None:
    old, new = plan_of(config(depth=[2, 3])), plan_of(config(depth=[2, 3, 4]))
    write_plan(new, tmp_path)
    learned, predicted = learn(old, runs_of(old, 2.0), [])
    write_prediction(tmp_path, learned, predicted, {})
    asked = wall_times(read_plan(tmp_path / "plan.json")["shards"], tmp_path, 1.5)
    assert asked.keys() == {shard.shard_id for shard in new.shards}
    known = {shard.shard_id for shard in old.shards}
    for shard in new.shards:
        if shard.shard_id not in known:
            assert asked[shard.shard_id] == pytest.approx(1.5 * shard.predicted_s)


def test_the_prediction_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    plan = plan_of(config())
    learned, predicted = learn(plan, runs_of(plan, 2.0), shards_of(plan, 2.0))
    path = write_prediction(tmp_path, learned, predicted, {"runs": 7, "finished_shards": 3})
    document = read_prediction(tmp_path)
    assert document["fitted_on"] == {"runs": 7, "finished_shards": 3}
    assert document["fits"][0]["experiments"] == len(plan.experiments)
    assert document["shards_s"].keys() == {shard.shard_id for shard in plan.shards}
    assert document["kwh"] is None
    assert json.loads(path.read_text()) == document
    assert [found.name for found in tmp_path.iterdir()] == ["prediction.json"]


def test_whole_shards_correct_what_their_runs_do_not_tell() -> None:
    """Half of the time goes into what no run shows: a slow file system, say."""
    plan = plan_of(config())
    runs = runs_of(plan, 1.0)
    _, without = learn(plan, runs, [])
    shards = [FinishedShard(one.shard_id, 2 * without.shards[one.shard_id].mid, 1e9) for one in plan.shards]
    learned, predicted = learn(plan, runs, shards)
    assert 1.5 < learned.shard_ratio < 2.0
    assert predicted.hours.mid == pytest.approx(learned.shard_ratio * without.hours.mid)
    assert predicted.shards.keys() == without.shards.keys()


def test_a_shard_that_was_resumed_is_no_measure() -> None:
    plan = plan_of(config())
    half = [FinishedShard(one.shard_id, 1.0, 0.5 * (one.predicted_s - SHARD_START_S)) for one in plan.shards]
    other = [FinishedShard("0" * 12, 1.0, 1e9)]
    learned, _ = learn(plan, runs_of(plan, 1.0), [*half, *other])
    assert learned.shard_ratio == 1.0


def test_the_plan_shows_predicted_against_actual() -> None:
    plan = plan_of(config())
    runs, shards = runs_of(plan, 2.0), shards_of(plan, 2.0)
    learned, predicted = learn(plan, runs, shards)
    compared = compare(plan, learned, predicted, runs, shards)
    assert compared is not None
    assert compared.shards == len(shards)
    assert compared.actual_h / compared.book_h == pytest.approx(2.0)
    assert compared.actual_h / compared.fitted_h == pytest.approx(1.0, abs=0.15)
    assert sum(one.runs for one in compared.sizes) == len(runs)
    assert [one.book for one in compared.sizes] == pytest.approx([2.0] * len(compared.sizes))
    assert [one.fitted for one in compared.sizes] == pytest.approx([1.0] * len(compared.sizes), abs=0.1)
    text = describe_plan(plan, predicted, learned, compared)
    assert f"finished: {len(shards)} of {len(plan.shards)} shards in one go" in text
    assert "actual : predicted 2.00" in text
    assert "shards last 2 times scheduling.shard_wall_time" in text


def test_nothing_is_compared_before_anything_is_finished() -> None:
    plan = plan_of(config())
    learned, predicted = learn(plan, [], [])
    assert compare(plan, learned, predicted, [], []) is None
    assert predicted == forecast(plan)
