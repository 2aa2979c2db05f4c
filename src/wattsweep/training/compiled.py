"""The compiled engine: many whole epochs in one call of one XLA program.

The program is a pure function of its state (weights, the optimizer's slots, step): a loop over epochs around a loop
over minibatches. Row orders are drawn on the host and passed in, since sorting inside XLA is slow. The last minibatch
is padded to full length and its padding weighs nothing, so it is exact.
"""

import itertools
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wattsweep.datasets import Split
from wattsweep.training.metrics import finish, metric_sums, row_losses
from wattsweep.training.optimizers import Slots, Tensors, slots, step
from wattsweep.training.randomness import initial_weights, row_orders
from wattsweep.training.types import HISTORY_NAMES, Architecture, Objective, Trained, TrainingPlan, diverged_at

ROW_OPERATIONS_PER_CALL = 2e10
"""Multiply-accumulates of a call, about one second of one core: signals are seen between calls."""
ORDER_BYTES_PER_CALL = 2**26

State = tuple[Tensors, Slots, tf.Tensor]


class CompiledEngine:
    """Trains the runs of one plan; plans of one architecture and data shape share a compiled program."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan
        self.epochs_per_call = epochs_per_call(plan)
        self._program = _program(plan.architecture, plan.objective, plan.n_train, plan.batch_size, self.epochs_per_call)

    def prepare(self) -> None:
        """Trace and compile, by a call that trains no epoch."""
        plan, shape = self.plan, self.plan.architecture
        zeros = Split(
            np.zeros((plan.n_train, shape.n_inputs), np.float32),
            np.zeros((plan.n_train, shape.widths[-1]), np.float32),
            np.zeros((plan.n_test, shape.n_inputs), np.float32),
            np.zeros((plan.n_test, shape.widths[-1]), np.float32),
        )
        order = np.zeros((self.epochs_per_call, plan.n_batches, plan.batch_size), np.int32)
        self._program(_initial_state(plan, 0), _constants(zeros), order, 0, plan.learning_rate)

    def train(self, split: Split, seed: int) -> Trained:
        """Train one network; its history is the same, bit for bit, whatever number of epochs a call holds."""
        plan = self.plan
        start_s = time.monotonic()
        data = _constants(split)
        state = _initial_state(plan, seed)
        orders = row_orders(plan.n_train, seed)
        rows: list[NDArray[np.float32]] = []
        for n_epochs in _calls(plan.epochs, self.epochs_per_call):
            order = _padded_orders(orders, n_epochs, self.epochs_per_call, plan)
            state, history = self._program(state, data, order, n_epochs, plan.learning_rate)
            rows.append(history.numpy()[:n_epochs])
            if plan.stop_on_divergence and (last := _diverged_at(rows[-1])):
                rows[-1] = rows[-1][:last]
                break
        end_s = time.monotonic()
        columns = np.concatenate(rows).T
        return Trained(dict(zip(HISTORY_NAMES, columns, strict=True)), start_s, end_s)


def _diverged_at(history: NDArray[np.float32]) -> int | None:
    return diverged_at(history[:, HISTORY_NAMES.index("loss")], history[:, HISTORY_NAMES.index("val_loss")])


def epochs_per_call(plan: TrainingPlan) -> int:
    """How many epochs a call holds: a power of two, about a second's work, its row orders in bounded memory."""
    parameters = sum((n_in + 1) * n_out for n_in, n_out in plan.architecture.layer_shapes)
    # Small layers cost their fixed overhead: about 2,000 operations' time per row at any size.
    operations = plan.n_train * max(3 * parameters, 2000)
    rows = plan.n_batches * plan.batch_size
    most = min(ROW_OPERATIONS_PER_CALL / operations, ORDER_BYTES_PER_CALL / (4 * rows), plan.epochs)
    return 1 << int(np.log2(max(most, 1)))


def _calls(epochs: int, per_call: int) -> Iterator[int]:
    for done in range(0, epochs, per_call):
        yield min(per_call, epochs - done)


def _padded_orders(
    orders: Iterator[NDArray[np.int32]], n_epochs: int, per_call: int, plan: TrainingPlan
) -> NDArray[np.int32]:
    """Row orders of the next epochs, [per_call, batches, batch_size]; padding points at row 0."""
    padded = np.zeros((per_call, plan.n_batches * plan.batch_size), np.int32)
    for epoch, order in enumerate(itertools.islice(orders, n_epochs)):
        padded[epoch, : plan.n_train] = order
    return padded.reshape(per_call, plan.n_batches, plan.batch_size)


