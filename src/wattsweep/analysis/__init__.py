"""Analysis: what the tables say.

Which function to use when:

- the energy model for every group of experiments in a table: `fit_groups`; it never raises for want of data.
- one model on experiments that you chose: `fit_energy_model`.
- joules and seconds of settings that were never run, from fits and a plan: `choose_fits`, `planned_experiments`,
  `predict_runs`.
- what one more parameter, layer or row costs: `marginal_costs`.
- to keep fits and read them back: `write_fits`, `read_fits`.
- the work of an epoch of a network: `workload`; where its working sets live in a node's memory: `working_sets`.
"""

from wattsweep.analysis.energy_model import fit_energy_model, fit_groups
from wattsweep.analysis.fit import (
    Coefficient,
    EnergyModelFit,
    Errors,
    Group,
    Interval,
    Prediction,
    read_fits,
    write_fits,
)
from wattsweep.analysis.marginal import MarginalCost, marginal_costs
from wattsweep.analysis.nodes import threads_of
from wattsweep.analysis.predicting import FitPair, choose_fits, planned_experiments, predict_runs, trained_by
from wattsweep.analysis.terms import BASELINES, MODEL_NAMES, MODELS, Term, terms_of
from wattsweep.analysis.working_sets import WorkingSet, WorkingSets, working_sets
from wattsweep.analysis.workload import Workload, workload

__all__ = [
    "BASELINES",
    "MODELS",
    "MODEL_NAMES",
    "Coefficient",
    "EnergyModelFit",
    "Errors",
    "FitPair",
    "Group",
    "Interval",
    "MarginalCost",
    "Prediction",
    "Term",
    "WorkingSet",
    "WorkingSets",
    "Workload",
    "choose_fits",
    "fit_energy_model",
    "fit_groups",
    "marginal_costs",
    "planned_experiments",
    "predict_runs",
    "read_fits",
    "terms_of",
    "threads_of",
    "trained_by",
    "working_sets",
    "workload",
    "write_fits",
]
