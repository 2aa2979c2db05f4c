"""Executes a shard: its experiments one after another, a block each, with measured idling around every block."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from wattsweep.config import Config, PowerConfig
from wattsweep.datasets import dataset_path, load
from wattsweep.hardware import node_name
from wattsweep.planning import PlannedExperiment, Shard
from wattsweep.runs.blocks import BlockTarget, is_done, train_block
from wattsweep.runs.layout import Layout
from wattsweep.runs.provenance import provenance
from wattsweep.runs.record import Phase, PhaseName, Provenance, RunRecord
from wattsweep.runs.staging import Metering, StagedBlock, finish_block, finished_runs, recover
from wattsweep.simulation.measuring import Measurement, measuring
from wattsweep.training import configure

GUARD_REFRESHES = 2
"""Refresh intervals left on both sides of an idle window: work before it does not reach into it, and its end lies
between two samples."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One finished run, as the shard's marker lists it; `path` is relative to the results folder."""

    run_id: str
    experiment_id: str
    repetition: int
    path: str
    energy_status: str


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard ended with: every finished run of its experiments, those of earlier attempts included."""

    shard_id: str
    node: str
    started_at: str
    finished_at: str
    runs: tuple[RunSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """The content of the shard's marker."""
        return asdict(self)


def execute_shard(shard: Shard, config: Config, report: Report = print) -> ShardResult:
    """Train every run of a shard that has no valid run file, measured as the config says.

    `report` is called with a line of progress per experiment. Raises what training, the power source or the disk
    raise; what was trained until then is on disk and the next call goes on from there.
    """
    layout = Layout(config.paths.results)
    target = BlockTarget.of(config.power)
    started_at = _now()
    for planned in shard.experiments:
        recovered = recover(layout, planned.experiment.experiment_id, config.power)
        if recovered:
            report(f"{_name(planned)}: {len(recovered)} runs of an earlier attempt kept")
    pending = [
        planned
        for planned in shard.experiments
        if not is_done(planned, finished_runs(layout, planned.experiment.experiment_id), target)
    ]
    report(f"shard {shard.shard_id}: {len(pending)} of {len(shard.experiments)} experiments to train")
    if pending:
        _train(shard, pending, config, layout, report)
    runs = tuple(
        _summary(layout, record)
        for planned in shard.experiments
        for _, record in sorted(finished_runs(layout, planned.experiment.experiment_id).items())
    )
    return ShardResult(shard.shard_id, node_name(), started_at, _now(), runs)


def _train(
    shard: Shard,
    pending: list[PlannedExperiment],
    config: Config,
    layout: Layout,
    report: Report,
) -> None:
    facts = provenance(configure(config.training.threads, shard.hardware))
    attempt = f"{shard.shard_id}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    with _metered(config.power, layout, attempt, report) as measurement:
        idle = _idle(measurement, config.power, "idle_before")
        for number, planned in enumerate(pending, start=1):
            block = _train_one(planned, config, layout, measurement, idle, facts, f"{attempt}-{number}")
            idle = _idle(measurement, config.power, "idle_after")
            records = finish_block(block, layout, config.power, idle)
            report(f"[{number}/{len(pending)}] {_name(planned)}: {_outcome(records)}")
            # The idling after a block is that before the next.
            idle = None if idle is None else replace(idle, name="idle_before")


def _train_one(
    planned: PlannedExperiment,
    config: Config,
    layout: Layout,
    measurement: Measurement | None,
    idle_before: Phase | None,
    facts: Provenance,
    block_id: str,
) -> StagedBlock:
    experiment = planned.experiment
    metering = None if measurement is None else Metering(measurement.path, measurement.selection_reason)
    block = StagedBlock.create(layout.staged(experiment.experiment_id) / block_id, metering)
    path = dataset_path(layout.datasets, experiment.settings.dataset_source, experiment.settings.dataset)
    train_block(
        planned,
        _dataset(path),
        finished_runs(layout, experiment.experiment_id),
        block,
        target=BlockTarget.of(config.power),
        stop_on_divergence=config.training.stop_on_divergence,
        idle_before=idle_before,
        provenance=facts,
    )
    return block


_dataset = lru_cache(maxsize=2)(load)


@contextmanager
def _metered(power: PowerConfig, layout: Layout, attempt: str, report: Report) -> Iterator[Measurement | None]:
    trace_path = layout.trace(attempt)
    trace_path.parent.mkdir(parents=True, exist_ok=True)
    with measuring(power, node_name(), trace_path) as measurement:
        if measurement is None:
            report("power: not measured (power.source is none)")
        else:
            report(f"power: {measurement.description.detail} [{measurement.description.origin}]")
            report(f"power: {measurement.selection_reason}")
        yield measurement


def _idle(measurement: Measurement | None, power: PowerConfig, name: PhaseName) -> Phase | None:
    """Do nothing for an idle window, measured; None where power is not."""
    if measurement is None:
        return None
    guard_s = GUARD_REFRESHES * max(power.interval_s, measurement.description.refresh_s or 0.0)
    time.sleep(guard_s)
    start_s = time.monotonic()
    time.sleep(power.idle_window_s + guard_s)
    return Phase(name, start_s, start_s + power.idle_window_s)


def _summary(layout: Layout, record: RunRecord) -> RunSummary:
    run = record.run
    status = "none" if record.power is None else record.power.status
    path = layout.run(run).relative_to(layout.results)
    return RunSummary(run.run_id, run.experiment_id, run.repetition, str(path), status)


def _name(planned: PlannedExperiment) -> str:
    settings = planned.experiment.settings
    return f"{settings.dataset} {settings.shape} size {settings.size} depth {settings.depth}"


def _outcome(records: list[RunRecord]) -> str:
    trained_s = sum(record.training.duration_s for record in records)
    text = f"{len(records)} runs, {trained_s:.1f} s of training"
    diverged = sum(record.diverged_at_epoch is not None for record in records)
    if diverged:
        text += f" ({diverged} diverged)"
    power = records[0].power if records else None
    if power is None:
        return text
    if power.status == "refused":
        return f"{text}; {power.reason}"
    origin = "" if power.source.origin == "measured" else f" ({power.source.origin})"
    return f"{text}, {power.mean_w:.0f} W against {power.idle_w:.0f} W idle{origin}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