def _constants(split: Split) -> Tensors:
    return [tf.constant(array) for array in (split.train_x, split.train_y, split.test_x, split.test_y)]


def _initial_state(plan: TrainingPlan, seed: int) -> State:
    weights = [tf.constant(array) for array in initial_weights(plan.architecture, seed)]
    return weights, slots(plan.objective, weights), tf.constant(0, tf.int32)


def logits(architecture: Architecture, weights: Tensors, inputs: tf.Tensor) -> tf.Tensor:
    """The last layer's output before its activation, [rows, outputs]."""
    values = inputs
    layers = list(zip(weights[0::2], weights[1::2], strict=True))
    for index, (kernel, bias) in enumerate(layers[:-1]):
        output = tf.nn.relu(tf.matmul(values, kernel) + bias)
        values = output + values if architecture.residual and index > 0 else output
    kernel, bias = layers[-1]
    return tf.matmul(values, kernel) + bias


@lru_cache(maxsize=4)
def _program(architecture: Architecture, objective: Objective, n_train: int, batch_size: int, per_call: int) -> Any:
    """The XLA program of a family of trainings: (state, data, orders, epochs, rate) -> (state, history).

    History is [per_call, 20]: the metrics on the training rows, then on the test rows, of each epoch trained.
    """
    n_batches = -(-n_train // batch_size)
    real_rows = (np.arange(n_batches * batch_size) < n_train).astype(np.float32).reshape(n_batches, batch_size)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def program(state: Any, data: Tensors, orders: tf.Tensor, n_epochs: tf.Tensor, rate: tf.Tensor) -> Any:
        train_x, train_y, test_x, test_y = data
        real = tf.constant(real_rows)

        def batch(epoch: tf.Tensor, index: tf.Tensor, state: State, outputs: tf.TensorArray, extra: tf.Tensor) -> Any:
            weights, kept, count = state
            rows, counts = orders[epoch, index], real[index]
            inputs, targets = tf.gather(train_x, rows), tf.gather(train_y, rows)
            with tf.GradientTape() as tape:
                tape.watch(weights)
                output = logits(architecture, weights, inputs)
                losses = row_losses(architecture.head, targets, output)
                added = penalty(objective, weights)
                loss = tf.reduce_sum(losses * counts) / tf.reduce_sum(counts) + added
            gradients = tape.gradient(loss, weights)
            state = (*step(objective, weights, kept, gradients, count + 1, rate), count + 1)
            return epoch, index + 1, state, outputs.write(index, output), extra + added * tf.reduce_sum(counts)

        def epoch(index: tf.Tensor, state: State, history: tf.TensorArray) -> Any:
            outputs = tf.TensorArray(tf.float32, size=n_batches, element_shape=[batch_size, architecture.widths[-1]])
            start = (index, tf.constant(0), state, outputs, tf.constant(0.0))
            _, _, state, outputs, extra = tf.while_loop(lambda _epoch, i, *_: i < n_batches, batch, start)
            # All rows of the epoch at once: cheaper to run and to compile than sums carried from batch to batch.
            trained = metric_sums(architecture.head, tf.gather(train_y, orders[index]), outputs.stack(), real)
            tested = metric_sums(architecture.head, test_y, logits(architecture, state[0], test_x))
            metrics = [
                finish(trained, n_train, extra / n_train),
                finish(tested, test_x.shape[0], penalty(objective, state[0])),
            ]
            return index + 1, state, history.write(index, tf.concat(metrics, axis=0))

        history = tf.TensorArray(tf.float32, size=per_call, element_shape=[len(HISTORY_NAMES)])
        history = history.unstack(tf.zeros([per_call, len(HISTORY_NAMES)]))
        _, state, history = tf.while_loop(lambda i, *_: i < n_epochs, epoch, (tf.constant(0), state, history))
        return state, history.stack()

    return lambda state, data, orders, n_epochs, rate: program(
        state, data, tf.constant(orders), tf.constant(n_epochs), tf.constant(rate, tf.float32)
    )


def penalty(objective: Objective, weights: Tensors) -> tf.Tensor:
    """What the penalties on kernels add to the loss; biases are free."""
    kernels = weights[0::2]
    total = tf.constant(0.0)
    if objective.kernel_l1 > 0:
        total += objective.kernel_l1 * tf.add_n([tf.reduce_sum(tf.abs(kernel)) for kernel in kernels])
    if objective.kernel_l2 > 0:
        total += objective.kernel_l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
    return total
