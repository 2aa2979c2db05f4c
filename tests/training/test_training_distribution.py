"""Over seeds, both engines end at the same distribution of losses, each with splits and shuffles of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp, mannwhitneyu

from tests.training.support_training import bundled, plan_for
from wattsweep.datasets import Dataset, split
from wattsweep.training import TrainingPlan, make_engine

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

SEEDS = 30
ALPHA = 0.01


def final_losses(engine_name: str, plan: TrainingPlan, dataset: Dataset, first_seed: int) -> NDArray[np.float64]:
    """Train and test loss of the last epoch, [seeds, 2]."""
    engine = make_engine(engine_name, plan)
    engine.prepare()
    losses = []
    for seed in range(first_seed, first_seed + SEEDS):
        parts = split(dataset, test_split=0.2, label_noise=0.0, seed=seed)
        (trained,) = engine.train([parts], [seed])
        losses.append([trained.history[name][-1] for name in ("loss", "val_loss")])
    return np.array(losses)


def p_values(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[float]:
    """Of two tests on each of the two losses."""
    tests = (ks_2samp, mannwhitneyu)
    return [float(test(one[:, column], other[:, column]).pvalue) for test in tests for column in range(one.shape[1])]


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "diabetes"])
def test_losses_of_both_engines_do_not_differ(name: str, tmp_path: Path) -> None:
    dataset, parts = bundled(name, tmp_path)
    plan = plan_for(dataset, parts, epochs=5)
    keras = final_losses("keras-fit", plan, dataset, first_seed=1000)
    assert min(p_values(final_losses("compiled", plan, dataset, first_seed=0), keras)) > ALPHA
    # The same tests see a learning rate that is half of it.
    other = replace(plan, learning_rate=0.5 * plan.learning_rate)
    assert min(p_values(final_losses("compiled", other, dataset, first_seed=0), keras)) < ALPHA
