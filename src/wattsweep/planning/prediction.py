"""Predicted wall times by the book: from operations, and rates measured once on one core of an AMD EPYC.

Use `predict_run_s` for a run and `predict_block_s` for its experiment's block. The book decides which experiments share
a shard, so it never changes with what is measured later: `wattsweep.planning.fitting` corrects it for what is asked of
Slurm and shown to people. `python -m benchmarks.training` sets it beside the machine that it runs on.

GPUs, mixed_bfloat16 and vectorised repetitions are predicted at the same rates, since none of theirs were measured;
`describe_plan` says so.
"""

import math
from collections.abc import Sequence
from operator import mul

from wattsweep.config import PowerConfig
from wattsweep.networks import count_parameters

BOOK_VERSION = 2
"""Changes whenever a number of the book does: shards then hold other experiments."""

TERMS = ("epoch", "batch", "layer of a batch", "row and unit", "row and parameter", "batch and parameter")
"""What a run does: epochs, minibatches, layers of minibatches, activations, multiply-accumulates, steps of weights."""

Rates = tuple[float, ...]
"""Seconds for one of each of TERMS."""

BOOK: dict[str, Rates] = {
    "compiled": (1e-5, 2e-5, 1e-6, 1.2e-9, 2.8e-11, 1e-9),
    "keras-fit": (0.14, 1.7e-3, 2.6e-4, 4.1e-9, 4.4e-11, 1e-9),
}
"""Rates per engine, fitted to the epochs of docs/performance.md: off by a factor of 1.2 there (standard deviation)."""
BOOK_RANGE = (0.4, 2.5)
"""Where actual : predicted is expected before anything was measured: cores differ, and what else they do."""

PASSES = 3
"""Matrix products of a training step, in units of its forward pass: forward, and backward to inputs and kernels."""
COMPILE_S = 1.5
COMPILE_LAYER_S = 0.2
RUN_FILE_S = 0.03
IDLE_GUARDS = 4
"""Readings of the meter for which a block idles beside its idle window."""
SHARD_START_S = 12.0
"""Importing TensorFlow, reading data, starting the recorder."""


def run_terms(
    widths: Sequence[int], n_inputs: int, *, n_train: int, n_test: int, epochs: int, batch_size: int
) -> tuple[float, ...]:
    """How many of each of TERMS a run is. The rows that a partial last minibatch lacks are computed all the same."""
    train_batches = -(-n_train // batch_size)
    batches = train_batches + -(-n_test // batch_size)
    rows = PASSES * train_batches * batch_size + n_test
    parameters = count_parameters(n_inputs, widths)
    return (
        float(epochs),
        float(epochs * batches),
        float(epochs * batches * len(widths)),
        float(epochs * rows * sum(widths)),
        float(epochs * rows * parameters),
        float(epochs * train_batches * parameters),
    )


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
    """Predicted training time of one run in s, by the book."""
    terms = run_terms(widths, n_inputs, n_train=n_train, n_test=n_test, epochs=epochs, batch_size=batch_size)
    return math.fsum(map(mul, terms, BOOK[engine]))


def predict_block_s(run_s: float, repetitions: int, depth: int, power: PowerConfig) -> float:
    """Predicted wall time of a block in s: idling, compiling, its runs of `run_s` and their extension, its files."""
    runs = block_runs(run_s, repetitions, power)
    return block_idle_s(power) + COMPILE_S + COMPILE_LAYER_S * depth + runs * (run_s + RUN_FILE_S)


def block_idle_s(power: PowerConfig) -> float:
    """How long the node idles for a block, in s."""
    return 0.0 if power.source == "none" else power.idle_window_s + IDLE_GUARDS * power.interval_s


def block_runs(run_s: float, repetitions: int, power: PowerConfig) -> float:
    """Runs of a block, further ones included, on average."""
    if power.source == "none":
        return float(repetitions)
    most = max(repetitions, power.max_block_repetitions)
    return min(max(float(repetitions), power.min_window_s / run_s), most)
