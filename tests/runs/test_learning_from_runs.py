"""The predictor corrects itself on finished runs: real ones, of a book that is far off."""

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wattsweep.cli import app
from wattsweep.config import load
from wattsweep.datasets import dataset_path, read_facts
from wattsweep.planning import compare, learn, make_plan, read_plan, read_prediction, read_shards, wall_times
from wattsweep.planning.prediction import BOOK
from wattsweep.runs import Layout, execute_shard
from wattsweep.runs.observing import observe

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

TOO_QUICK = 30
"""So many times quicker the book is made: this machine, loaded or not, is between half and a tenth of its speed."""


def plan(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["plan", "--configfile", str(config), *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_finished_runs_correct_the_book_and_the_plan_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOOK, "compiled", tuple(rate / TOO_QUICK for rate in BOOK["compiled"]))
    path, folder = tmp_path / "config.yaml", tmp_path / "results" / "plan"
    path.write_text(
        "sweeps:\n"
        "  demo: {dataset: wine, shape: rectangle, size: [64, 1024, 16384], depth: [2, 3], epochs: 400, "
        "repetitions: 2}\n"
        f"power: {{source: none}}\npaths: {{results: {tmp_path / 'results'}}}\n"
    )
    before = plan(path, "--output", str(folder))
    assert "finished:" not in before
    assert "until runs are finished" in before
    config, layout = load(path), Layout(tmp_path / "results")
    shards = read_shards(folder)
    summaries = read_plan(folder / "plan.json")["shards"]
    asked = wall_times(summaries, folder, 1.5)
    for shard in shards:
        execute_shard(shard, config, marker=layout.marker(shard.shard_id))

    after = plan(path)
    assert f"finished: {len(shards)} of {len(shards)} shards in one go" in after
    assert "actual : predicted" in after
    assert "12 finished runs of 6 experiments" in after
    assert read_prediction(folder)["fitted_on"] == {"runs": 12, "experiments": 6, "finished_shards": len(shards)}
    assert read_plan(folder / "plan.json")["shards"] == summaries
    learned = wall_times(summaries, folder, 1.5)
    assert learned.keys() == asked.keys()
    assert learned != asked

    planned = make_plan(config, {("bundled", "wine"): read_facts(dataset_path(layout.datasets, "bundled", "wine"))})
    runs, times = observe(layout)
    found, predicted = learn(planned, runs, times)
    compared = compare(planned, found, predicted, runs, times)
    assert compared is not None
    assert [one.log2_size for one in compared.sizes] == [6, 10, 14]
    for size in compared.sizes:
        assert abs(math.log(size.fitted)) < 0.5 * abs(math.log(size.book))
    assert compared.shards == len(shards)
