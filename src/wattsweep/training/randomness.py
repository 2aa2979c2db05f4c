"""Everything drawn at random in training, from the run's seed alone: initial weights and the order of the rows.

Both engines take their draws from here, so a seed means the same run in each.
"""

import json

import numpy as np
from numpy.typing import NDArray

from wattsweep.training.types import Architecture

# The split of a dataset draws from streams 0 and 1 of the same seed.
INITIAL_WEIGHTS_STREAM = 2
ROW_ORDER_STREAM = 3

Weights = list[NDArray[np.float32]]


def initial_weights(architecture: Architecture, seed: int) -> Weights:
    """Kernel and bias of each layer in turn: Glorot-uniform kernels, zero biases (Keras' defaults).

    A kernel of shape (a, b) is uniform in [-l, l), l = sqrt(6 / (a + b)) (Glorot and Bengio 2010).
    """
    generator = _generator(seed, INITIAL_WEIGHTS_STREAM)
    weights: Weights = []
    for n_in, n_out in architecture.layer_shapes:
        limit = np.sqrt(6.0 / (n_in + n_out))
        weights.append(generator.uniform(-limit, limit, (n_in, n_out)).astype(np.float32))
        weights.append(np.zeros(n_out, dtype=np.float32))
    return weights


class RowOrders:
    """A new permutation of the training rows for each epoch, without end.

    `state` is where the draws stand; a RowOrders made with it goes on from there.
    """

    def __init__(self, n_rows: int, seed: int, state: str | None = None) -> None:
        self.n_rows = n_rows
        self._generator = _generator(seed, ROW_ORDER_STREAM)
        if state is not None:
            self._generator.bit_generator.state = json.loads(state)

    @property
    def state(self) -> str:
        """The generator's state, as JSON."""
        return json.dumps(self._generator.bit_generator.state)

    def draw(self) -> NDArray[np.int64]:
        """The order of the next epoch, [n_rows]; drawn without holding the interpreter's lock."""
        return self._generator.permutation(self.n_rows)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, stream]))
