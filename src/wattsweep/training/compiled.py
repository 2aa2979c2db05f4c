"""The compiled engine: many whole epochs in one call of one XLA program, and all that the host does around a call."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wattsweep.datasets import Split
from wattsweep.errors import TrainingError
from wattsweep.training.optimizers import Tensors, slots
from wattsweep.training.program import Family, State, program
from wattsweep.training.randomness import RowOrders, initial_weights
from wattsweep.training.stages import pack, stages
from wattsweep.training.types import (
    HISTORY_NAMES,
    Checkpoint,
    CheckpointStore,
    Trained,
    TrainingPlan,
    diverged_at,
)

ROW_OPERATIONS_PER_CALL = 2e10
"""Multiply-accumulates of a call, about one second of one core: signals are seen between calls."""
ORDER_BYTES_PER_CALL = 2**25
FIRST_CALL = 16
"""The first call has this part of the epochs that a call may have, ..."""
GROWTH = 4
"""... and each of the next this many times the epochs of the one before."""

History = NDArray[np.float32]


class CompiledEngine:
    """Trains the runs of one plan; plans of one family share a compiled program."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan
        self.epochs_per_call = epochs_per_call(plan)
        self._program = program(Family.of(plan, self.epochs_per_call))

    def prepare(self) -> None:
        """Trace and compile, by a call that trains no epoch."""
        plan, shape = self.plan, self.plan.architecture
        zeros = Split(
            np.zeros((plan.n_train, shape.n_inputs), np.float32),
            np.zeros((plan.n_train, shape.widths[-1]), np.float32),
            np.zeros((plan.n_test, shape.n_inputs), np.float32),
            np.zeros((plan.n_test, shape.widths[-1]), np.float32),
        )
        runs = range(plan.runs_at_once)
        order = np.zeros(_orders_shape(plan, self.epochs_per_call), np.int32)
        self._program(_initial_state(plan, runs), _constants([zeros for _ in runs]), order, 0, plan.learning_rate)

    def train(
        self, splits: Sequence[Split], seeds: Sequence[int], checkpoints: CheckpointStore | None = None
    ) -> list[Trained]:
        """Train the plan's runs; histories are the same, bit for bit, whatever number of epochs a call holds."""
        plan = self.plan
        if not len(splits) == len(seeds) == plan.runs_at_once:
            raise TrainingError(f"{len(splits)} splits, {len(seeds)} seeds: the plan has {plan.runs_at_once} at once")
        start_s = kept_s = time.monotonic()
        data = _constants(splits)
        state, parts, orders = self._start(seeds, checkpoints.load() if checkpoints else None)
        done = sum(len(part) for part in parts)
        diverged: set[int] = set()
        marks: list[tuple[int, float]] = []
        for n_epochs, order, position in orders:
            state, history = self._program(state, data, order, n_epochs, plan.learning_rate)
            parts.append(history.numpy()[:n_epochs].reshape(n_epochs, plan.runs_at_once, len(HISTORY_NAMES)))
            done += n_epochs
            marks.append((done, time.monotonic()))
            diverged |= {run for run in range(plan.runs_at_once) if _diverged_at(parts[-1][:, run])}
            if plan.stop_on_divergence and len(diverged) == plan.runs_at_once:
                break
            if checkpoints and done < plan.epochs and time.monotonic() - kept_s >= checkpoints.every_s:
                arrays = tuple(tensor.numpy() for tensor in tf.nest.flatten(state))
                checkpoints.save(Checkpoint(done, arrays, position, np.concatenate(parts).swapaxes(0, 1)))
                kept_s = time.monotonic()
        end_s = time.monotonic()
        histories = np.concatenate(parts).swapaxes(0, 1)
        return [
            Trained(_named(_to_divergence(history, plan)), start_s, end_s, np.array(marks)) for history in histories
        ]

    def _start(self, seeds: Sequence[int], checkpoint: Checkpoint | None) -> "tuple[State, list[History], OrdersAhead]":
        """State, history so far and row orders to come: from the seeds, or where a checkpoint stands."""
        state = _initial_state(self.plan, seeds)
        orders = OrdersAhead(self.plan, seeds, self.epochs_per_call, checkpoint)
        if checkpoint is None:
            return state, [], orders
        state = tf.nest.pack_sequence_as(state, [tf.constant(array) for array in checkpoint.state])
        return state, [checkpoint.history.swapaxes(0, 1)], orders


