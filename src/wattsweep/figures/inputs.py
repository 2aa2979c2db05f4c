"""What figures are drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from wattsweep.analysis import EnergyModelFit
from wattsweep.analysis.curves import COLUMNS
from wattsweep.analysis.generalisation import descents
from wattsweep.analysis.groups import Commonest, commonest
from wattsweep.analysis.iso_loss import iso_loss
from wattsweep.hardware import HardwareProfile

T = TypeVar("T")


def no_curves() -> pd.DataFrame:
    """Curves of no experiment."""
    return pd.DataFrame(columns=list(COLUMNS))


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """The tables of runs and experiments, the model's fits, curves of loss, and profiles of hardware.

    `runs` and `experiments` are as `wattsweep.tables.read_runs` and `read_experiments` give them, `curves` as
    `wattsweep.analysis.curves.read_curves`. Of `profiles` the first that describes an experiment's hardware counts.
    """

    runs: pd.DataFrame
    experiments: pd.DataFrame
    fits: Sequence[EnergyModelFit]
    curves: pd.DataFrame = field(default_factory=no_curves)
    profiles: Sequence[HardwareProfile] = ()
    _known: dict[str, Any] = field(default_factory=dict, repr=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once for each name: figure and finding share what takes long."""
        if name not in self._known:
            self._known[name] = make()
        found: T = self._known[name]
        return found

    @cached_property
    def iso_loss(self) -> pd.DataFrame:
        """The lines of equal loss, from `wattsweep.analysis.iso_loss`."""
        return iso_loss(self.experiments, self.curves)

    @cached_property
    def with_curves(self) -> Commonest:
        """The experiments, each once whatever trained it, that have a curve and the commonest settings of training."""
        known = self.experiments[self.experiments["experiment_id"].isin(self.curves["experiment_id"])]
        return commonest(known.drop_duplicates("experiment_id"))

    @cached_property
    def descents(self) -> pd.DataFrame:
        """Minimum and slope of each experiment in `with_curves`, from `wattsweep.analysis.generalisation`."""
        return descents(self.with_curves.experiments, self.curves)


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
