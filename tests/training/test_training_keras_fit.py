"""The engine keras-fit traces its model in `prepare`, never in the window of a training."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from wattsweep.datasets import Split
from wattsweep.training import HISTORY_NAMES, Architecture, TrainingPlan
from wattsweep.training.keras_fit import KerasFitEngine

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]


@pytest.mark.parametrize(("n_train", "n_test"), [(70, 40), (64, 33), (65, 32), (64, 20), (20, 50)])
def test_nothing_is_traced_in_a_training_and_a_seed_starts_afresh(
    n_train: int, n_test: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or partial last minibatches in either set. Keras calls a model's steps from Python only to trace them."""
    generator = np.random.default_rng(1)
    x = generator.random((n_train + n_test, 3), dtype=np.float32)
    y = np.eye(3, dtype=np.float32)[np.arange(n_train + n_test) % 3]
    split = Split(x[:n_train], y[:n_train], x[n_train:], y[n_train:])
    engine = KerasFitEngine(TrainingPlan(Architecture(3, (4, 3), "softmax", False), n_train, n_test, 2, 32, 1e-2))
    traced: Counter[str] = Counter()

    def counted(name: str) -> Any:
        step = getattr(engine.model, name)

        def stepped(*arguments: Any) -> Any:
            traced[name] += 1
            return step(*arguments)

        return stepped

    for name in ("train_step", "test_step"):
        monkeypatch.setattr(engine.model, name, counted(name))
    engine.prepare()
    assert {"train_step", "test_step"} <= set(traced)
    before = traced.copy()
    one, _, same = (engine.train([split], [seed])[0] for seed in (1, 2, 1))
    assert traced == before
    for metric in HISTORY_NAMES:
        np.testing.assert_array_equal(one.history[metric], same.history[metric])
