"""Shards whose repetitions are trained side by side, and shards with what does not fit into memory."""

from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from wattsweep.config import Config
from wattsweep.datasets import load, split
from wattsweep.errors import OutOfMemoryError
from wattsweep.runs import Layout, describe_run, execute_shard
from wattsweep.runs.blocks import training_plan
from wattsweep.training import HISTORY_NAMES, make_engine

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]


def vectorised(results: Path, **power: str) -> Config:
    base = config(results, CUBE | {"depth": 3, "repetitions": 3}, **power)
    return base.model_copy(update={"training": base.training.model_copy(update={"repetitions": "vectorised"})})


def test_repetitions_side_by_side_share_their_energy_and_say_so(tmp_path: Path) -> None:
    settings = vectorised(tmp_path / "together", min_window="500 ms")
    run(settings)
    done = records(settings)
    assert len(done) > 3
    assert len(done) % 3 == 0
    windows: dict[tuple[float, float], list[float]] = {}
    for record in done.values():
        power = record.power
        assert record.runs_at_once == 3
        assert power is not None
        assert power.status == "ok", power.reason
        assert power.block_runs == len(done)
        assert "one of 3 runs trained side by side" in describe_run(record)
        windows.setdefault((record.training.start_s, record.training.end_s), []).append(power.energy.gross.joules)
    # The simulated node draws 100 W whatever it does; a group of three shares the joules of its window.
    assert len(windows) == len(done) // 3
    for (start_s, end_s), joules in windows.items():
        assert len(joules) == 3
        assert sum(joules) == pytest.approx(100 * (end_s - start_s), rel=1e-9)
    trained_s = sum(end_s - start_s for start_s, end_s in windows)
    assert next(iter(done.values())).power.block_training_s == pytest.approx(trained_s)  # type: ignore[union-attr]
    assert trained_s >= 0.5


def test_their_losses_are_those_of_runs_one_by_one(tmp_path: Path) -> None:
    settings = vectorised(tmp_path, source="none")
    run(settings)
    (planned,) = shard_of(settings).experiments
    data = load(Layout(settings.paths.results).datasets / "bundled" / "wine.npz")
    engine = make_engine("compiled", training_plan(planned, data, settings.training, runs_at_once=1))
    engine.prepare()
    assert len(records(settings)) == 3
    for record in records(settings).values():
        parts = split(data, test_split=0.2, label_noise=0.0, seed=record.run.seed)
        (alone,) = engine.train([parts], [record.run.seed])
        for name in HISTORY_NAMES:
            np.testing.assert_allclose(record.history[name], alone.history[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_what_does_not_fit_is_refused_and_the_rest_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(tmp_path, CUBE | {"depth": 2, "size": [256, 2**22], "repetitions": 1}, source="none")
    monkeypatch.setattr("wattsweep.runs.blocks.memory_bytes", lambda: 1_000_000_000)
    lines: list[str] = []

    with pytest.raises(OutOfMemoryError, match="1 of 2 experiments were refused") as refused:
        execute_shard(shard_of(settings), settings, report=lines.append)
    assert "size 4194304" in str(refused.value)
    assert "this process may use 1.00 GB" in str(refused.value)
    assert "scheduling.memory_mb" in str(refused.value)
    assert any("refused: training" in line for line in lines)
    assert {record.settings.size for record in records(settings).values()} == {256}
    assert not list((tmp_path / "staged").rglob("*.json"))
