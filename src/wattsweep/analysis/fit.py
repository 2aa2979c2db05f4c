"""The outcome of fitting the energy model, and its JSON form."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from wattsweep.analysis.terms import BASELINES, ModelName, Quantity
from wattsweep.disk import write_text
from wattsweep.errors import AnalysisError
from wattsweep.hardware import HardwareProfile

FORMAT, VERSION = "wattsweep-energy-model", 2
TARGETS: dict[Quantity, str] = {
    "energy": "net energy per datum (J), median of an experiment's runs",
    "time": "training time per datum (s), median of an experiment's runs",
}


@dataclass(frozen=True, slots=True)
class Group:
    """What one fit is for: an engine on one kind of hardware, with power of one origin."""

    engine: str
    device: str
    cpu_model: str
    power_origin: str

    @property
    def simulated(self) -> bool:
        """Whether its joules are of a simulator or a model, not of a meter."""
        return self.power_origin in ("simulated", "modelled")


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A term's coefficient in `unit`, its bootstrap interval, and its mean share of the prediction."""

    name: str
    unit: str
    description: str
    value: float
    lower: float
    upper: float
    share: float


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of n predictions, from their ratios to the measured values: all are relative, 0.1 being 10 %.

    `mape` is the mean and `median` the median of |ratio - 1|, `bias` the mean of ratio - 1, `spread` the standard
    deviation of the ratio, `within_10` the share of ratios from 0.9 to 1.1. `coverage` is the share of measured values
    within their prediction interval; None in sample, where there is none.
    """

    n: int
    mape: float
    median: float
    bias: float
    spread: float
    within_10: float
    coverage: float | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """Measured and predicted energy per datum of an experiment, in J (time, in s, in a fit of time).

    `held_out_j` is by a fit that did not see the experiment's network, `by_dataset_j` by one that saw nothing of its
    dataset, `by_size_j` by one that saw no network of its size; None where there is only one dataset, or one size.
    """

    experiment_id: str
    measured_j: float
    in_sample_j: float
    held_out_j: float
    by_dataset_j: float | None = None
    by_size_j: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Prediction interval of an experiment that the fit did not see, as factors of the prediction."""

    confidence: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class EnergyModelFit:
    """A fitted model, or why there is none: then `status` is "not fitted" and only `reason` is filled.

    `excluded` counts experiments by why they were left out. `hardware` is what the terms of the memory hierarchy were
    made with; `hardware_assumed` says that it is this node's, for want of a profile of the node that trained.
    `held_out` holds out random parts of the networks, `by_dataset` a dataset at a time, `by_size` a size at a time.
    `seen` has the range, least and most, of what the experiments fitted are like: predictions beyond it extrapolate.
    """

    status: Literal["fitted", "not fitted"]
    reason: str
    model: ModelName
    group: Group
    n_experiments: int
    excluded: dict[str, int]
    folds: int
    bootstrap_samples: int
    confidence: float
    seed: int
    quantity: Quantity = "energy"
    hardware: HardwareProfile | None = None
    hardware_assumed: bool = False
    coefficients: tuple[Coefficient, ...] = ()
    in_sample: Errors | None = None
    held_out: Errors | None = None
    by_dataset: Errors | None = None
    by_size: Errors | None = None
    interval: Interval | None = None
    seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    predictions: tuple[Prediction, ...] = field(default=(), repr=False)

    @property
    def fitted(self) -> bool:
        """Whether there is a fit."""
        return self.status == "fitted"

    @property
    def baseline(self) -> bool:
        """Whether it is there to be compared with only."""
        return self.model in BASELINES

    @property
    def errors(self) -> dict[str, Errors]:
        """Its errors by what was held out, as far as there are any."""
        found = {
            "held out": self.held_out,
            "held out by dataset": self.by_dataset,
            "held out by size": self.by_size,
            "in sample": self.in_sample,
        }
        return {name: errors for name, errors in found.items() if errors is not None}

    def summary(self) -> str:
        """One line about it."""
        group = self.group
        head = f"{self.model} ({group.engine} on {group.device or 'unknown'}, {group.power_origin} power)"
        if not self.fitted:
            return f"{head}: not fitted: {self.reason}"
        parts = [f"{errors.mape:.1%} {name}" for name, errors in self.errors.items()]
        text = f"{head}: {self.n_experiments} experiments, mean error {', '.join(parts)}"
        if self.hardware_assumed:
            text += "; caches assumed to be this node's, since no profile in analysis.hardware describes that processor"
        return text

    def to_json(self) -> dict[str, Any]:
        """The fit as a strict JSON object (no nan)."""
        hardware = self.hardware.to_dict() if self.hardware else None
        head = {"target": TARGETS[self.quantity], "simulated": self.group.simulated}
        return head | asdict(self) | {"hardware": hardware}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The fit that `to_json` made."""
        values = {key: data[key] for key in cls.__dataclass_fields__}
        values["group"] = Group(**data["group"])
        values["coefficients"] = tuple(Coefficient(**entry) for entry in data["coefficients"])
        values["predictions"] = tuple(Prediction(**entry) for entry in data["predictions"])
        values["seen"] = {name: (low, high) for name, (low, high) in data["seen"].items()}
        if data["hardware"] is not None:
            values["hardware"] = HardwareProfile.of(data["hardware"], "hardware of a fit")
        if data["interval"] is not None:
            values["interval"] = Interval(**data["interval"])
        for name in ("in_sample", "held_out", "by_dataset", "by_size"):
            values[name] = None if data[name] is None else Errors(**data[name])
        return cls(**values)


def write_fits(fits: Sequence[EnergyModelFit], path: Path) -> None:
    """Write the fits as one JSON file, whole or not at all."""
    document = {"format": FORMAT, "version": VERSION, "fits": [fit.to_json() for fit in fits]}
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_fits(path: Path) -> list[EnergyModelFit]:
    """The fits of a file of `write_fits`. Raises AnalysisError where it is missing, foreign or of another version."""
    remedy = "make it with `wattsweep fit`"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnalysisError(f"{path} is not there: {remedy}") from None
    except json.JSONDecodeError as error:
        raise AnalysisError(f"{path} is not JSON ({error}): {remedy}") from None
    found = (document.get("format"), document.get("version")) if isinstance(document, dict) else (None, None)
    if found != (FORMAT, VERSION):
        raise AnalysisError(f"{path} has format and version {found}, not {(FORMAT, VERSION)}: {remedy}")
    return [EnergyModelFit.from_json(entry) for entry in document["fits"]]
