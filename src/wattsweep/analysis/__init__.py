"""Analysis: what the tables say.

Which function to use when:

- the energy model for every group of experiments in a table: `fit_groups`; it never raises for want of data.
- one model on experiments that you chose: `fit_energy_model`.
- to keep fits and read them back: `write_fits`, `read_fits`.
- the work of an epoch of a network: `workload`.
"""

from wattsweep.analysis.energy_model import fit_energy_model, fit_groups
from wattsweep.analysis.fit import Coefficient, EnergyModelFit, Errors, Group, Prediction, read_fits, write_fits
from wattsweep.analysis.terms import MODELS, Term
from wattsweep.analysis.workload import Workload, workload

__all__ = [
    "MODELS",
    "Coefficient",
    "EnergyModelFit",
    "Errors",
    "Group",
    "Prediction",
    "Term",
    "Workload",
    "fit_energy_model",
    "fit_groups",
    "read_fits",
    "workload",
    "write_fits",
]
