"""Reads what figures are drawn from out of a tables' folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from wattsweep.analysis import EnergyModelFit
from wattsweep.analysis.curves import read_curves
from wattsweep.errors import HardwareError
from wattsweep.figures.inputs import FigureInputs
from wattsweep.hardware import HardwareProfile, profile
from wattsweep.hardware.profiles import SHIPPED
from wattsweep.tables import read_experiments, read_runs

STANDARDISED = "standardised_experiments.parquet"
KEY = ["experiment_id", "device", "cpu_model", "power_origin"]
RENAMED = {f"energy_training_j_{q}": f"energy_net_j_{q}" for q in ("q1", "median", "q3")}


def read_inputs(tables: Path, fits: Sequence[EnergyModelFit], hardware: Sequence[str | Path] = ()) -> FigureInputs:
    """The tables of a folder, ours or imported ones, and the profiles of the hardware in them.

    `hardware` are further names or paths of profiles, which come before the shipped ones and this node's. Where the
    tables were standardised (standardised_experiments.parquet), its energies and run times are taken. Raises
    AnalysisError where a table is missing, HardwareError for an unknown profile.
    """
    experiments = read_experiments(tables)
    if (tables / STANDARDISED).is_file():
        experiments = standardised(experiments, pd.read_parquet(tables / STANDARDISED))
    return FigureInputs(read_runs(tables), experiments, fits, read_curves(tables), profiles(hardware))


def profiles(hardware: Sequence[str | Path] = ()) -> list[HardwareProfile]:
    """These profiles, the shipped ones, and those of this node that can be detected."""
    found = [profile(name) for name in (*hardware, *SHIPPED)]
    for name in ("this-gpu", "this-cpu"):
        try:
            found.append(profile(name))
        except HardwareError:
            continue
    return found


def standardised(experiments: pd.DataFrame, done: pd.DataFrame) -> pd.DataFrame:
    """Rows of standardised_experiments.parquet with the columns of experiments.parquet.

    Losses are those of the same experiment; what standardisation has no word for is null.
    """
    renamed = done.rename(columns=RENAMED)
    losses = [name for name in experiments.columns if name.startswith(("test_loss", "test_accuracy"))]
    known = experiments[[*KEY, *losses]].drop_duplicates(KEY)
    merged = renamed.merge(known, on=KEY, how="left", suffixes=("", "_before"))
    missing = {name: np.nan for name in experiments.columns if name not in merged.columns}
    return merged.assign(**missing)[list(experiments.columns)]
