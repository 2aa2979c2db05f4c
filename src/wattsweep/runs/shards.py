"""Executes a shard: its experiments one after another, a block each, with measured idling around every block."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from wattsweep.config import Config, PowerConfig
from wattsweep.datasets import dataset_path, load
from wattsweep.errors import OutOfMemoryError
from wattsweep.hardware import cpu_features, cpu_model, node_name
from wattsweep.planning import PlannedExperiment, Shard
from wattsweep.runs.blocks import BlockTarget, BlockWork, is_done, train_block
from wattsweep.runs.layout import Layout
from wattsweep.runs.provenance import provenance, version
from wattsweep.runs.record import Phase, PhaseName, Provenance, RunRecord, trained_s
from wattsweep.runs.staging import Metering, StagedBlock, finish_block, finished_runs, recover
from wattsweep.simulation.measuring import Measurement, measuring
from wattsweep.training import compilation_cache, configure

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
    raise; what was trained until then is on disk and the next call goes on from there. Experiments that do not fit
    into memory are refused, the others trained, and at the end OutOfMemoryError names the refused.
    """
    layout = Layout(config.paths.results)
    target = BlockTarget.of(config.power)
    started_at = _now()
    for planned in shard.experiments:
        recovered = recover(layout, planned.experiment.experiment_id, config.power)
        if recovered:
            report(f"{_name(planned)}: {len(recovered)} runs of an earlier attempt kept")
    pending = []
    for planned in shard.experiments:
        if is_done(planned, finished_runs(layout, planned.experiment.experiment_id), target):
            _remove_checkpoints(layout, planned)
        else:
            pending.append(planned)
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
    attempt = f"{shard.shard_id}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    refused: list[str] = []
    with (
        _set_up(shard, config, layout, report) as facts,
        _metered(config.power, layout, attempt, report) as measurement,
    ):
        idle = _idle(measurement, config.power, "idle_before")
        for number, planned in enumerate(pending, start=1):
            where = f"[{number}/{len(pending)}] {_name(planned)}"
            block = _create_block(planned, layout, measurement, f"{attempt}-{number}")
            try:
                _train_one(planned, layout, BlockWork(config, layout, block, idle, facts, report))
            except OutOfMemoryError as error:
                block.remove()
                refused.append(f"{_name(planned)}: {error}")
                report(f"{where}: refused: {error}")
                continue
            idle = _idle(measurement, config.power, "idle_after")
            troubles = measurement.troubles() if measurement else ()
            records = finish_block(block, layout, config.power, idle, troubles)
            _remove_checkpoints(layout, planned)
            report(f"{where}: {_outcome(records)}")
            # The idling after a block is that before the next.
            idle = None if idle is None else replace(idle, name="idle_before")
    if refused:
        raise OutOfMemoryError("\n".join([f"{len(refused)} of {len(pending)} experiments were refused:", *refused]))


@contextmanager
def _set_up(shard: Shard, config: Config, layout: Layout, report: Report) -> Iterator[Provenance]:
    """TensorFlow as the shard needs it, with the programs that shards before it compiled on such a machine."""
    threads = config.training.threads
    machine = [cpu_model(), cpu_features(), version("tensorflow", "tensorflow-cpu"), str(threads)]
    machine.append(os.environ.get("XLA_FLAGS", ""))
    with compilation_cache(layout.compiled, "/".join(machine)) as programs:
        if programs:
            report(
                f"{programs} compiled programs of earlier shards are at hand (that TensorFlow prints 'Error parsing "
                "text-format' where it reads one means nothing)"
            )
        yield provenance(configure(threads, shard.hardware))


def _remove_checkpoints(layout: Layout, planned: PlannedExperiment) -> None:
    shutil.rmtree(layout.checkpoints(planned.experiment.experiment_id), ignore_errors=True)


def _create_block(
    planned: PlannedExperiment, layout: Layout, measurement: Measurement | None, block_id: str
) -> StagedBlock:
    metering = None if measurement is None else Metering.of(measurement)
    return StagedBlock.create(layout.staged(planned.experiment.experiment_id) / block_id, metering)


def _train_one(planned: PlannedExperiment, layout: Layout, work: BlockWork) -> None:
    experiment = planned.experiment
    path = dataset_path(layout.datasets, experiment.settings.dataset_source, experiment.settings.dataset)
    train_block(planned, _dataset(path), finished_runs(layout, experiment.experiment_id), work)


_dataset = lru_cache(maxsize=2)(load)


@contextmanager
def _metered(power: PowerConfig, layout: Layout, attempt: str, report: Report) -> Iterator[Measurement | None]:
    trace_path = layout.trace(attempt)
    trace_path.parent.mkdir(parents=True, exist_ok=True)
    with measuring(power, node_name(), trace_path, profiles=layout.nodes) as measurement:
        if measurement is None:
            report("power: not measured (power.source is none)")
        else:
            report(f"power: {measurement.selection_reason}")
            for recording in measurement.recordings:
                source = recording.description
                report(f"power: {source.detail} [{source.origin}, {source.scope}]")
        yield measurement


def _idle(measurement: Measurement | None, power: PowerConfig, name: PhaseName) -> Phase | None:
    """Do nothing for an idle window, measured; None where power is not."""
    if measurement is None:
        return None
    guard_s = GUARD_REFRESHES * max(power.interval_s, measurement.refresh_s)
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
    text = f"{len(records)} runs, {trained_s(records):.1f} s of training"
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
