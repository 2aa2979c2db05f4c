"""What is compared with what: kinds of hardware, and experiments that differ in their network alone."""

from dataclasses import dataclass

import pandas as pd

HARDWARE = ["device", "cpu_model", "engine", "power_origin"]
"""Joules of two kinds of hardware, of two engines or of two origins of power are never joined by a line."""

DATASET = ["dataset_source", "dataset"]

TRAINING = [
    *("epochs", "batch_size", "learning_rate", "optimizer", "momentum", "kernel_l1", "kernel_l2", "label_noise"),
    *("precision", "test_split", "vectorised"),
]
"""The settings of a training, apart from its data and its network."""


@dataclass(frozen=True, eq=False)
class Commonest:
    """The experiments of the commonest settings of training, those settings, and how many others were left out."""

    experiments: pd.DataFrame
    settings: dict[str, object]
    n_other: int


def keys(experiments: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """These columns with what is missing as an empty text, so that grouping by them loses no row."""
    found = experiments[columns].astype(object)
    return found.where(found.notna(), "")


def network_shape(experiments: pd.DataFrame) -> "pd.Series[str]":
    """The shape of each network; at depth 2 all count as a rectangle, as in BUTTER-E (arXiv 2403.08151)."""
    return experiments["shape"].where(experiments["depth"] != 2, "rectangle")


def commonest(experiments: pd.DataFrame, columns: list[str] = TRAINING) -> Commonest:
    """The experiments whose `columns` have the commonest combination of values; of equals the first in order."""
    if experiments.empty:
        return Commonest(experiments, {}, 0)
    found = keys(experiments, columns)
    labels = found.astype(str).agg("\x1f".join, axis=1)
    counts = labels.value_counts()
    chosen = min(counts[counts == counts.max()].index)
    mine = labels == chosen
    return Commonest(experiments[mine], dict(found[mine].iloc[0]), int((~mine).sum()))
