"""What this core can do at most: matrix products (numpy's BLAS and XLA) and copying memory."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

COLUMNS = 256
SQUARE = 2048
WIDEST = 2048
COPIED_BYTES = 2**28
SECONDS = 0.15
ROUNDS = 3


def ceilings(widths: Sequence[int]) -> dict[str, Any]:
    """GFLOP/s of [w, w] x [w, 256] for each width and of a large square product, and GB/s of a copy (read + written).

    The best of several tries: a ceiling is what the core can do when nothing disturbs it.
    """
    shapes = [(width, COLUMNS) for width in sorted(set(widths)) if width <= WIDEST] + [(SQUARE, SQUARE)]
    products = []
    for width, columns in shapes:
        giga = 2e-9 * width * width * columns
        products.append(
            {
                "width": width,
                "columns": columns,
                "blas": giga / fastest(blas_product(width, columns)),
                "xla": giga / fastest(*xla_product(width, columns)),
            }
        )
    return {
        "products": products,
        "sgemm_gflop_s": max(max(entry["blas"], entry["xla"]) for entry in products),
        "copy_gb_s": 2e-9 * COPIED_BYTES / fastest(copy()),
    }


def fastest(call: Callable[[], object], per_call: int = 1) -> float:
    """Seconds of one of the `per_call` operations of a call."""
    call()
    best = np.inf
    for _ in range(ROUNDS):
        n_calls, start_s = 0, time.perf_counter()
        while (taken_s := time.perf_counter() - start_s) < SECONDS or n_calls == 0:
            call()
            n_calls += 1
        best = min(best, taken_s / n_calls)
    return float(best / per_call)


def operands(width: int, columns: int) -> tuple[Any, Any]:
    """An orthogonal matrix, so that products in a row neither grow nor vanish, and what it is to turn."""
    random = np.random.default_rng(1)
    turning = np.linalg.qr(random.standard_normal((width, width)))[0].astype(np.float32)
    return turning, random.standard_normal((width, columns)).astype(np.float32)


def blas_product(width: int, columns: int) -> Callable[[], object]:
    """A product by numpy."""
    turning, values = operands(width, columns)
    out = np.empty_like(values)
    return lambda: np.matmul(turning, values, out=out)


def xla_product(width: int, columns: int) -> tuple[Callable[[], object], int]:
    """Products in a row in one XLA program, and how many: a call costs nothing beside them."""
    import tensorflow as tf

    turning, values = operands(width, columns)
    n = max(1, int(2e8 / (width * width * columns)))

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def product(turning: tf.Tensor, values: tf.Tensor) -> Any:
        def step(index: tf.Tensor, values: tf.Tensor) -> Any:
            return index + 1, tf.matmul(turning, values)

        return tf.while_loop(lambda index, _: index < n, step, (tf.constant(0), values))[1]

    arguments = (tf.constant(turning), tf.constant(values))
    return lambda: product(*arguments).numpy(), n


def copy() -> Callable[[], object]:
    """A copy of memory far larger than the caches."""
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    return lambda: np.copyto(target, source)
