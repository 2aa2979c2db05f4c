"""The outcome of fitting the energy model, and its JSON form."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from wattsweep.analysis.terms import ModelName
from wattsweep.errors import AnalysisError

FORMAT, VERSION = "wattsweep-energy-model", 1
TARGET = "net energy per datum (J), median of an experiment's runs"


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
    """A term's coefficient in `unit`, its bootstrap interval, and its mean share of the predicted energy."""

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
    deviation of the ratio, `within_10` the share of ratios from 0.9 to 1.1.
    """

    n: int
    mape: float
    median: float
    bias: float
    spread: float
    within_10: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Measured and predicted energy per datum of an experiment, J; `held_out_j` by a fit that did not see it."""

    experiment_id: str
    measured_j: float
    in_sample_j: float
    held_out_j: float


@dataclass(frozen=True, slots=True)
class EnergyModelFit:
    """A fitted energy model, or why there is none: then `status` is "not fitted" and only `reason` is filled.

    `excluded` counts experiments by why they were left out.
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
    coefficients: tuple[Coefficient, ...] = ()
    in_sample: Errors | None = None
    held_out: Errors | None = None
    predictions: tuple[Prediction, ...] = field(default=(), repr=False)

    @property
    def fitted(self) -> bool:
        """Whether there are coefficients."""
        return self.status == "fitted"

    def summary(self) -> str:
        """One line about it."""
        group = self.group
        head = f"{self.model} ({group.engine} on {group.device or 'unknown'}, {group.power_origin} power)"
        if self.held_out is None:
            return f"{head}: not fitted: {self.reason}"
        errors = self.held_out
        return (
            f"{head}: {self.n_experiments} experiments, held-out error {errors.mape:.1%} in the mean, "
            f"{errors.median:.1%} in the median"
        )

    def to_json(self) -> dict[str, Any]:
        """The fit as a strict JSON object (no nan)."""
        return {"target": TARGET, "simulated": self.group.simulated} | asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The fit that `to_json` made."""
        values = {key: data[key] for key in cls.__dataclass_fields__}
        values["group"] = Group(**data["group"])
        values["coefficients"] = tuple(Coefficient(**entry) for entry in data["coefficients"])
        values["predictions"] = tuple(Prediction(**entry) for entry in data["predictions"])
        for name in ("in_sample", "held_out"):
            values[name] = None if data[name] is None else Errors(**data[name])
        return cls(**values)


def write_fits(fits: Sequence[EnergyModelFit], path: Path) -> None:
    """Write the fits as one JSON file, under a temporary name and then renamed."""
    document = {"format": FORMAT, "version": VERSION, "fits": [fit.to_json() for fit in fits]}
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
