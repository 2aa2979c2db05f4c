"""From process start to the end of the first epoch: `python -m benchmarks.start DEPTH` is the fresh process."""

import json
import subprocess
import sys
import time
from typing import Any

WIDTH, FEATURES, CLASSES, ROWS = 32, 8, 5, 12_960
BATCH_SIZE = 256


def measure(depth: int) -> dict[str, Any]:
    """Seconds of each part in a fresh process."""
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.start", str(depth)], capture_output=True, text=True, check=True
    )
    ends = json.loads(done.stdout.splitlines()[-1])
    return {
        "depth": depth,
        "import_s": ends["imported"] - started_s,
        "prepare_s": ends["prepared"] - ends["made"],
        "epoch_s": ends["trained"] - ends["prepared"],
        "total_s": ends["trained"] - started_s - (ends["made"] - ends["imported"]),
    }


def train_an_epoch(depth: int) -> dict[str, float]:
    """When each part ended, on the clock that all processes share; `made` is when made-up data were there."""
    from wattsweep.training import Architecture, TrainingPlan, configure

    configure(threads=1, hardware="cpu")
    import numpy as np

    from wattsweep.datasets import Split
    from wattsweep.training.compiled import CompiledEngine

    ends = {"imported": time.monotonic()}
    n_test = ROWS // 5
    random = np.random.default_rng(1)
    x = random.standard_normal((ROWS, FEATURES)).astype(np.float32)
    y = np.eye(CLASSES, dtype=np.float32)[np.arange(ROWS) % CLASSES]
    split = Split(x[n_test:], y[n_test:], x[:n_test], y[:n_test])
    ends["made"] = time.monotonic()
    architecture = Architecture(FEATURES, (*(WIDTH for _ in range(depth - 1)), CLASSES), "softmax", residual=False)
    engine = CompiledEngine(TrainingPlan(architecture, ROWS - n_test, n_test, 1, BATCH_SIZE, 1e-3))
    engine.prepare()
    ends["prepared"] = time.monotonic()
    engine.train([split], [1])
    ends["trained"] = time.monotonic()
    return ends


if __name__ == "__main__":
    print(json.dumps(train_an_epoch(int(sys.argv[1]))))
