"""What figures are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wattsweep.analysis import EnergyModelFit


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """The tables of runs and experiments (`wattsweep.tables.read_runs`, `read_experiments`) and the model's fits."""

    runs: pd.DataFrame
    experiments: pd.DataFrame
    fits: Sequence[EnergyModelFit]


@dataclass(frozen=True, eq=False)
class Drawable:
    """The experiments that have a place on a logarithmic axis of energy, and a sentence about the others."""

    experiments: pd.DataFrame
    note: str


def drawable(experiments: pd.DataFrame, quantity: str) -> Drawable:
    """The experiments whose median of `quantity` is positive; the note is empty where that is all of them."""
    values = experiments[f"{quantity}_median"].to_numpy(dtype=np.float64)
    missing, negative = int(np.isnan(values).sum()), int((values <= 0).sum())
    parts = []
    if missing:
        parts.append(f"{missing} without a measured energy")
    if negative:
        parts.append(f"{negative} with a net energy of 0 J or less")
    note = f"Not shown, of {len(values)} experiments: {', '.join(parts)}." if parts else ""
    return Drawable(experiments[values > 0], note)
