"""The training loop fused by hand in C (fused.c): loss and accuracy on training and test rows of each epoch."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.loops.contract import Timed, UnavailableError, timed
from wattsweep.datasets import Split
from wattsweep.training import TrainingPlan
from wattsweep.training.randomness import initial_weights

COMPILE = ("-O3", "-march=native", "-ffast-math", "-std=gnu11", "-fPIC", "-c")
LINK = ("-shared",)
"""Without -ffast-math: linked with it, a library flushes denormals to zero in the whole process that loads it."""

FLOATS = np.ctypeslib.ndpointer(np.float32, flags="C")
INTEGERS = np.ctypeslib.ndpointer(np.int32, flags="C")


def compiler() -> str | None:
    """The C compiler: CC where it is set, else cc."""
    return shutil.which(os.environ.get("CC", "cc"))


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """fused.c, compiled for this machine. Raises UnavailableError where that cannot be done."""
    cc = compiler()
    if cc is None:
        raise UnavailableError("no C compiler (cc)")
    with tempfile.TemporaryDirectory() as folder:
        source, made, whole = Path(__file__).with_suffix(".c"), Path(folder) / "fused.o", Path(folder) / "fused.so"
        run_compiler([cc, *COMPILE, str(source), "-o", str(made)])
        run_compiler([cc, *LINK, str(made), "-o", str(whole), "-lm"])
        return ctypes.CDLL(str(whole))


def run_compiler(command: list[str]) -> None:
    """Run it; raises UnavailableError with its first line where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UnavailableError(
            f"{command[0]} cannot make fused.c: {(done.stderr.strip() or 'no message').splitlines()[0]}"
        )


class Fused:
    """Trains the networks of one plan: softmax, Adam."""

    def __init__(self, plan: TrainingPlan, split: Split) -> None:
        if plan.architecture.head != "softmax" or plan.architecture.residual:
            raise UnavailableError("fused.c trains plain networks with softmax only")
        self.plan = plan
        self.split = split
        self.labels = [np.argmax(y, axis=1).astype(np.int32) for y in (split.train_y, split.test_y)]
        self._train = library().fused_train
        self._train.restype = ctypes.c_int

    def turn(self, seed: int) -> Timed:
        """Train once, each epoch's order drawn in C."""
        return timed(lambda: self.train(seed, None), self.plan.epochs)

    def train(self, seed: int, orders: NDArray[np.int32] | None) -> NDArray[np.float32]:
        """Loss, accuracy, test loss, test accuracy: [epochs, 4]. `orders`: the rows of each epoch."""
        plan = self.plan
        widths = np.array([plan.architecture.n_inputs, *plan.architecture.widths], np.int32)
        weights = np.concatenate([array.ravel() for array in initial_weights(plan.architecture, seed)])
        history = np.zeros((plan.epochs, 4), np.float32)
        self._train.argtypes = [
            *(ctypes.c_int, INTEGERS, ctypes.c_int, ctypes.c_int, FLOATS, INTEGERS, FLOATS, INTEGERS),
            *(ctypes.c_int, ctypes.c_int, ctypes.c_float, FLOATS),
            *(ctypes.c_void_p if orders is None else INTEGERS, ctypes.c_uint64, FLOATS),
        ]
        failed = self._train(
            len(widths) - 1,
            widths,
            plan.n_train,
            plan.n_test,
            self.split.train_x,
            self.labels[0],
            self.split.test_x,
            self.labels[1],
            plan.batch_size,
            plan.epochs,
            plan.learning_rate,
            weights,
            orders,
            seed,
            history,
        )
        if failed:
            raise MemoryError("fused.c: no memory for the activations of a minibatch")
        return history
