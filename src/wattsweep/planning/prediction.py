"""Predicted wall times, from operations and rates measured on one quiet core of an AMD EPYC.

`python -m benchmarks.training` sets them beside the machine that it runs on. GPUs, mixed_bfloat16 and vectorised
repetitions are predicted at the same rates, since no rates of theirs were measured; `describe_plan` says so.
"""

from collections.abc import Sequence

from wattsweep.config import PowerConfig
from wattsweep.networks import count_parameters

LAYER_BATCH_S = 4e-6
"""Fixed cost of a layer in a minibatch of the compiled engine."""
LAYER_ROW_S = 1e-8
"""Cost of a row in a layer beside its matrix product."""
OPERATION_S = 1 / 4e10
"""Cost of a multiply-accumulate in a large matrix product."""
PASSES = 3
"""Matrix products of a training step, in units of its forward pass: forward, and backward to inputs and kernels."""
KERAS_EPOCH_S = 0.08
KERAS_BATCH_S = 2e-3
COMPILE_S = 1.0
COMPILE_LAYER_S = 0.15
RUN_FILE_S = 0.02
SHARD_START_S = 10.0
"""Importing TensorFlow, reading data, starting the recorder."""


def predict_run_s(
    widths: Sequence[int],
    n_inputs: int,
    *,
    n_train: int,
    n_test: int,
    epochs: int,
    batch_size: int,
    engine: str,
) -> float:
    """Predicted training time of one run in s."""
    batches = -(-n_train // batch_size) + -(-n_test // batch_size)
    layers = len(widths)
    operations = (PASSES * n_train + n_test) * count_parameters(n_inputs, widths)
    epoch_s = operations * OPERATION_S + (n_train + n_test) * layers * LAYER_ROW_S
    epoch_s += batches * layers * LAYER_BATCH_S
    if engine == "keras-fit":
        epoch_s += KERAS_EPOCH_S + batches * KERAS_BATCH_S
    return epochs * epoch_s


def predict_block_s(run_s: float, repetitions: int, depth: int, power: PowerConfig) -> float:
    """Predicted wall time of a block in s: idling, compiling, its runs and their extension, its files."""
    runs = float(repetitions)
    idle_s = 0.0
    if power.source != "none":
        most = max(repetitions, power.max_block_repetitions)
        runs = min(max(runs, power.min_window_s / run_s), most)
        idle_s = power.idle_window_s
    return idle_s + COMPILE_S + COMPILE_LAYER_S * depth + runs * (run_s + RUN_FILE_S)
