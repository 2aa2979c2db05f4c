"""The memory that a training needs, foreseen and measured."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from wattsweep.errors import OutOfMemoryError, TrainingError
from wattsweep.networks import layer_widths
from wattsweep.training import Architecture, Objective, TrainingPlan, check_gpu_memory, check_memory, needed_bytes
from wattsweep.training.memory import ORDER_BYTES, PROCESS_BYTES, STATE_COPIES

PLAN = TrainingPlan(
    Architecture(3, (5, 2), "softmax", False), n_train=40, n_test=10, epochs=9, batch_size=4, learning_rate=1
)

MEASURE = """
import json, sys
from pathlib import Path
import numpy as np
from wattsweep.datasets import Split
from wattsweep.training import Architecture, Objective, TrainingPlan, configure, make_engine

name, n_inputs, widths, rows, at_once, optimizer = json.loads(sys.argv[1])
configure(threads=1)
n_train = rows * 8 // 10
plan = TrainingPlan(
    Architecture(n_inputs, tuple(widths), "softmax", False), n_train, rows - n_train, 3, 128, 1e-3,
    Objective(optimizer), runs_at_once=at_once,
)
rng = np.random.default_rng(0)

def some_rows(n):
    return rng.random((n, n_inputs), np.float32), np.eye(widths[-1], dtype=np.float32)[rng.integers(0, widths[-1], n)]

class Store:
    every_s = 0.0

    def load(self):
        return None

    def save(self, checkpoint):
        pass

engine = make_engine(name, plan)
engine.prepare()
splits = [Split(*some_rows(plan.n_train), *some_rows(plan.n_test)) for _ in range(at_once)]
engine.train(splits, list(range(at_once)), Store())
# Not ru_maxrss, which a process inherits from the one that started it.
status = dict(line.split(":", maxsplit=1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024)
"""


def needed_for(plan: TrainingPlan) -> int:
    """What is needed beyond TensorFlow's process and row orders, in numbers of 4 bytes."""
    bytes_4, rest = divmod(needed_bytes(plan) - PROCESS_BYTES - ORDER_BYTES, 4)
    assert rest == 0
    return bytes_4


def test_the_need_of_a_plan_by_hand() -> None:
    parameters = (3 + 1) * 5 + (5 + 1) * 2
    state = parameters * (STATE_COPIES * 3 + 1)
    rows = 4 * 50 * (3 + 2)
    minibatch, evaluation = 4 * (3 + 2 * (5 + 2)), 2 * 10 * 5
    assert evaluation > minibatch
    assert needed_for(PLAN) == state + rows + evaluation + 3 * 40 * 2
    assert needed_for(replace(PLAN, batch_size=16)) == state + rows + 4 * minibatch + 3 * 40 * 2
    assert needed_for(replace(PLAN, runs_at_once=7)) == 7 * needed_for(PLAN)


@pytest.mark.parametrize(
    ("objective", "slots"),
    [
        (Objective("adam"), 2),
        (Objective("rmsprop"), 1),
        (Objective("rmsprop", momentum=0.9), 2),
        (Objective("sgd"), 0),
        (Objective("sgd", momentum=0.9), 1),
    ],
)
def test_slots_of_optimizers_are_counted(objective: Objective, slots: int) -> None:
    without = needed_for(replace(PLAN, objective=Objective("sgd")))
    assert needed_for(replace(PLAN, objective=objective)) - without == STATE_COPIES * slots * 32


def test_what_fits_is_not_refused() -> None:
    check_memory(PLAN, needed_bytes(PLAN))
    check_gpu_memory(PLAN, needed_bytes(PLAN) - PROCESS_BYTES)


def test_a_refusal_has_both_numbers_and_the_remedy() -> None:
    with pytest.raises(OutOfMemoryError) as refused:
        check_memory(PLAN, needed_bytes(PLAN) - 1)
    text = str(refused.value)
    assert issubclass(OutOfMemoryError, TrainingError)
    assert "training 32 parameters at batch_size 4 needs about 0.91 GB and this process may use 0.91 GB" in text
    assert "scheduling.memory_mb" in text
    assert "smaller size or batch" in text
    assert "sequential" not in text
    with pytest.raises(OutOfMemoryError, match=r"3 runs at once .* training\.repetitions: sequential"):
        check_memory(replace(PLAN, runs_at_once=3), 1)


def test_a_gpu_that_has_too_little_is_named() -> None:
    with pytest.raises(OutOfMemoryError, match=r"the GPU has 0\.00 GB: ask for a GPU with more, or hardware: cpu"):
        check_gpu_memory(PLAN, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "size", "depth", "rows", "at_once", "optimizer"),
    [
        ("compiled", 2**20, 6, 500, 1, "sgd"),
        ("compiled", 2**24, 2, 500, 1, "adam"),
        ("compiled", 2**24, 6, 500, 1, "rmsprop"),
        ("compiled", 2**14, 3, 60_000, 2, "adam"),
        ("compiled", 2**20, 2, 500, 8, "adam"),
        ("keras-fit", 2**22, 3, 500, 1, "adam"),
    ],
)
def test_the_estimate_is_near_the_peak_of_a_real_training(
    engine: str, size: int, depth: int, rows: int, at_once: int, optimizer: str
) -> None:
    n_inputs, n_outputs = 64, 10
    widths = layer_widths("rectangle", depth, size, n_inputs, n_outputs)
    n_train = rows * 8 // 10
    plan = TrainingPlan(
        Architecture(n_inputs, tuple(widths), "softmax", False),
        n_train,
        rows - n_train,
        3,
        128,
        1e-3,
        Objective(optimizer),  # type: ignore[arg-type]
        runs_at_once=at_once,
    )
    spec = json.dumps([engine, n_inputs, list(widths), rows, at_once, optimizer])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, spec], check=True, capture_output=True, text=True, timeout=300
    )
    peak_bytes = int(done.stdout.splitlines()[-1])
    ratio = needed_bytes(plan) / peak_bytes
    assert 0.7 < ratio < 2, f"estimate {needed_bytes(plan) / 1e6:.0f} MB, peak {peak_bytes / 1e6:.0f} MB"
