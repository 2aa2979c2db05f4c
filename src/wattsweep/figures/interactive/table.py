"""The table of experiments that every interactive figure shares."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from wattsweep.analysis.groups import HARDWARE, network_shape
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.interactive.spec import numbers, whole
from wattsweep.figures.kinds import WORKING_SETS, kinds, occupied_bytes

MOST_ROWS = 6000
"""More points than this neither a screen nor a browser is for."""

WORDS = ("dataset", "shape", "hardware", "power_origin", "engine", "experiment_id")
WHOLE = ("depth", "n_parameters", "n_train", "epochs", "batch_size", "n_runs")
REAL = {
    "learning_rate": "learning_rate",
    "energy_net_j": "energy_net_j_median",
    "energy_per_datum_j": "energy_per_datum_j_median",
    "training_s": "training_s_median",
    "test_loss": "test_loss_median",
}
"""Names in the page, and the columns of experiments.parquet."""


@dataclass(frozen=True, eq=False)
class SharedTable:
    """Rows of the experiments that a page shows, evenly spread over all where they are too many.

    `frame` keeps the labels of `inputs.experiments`.
    """

    frame: pd.DataFrame
    n_experiments: int

    @cached_property
    def row_of(self) -> "pd.Series[int]":
        """The row number of each label."""
        return pd.Series(np.arange(len(self.frame)), index=self.frame.index)

    def rows(self, labels: "pd.Series[Any] | pd.Index[Any]") -> "pd.Series[float]":
        """Row numbers of labels of `inputs.experiments`, nan where the page does not show them."""
        return pd.Series(self.row_of.reindex(list(labels)).to_numpy(dtype=np.float64))

    def document(self) -> dict[str, Any]:
        """The table as JSON's values: texts as numbers of a list of names."""
        columns: dict[str, Any] = {}
        for name in WORDS:
            values, known = pd.factorize(self.frame[name].astype(str), sort=True)
            columns[name] = {"names": list(known), "at": whole(values)}
        for name in WHOLE:
            columns[name] = whole(self.frame[name])
        rest = [name for name in self.frame.columns if name not in (*WORDS, *WHOLE)]
        for name in rest:
            columns[name] = numbers(self.frame[name])
        return {"columns": columns, "rows": len(self.frame), "of": self.n_experiments}


def shared_table(inputs: FigureInputs, most: int = MOST_ROWS) -> SharedTable:
    """The shared table of these inputs."""
    every = inputs.experiments
    order = ["device", "cpu_model", "dataset", "shape", "depth", "n_parameters", "experiment_id"]
    ordered = every.sort_values(order, kind="stable")
    if len(ordered) > most:
        ordered = ordered.iloc[np.linspace(0, len(ordered) - 1, most).round().astype(int)]
    frame = ordered[["dataset", "power_origin", "engine", "experiment_id", *WHOLE]].assign(
        shape=network_shape(ordered),
        hardware=_hardware(inputs, ordered),
        **{name: ordered[column] for name, column in REAL.items()},
        operations=ordered["macs_per_epoch"] / ordered["n_train"],
        energy_epoch_j=ordered["energy_per_datum_j_median"] * ordered["n_train"],
        **_bytes(inputs, ordered),
        **_predictions(inputs, ordered),
    )
    return SharedTable(frame, len(every))


def _hardware(inputs: FigureInputs, experiments: pd.DataFrame) -> "pd.Series[str]":
    found = pd.Series("", index=experiments.index, dtype=object)
    for kind in kinds(inputs, experiments):
        found[kind.experiments.index] = kind.name
    return found


def _bytes(inputs: FigureInputs, experiments: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    known = [occupied_bytes(kind) for kind in kinds(inputs, experiments) if kind.profile is not None]
    if not known:
        return {}
    found = pd.concat(known).reindex(experiments.index)
    return {f"{name}_bytes": found[f"{name}_bytes"] for name in WORKING_SETS}


def _predictions(inputs: FigureInputs, experiments: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """Energy per datum that the model from settings alone predicts: by a fit without the experiment, and in sample."""
    made = {}
    for fit in inputs.fits:
        if fit.fitted and fit.model == "settings":
            group = fit.group
            key = (group.device, group.cpu_model, group.engine, group.power_origin)
            made.update({(one.experiment_id, *key): (one.held_out_j, one.in_sample_j) for one in fit.predictions})
    if not made:
        return {}
    keys = experiments[["experiment_id", *HARDWARE]].fillna("").astype(str).itertuples(index=False, name=None)
    pairs = np.array([made.get(key, (np.nan, np.nan)) for key in keys], dtype=np.float64).reshape(-1, 2)
    measured = experiments["energy_per_datum_j_median"].to_numpy(dtype=np.float64)
    columns = {"held_out_j": pairs[:, 0], "held_out_ratio": pairs[:, 0] / measured}
    return {name: pd.Series(values, index=experiments.index) for name, values in columns.items()}
