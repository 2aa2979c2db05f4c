"""The two engines against each other, and the compiled one against itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.support_training import SEED, bundled, plan_for, train
from wattsweep.errors import TrainingError
from wattsweep.training import HISTORY_NAMES, Architecture, Objective, diverged_at, make_engine
from wattsweep.training.randomness import RowOrders, initial_weights

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("datasets")


ADAM = Objective()
OBJECTIVES = [
    Objective("rmsprop"),
    Objective("rmsprop", momentum=0.9),
    Objective("sgd"),
    Objective("sgd", momentum=0.9),
    Objective("adam", kernel_l1=0.005),
    Objective("adam", kernel_l2=0.02),
    Objective("sgd", momentum=0.9, kernel_l1=0.001, kernel_l2=0.01),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "objective"),
    [
        ("wine", "rectangle_residual", ADAM),
        ("breast_cancer", "trapezoid", ADAM),
        ("diabetes", "wide_first_2x", ADAM),
        ("breast_cancer", "rectangle_residual", Objective("sgd", momentum=0.9, kernel_l1=0.001)),
        ("diabetes", "rectangle", Objective("rmsprop", kernel_l2=0.01)),
        *(("wine", "rectangle", objective) for objective in OBJECTIVES),
    ],
)
def test_both_engines_agree_on_every_metric_of_every_epoch(
    name: str, shape: str, objective: Objective, folder: Path
) -> None:
    """Same initial weights, same batches with a partial last one: the differences are float32 rounding.

    At depth 6 the equal hidden layers are a loop in the compiled engine; a trapezoid has none.
    """
    dataset, parts = bundled(name, folder)
    plan = plan_for(dataset, parts, shape, depth=6, objective=objective)
    assert plan.n_train % plan.batch_size != 0
    compiled, keras = (train(engine, plan, parts) for engine in ("compiled", "keras-fit"))
    assert len(compiled.history["loss"]) == 20
    assert set(compiled.history) == set(keras.history) == set(HISTORY_NAMES)
    for metric in HISTORY_NAMES:
        np.testing.assert_allclose(
            compiled.history[metric], keras.history[metric], rtol=1e-4, atol=1e-7, err_msg=metric
        )


@pytest.mark.slow
def test_both_engines_agree_in_bfloat16_to_its_rounding(folder: Path) -> None:
    dataset, parts = bundled("wine", folder)
    plan = replace(plan_for(dataset, parts, depth=6, epochs=8), precision="mixed_bfloat16")
    compiled, keras = (train(engine, plan, parts) for engine in ("compiled", "keras-fit"))
    exact = train("compiled", replace(plan, precision="float32"), parts)
    for metric in ("loss", "val_loss", "mean_squared_error"):
        # bfloat16 has 8 bits of significand: 0.4 % in each operation.
        np.testing.assert_allclose(compiled.history[metric], keras.history[metric], rtol=0.02, err_msg=metric)
        assert not np.array_equal(compiled.history[metric], exact.history[metric])


def test_a_seed_gives_the_same_history_to_the_last_bit(folder: Path) -> None:
    dataset, parts = bundled("wine", folder)
    plan = plan_for(dataset, parts)
    one, same, other = (train("compiled", plan, parts, seed) for seed in (SEED, SEED, SEED + 1))
    for metric in HISTORY_NAMES:
        np.testing.assert_array_equal(one.history[metric], same.history[metric])
    assert not np.array_equal(one.history["loss"], other.history["loss"])


def test_the_number_of_epochs_in_a_call_changes_no_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, parts = bundled("breast_cancer", folder)
    plan = plan_for(dataset, parts, epochs=23)
    whole = train("compiled", plan, parts)
    monkeypatch.setattr("wattsweep.training.compiled.epochs_per_call", lambda _plan: 4)
    in_parts = train("compiled", plan, parts)
    for metric in HISTORY_NAMES:
        np.testing.assert_array_equal(whole.history[metric], in_parts.history[metric])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "keras-fit"])
def test_training_ends_with_the_epoch_at_which_it_diverged(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, parts = bundled("wine", folder)
    plan = replace(plan_for(dataset, parts, epochs=12, objective=Objective("sgd")), learning_rate=1e30)
    whole = train(engine, plan, parts).history
    last = diverged_at(whole["loss"], whole["val_loss"])
    assert len(whole["loss"]) == 12
    assert last is not None
    assert 1 <= last < 12
    for calls_of in (8, 1):
        monkeypatch.setattr("wattsweep.training.compiled.epochs_per_call", lambda _plan, calls_of=calls_of: calls_of)
        stopped = train(engine, replace(plan, stop_on_divergence=True), parts).history
        for metric in HISTORY_NAMES:
            np.testing.assert_array_equal(stopped[metric], whole[metric][:last])


def test_the_epoch_of_divergence() -> None:
    fine, bad = np.array([1, 0.5, 0.2], np.float32), np.array([1, np.inf, np.nan], np.float32)
    assert diverged_at(fine, fine) is None
    assert diverged_at(fine, bad) == 2
    assert diverged_at(bad[2:], fine[2:]) == 1


def test_training_lowers_the_loss_and_is_timed(folder: Path) -> None:
    dataset, parts = bundled("wine", folder)
    trained = train("compiled", plan_for(dataset, parts, epochs=60), parts)
    assert trained.history["val_loss"][-1] < 0.3 * trained.history["val_loss"][0]
    assert trained.history["val_accuracy"][-1] > 0.9
    assert trained.end_s > trained.start_s


def test_orders_of_the_rows_are_new_in_every_epoch() -> None:
    drawn = RowOrders(50, SEED)
    orders = [drawn.draw() for _ in range(20)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 20


def test_initial_weights_are_glorot_uniform() -> None:
    kernel, bias, *_ = initial_weights(Architecture(300, (200, 1), "binary", False), SEED)
    limit = np.sqrt(6 / 500)
    assert kernel.shape == (300, 200)
    assert kernel.dtype == np.float32
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not bias.any()


def test_an_unknown_engine_is_refused(folder: Path) -> None:
    dataset, parts = bundled("wine", folder)
    with pytest.raises(TrainingError, match="'fast': not known"):
        make_engine("fast", plan_for(dataset, parts))
