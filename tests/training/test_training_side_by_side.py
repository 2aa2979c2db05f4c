"""Runs trained side by side in one program are those trained one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.support_training import bundled, plan_for, train
from wattsweep.errors import TrainingError
from wattsweep.training import HISTORY_NAMES, Objective, diverged_at, make_engine

pytestmark = pytest.mark.usefixtures("tensorflow")

SEEDS = [11, 12, 13]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "depth", "objective"),
    [
        ("wine", "rectangle_residual", 6, Objective()),
        ("breast_cancer", "trapezoid", 4, Objective("rmsprop", momentum=0.9, kernel_l1=0.001, kernel_l2=0.01)),
        ("diabetes", "wide_first_2x", 6, Objective("sgd", momentum=0.9, kernel_l2=0.01)),
    ],
)
def test_losses_are_those_of_runs_trained_one_by_one(
    name: str, shape: str, depth: int, objective: Objective, tmp_path: Path
) -> None:
    """Each with its own split, initial weights and row orders, to float32 rounding."""
    pairs = [bundled(name, tmp_path, seed) for seed in SEEDS]
    dataset, splits = pairs[0][0], [parts for _, parts in pairs]
    plan = plan_for(dataset, splits[0], shape, depth=depth, objective=objective)
    engine = make_engine("compiled", replace(plan, runs_at_once=len(SEEDS)))
    engine.prepare()
    together = engine.train(splits, SEEDS)
    assert len({(trained.start_s, trained.end_s) for trained in together}) == 1
    assert not np.array_equal(together[0].history["loss"], together[1].history["loss"])
    for trained, parts, seed in zip(together, splits, SEEDS, strict=True):
        alone = train("compiled", plan, parts, seed)
        for metric in HISTORY_NAMES:
            np.testing.assert_allclose(
                trained.history[metric], alone.history[metric], rtol=1e-4, atol=1e-6, err_msg=metric
            )


def test_each_run_ends_at_its_own_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattsweep.training.compiled.epochs_per_call", lambda _plan: 2)
    dataset, good = bundled("wine", tmp_path, 1)
    bad = replace(good, train_x=good.train_x * np.float32(1e20))
    plan = plan_for(dataset, good, epochs=9, objective=Objective("sgd"))
    engine = make_engine("compiled", replace(plan, runs_at_once=2, stop_on_divergence=True))
    engine.prepare()
    fine, diverged = engine.train([good, bad], [1, 2])
    assert len(fine.history["loss"]) == 9
    assert diverged_at(fine.history["loss"], fine.history["val_loss"]) is None
    ended = len(diverged.history["loss"])
    assert ended < 9
    assert diverged_at(diverged.history["loss"], diverged.history["val_loss"]) == ended


def test_a_wrong_number_of_runs_is_refused(tmp_path: Path) -> None:
    dataset, parts = bundled("wine", tmp_path)
    plan = replace(plan_for(dataset, parts), runs_at_once=2)
    with pytest.raises(TrainingError, match="1 splits, 1 seeds: the plan has 2 at once"):
        make_engine("compiled", plan).train([parts], [1])
    with pytest.raises(TrainingError, match="keras-fit trains one run after another, not 2 at once"):
        make_engine("keras-fit", plan)
