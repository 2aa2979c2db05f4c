"""The metrics against values worked out by hand and against their definitions in numpy."""

import numpy as np
import pytest

from wattsweep.datasets import Head
from wattsweep.training import METRICS

pytestmark = pytest.mark.usefixtures("tensorflow")


def metrics(head: Head, targets: object, logits: object, real: object = None) -> dict[str, float]:
    import tensorflow as tf

    from wattsweep.training.metrics import finish, metric_sums

    weights = None if real is None else tf.constant(real, tf.float32)
    rows = len(targets) if real is None else int(np.sum(real))  # type: ignore[arg-type, call-overload]
    columns = [tf.constant(np.asarray(array).T, tf.float32) for array in (targets, logits)]
    sums = metric_sums(head, columns[0], columns[1], weights)
    return dict(zip(METRICS, finish(sums, rows).numpy().tolist(), strict=True))


def test_one_binary_row_by_hand() -> None:
    # logit ln 3: the sigmoid is 0.75, where the target is 1.
    values = metrics("binary", [[1.0]], [[np.log(3.0)]])
    assert values["loss"] == pytest.approx(-np.log(0.75), rel=1e-6)
    assert values["accuracy"] == 1
    assert values["mean_squared_error"] == pytest.approx(0.0625)
    assert values["root_mean_squared_error"] == pytest.approx(0.25)
    assert values["mean_absolute_error"] == pytest.approx(0.25)
    assert values["mean_squared_logarithmic_error"] == pytest.approx((np.log(1.75) - np.log(2)) ** 2, rel=1e-5)
    assert values["hinge"] == pytest.approx(0.25)
    assert values["squared_hinge"] == pytest.approx(0.0625)
    assert values["cosine_similarity"] == pytest.approx(1)
    assert values["kullback_leibler_divergence"] == pytest.approx(-np.log(0.75), rel=1e-6)


def test_one_softmax_row_by_hand() -> None:
    # softmax of (ln 1, ln 2, ln 5) is (1/8, 1/4, 5/8); the class is the second.
    values = metrics("softmax", [[0.0, 1.0, 0.0]], [[0.0, np.log(2.0), np.log(5.0)]])
    assert values["loss"] == pytest.approx(np.log(4), rel=1e-6)
    assert values["accuracy"] == 0
    assert values["mean_squared_error"] == pytest.approx((1 / 64 + 9 / 16 + 25 / 64) / 3)
    assert values["cosine_similarity"] == pytest.approx((1 / 4) / np.sqrt(1 / 64 + 1 / 16 + 25 / 64))
    # Keras' hinge reads 0/1 targets as -1/1.
    assert values["hinge"] == pytest.approx((9 / 8 + 3 / 4 + 13 / 8) / 3)


def test_the_hinge_of_a_regression_takes_targets_as_they_are() -> None:
    # A sigmoid of 0 is 0.5; targets 0.2 and 0.6 are no labels, so the margin is 1 - target x 0.5.
    values = metrics("regression", [[0.2], [0.6]], [[0.0], [0.0]])
    assert values["hinge"] == pytest.approx((0.9 + 0.7) / 2)
    # Padding does not decide whether targets are labels: of the real rows all are.
    padded = metrics("regression", [[1.0], [0.0], [0.3]], [[0.0], [0.0], [0.0]], real=[1, 1, 0])
    assert padded["hinge"] == pytest.approx((0.5 + 1.5) / 2)


@pytest.mark.parametrize("head", ["regression", "binary", "softmax"])
def test_padding_weighs_nothing(head: Head) -> None:
    rng = np.random.default_rng(5)
    outputs = 4 if head == "softmax" else 1
    labels = np.eye(outputs)[rng.integers(outputs, size=9)] if head == "softmax" else rng.integers(2, size=(9, 1))
    targets = rng.uniform(size=(9, 1)) if head == "regression" else labels
    logits = rng.normal(size=(9, outputs))
    padded = metrics(head, targets, logits, real=[1] * 6 + [0] * 3)
    assert padded == pytest.approx(metrics(head, targets[:6], logits[:6]), rel=1e-5)
