"""Keras 2 on the same TensorFlow: `fit` on arrays, shuffling, with the metrics of BUTTER."""

import time
from typing import Any

import tf_keras

from benchmarks.loops.contract import Timed, between
from wattsweep.datasets import Split
from wattsweep.training import METRICS, TrainingPlan


class Keras2:
    """Epochs of one model's `fit`, between the ends that its callbacks see."""

    def __init__(self, plan: TrainingPlan, split: Split) -> None:
        self.plan = plan
        self.split = split
        self.model = model_of(plan)
        self.initial = self.model.get_weights()

    def turn(self, seed: int) -> Timed:
        """Fit once."""
        tf_keras.utils.set_random_seed(seed)
        self.model.set_weights(self.initial)
        ends_s: list[float] = []
        clock = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends_s.append(time.monotonic()))
        start_s = time.monotonic()
        self.model.fit(
            self.split.train_x,
            self.split.train_y,
            batch_size=self.plan.batch_size,
            epochs=self.plan.epochs,
            validation_data=(self.split.test_x, self.split.test_y),
            validation_batch_size=self.plan.batch_size,
            shuffle=True,
            callbacks=[clock],
            verbose=0,
        )
        return Timed(between(start_s, ends_s))


def model_of(plan: TrainingPlan) -> Any:
    """The compiled model of a plan."""
    *hidden, n_outputs = plan.architecture.widths
    values = inputs = tf_keras.Input((plan.architecture.n_inputs,))
    for width in hidden:
        values = tf_keras.layers.Dense(width, activation="relu")(values)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(n_outputs, activation="softmax")(values))
    classes = ["KLDivergence" if name.startswith("kullback") else name.title().replace("_", "") for name in METRICS[2:]]
    model.compile(
        optimizer=tf_keras.optimizers.Adam(plan.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy", *(getattr(tf_keras.metrics, name)() for name in classes)],
    )
    return model
