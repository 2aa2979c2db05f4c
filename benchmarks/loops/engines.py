"""The two engines of wattsweep, timed as they are."""

import time
from typing import Any

import keras

from benchmarks.loops.contract import Timed, between
from wattsweep.datasets import Split
from wattsweep.training import TrainingPlan
from wattsweep.training.compiled import CompiledEngine, OrdersAhead
from wattsweep.training.keras_fit import KerasFitEngine


class Compiled:
    """Whole trainings by the compiled engine; the host's share is what lies outside the calls of its program.

    `draw_share` is the time that drawing row orders takes by itself, over that of the training.
    """

    def __init__(self, plan: TrainingPlan, split: Split) -> None:
        self.split = split
        self.engine = CompiledEngine(plan)
        self.in_calls_s = 0.0
        program = self.engine._program

        def clocked(*arguments: Any) -> Any:
            start_s = time.monotonic()
            state, history = program(*arguments)
            history.numpy()  # the call may return before its results are there
            self.in_calls_s += time.monotonic() - start_s
            return state, history

        self.engine._program = clocked
        self.engine.prepare()

    def turn(self, seed: int) -> Timed:
        """Train once."""
        self.in_calls_s = 0.0
        (trained,) = self.engine.train([self.split], [seed])
        total_s = trained.end_s - trained.start_s
        in_calls_s = self.in_calls_s
        return Timed(total_s / self.engine.plan.epochs, 1 - in_calls_s / total_s, self.drawing_s(seed) / total_s)

    def drawing_s(self, seed: int) -> float:
        """Time of drawing the row orders of a training, with nothing else."""
        orders = OrdersAhead(self.engine.plan, [seed], self.engine.epochs_per_call, None)
        start_s = time.monotonic()
        for _ in orders:
            pass
        return time.monotonic() - start_s


class KerasFit:
    """Epochs of the engine keras-fit, between the ends that its model's callbacks see."""

    def __init__(self, plan: TrainingPlan, split: Split) -> None:
        self.split = split
        self.engine = KerasFitEngine(plan)
        self.ends_s: list[float] = []
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: self.ends_s.append(time.monotonic()))
        fit: Any = self.engine._fit
        self.engine._fit = lambda batches, callbacks, **options: fit(  # type: ignore[method-assign]
            batches, [*callbacks, clock], **options
        )
        self.engine.prepare()

    def turn(self, seed: int) -> Timed:
        """Train once."""
        self.ends_s.clear()
        (trained,) = self.engine.train([self.split], [seed])
        return Timed(between(trained.start_s, self.ends_s))