class OrdersAhead:
    """The row orders of each call: (epochs, orders as the program takes them, where the draws stand after them).

    Those of a call are drawn on another thread during the call before. The first calls are short, so that little is
    drawn before anything is trained.
    """

    def __init__(self, plan: TrainingPlan, seeds: Sequence[int], per_call: int, start: Checkpoint | None) -> None:
        self.plan = plan
        self.per_call = per_call
        self.remaining = plan.epochs - (start.epochs if start else 0)
        self.next_call = max(1, per_call // FIRST_CALL)
        states = json.loads(start.row_order) if start else [None for _ in seeds]
        self.orders = [RowOrders(plan.n_train, seed, state) for seed, state in zip(seeds, states, strict=True)]

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.int32], str]]:
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead = pool.submit(self._draw)
            while (call := ahead.result())[0] > 0:
                ahead = pool.submit(self._draw)
                yield call

    def _draw(self) -> tuple[int, NDArray[np.int32], str]:
        plan = self.plan
        n_epochs = min(self.next_call, self.remaining)
        self.remaining -= n_epochs
        self.next_call = min(self.per_call, GROWTH * self.next_call)
        # Padding points at the first row. Each run has its rows behind those of the run before.
        padded = np.zeros((self.per_call, plan.n_batches * plan.batch_size, plan.runs_at_once), np.int32)
        for run, orders in enumerate(self.orders):
            for epoch in range(n_epochs):
                padded[epoch, : plan.n_train, run] = orders.draw()
            padded[:n_epochs, : plan.n_train, run] += run * plan.n_train
        batches = padded.reshape(self.per_call, plan.n_batches, plan.batch_size, plan.runs_at_once)
        shaped = batches.swapaxes(-1, -2).reshape(_orders_shape(plan, self.per_call))
        return n_epochs, shaped, json.dumps([orders.state for orders in self.orders])


def _orders_shape(plan: TrainingPlan, per_call: int) -> tuple[int, ...]:
    runs = (plan.runs_at_once,) if plan.runs_at_once > 1 else ()
    return (per_call, plan.n_batches, *runs, plan.batch_size)


def _diverged_at(history: History) -> int | None:
    return diverged_at(history[:, HISTORY_NAMES.index("loss")], history[:, HISTORY_NAMES.index("val_loss")])


def _to_divergence(history: History, plan: TrainingPlan) -> History:
    """A run's history [epochs, 20], ended where the run is to end."""
    return history[: _diverged_at(history)] if plan.stop_on_divergence else history


def _named(history: History) -> dict[str, NDArray[np.float32]]:
    return dict(zip(HISTORY_NAMES, history.T, strict=True))


def epochs_per_call(plan: TrainingPlan) -> int:
    """How many epochs a call holds: a power of two, about a second's work, its row orders in bounded memory."""
    # Small layers cost their fixed overhead: about 2,000 operations' time per row at any size.
    operations = plan.runs_at_once * plan.n_train * max(3 * plan.architecture.n_parameters, 2000)
    rows = plan.runs_at_once * plan.n_batches * plan.batch_size
    most = min(ROW_OPERATIONS_PER_CALL / operations, ORDER_BYTES_PER_CALL / (4 * rows), plan.epochs)
    return 1 << int(np.log2(max(most, 1)))


def _constants(splits: Sequence[Split]) -> Tensors:
    arrays = [
        np.concatenate([split.train_x for split in splits]),
        np.concatenate([split.train_y for split in splits]),
        _features_first([split.test_x for split in splits]),
        _features_first([split.test_y for split in splits]),
    ]
    return [tf.constant(array) for array in arrays]


def _features_first(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Arrays [rows, features] as [features, rows], side by side where there are several."""
    turned = [np.ascontiguousarray(array.T) for array in arrays]
    return turned[0] if len(turned) == 1 else np.stack(turned)


def _initial_state(plan: TrainingPlan, seeds: Sequence[int]) -> Any:
    networks = [initial_weights(plan.architecture, seed) for seed in seeds]
    weights = [tf.constant(array) for array in pack(stages(plan.architecture), networks)]
    state: State = (weights, slots(plan.objective, weights), tf.constant(0, tf.int32))
    return state
