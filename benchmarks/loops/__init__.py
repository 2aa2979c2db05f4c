"""The contenders, one module each: `make(name, plan, split)` gives one. See contract.py for what it does."""

import importlib
from dataclasses import dataclass

from benchmarks.loops.contract import Contender, Timed, UnavailableError
from wattsweep.datasets import Split
from wattsweep.training import TrainingPlan

__all__ = ["CONTENDERS", "Contender", "Timed", "UnavailableError", "make"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A contender's module and class, the package it needs, and what it is."""

    module: str
    made_by: str
    needs: str | None
    tensorflow: bool
    n_metrics: int
    what: str


CONTENDERS = {
    "compiled": Kind("engines", "Compiled", None, True, 20, "the engine `compiled`"),
    "keras-fit": Kind("engines", "KerasFit", None, True, 20, "the engine `keras-fit` (Keras 3)"),
    "keras2": Kind("keras2", "Keras2", "tf_keras", True, 20, "`fit` of Keras 2 (`tf_keras`), shuffling, as BUTTER ran"),
    "torch": Kind("eager", "Eager", "torch", False, 2, "a plain eager loop in PyTorch"),
    "fused-c": Kind("fused", "Fused", None, False, 2, "a loop fused by hand in C (benchmarks/loops/fused.c)"),
}


def make(name: str, plan: TrainingPlan, split: Split) -> Contender:
    """The contender of this name for a plan. Raises UnavailableError where this machine cannot run it."""
    kind = CONTENDERS[name]
    if kind.needs:
        try:
            importlib.import_module(kind.needs)
        except ImportError:
            raise UnavailableError(f"{kind.needs} cannot be imported") from None
    made_by = getattr(importlib.import_module(f"benchmarks.loops.{kind.module}"), kind.made_by)
    contender: Contender = made_by(plan, split)
    return contender
