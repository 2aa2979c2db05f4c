"""A training that is interrupted and goes on from its last checkpoint is the training that never was interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.support_training import SEED, InterruptedTrainingError, KeptCheckpoints, bundled, plan_for, train
from wattsweep.training import HISTORY_NAMES, Objective, make_engine

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("engine", "objective"),
    [
        ("compiled", Objective()),
        ("compiled", Objective("rmsprop", momentum=0.9, kernel_l2=0.01)),
        ("keras-fit", Objective("sgd", momentum=0.9)),
    ],
)
def test_a_resumed_history_is_the_undisturbed_one_to_the_last_bit(
    engine: str, objective: Objective, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattsweep.training.compiled.epochs_per_call", lambda _plan: 2)
    dataset, parts = bundled("wine", tmp_path)
    plan = plan_for(dataset, parts, depth=5, epochs=11, objective=objective)
    whole = train(engine, plan, parts)

    store = KeptCheckpoints(last=2)
    first = make_engine(engine, plan)
    first.prepare()
    with pytest.raises(InterruptedTrainingError):
        first.train([parts], [SEED], store)
    kept = store.saved[-1].epochs
    assert 0 < kept < 11

    second = make_engine(engine, plan)
    second.prepare()
    (resumed,) = second.train([parts], [SEED], store)
    assert all(checkpoint.epochs > kept for checkpoint in store.saved[2:])
    assert len(store.saved) > 2
    for metric in HISTORY_NAMES:
        np.testing.assert_array_equal(resumed.history[metric], whole.history[metric])


def test_runs_side_by_side_are_resumed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattsweep.training.compiled.epochs_per_call", lambda _plan: 4)
    seeds = [3, 4]
    dataset, first = bundled("wine", tmp_path, seeds[0])
    splits = [first, bundled("wine", tmp_path, seeds[1])[1]]
    plan = replace(plan_for(dataset, first, epochs=11), runs_at_once=2)
    engine = make_engine("compiled", plan)
    engine.prepare()
    whole = engine.train(splits, seeds)
    store = KeptCheckpoints(last=1)
    with pytest.raises(InterruptedTrainingError):
        engine.train(splits, seeds, store)
    for one, other in zip(engine.train(splits, seeds, store), whole, strict=True):
        for metric in HISTORY_NAMES:
            np.testing.assert_array_equal(one.history[metric], other.history[metric])
