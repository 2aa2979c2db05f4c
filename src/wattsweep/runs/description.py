"""A run file's content for people and for programs, as `wattsweep inspect` shows it."""

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from wattsweep.runs.record import RunPower, RunRecord, Segment, SegmentPower


def run_facts(record: RunRecord) -> dict[str, Any]:
    """The facts of a run as JSON values: all but its curves and samples. What is not a number is null."""
    facts: dict[str, Any] = {
        "run": asdict(record.run),
        "settings": asdict(record.settings),
        "network": asdict(record.network),
        "data": asdict(record.data),
        "provenance": dict(record.provenance),
        "started_at": _utc(record.started_at_s),
        "runs_at_once": record.runs_at_once,
        "segments": [_segment_facts(segment) for segment in record.segments],
        "phases": {phase.name: phase.duration_s for phase in record.phases},
        "epochs_trained": record.epochs_trained,
        "diverged_at_epoch": record.diverged_at_epoch,
        "last_epoch": {name: float(values[-1]) for name, values in record.history.items()},
        "power": None if record.power is None else _power_facts(record.power),
        "also": [_power_facts(power) for power in record.also],
    }
    return dict(_nulls(facts))


def describe_run(record: RunRecord) -> str:
    """The facts of a run as text."""
    settings, network, data = record.settings, record.network, record.data
    last = {name: float(values[-1]) for name, values in record.history.items()}
    lines = [
        f"run {record.run.run_id}: valid",
        f"experiment  {record.run.experiment_id}, repetition {record.run.repetition}, seed {record.run.seed}",
        f"settings    {settings.dataset_source}:{settings.dataset}, {settings.shape}, size {settings.size}, depth "
        f"{settings.depth}, {settings.epochs} epochs, batch {settings.batch_size}, {settings.optimizer} at "
        f"{settings.learning_rate:g} (momentum {settings.momentum:g}), kernel L1 {settings.kernel_l1:g} and L2 "
        f"{settings.kernel_l2:g}, label noise {settings.label_noise:g}, {settings.engine}"
        f"{', vectorised' if settings.vectorised else ''}, {settings.precision}, on {settings.hardware} hardware",
        f"network     {network.n_inputs} inputs, layers {list(network.widths)}, {network.n_parameters:,} parameters",
        f"data        {data.n_train:,} rows to train on, {data.n_test:,} to test on, {data.task} ({data.head})",
        f"result      test loss {last['val_loss']:.4g}, accuracy {last['val_accuracy']:.4g}; "
        f"train loss {last['loss']:.4g}",
        *([f"diverged    at epoch {record.diverged_at_epoch}"] if record.diverged_at_epoch else []),
        f"started     {_utc(record.started_at_s)}",
        *([f"vectorised  one of {record.runs_at_once} runs trained side by side"] if record.runs_at_once > 1 else []),
        *_segment_lines(record),
        "phases      " + ", ".join(f"{phase.name} {phase.duration_s:.3f} s" for phase in record.phases),
        *_power_lines(record.power),
        *(f"also        {power.source.scope}: {_joules(power)}; {power.source.detail}" for power in record.also),
        "provenance  " + ", ".join(f"{name} {value}" for name, value in record.provenance.items()),
    ]
    return "\n".join(lines)


def _segment_lines(record: RunRecord) -> list[str]:
    if not record.segments:
        return []
    lines = [f"segments    {len(record.segments) + 1}: its energy is the sum of theirs"]
    for one in record.segments:
        energy = one.reason or ("power not measured" if one.power is None else _joules(one.power))
        lines.append(
            f"            epochs {one.first_epoch} to {one.last_epoch} on {one.host} in {one.duration_s:.3f} s "
            f"({one.block_id}): {energy}"
        )
    return lines


def _power_lines(power: RunPower | None) -> list[str]:
    if power is None:
        return ["power       not measured"]
    gross = power.energy.gross
    lines = [
        f"power       {power.source.detail}{_mark(power)}",
        f"            {power.selected_because}",
        f"block       {power.block_runs} runs, {power.block_training_s:.3f} s of training; mean {power.mean_w:.1f} W, "
        f"idle {power.idle_w:.1f} W",
        f"trace       {len(power.trace)} samples, coverage {gross.coverage:.3f}, {gross.n_refreshes} refreshes",
    ]
    if power.status == "refused":
        return [*lines, f"energy      {power.reason}"]
    return [*lines, f"energy      {_joules(power)}"]


def _joules(power: RunPower | SegmentPower) -> str:
    energy, gross = power.energy, power.energy.gross
    return (
        f"gross {gross.joules:.4g} J [{gross.lower:.4g}, {gross.upper:.4g}], net {energy.net_j:.4g} J "
        f"[{energy.net_lower_j:.4g}, {energy.net_upper_j:.4g}]{_mark(power)}"
    )


def _mark(power: RunPower | SegmentPower) -> str:
    return "" if power.source.origin == "measured" else f" ({power.source.origin}, not a measurement)"


def _segment_facts(segment: Segment) -> dict[str, Any]:
    names = [name for name in segment.__dataclass_fields__ if name not in ("idle_before", "power")]
    facts: dict[str, Any] = {name: getattr(segment, name) for name in names} | {"power": None}
    if segment.power is not None:
        power = segment.power
        facts["power"] = {"source": asdict(power.source), "samples": len(power.trace), "energy": asdict(power.energy)}
    return facts


def _power_facts(power: RunPower) -> dict[str, Any]:
    facts = {
        name: getattr(power, name)
        for name in power.__dataclass_fields__
        if name not in ("trace", "energy", "source", "epoch_energy_j")
    }
    return facts | {
        "source": asdict(power.source),
        "samples": len(power.trace),
        "energy": asdict(power.energy),
        "epoch_energy_j": None if power.epoch_energy_j is None else power.epoch_energy_j.tolist(),
    }


def _nulls(value: Any) -> Any:
    """The value with what JSON cannot say (nan, infinity) as null."""
    if isinstance(value, dict):
        return {name: _nulls(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_nulls(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
