"""The optimizers as Keras 3 writes them, as pure functions of their state (for the compiled engine).

An optimizer's slots are tensors of the weights' shapes: `slots(objective, weights)` gives them at the start, and
`step(...)` gives weights and slots after one gradient.
"""

import tensorflow as tf

from wattsweep.training.types import Objective

ADAM_BETA_1 = 0.9
ADAM_BETA_2 = 0.999
RMSPROP_RHO = 0.9
EPSILON = 1e-7

Tensors = list[tf.Tensor]
Slots = tuple[Tensors, ...]


def slots(objective: Objective, weights: Tensors) -> Slots:
    """The slots of an optimizer before its first step, all zero."""
    return tuple([tf.zeros_like(weight) for weight in weights] for _ in range(objective.n_slots))


def step(
    objective: Objective, weights: Tensors, kept: Slots, gradients: Tensors, count: tf.Tensor, rate: tf.Tensor
) -> tuple[Tensors, Slots]:
    """Weights and slots after step number `count` (from 1) with learning rate `rate`."""
    if objective.optimizer == "adam":
        return _adam(weights, kept, gradients, count, rate)
    if objective.optimizer == "rmsprop":
        return _rmsprop(objective.momentum, weights, kept, gradients, rate)
    return _sgd(objective.momentum, weights, kept, gradients, rate)


def _adam(
    weights: Tensors, kept: Slots, gradients: Tensors, count: tf.Tensor, rate: tf.Tensor
) -> tuple[Tensors, Slots]:
    """Adam (Kingma and Ba 2015) with epsilon beside sqrt(v) and the bias correction in the rate."""
    number = tf.cast(count, tf.float32)
    scaled = rate * tf.sqrt(1.0 - tf.pow(ADAM_BETA_2, number)) / (1.0 - tf.pow(ADAM_BETA_1, number))
    first = [m + (g - m) * (1.0 - ADAM_BETA_1) for m, g in zip(kept[0], gradients, strict=True)]
    second = [v + (tf.square(g) - v) * (1.0 - ADAM_BETA_2) for v, g in zip(kept[1], gradients, strict=True)]
    moved = [w - m * scaled / (tf.sqrt(v) + EPSILON) for w, m, v in zip(weights, first, second, strict=True)]
    return moved, (first, second)


def _rmsprop(
    momentum: float, weights: Tensors, kept: Slots, gradients: Tensors, rate: tf.Tensor
) -> tuple[Tensors, Slots]:
    """RMSprop (Hinton 2012), not centred, with epsilon under the root."""
    squares = [RMSPROP_RHO * v + (1.0 - RMSPROP_RHO) * tf.square(g) for v, g in zip(kept[0], gradients, strict=True)]
    moves = [rate * g / tf.sqrt(v + EPSILON) for v, g in zip(squares, gradients, strict=True)]
    if momentum == 0:
        return [w - move for w, move in zip(weights, moves, strict=True)], (squares,)
    carried = [momentum * last + move for last, move in zip(kept[1], moves, strict=True)]
    return [w - move for w, move in zip(weights, carried, strict=True)], (squares, carried)


def _sgd(momentum: float, weights: Tensors, kept: Slots, gradients: Tensors, rate: tf.Tensor) -> tuple[Tensors, Slots]:
    """Gradient descent, with classical momentum where it is asked for."""
    if momentum == 0:
        return [w - rate * g for w, g in zip(weights, gradients, strict=True)], ()
    carried = [momentum * last - rate * g for last, g in zip(kept[0], gradients, strict=True)]
    return [w + move for w, move in zip(weights, carried, strict=True)], (carried,)
