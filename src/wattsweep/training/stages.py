"""The layers of a network as the compiled engine runs them: forward, and backward by hand.

Arrays are features first, [features, rows]: a minibatch's rows lie side by side in memory, so narrow layers fill the
vector units too. Equal hidden layers in succession form one stage that is looped over, so the program of a deep network
is no longer than that of a shallow one. Where several runs are trained at once every array of a layer, and every
activation, has an axis of runs in front of its own two.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wattsweep.training.types import Architecture

LOOP_FROM = 3
"""Equal hidden layers in succession that are worth a loop."""

Tensors = list[tf.Tensor]


@dataclass(frozen=True, slots=True)
class Stage:
    """`n_layers` equal layers; more than one are stacked along a leading axis of their kernels and biases."""

    n_layers: int
    residual: bool

    @property
    def looped(self) -> bool:
        """Whether its arrays are stacked."""
        return self.n_layers > 1


def stages(architecture: Architecture) -> tuple[Stage, ...]:
    """The hidden layers as stages, and the output layer as the last one."""
    *hidden, _ = architecture.layer_shapes
    # The first hidden layer stands alone: its input has nothing to be added to, and is not differentiated.
    kinds = [(shape, architecture.residual and index > 0, index == 0) for index, shape in enumerate(hidden)]
    found: list[Stage] = []
    for (_, residual, _), group in itertools.groupby(kinds):
        n_layers = len(list(group))
        found += [Stage(n_layers, residual)] if n_layers >= LOOP_FROM else [Stage(1, residual)] * n_layers
    return (*found, Stage(1, residual=False))


def pack(parts: Sequence[Stage], networks: Sequence[Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    """Kernel [out, in] and bias [out, 1] of each stage, from each network's kernels [in, out] and biases [out]."""
    columns = [[network[index] for network in networks] for index in range(len(networks[0]))]
    arrays = [_side_by_side([array.T if array.ndim == 2 else array[:, np.newaxis] for array in one]) for one in columns]
    packed, first = [], 0
    for part in parts:
        for kind in (0, 1):
            layers = [arrays[2 * (first + number) + kind] for number in range(part.n_layers)]
            packed.append(np.stack(layers) if part.looped else np.ascontiguousarray(layers[0]))
        first += part.n_layers
    return packed


