"""From a run's record to its rows in the tables."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wattsweep.config import PowerConfig
from wattsweep.errors import AnalysisError
from wattsweep.grid import Experiment
from wattsweep.runs.record import DataFacts, Network, RunPower, RunRecord
from wattsweep.tables.columns import PROVENANCE, RUNS, SOURCES
from wattsweep.training import HISTORY_NAMES

Row = dict[str, Any]

NOT_MEASURED = "power was not measured"
AWAITED = "power is joined after the fact, and was not yet"
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Emissions:
    """What a joule of the node emits: gCO2e per kWh of its electricity, and the site's power usage effectiveness."""

    g_per_kwh: float
    pue: float

    @classmethod
    def of(cls, power: PowerConfig) -> Self | None:
        """What a configuration says; None where it gives no carbon intensity."""
        intensity = power.carbon_intensity_g_per_kwh
        return None if intensity is None else cls(intensity, power.pue)

    def kg(self, joules: float) -> float:
        """The emissions of `joules` in kgCO2e: energy in kWh x PUE x intensity."""
        return joules / JOULES_PER_KWH * self.pue * self.g_per_kwh / 1000.0


def run_row(record: RunRecord, planned: Experiment | None, emissions: Emissions | None = None) -> Row:
    """The row of a run in runs.parquet; `planned` is None where the plan no longer holds its experiment.

    What is nan or infinite in the record is None, and so are emissions where they are not known. Raises AnalysisError
    where a loss is missing from its history.
    """
    run = record.run
    row: Row = dict.fromkeys(RUNS.schema.names)
    row |= {
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "repetition": run.repetition,
        "planned": planned is not None and run.repetition < planned.repetitions,
        "seed": run.seed,
    }
    row |= asdict(record.settings)
    row |= facts_columns(record.network, record.data)
    row |= {name: record.provenance.get(name) or None for name, _ in PROVENANCE}
    row |= _times(record)
    row |= _power(record)
    if emissions is not None and row["energy_gross_j"] is not None:
        row["emissions_kgco2e"] = emissions.kg(row["energy_gross_j"])
    net = row["energy_net_j"]
    data = record.epochs_trained * record.data.n_train
    row["energy_per_datum_j"] = None if net is None else net / data
    return row | _losses(record)


def source_rows(record: RunRecord) -> list[Row]:
    """The rows of a run in sources.parquet: one for each source that was read, the first being that of its energy."""
    powers = [power for power in (record.power, *record.also) if power is not None]
    return [
        {
            "run_id": record.run.run_id,
            "experiment_id": record.run.experiment_id,
            "repetition": record.run.repetition,
            "first": number == 0,
        }
        | {name: value for name, value in _measured(power).items() if name in SOURCES.schema.names}
        for number, power in enumerate(powers)
    ]


def epochs_row(record: RunRecord) -> Row:
    """The row of a run in epochs/: its identity and one float32 array per metric, None where it lacks the metric."""
    row: Row = {
        "run_id": record.run.run_id,
        "experiment_id": record.run.experiment_id,
        "repetition": record.run.repetition,
    }
    return row | {name: record.history.get(name) for name in HISTORY_NAMES}


def facts_columns(network: Network, data: DataFacts) -> Row:
    """The columns of `wattsweep.tables.columns.FACTS`: what a network is trained on, and what it is."""
    return {
        "task": data.task,
        "head": data.head,
        "n_inputs": network.n_inputs,
        "n_outputs": network.n_outputs,
        "n_observations": data.n_observations,
        "n_train": data.n_train,
        "n_test": data.n_test,
        "n_parameters": network.n_parameters,
        "widths": list(network.widths),
    }


def _times(record: RunRecord) -> Row:
    setup = [phase.duration_s for phase in record.phases if phase.name == "setup"]
    return {
        "started_at": datetime.fromtimestamp(record.started_at_s, UTC),
        "setup_s": math.fsum(setup) if setup else None,
        "training_s": record.training_s,
        "runs_at_once": record.runs_at_once,
        "n_segments": 1 + len(record.segments),
    }


def _power(record: RunRecord) -> Row:
    if record.power is None:
        return {
            "power_origin": "none",
            "energy_status": "none",
            "energy_reason": record.provenance.get(
                "power_lost", AWAITED if "power_awaited" in record.provenance else NOT_MEASURED
            ),
        }
    return _measured(record.power)


def _measured(power: RunPower) -> Row:
    gross = power.energy.gross
    source = power.source
    return {
        "power_source": source.name,
        "power_scope": source.scope,
        "power_origin": source.origin,
        "power_detail": source.detail,
        "power_selected_because": power.selected_because,
        "block_id": power.block_id,
        "block_runs": power.block_runs,
        "block_s": power.block_end_s - power.block_start_s,
        "block_training_s": power.block_training_s,
        "energy_status": power.status,
        "energy_reason": power.reason or None,
        "energy_gross_j": _finite(gross.joules),
        "energy_gross_lower_j": _finite(gross.lower),
        "energy_gross_upper_j": _finite(gross.upper),
        "energy_net_j": _finite(power.energy.net_j),
        "energy_net_lower_j": _finite(power.energy.net_lower_j),
        "energy_net_upper_j": _finite(power.energy.net_upper_j),
        "energy_setup_j": _finite(power.setup_j),
        "energy_setup_lower_j": _finite(power.setup_lower_j),
        "energy_setup_upper_j": _finite(power.setup_upper_j),
        "block_energy_gross_j": _finite(power.block_gross_j),
        "block_energy_gross_lower_j": _finite(power.block_gross_lower_j),
        "block_energy_gross_upper_j": _finite(power.block_gross_upper_j),
        "idle_w": _finite(power.idle_w),
        "idle_lower_w": _finite(power.idle_lower_w),
        "idle_upper_w": _finite(power.idle_upper_w),
        "mean_w": _finite(power.mean_w),
        "coverage": _finite(gross.coverage),
        "n_samples": gross.n_samples,
        "n_refreshes": gross.n_refreshes,
        "refresh_s": _finite(power.trace.refresh_s),
    }


def _losses(record: RunRecord) -> Row:
    history = record.history
    for name in ("loss", "val_loss"):
        if name not in history or len(history[name]) == 0:
            raise AnalysisError(
                f"run {record.run.run_id} has no {name} in its history ({', '.join(history) or 'empty'}); "
                "delete its run file and train it again"
            )
    best = _best(history["val_loss"])
    return {
        "epochs_trained": record.epochs_trained,
        "diverged_at_epoch": record.diverged_at_epoch,
        "train_loss": _finite(history["loss"][-1]),
        "test_loss": _finite(history["val_loss"][-1]),
        "test_loss_best": None if best is None else _finite(history["val_loss"][best]),
        "test_loss_best_epoch": None if best is None else best + 1,
        "test_accuracy": _last(history, "val_accuracy"),
    }


def _best(losses: NDArray[np.float32]) -> int | None:
    """The index of the least finite loss, the first of equals; None where training diverged at once."""
    finite = np.isfinite(losses)
    return int(np.argmin(np.where(finite, losses, np.inf))) if finite.any() else None


def _last(history: Mapping[str, NDArray[np.float32]], name: str) -> float | None:
    return _finite(history[name][-1]) if name in history and len(history[name]) else None


def _finite(value: float | np.float32 | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
