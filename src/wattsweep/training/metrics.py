"""The ten metrics of an epoch as Keras 3 defines them, as sums over rows that can be accumulated over batches.

Arrays are features first: targets and logits are float32 [..., outputs, rows].
"""

import tensorflow as tf

from wattsweep.datasets import Head
from wattsweep.training.types import METRICS

EPSILON = 1e-7
"""Keras' default fuzz factor."""

LOSS = METRICS.index("loss")
RMSE = METRICS.index("root_mean_squared_error")


def row_losses(head: Head, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The loss of each row, [..., rows]. Cross-entropies come from logits, as Keras takes them from its activations."""
    if head == "softmax":
        shifted = logits - tf.reduce_max(logits, axis=-2, keepdims=True)
        log_sum = tf.math.log(tf.reduce_sum(tf.exp(shifted), axis=-2, keepdims=True))
        return tf.reduce_sum(targets * (log_sum - shifted), axis=-2)
    if head == "binary":
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits), axis=-2)
    return tf.reduce_mean(tf.square(tf.sigmoid(logits) - targets), axis=-2)


def loss_slopes(head: Head, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Derivatives of each row's loss by its logits, [..., outputs, rows]; one-hot targets for softmax."""
    predicted = predictions(head, logits)
    if head == "softmax":
        return predicted - targets
    slopes = predicted - targets
    if head == "regression":
        slopes *= 2.0 * predicted * (1.0 - predicted)
    return slopes / float(logits.shape[-2])


def predictions(head: Head, logits: tf.Tensor) -> tf.Tensor:
    """The network's output, [..., outputs, rows]: softmax of the logits, or their sigmoid."""
    if head != "softmax":
        return tf.sigmoid(logits)
    exponentials = tf.exp(logits - tf.reduce_max(logits, axis=-2, keepdims=True))
    return exponentials / tf.reduce_sum(exponentials, axis=-2, keepdims=True)


def metric_sums(head: Head, targets: tf.Tensor, logits: tf.Tensor, real: tf.Tensor | None = None) -> tf.Tensor:
    """Sum over rows of each metric's row value, [..., 10] in the order of METRICS; `finish` makes metrics of them.

    real: [..., rows], 1 for rows that count and 0 for padding; None: all count.
    """
    predicted = predictions(head, logits)
    squared = tf.reduce_mean(tf.square(predicted - targets), axis=-2)
    margins = tf.maximum(1.0 - _hinge_labels(targets, real) * predicted, 0.0)
    rows = {
        "loss": row_losses(head, targets, logits),
        "accuracy": _accuracy(head, targets, predicted),
        "mean_squared_error": squared,
        "mean_absolute_error": tf.reduce_mean(tf.abs(predicted - targets), axis=-2),
        "root_mean_squared_error": squared,
        "mean_squared_logarithmic_error": tf.reduce_mean(tf.square(_log1p(predicted) - _log1p(targets)), axis=-2),
        "hinge": tf.reduce_mean(margins, axis=-2),
        "squared_hinge": tf.reduce_mean(tf.square(margins), axis=-2),
        "cosine_similarity": tf.reduce_sum(_unit(targets) * _unit(predicted), axis=-2),
        "kullback_leibler_divergence": _divergence(targets, predicted),
    }
    weight = 1.0 if real is None else real
    return tf.stack([tf.reduce_sum(rows[name] * weight, axis=-1) for name in METRICS], axis=-1)


def finish(sums: tf.Tensor, n_rows: int, penalty: tf.Tensor | float = 0.0) -> tf.Tensor:
    """The metrics of `n_rows` rows from their sums, [..., 10]: means, the root for the root mean squared error.

    `penalty`, [...], is what penalties on weights add to the loss.
    """
    means = sums / float(n_rows)
    loss = means[..., LOSS] + penalty
    rest = [tf.sqrt(means[..., index]) if index == RMSE else means[..., index] for index in range(1, len(METRICS))]
    return tf.stack([loss, *rest], axis=-1)


def _accuracy(head: Head, targets: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    if head == "softmax":
        return tf.cast(tf.equal(tf.argmax(targets, -2), tf.argmax(predicted, -2)), tf.float32)
    return tf.reduce_mean(tf.cast(tf.equal(targets, tf.cast(predicted > 0.5, tf.float32)), tf.float32), axis=-2)


def _hinge_labels(targets: tf.Tensor, real: tf.Tensor | None) -> tf.Tensor:
    """Keras' hinge turns 0/1 targets into -1/1, and leaves a batch that has any other target as it is."""
    is_label = tf.logical_or(tf.equal(targets, 0.0), tf.equal(targets, 1.0))
    if real is not None:
        is_label = tf.logical_or(is_label, tf.equal(real, 0.0)[..., tf.newaxis, :])
    return tf.where(tf.reduce_all(is_label, axis=[-2, -1], keepdims=True), 2.0 * targets - 1.0, targets)


def _log1p(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(values, EPSILON) + 1.0)


def _unit(values: tf.Tensor) -> tf.Tensor:
    norm = tf.math.rsqrt(tf.reduce_sum(tf.square(values), axis=-2, keepdims=True))
    return values * tf.minimum(norm, 1.0 / EPSILON)


def _divergence(targets: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    targets = tf.clip_by_value(targets, EPSILON, 1.0)
    predicted = tf.clip_by_value(predicted, EPSILON, 1.0)
    return tf.reduce_sum(targets * tf.math.log(targets / predicted), axis=-2)
