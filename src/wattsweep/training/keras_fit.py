"""The reference engine: Keras' own `fit`, handed the same initial weights and batch orders as the compiled engine.

`fit(shuffle=True)` is not used: with a seed set, Keras 3 repeats one permutation in every epoch, and without one a run
could not be repeated.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets import Split
from wattsweep.errors import TrainingError
from wattsweep.training.randomness import RowOrders, initial_weights
from wattsweep.training.types import HISTORY_NAMES, METRICS, Checkpoint, CheckpointStore, Trained, TrainingPlan

LOSSES = {"regression": "mean_squared_error", "binary": "binary_crossentropy", "softmax": "categorical_crossentropy"}


class KerasFitEngine:
    """Trains the runs of one plan with one Keras model, set back to its initial state for each run."""

    def __init__(self, plan: TrainingPlan) -> None:
        if plan.runs_at_once != 1:
            raise TrainingError(
                f"training.engine = keras-fit trains one run after another, not {plan.runs_at_once} at once: set "
                "training.repetitions: sequential, or training.engine: compiled"
            )
        self.plan = plan
        self.model = build_model(plan)
        self._initial_optimizer: list[NDArray[Any]] | None = None

    def prepare(self) -> None:
        """Trace the model by fitting it to zeros for an epoch: full and partial minibatches, as the plan has them."""
        plan = self.plan
        train_x, train_y = self._zeros(plan.n_train)
        test_x, test_y = self._zeros(plan.n_test)
        self.model.optimizer.build(self.model.trainable_variables)
        self._initial_optimizer = [variable.numpy() for variable in self.model.optimizer.variables]
        self._fit(OrderedBatches(Split(train_x, train_y, test_x, test_y), plan.batch_size), [], first_epoch=0, epochs=1)

    def train(
        self, splits: Sequence[Split], seeds: Sequence[int], checkpoints: CheckpointStore | None = None
    ) -> list[Trained]:
        """Train one network with `fit`, the test set evaluated at the end of each epoch."""
        if self._initial_optimizer is None:
            self.prepare()
        plan, (split,), (seed,) = self.plan, splits, seeds
        start_s = time.monotonic()
        checkpoint = checkpoints.load() if checkpoints else None
        if checkpoint is None:
            self._set_state([*initial_weights(plan.architecture, seed), *(self._initial_optimizer or [])])
        else:
            self._set_state(checkpoint.state)
        batches = OrderedBatches(split, plan.batch_size)
        steering = EpochSteering(self, batches, seed, checkpoint, checkpoints)
        self._fit(batches, [steering], first_epoch=checkpoint.epochs if checkpoint else 0, epochs=plan.epochs)
        end_s = time.monotonic()
        history = dict(zip(HISTORY_NAMES, steering.history.T, strict=True))
        return [Trained(history, start_s, end_s, np.array(steering.marks))]

    def state(self) -> tuple[NDArray[Any], ...]:
        """Weights and the optimizer's variables."""
        return tuple(variable.numpy() for variable in (*self.model.weights, *self.model.optimizer.variables))

    def _zeros(self, n_rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Inputs and targets of a full minibatch and of the partial one, of those that `n_rows` rows have."""
        rows = min(n_rows, self.plan.batch_size + n_rows % self.plan.batch_size)
        architecture = self.plan.architecture
        return (
            np.zeros((rows, architecture.n_inputs), np.float32),
            np.zeros((rows, architecture.widths[-1]), np.float32),
        )

    def _set_state(self, arrays: Sequence[NDArray[Any]]) -> None:
        variables = (*self.model.weights, *self.model.optimizer.variables)
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def _fit(self, batches: "OrderedBatches", callbacks: list[Any], *, first_epoch: int, epochs: int) -> None:
        self.model.fit(
            batches,
            initial_epoch=first_epoch,
            epochs=epochs,
            callbacks=callbacks,
            validation_data=(batches.split.test_x, batches.split.test_y),
            validation_batch_size=self.plan.batch_size,
            shuffle=False,
            verbose=0,
        )


class OrderedBatches(keras.utils.PyDataset):
    """The minibatches of an epoch in a given order of the rows.

    Keras calls `on_epoch_end` once more than there are epochs (it looks at two batches first), so the order of an
    epoch is set by a callback at its beginning.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        super().__init__()
        self.split = split
        self.batch_size = batch_size
        self.order: NDArray[np.int64] = np.arange(len(split.train_x))

    def set_order(self, order: NDArray[np.int64]) -> None:
        """Take the rows in this order from now on."""
        self.order = order

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.split.train_x[rows], self.split.train_y[rows]


class EpochSteering(keras.callbacks.Callback):
    """What happens between epochs: a new order of the rows, the history, the end at divergence, checkpoints."""

    def __init__(
        self,
        engine: KerasFitEngine,
        batches: OrderedBatches,
        seed: int,
        start: Checkpoint | None,
        checkpoints: CheckpointStore | None,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.batches = batches
        self.checkpoints = checkpoints
        self.kept_s = time.monotonic()
        self.orders = RowOrders(engine.plan.n_train, seed, json.loads(start.row_order)[0] if start else None)
        self.epochs = list(start.history[0]) if start else []
        self.marks: list[tuple[int, float]] = []

    @property
    def history(self) -> NDArray[np.float32]:
        """Metrics of the epochs trained, [epochs, 20]."""
        return np.array(self.epochs, np.float32).reshape(-1, len(HISTORY_NAMES))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Draw the order of this epoch."""
        self.batches.set_order(self.orders.draw())

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the metrics, look at both losses, keep a checkpoint when it is time."""
        metrics = logs or {}
        self.epochs.append(np.array([metrics[name] for name in HISTORY_NAMES], np.float32))
        self.marks.append((epoch + 1, time.monotonic()))
        plan = self.engine.plan
        if plan.stop_on_divergence and not np.isfinite([metrics["loss"], metrics["val_loss"]]).all():
            self.model.stop_training = True
            return
        due = self.checkpoints is not None and time.monotonic() - self.kept_s >= self.checkpoints.every_s
        if self.checkpoints is not None and due and epoch + 1 < plan.epochs:
            position = json.dumps([self.orders.state])
            self.checkpoints.save(Checkpoint(epoch + 1, self.engine.state(), position, self.history[np.newaxis]))
            self.kept_s = time.monotonic()


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
        layer = keras.layers.Dense(width, activation="relu", kernel_regularizer=penalty, dtype=plan.precision)(values)
        if architecture.residual and index > 0:
            layer = keras.layers.Add(dtype=plan.precision)([layer, values])
        values = layer
    logits = keras.layers.Dense(outputs, kernel_regularizer=penalty, dtype=plan.precision)(values)
    activation = "softmax" if architecture.head == "softmax" else "sigmoid"
    return keras.layers.Activation(activation, dtype="float32")(logits)


def _metric_classes() -> list[dict[str, Any]]:
    names = [name for name in METRICS if name not in ("loss", "accuracy")]
    return [{"class_name": _class_name(name), "config": {"name": name}} for name in names]


def _class_name(name: str) -> str:
    return {"kullback_leibler_divergence": "KLDivergence"}.get(name, name.title().replace("_", ""))
