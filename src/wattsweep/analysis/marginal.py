"""Marginal costs: what one more parameter, layer or training row costs, without a model.

Slopes between neighbours on lines along which nothing else changes; a cost is their median, its interval that of the
median over resamples of whole lines. BUTTER-E reports 2.1 nJ for a parameter and datum, on CPU past 2^20 parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from wattsweep.config import AnalysisConfig

Per = Literal["parameter", "layer", "row"]

FIXED = ("engine", "device", "cpu_model", "power_origin", "shape", "batch_size", "epochs")
LINES: dict[Per, tuple[str, tuple[str, ...]]] = {
    "parameter": ("n_parameters", ("dataset_source", "dataset", "depth")),
    "layer": ("depth", ("dataset_source", "dataset", "size")),
    "row": ("n_train", ("size", "depth")),
}
"""Along what a line runs, and what else is the same on it. Rows change with the dataset, so its columns do too."""

UNITS: dict[Per, str] = {"parameter": "J/datum", "layer": "J/datum", "row": "J/epoch"}


@dataclass(frozen=True, slots=True)
class MarginalCost:
    """What one more costs, in `unit`; `lower` and `upper` end its interval.

    `least_parameters` is that of the smaller network of every slope.
    """

    per: Per
    unit: str
    least_parameters: int
    value: float
    lower: float
    upper: float
    n_slopes: int
    n_lines: int


def marginal_costs(
    experiments: pd.DataFrame, config: AnalysisConfig, least_parameters: Sequence[int] = (0, 2**20)
) -> list[MarginalCost]:
    """Costs of one more parameter and layer (J per datum) and training row (J per epoch), for networks from each of
    `least_parameters` on.

    `experiments` are rows of experiments.parquet of one group; those without a positive net energy are left out. A cost
    that no line tells of is left out.
    """
    kept = experiments[experiments["energy_per_datum_j_median"] > 0]
    costs = []
    for least in least_parameters:
        large = kept[kept["n_parameters"] >= least]
        for per in LINES:
            slopes = _slopes(large, per)
            if slopes:
                costs.append(_cost(slopes, per, least, config))
    return costs


def _slopes(experiments: pd.DataFrame, per: Per) -> list[np.ndarray]:
    """The slopes of each line that has any."""
    along, equal = LINES[per]
    energy = experiments["energy_per_datum_j_median"]
    table = experiments.assign(cost=energy * experiments["n_train"] if per == "row" else energy)
    lines = []
    for _, line in table.groupby([*FIXED, *equal], dropna=False):
        # Two shapes or sizes may have come to the same network.
        points = line.groupby(along)["cost"].median()
        if len(points) > 1:
            lines.append(np.diff(points.to_numpy()) / np.diff(points.index.to_numpy(dtype=np.float64)))
    return lines


def _cost(slopes: Sequence[np.ndarray], per: Per, least: int, config: AnalysisConfig) -> MarginalCost:
    rng = np.random.default_rng(config.seed)
    medians = [
        np.median(np.concatenate([slopes[number] for number in rng.integers(len(slopes), size=len(slopes))]))
        for _ in range(config.bootstrap_samples)
    ]
    tail = 50 * (1 - config.confidence)
    lower, upper = np.percentile(medians, [tail, 100 - tail])
    every = np.concatenate(slopes)
    return MarginalCost(
        per, UNITS[per], least, float(np.median(every)), float(lower), float(upper), len(every), len(slopes)
    )
