"""The XLA program of a family of trainings: many whole epochs in one call.

The program is a pure function of its state (weights, the optimizer's slots, step): a loop over epochs around a loop
over minibatches. Row orders are drawn on the host and passed in, since sorting inside XLA is slow. The last minibatch
is padded to full length and its padding weighs nothing, so it is exact. The metrics of an epoch are computed from the
outputs of all its minibatches at once, which is cheaper to run and to compile than sums carried from batch to batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from wattsweep.training.metrics import finish, loss_slopes, metric_sums
from wattsweep.training.optimizers import Slots, Tensors, step
from wattsweep.training.stages import Stage, gradients, logits, logits_and_inputs, stages
from wattsweep.training.types import HISTORY_NAMES, Architecture, Objective, Precision, TrainingPlan

State = tuple[Tensors, Slots, tf.Tensor]
Program = Callable[[State, Tensors, Any, int, float], tuple[State, tf.Tensor]]


@dataclass(frozen=True, slots=True)
class Family:
    """What a program is compiled for. Trainings that differ in other things (data, rate, seeds) share it."""

    architecture: Architecture
    objective: Objective
    precision: Precision
    runs_at_once: int
    n_train: int
    n_test: int
    batch_size: int
    epochs_per_call: int

    @classmethod
    def of(cls, plan: TrainingPlan, epochs_per_call: int) -> "Family":
        """The family of a plan."""
        return cls(
            plan.architecture,
            plan.objective,
            plan.precision,
            plan.runs_at_once,
            plan.n_train,
            plan.n_test,
            plan.batch_size,
            epochs_per_call,
        )

    @property
    def n_batches(self) -> int:
        """Minibatches per epoch."""
        return -(-self.n_train // self.batch_size)

    @property
    def run_axes(self) -> tuple[int, ...]:
        """The axis of runs that arrays have in front of their own: none for a single run."""
        return (self.runs_at_once,) if self.runs_at_once > 1 else ()


@lru_cache(maxsize=4)
def program(family: Family) -> Program:
    """The program of a family: (state, data, orders, epochs, rate) -> (state, history).

    data: rows to train on [runs x n_train, inputs], their targets [runs x n_train, outputs], and features first the
    test set's inputs and targets. orders: int32 [epochs_per_call, batches, (runs,) batch_size]. history:
    [epochs_per_call, (runs,) 20]: the metrics on training rows, then on test rows, of each epoch trained.
    """
    parts = stages(family.architecture)
    head, n_outputs = family.architecture.head, family.architecture.widths[-1]
    dtype = tf.bfloat16 if family.precision == "mixed_bfloat16" else tf.float32
    padded = family.n_batches * family.batch_size
    rows_shape = (family.n_batches, *(1 for _ in family.run_axes), family.batch_size)
    real_rows = (np.arange(padded) < family.n_train).astype(np.float32).reshape(rows_shape)
    n_real = real_rows.sum(axis=-1, keepdims=True)

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def compiled(state: Any, data: Tensors, orders: tf.Tensor, n_epochs: tf.Tensor, rate: tf.Tensor) -> Any:
        train_x, train_y, test_x, test_y = data
        real, shares = tf.constant(real_rows), tf.constant(real_rows / n_real)

        def batch(epoch: tf.Tensor, index: tf.Tensor, state: State, outputs: tf.TensorArray, extra: tf.Tensor) -> Any:
            weights, kept, count = state
            rows = orders[epoch, index]
            inputs, targets = tf.cast(_features_first(train_x, rows), dtype), _features_first(train_y, rows)
            output, entries = logits_and_inputs(parts, weights, inputs)
            slopes = loss_slopes(head, targets, output) * shares[index][..., tf.newaxis, :]
            found = gradients(parts, weights, entries, slopes)
            found = _with_penalty(family.objective, weights, found)
            extra += penalty(family.objective, parts, weights) * tf.reduce_sum(real[index])
            state = (*step(family.objective, weights, kept, found, count + 1, rate), count + 1)
            return epoch, index + 1, state, outputs.write(index, output), extra

        def epoch(index: tf.Tensor, state: State, history: tf.TensorArray) -> Any:
            shape = [*family.run_axes, n_outputs, family.batch_size]
            outputs = tf.TensorArray(tf.float32, size=family.n_batches, element_shape=shape)
            start = (index, tf.constant(0), state, outputs, tf.zeros(family.run_axes))
            _, _, state, outputs, extra = tf.while_loop(lambda _epoch, i, *_: i < family.n_batches, batch, start)
            sums = metric_sums(head, _features_first(train_y, orders[index]), outputs.stack(), real)
            trained = finish(tf.reduce_sum(sums, axis=0), family.n_train, extra / family.n_train)
            tested = finish(
                metric_sums(head, test_y, logits(parts, state[0], tf.cast(test_x, dtype))),
                family.n_test,
                penalty(family.objective, parts, state[0]),
            )
            return index + 1, state, history.write(index, tf.concat([trained, tested], axis=-1))

        shape = [*family.run_axes, len(HISTORY_NAMES)]
        history = tf.TensorArray(tf.float32, size=family.epochs_per_call, element_shape=shape)
        history = history.unstack(tf.zeros([family.epochs_per_call, *shape]))
        _, state, history = tf.while_loop(lambda i, *_: i < n_epochs, epoch, (tf.constant(0), state, history))
        return state, history.stack()

    return lambda state, data, orders, n_epochs, rate: compiled(
        state, data, tf.constant(orders), tf.constant(n_epochs), tf.constant(rate, tf.float32)
    )


def _features_first(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The given rows of [n, features], as [..., features, rows]."""
    return tf.linalg.matrix_transpose(tf.gather(values, rows))


def penalty(objective: Objective, parts: tuple[Stage, ...], weights: Tensors) -> tf.Tensor:
    """What the penalties on kernels add to the loss, [(runs)]; biases are free."""
    total = tf.constant(0.0)
    for part, kernel in zip(parts, weights[0::2], strict=True):
        axes = [0, -2, -1] if part.looped else [-2, -1]
        if objective.kernel_l1 > 0:
            total += objective.kernel_l1 * tf.reduce_sum(tf.abs(kernel), axis=axes)
        if objective.kernel_l2 > 0:
            total += objective.kernel_l2 * tf.reduce_sum(tf.square(kernel), axis=axes)
    return total


def _with_penalty(objective: Objective, weights: Tensors, found: Tensors) -> Tensors:
    """Gradients with those of the penalties on kernels."""
    if objective.kernel_l1 == 0 and objective.kernel_l2 == 0:
        return found
    slopes = [objective.kernel_l1 * tf.sign(kernel) + 2.0 * objective.kernel_l2 * kernel for kernel in weights[0::2]]
    return [gradient + slopes[index // 2] if index % 2 == 0 else gradient for index, gradient in enumerate(found)]