def _side_by_side(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def logits(parts: Sequence[Stage], weights: Tensors, inputs: tf.Tensor) -> tf.Tensor:
    """The last layer's output before its activation, float32 [..., outputs, rows]."""
    values = inputs
    for number, part in enumerate(parts[:-1]):
        kernel, bias = weights[2 * number], weights[2 * number + 1]
        if part.looped:
            values = _loop_forward(part, kernel, bias, values)
        else:
            values, _ = _hidden(part, kernel, bias, values)
    return tf.cast(_dense(weights[-2], weights[-1], values), tf.float32)


def logits_and_inputs(parts: Sequence[Stage], weights: Tensors, inputs: tf.Tensor) -> tuple[tf.Tensor, list[Any]]:
    """Logits, and what `gradients` needs: (input, output before a residual is added) of each stage."""
    values, kept = inputs, []
    for number, part in enumerate(parts[:-1]):
        kernel, bias = weights[2 * number], weights[2 * number + 1]
        if part.looped:
            after, entries, outputs = _loop_forward_kept(part, kernel, bias, values)
            kept.append((entries, outputs))
        else:
            after, output = _hidden(part, kernel, bias, values)
            kept.append((values, output))
        values = after
    kept.append((values, None))
    return tf.cast(_dense(weights[-2], weights[-1], values), tf.float32), kept


def gradients(parts: Sequence[Stage], weights: Tensors, kept: Sequence[Any], errors: tf.Tensor) -> Tensors:
    """Gradients of the loss by each of `weights`, float32, from its derivatives by the logits, [..., outputs, rows]."""
    found: list[tf.Tensor] = []
    values, _ = kept[-1]
    errors = tf.cast(errors, values.dtype)
    found[:0] = _by_weights(errors, values)
    slope = _by_inputs(weights[-2], errors)
    for number in reversed(range(len(parts) - 1)):
        part, kernel = parts[number], weights[2 * number]
        entry, output = kept[number]
        if part.looped:
            slope, by_kernel, by_bias = _loop_backward(part, kernel, weights[2 * number + 1], entry, output, slope)
            found[:0] = [by_kernel, by_bias]
            continue
        errors = tf.where(output > 0, slope, tf.zeros_like(slope))
        found[:0] = _by_weights(errors, entry)
        if number > 0:
            slope = _through(part, kernel, errors, slope)
    return found


def _dense(kernel: tf.Tensor, bias: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.cast(kernel, values.dtype), values) + tf.cast(bias, values.dtype)


def _hidden(part: Stage, kernel: tf.Tensor, bias: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What follows a hidden layer, and its own output: the same but for a residual."""
    output = tf.nn.relu(_dense(kernel, bias, values))
    return (output + values if part.residual else output), output


def _by_weights(errors: tf.Tensor, values: tf.Tensor) -> Tensors:
    by_kernel = tf.matmul(errors, values, transpose_b=True)
    return [tf.cast(by_kernel, tf.float32), tf.cast(tf.reduce_sum(errors, axis=-1, keepdims=True), tf.float32)]


def _by_inputs(kernel: tf.Tensor, errors: tf.Tensor) -> tf.Tensor:
    return tf.matmul(tf.cast(kernel, errors.dtype), errors, transpose_a=True)


def _through(part: Stage, kernel: tf.Tensor, errors: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """The loss's derivative by a layer's input, from that by what follows it (`slope`)."""
    by_inputs = _by_inputs(kernel, errors)
    return by_inputs + slope if part.residual else by_inputs


def _loop_forward(part: Stage, kernel: tf.Tensor, bias: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    def layer(index: tf.Tensor, values: tf.Tensor) -> Any:
        return index + 1, _hidden(part, kernel[index], bias[index], values)[0]

    return tf.while_loop(lambda index, _: index < part.n_layers, layer, (tf.constant(0), values))[1]


def _loop_forward_kept(part: Stage, kernel: tf.Tensor, bias: tf.Tensor, values: tf.Tensor) -> Any:
    """What follows the stage, and stacked over its layers their inputs and, for a residual, their own outputs."""

    def layer(index: tf.Tensor, values: tf.Tensor, entries: tf.TensorArray, outputs: tf.TensorArray) -> Any:
        after, output = _hidden(part, kernel[index], bias[index], values)
        return index + 1, after, entries.write(index, values), outputs.write(index, output)

    start = (tf.constant(0), values, _stack(part, values.dtype, values.shape), _stack(part, values.dtype, values.shape))
    _, after, entries, outputs = tf.while_loop(lambda index, *_: index < part.n_layers, layer, start)
    return after, entries.stack(), outputs.stack()


def _loop_backward(
    part: Stage, kernel: tf.Tensor, bias: tf.Tensor, entries: tf.Tensor, outputs: tf.Tensor, slope: tf.Tensor
) -> Any:
    """The loss's derivatives by the stage's input, its kernels and its biases, from that by what follows it."""

    def layer(done: tf.Tensor, slope: tf.Tensor, kernels: tf.TensorArray, biases: tf.TensorArray) -> Any:
        index = part.n_layers - 1 - done
        errors = tf.where(outputs[index] > 0, slope, tf.zeros_like(slope))
        by_kernel, by_bias = _by_weights(errors, entries[index])
        slope = _through(part, kernel[index], errors, slope)
        return done + 1, slope, kernels.write(index, by_kernel), biases.write(index, by_bias)

    start = (
        tf.constant(0),
        slope,
        _stack(part, tf.float32, kernel.shape[1:]),
        _stack(part, tf.float32, bias.shape[1:]),
    )
    _, slope, kernels, biases = tf.while_loop(lambda done, *_: done < part.n_layers, layer, start)
    return slope, kernels.stack(), biases.stack()


def _stack(part: Stage, dtype: tf.DType, shape: tf.TensorShape) -> tf.TensorArray:
    return tf.TensorArray(dtype, size=part.n_layers, element_shape=shape)
