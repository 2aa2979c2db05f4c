"""BUTTER's two schemas (OEDI 5708, data dictionary): a row per experiment, and a row per run; and its folders.

Types are the published ones, but for numbers of runs, which have 16 bits here: a block may hold more than 255.
"""

from typing import Any

import pyarrow as pa

from wattsweep.training import METRICS

PARTITIONS = (
    *("dataset", "learning_rate", "batch_size", "kernel_regularizer.type", "label_noise", "epochs", "shape", "depth"),
)
"""The folders of both datasets, in their order."""

SWEEPS = {
    "primary_sweep": "primary",
    "300_epoch_sweep": "epochs_300",
    "30k_epoch_sweep": "epochs_30k",
    "learning_rate_sweep": "learning_rate",
    "label_noise_sweep": "label_noise",
    "batch_size_sweep": "batch_size",
    "regularization_sweep": "regularization",
    "optimizer_sweep": "optimizer",
}
"""Flags of the sweeps, and their names in configs/butter.yaml."""

RENAMED = {"kernel_regularizer.type": "kernel_regularizer_type", "kernel_regularizer.l1": "kernel_regularizer_l1"}
RENAMED |= {"kernel_regularizer.l2": "kernel_regularizer_l2"}
"""Names with a dot, as the published files have them, and without, as the dictionary has them."""

TRAJECTORIES: dict[str, tuple[str, tuple[str, ...]]] = {
    f"{rows}_{metric}": (prefix + metric, statistics)
    for metric, statistics in (
        ("loss", ("num_finite", "min", "q1", "median", "q3", "max", "avg", "stddev")),
        ("accuracy", ("q1", "median", "q3", "avg", "stddev")),
        ("mean_squared_error", ("q1", "median", "q3", "avg", "stddev")),
        ("kullback_leibler_divergence", ("q1", "median", "q3", "avg", "stddev")),
    )
    for rows, prefix in (("test", "val_"), ("train", ""))
}
"""Curves of the summary: published name -> our metric, and the statistics over repetitions at each epoch."""

BESTS = {
    "test_loss_min": ("val_loss", 1),
    "test_accuracy_max": ("val_accuracy", -1),
    "test_mean_squared_error_min": ("val_mean_squared_error", 1),
    "test_kullback_leibler_divergence_min": ("val_kullback_leibler_divergence", 1),
}
"""Distributions of the best epoch and value: published name -> our metric, and its sign where less is better."""

BEST_STATISTICS = ("min", "q1", "median", "q3", "max", "avg")

_FLOATS = pa.list_(pa.float32())
_SETTINGS: tuple[tuple[str, Any], ...] = (
    *((name, pa.bool_()) for name in SWEEPS),
    ("activation", pa.string()),
    ("batch", pa.string()),
    ("batch_size", pa.uint32()),
    ("dataset", pa.string()),
    ("depth", pa.uint8()),
    ("early_stopping", pa.string()),
    ("epochs", pa.uint32()),
    ("input_activation", pa.string()),
    ("kernel_regularizer", pa.string()),
    ("kernel_regularizer_l1", pa.float32()),
    ("kernel_regularizer_l2", pa.float32()),
    ("kernel_regularizer_type", pa.string()),
    ("label_noise", pa.float32()),
    ("learning_rate", pa.float32()),
    ("optimizer", pa.string()),
    ("momentum", pa.float32()),
    ("output_activation", pa.string()),
    ("shape", pa.string()),
    ("size", pa.uint64()),
    ("task", pa.string()),
    ("test_split", pa.float32()),
    ("num_free_parameters", pa.uint64()),
    ("widths", pa.list_(pa.uint32())),
    ("network_structure", pa.string()),
    ("command", pa.string()),
)

HISTORY = tuple(prefix + metric for metric in METRICS for prefix in ("val_", ""))

REPETITION: tuple[tuple[str, Any], ...] = (
    ("experiment_id", pa.uint32()),
    ("run_id", pa.string()),
    *_SETTINGS,
    ("python_version", pa.string()),
    ("task_version", pa.uint16()),
    ("tensorflow_version", pa.string()),
    ("test_split_method", pa.string()),
    ("platform", pa.string()),
    ("git_hash", pa.string()),
    ("hostname", pa.string()),
    ("seed", pa.int64()),
    ("start_time", pa.int64()),
    ("update_time", pa.int64()),
    *((name, _FLOATS) for name in HISTORY),
)

SUMMARY: tuple[tuple[str, Any], ...] = (
    ("experiment_id", pa.uint32()),
    *_SETTINGS,
    ("num_runs", pa.uint16()),
    ("num", pa.list_(pa.uint16())),
    *(
        (f"{name}_{statistic}", pa.list_(pa.uint16()) if statistic == "num_finite" else _FLOATS)
        for name, (_, statistics) in TRAJECTORIES.items()
        for statistic in statistics
    ),
    *(
        (f"{name}_{what}_{statistic}", pa.float32())
        for name in BESTS
        for what in ("epoch", "value")
        for statistic in BEST_STATISTICS
    ),
)


def file_schema(columns: tuple[tuple[str, Any], ...]) -> Any:
    """The Arrow schema of a file: the columns but for those that are in its folders' names."""
    in_folders = {RENAMED.get(name, name) for name in PARTITIONS}
    return pa.schema([pa.field(name, kind) for name, kind in columns if name not in in_folders])
