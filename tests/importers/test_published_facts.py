"""What the published files leave out: settings as our grid has them, inputs, heads; and curves at every epoch."""

from pathlib import Path

import numpy as np
import pytest

from tests.importers.support_oedi import small_submission
from wattsweep.analysis.curves import COLUMNS, read_curves
from wattsweep.hardware import profile
from wattsweep.importers import import_butter_e
from wattsweep.importers.curves import at_every_epoch
from wattsweep.importers.facts import PublishedValueError, count_inputs, data_facts, decimal, published_settings
from wattsweep.networks import count_parameters, layer_widths
from wattsweep.tables import read_runs

VALUES = {
    "dataset": "mnist",
    "shape": "rectangle",
    "size": 1024,
    "depth": 2,
    "epochs": 3000,
    "batch_size": 256,
    "learning_rate": np.float32(0.0001),
    "optimizer": "RMSprop",
}


def test_numbers_of_32_bits_mean_what_was_written() -> None:
    assert decimal("learning_rate", np.float32(0.0001)) == 0.0001
    assert decimal("kernel_regularizer_l1", np.float32(7.8125e-5)) == 7.8125e-5
    assert decimal("label_noise", "none") == 0.0
    assert decimal("label_noise", None) == 0.0
    with pytest.raises(PublishedValueError, match="momentum is no number"):
        decimal("momentum", "much")


def test_settings_are_ours() -> None:
    settings = published_settings(VALUES | {"momentum": np.float32(0.9)}, hardware="cpu")
    assert (settings.optimizer, settings.learning_rate, settings.momentum) == ("rmsprop", 1e-4, 0.9)
    assert (settings.dataset_source, settings.engine, settings.test_split) == ("pmlb", "keras-fit", 0.2)
    penalised = VALUES | {"kernel_regularizer_type": "L2", "kernel_regularizer_l2": np.float32(0.32)}
    assert (published_settings(penalised).kernel_l1, published_settings(penalised).kernel_l2) == (0.0, 0.32)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": "circle"}, "unknown shape circle"),
        ({"optimizer": "lion"}, "unknown optimizer lion"),
        ({"size": "many"}, "size is no whole number"),
        ({"depth": 2.5}, "depth is no whole number"),
    ],
)
def test_values_that_are_no_use_are_named(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(PublishedValueError, match=words):
        published_settings(VALUES | wrong)


@pytest.mark.parametrize("shape", ["rectangle", "trapezoid", "exponential", "wide_first_4x"])
def test_inputs_follow_from_parameters_and_widths(shape: str) -> None:
    widths = layer_widths(shape, 5, 2**14, 105, 3)
    assert count_inputs(count_parameters(105, widths), widths) == 105


def test_parameters_that_fit_no_network_are_refused() -> None:
    with pytest.raises(PublishedValueError, match="contradict"):
        count_inputs(1055, [9, 9, 1])
    with pytest.raises(PublishedValueError, match="widths are missing"):
        count_inputs(1055, [])


def test_heads() -> None:
    assert data_facts("adult", 48842, [9, 1]).head == "binary"
    assert data_facts("banana", 5300, [9, 1]).head == "regression"
    assert data_facts("201_pol", 15000, [9, 11]).head == "softmax"
    assert data_facts("201_pol", 15000, [9, 1], softmax=True).task == "classification"
    # ceil(0.2 x 48842) = ceil(9768.4)
    assert data_facts("adult", 48842, [9, 1]).n_test == 9769


def test_curves_at_every_epoch() -> None:
    dense = np.array([1.0, 0.5, 0.25], dtype=np.float32)
    assert at_every_epoch(np.array([1, 2, 3]), dense) is dense
    # in log loss 0.5 lies half way between 1 at epoch 1 and 0.25 at epoch 3
    assert at_every_epoch(np.array([1, 3]), np.array([1.0, 0.25], dtype=np.float32)) == pytest.approx([1, 0.5, 0.25])
    assert at_every_epoch(np.array([2, 3]), np.array([0.5, 0.25], dtype=np.float32)) == pytest.approx([0.5, 0.5, 0.25])


def test_imports_are_what_analysis_reads(tmp_path: Path) -> None:
    import_butter_e(small_submission(tmp_path / "5991").folder, tmp_path / "tables")
    curves = read_curves(tmp_path / "tables")
    assert tuple(curves.columns) == COLUMNS
    assert len(curves) == 2
    best = curves["test_loss_best_median"].iloc[0]
    assert len(best) == 3000
    assert best[[0, 9, 99, 999, 2999]] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.4])
    runs = read_runs(tmp_path / "tables")
    for name in ("eagle-cpu", "eagle-gpu"):
        kinds = zip(runs["device"], runs["cpu_model"], strict=True)
        described = [profile(name).describes(device, model) for device, model in kinds]
        assert sum(described) == (2 if name == "eagle-gpu" else 33)
