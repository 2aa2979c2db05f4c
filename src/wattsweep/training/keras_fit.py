"""The reference engine: Keras' own `fit`, handed the same initial weights and batch orders as the compiled engine.

`fit(shuffle=True)` is not used: with a seed set, Keras 3 repeats one permutation in every epoch, and without one a run
could not be repeated.
"""

import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets import Split
from wattsweep.training.randomness import initial_weights, row_orders
from wattsweep.training.types import HISTORY_NAMES, METRICS, Trained, TrainingPlan

LOSSES = {"regression": "mean_squared_error", "binary": "binary_crossentropy", "softmax": "categorical_crossentropy"}


class KerasFitEngine:
    """Trains the runs of one plan with one Keras model, set back to its initial state for each run."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan

    def prepare(self) -> None:
        """Build and discard a model, so that Keras has imported what it needs."""
        build_model(self.plan)

    def train(self, split: Split, seed: int) -> Trained:
        """Train one network with `fit`, the test set evaluated at the end of each epoch."""
        model = build_model(self.plan)
        model.set_weights(initial_weights(self.plan.architecture, seed))
        batches = OrderedBatches(split, self.plan.batch_size)
        orders = row_orders(self.plan.n_train, seed)
        start_s = time.monotonic()
        fitted = model.fit(
            batches,
            epochs=self.plan.epochs,
            callbacks=[EpochSteering(batches, orders, self.plan.stop_on_divergence)],
            validation_data=(split.test_x, split.test_y),
            validation_batch_size=self.plan.batch_size,
            shuffle=False,
            verbose=0,
        )
        end_s = time.monotonic()
        history = {name: np.asarray(fitted.history[name], np.float32) for name in HISTORY_NAMES}
        return Trained(history, start_s, end_s)


class OrderedBatches(keras.utils.PyDataset):
    """The minibatches of an epoch in a given order of the rows.

    Keras calls `on_epoch_end` once more than there are epochs (it looks at two batches first), so the order of an
    epoch is set by a callback at its beginning.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        super().__init__()
        self.split = split
        self.batch_size = batch_size
        self.order: NDArray[np.int32] = np.arange(len(split.train_x), dtype=np.int32)

    def set_order(self, order: NDArray[np.int32]) -> None:
        """Take the rows in this order from now on."""
        self.order = order

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.split.train_x[rows], self.split.train_y[rows]


class EpochSteering(keras.callbacks.Callback):
    """Gives each epoch its order of rows and, where asked, ends training at an epoch whose loss is not finite."""

    def __init__(self, batches: OrderedBatches, orders: Iterator[NDArray[np.int32]], stop_on_divergence: bool) -> None:
        super().__init__()
        self.batches = batches
        self.orders = orders
        self.stop_on_divergence = stop_on_divergence

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Draw the order of this epoch."""
        self.batches.set_order(next(self.orders))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Look at both losses."""
        losses = [(logs or {})[name] for name in ("loss", "val_loss")]
        if self.stop_on_divergence and not np.isfinite(losses).all():
            self.model.stop_training = True


def build_model(plan: TrainingPlan) -> Any:
    """The compiled Keras model of a plan."""
    inputs = keras.Input((plan.architecture.n_inputs,))
    model = keras.Model(inputs, _layers(plan, inputs))
    model.compile(
        optimizer=_optimizer(plan),
        loss=LOSSES[plan.architecture.head],
        metrics=["accuracy", *(keras.metrics.get(name) for name in _metric_classes())],
    )
    return model


def _optimizer(plan: TrainingPlan) -> Any:
    objective = plan.objective
    if objective.optimizer == "adam":
        return keras.optimizers.Adam(plan.learning_rate)
    kind = {"rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}[objective.optimizer]
    return kind(plan.learning_rate, momentum=objective.momentum)


def _layers(plan: TrainingPlan, values: Any) -> Any:
    architecture, objective = plan.architecture, plan.objective
    penalty = None
    if objective.kernel_l1 > 0 or objective.kernel_l2 > 0:
        penalty = keras.regularizers.L1L2(l1=objective.kernel_l1, l2=objective.kernel_l2)
    *hidden, outputs = architecture.widths
    for index, width in enumerate(hidden):
        layer = keras.layers.Dense(width, activation="relu", kernel_regularizer=penalty)(values)
        values = keras.layers.add([layer, values]) if architecture.residual and index > 0 else layer
    activation = "softmax" if architecture.head == "softmax" else "sigmoid"
    return keras.layers.Dense(outputs, activation=activation, kernel_regularizer=penalty)(values)


def _metric_classes() -> list[dict[str, Any]]:
    names = [name for name in METRICS if name not in ("loss", "accuracy")]
    return [{"class_name": _class_name(name), "config": {"name": name}} for name in names]


def _class_name(name: str) -> str:
    return {"kullback_leibler_divergence": "KLDivergence"}.get(name, name.title().replace("_", ""))
