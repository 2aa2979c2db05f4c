"""Executes a shard: its experiments one after another, a block each, with measured idling around every block."""

import itertools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from wattsweep.config import Config
from wattsweep.datasets import dataset_path, load
from wattsweep.errors import DrainedError, OutOfMemoryError
from wattsweep.hardware import cpu_features, cpu_model, node_name
from wattsweep.planning import PlannedExperiment, Shard
from wattsweep.runs.blocks import BlockTarget, BlockWork, is_done, missing_repetitions, train_block
from wattsweep.runs.drain import Drain, Permit, children_unaware
from wattsweep.runs.facts import RunFacts
from wattsweep.runs.failures import RunFailedError, failing, given_up, keep_failure, read_failures
from wattsweep.runs.finished import finished_facts, finished_runs
from wattsweep.runs.layout import Layout
from wattsweep.runs.lease import Lease
from wattsweep.runs.marker import FailedRun, RunSummary, ShardResult, write_marker
from wattsweep.runs.progress import ExperimentCounts, Progress, add_up, count_experiment, write_progress
from wattsweep.runs.provenance import provenance, version
from wattsweep.runs.quarantine import Quarantined, quarantined
from wattsweep.runs.record import Phase, PhaseName, Provenance, RunRecord, trained_s
from wattsweep.runs.slurm import shared_because
from wattsweep.runs.staging import Metering, StagedBlock, finish_block, recover
from wattsweep.simulation.measuring import Measurement, measuring
from wattsweep.training import compilation_cache, configure

GUARD_REFRESHES = 2
"""Refresh intervals left on both sides of an idle window: work before it does not reach into it, and its end lies
between two samples."""
LONGEST_LAST_SAMPLE_S = 5.0
"""A shard that is told to stop waits for no longer for the sample after its last segment."""

Report = Callable[[str], None]


def execute_shard(
    shard: Shard,
    config: Config,
    report: Report = print,
    *,
    drain: Drain | None = None,
    marker: Path | None = None,
) -> ShardResult:
    """Train every run of a shard that has no valid run file, measured as the config says.

    The shard's lease is held meanwhile: LeaseError where another process has it for all of `scheduling.lease_wait`, or
    took it over. Once `drain` is ordered, DrainedError is raised after the present run has kept a checkpoint. A run
    that fails is tried again up to `scheduling.run_retries` times, after the others; then the shard goes on without.
    Raises what the power source or the disk raise; what was trained until then is on disk and the next call goes on
    from there. Experiments that do not fit into memory are refused, the others trained, and at the end OutOfMemoryError
    names the refused.

    `report` is called with a line of progress per experiment. At the end the result is written to `marker`.
    """
    layout = Layout(config.paths.results)
    drain = drain or Drain()
    scheduling = config.scheduling
    lease = Lease(
        layout.leases,
        shard.shard_id,
        scheduling.lease_heartbeat_s,
        wait_s=scheduling.lease_wait_s,
        sleep=drain.wait,
        report=report,
    )
    with lease:
        permit = Permit(drain, lease)
        result = _Execution(shard, config, layout, permit, report).result()
        if marker is not None:
            permit.may_write()
            write_marker(marker, result)
            layout.progress(shard.shard_id).unlink(missing_ok=True)
    return result


class _Execution:
    """One attempt at a shard."""

    def __init__(self, shard: Shard, config: Config, layout: Layout, permit: Permit, report: Report) -> None:
        self.shard = shard
        self.config = config
        self.layout = layout
        self.permit = permit
        self.report = report
        self.attempt = f"{shard.shard_id}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.block_numbers = itertools.count(1)
        self.started_s = time.monotonic()
        self.counts: dict[str, ExperimentCounts] = {}
        self.finished: dict[str, dict[int, RunSummary]] = {}
        self.given_up: dict[str, set[int]] = {}
        self.here = Progress(node=node_name())
        self.refused: list[str] = []

    def result(self) -> ShardResult:
        """Train what is missing; what the shard ends with."""
        started_at = _now()
        pending = self._pending()
        self.report(
            f"shard {self.shard.shard_id}: {len(pending)} of {len(self.shard.experiments)} experiments to train"
        )
        self._note("")
        if pending:
            self._train(pending)
        failures = tuple(self._failed_runs())
        if failures:
            self.report(f"shard {self.shard.shard_id}: {len(failures)} runs failed for good")
        for failed in failures:
            self.report(f"  run {failed.run_id} of experiment {failed.experiment_id}: {failed.error}")
        runs = tuple(
            summary
            for planned in self.shard.experiments
            for _, summary in sorted(self.finished[planned.experiment.experiment_id].items())
        )
        progress = self._note("")
        return ShardResult(self.shard.shard_id, node_name(), started_at, _now(), runs, failures, progress)

    def _pending(self) -> list[PlannedExperiment]:
        """The experiments to train, after what an earlier attempt left was finished."""
        for planned in self.shard.experiments:
            self.permit.may_go_on()
            recovered = recover(self.layout, planned.experiment.experiment_id, self.config.power)
            if recovered:
                self.report(f"{_name(planned)}: {len(recovered)} runs of an earlier attempt kept")
        pending = []
        for planned in self.shard.experiments:
            self.permit.may_write()
            known = self._set_aside(planned)
            finished = finished_runs(self.layout, planned.experiment.experiment_id, quarantine=True)
            for one in self._set_aside(planned) - known:
                self.report(f"{_name(planned)}: {one}")
            if self._count(planned, finished):
                self._remove_checkpoints(planned)
            else:
                pending.append(planned)
        return pending

    def _set_aside(self, planned: PlannedExperiment) -> set[Quarantined]:
        return set(quarantined(self.layout, planned.experiment.experiment_id))

    def _count(
        self, planned: PlannedExperiment, finished: Mapping[int, RunRecord | RunFacts], *, trained: bool = False
    ) -> bool:
        """Count an experiment's runs anew; whether it is done, as it is once `trained` without a failure."""
        identity = planned.experiment.experiment_id
        failures = read_failures(self.layout, identity)
        ended = given_up(planned.experiment, finished, failures, self.config.scheduling.run_retries)
        done = trained or is_done(planned, finished, BlockTarget.of(self.config.power), ended)
        self.finished[identity] = {number: RunSummary.of(record, self.layout) for number, record in finished.items()}
        self.given_up[identity] = ended
        self.counts[identity] = count_experiment(planned, finished.values(), ended, done=done)
        return done

    def _note(self, now: str) -> Progress:
        """Write down how far the shard has come, and which experiment it trains now."""
        here = self.here
        here.elapsed_s = time.monotonic() - self.started_s
        progress = replace(
            add_up(self.counts.values()),
            elapsed_s=here.elapsed_s,
            predicted_done_s=here.predicted_done_s,
            runs=here.runs,
            now=now,
            node=here.node,
            updated_at=_now(),
        )
        self.permit.may_write()
        write_progress(self.layout.progress(self.shard.shard_id), progress)
        return progress

    def _failed_runs(self) -> Iterator[FailedRun]:
        for planned in self.shard.experiments:
            identity = planned.experiment.experiment_id
            if self.given_up[identity]:
                failures = read_failures(self.layout, identity)
                yield from FailedRun.of(planned.experiment, self.given_up[identity], failures)

    def _train(self, pending: list[PlannedExperiment]) -> None:
        drained: DrainedError | None = None
        with self._set_up() as facts, self._metered() as measurement:
            try:
                idle = self._idle(measurement, "idle_before")
                while pending:
                    pending, idle = self._round(pending, facts, measurement, idle)
            except DrainedError as error:
                # Raised outside, so that the compiled programs are kept, and after the sample that ends the segment.
                drained = error
                time.sleep(min(LONGEST_LAST_SAMPLE_S, self._guard_s(measurement)))
        if drained is not None:
            raise drained
        if self.refused:
            count = f"{len(self.refused)} of {len(self.shard.experiments)} experiments were refused:"
            raise OutOfMemoryError("\n".join([count, *self.refused]))

    def _round(
        self,
        pending: list[PlannedExperiment],
        facts: Provenance,
        measurement: Measurement | None,
        idle: Phase | None,
    ) -> tuple[list[PlannedExperiment], Phase | None]:
        """A block of each experiment; those of which runs failed and are tried again, and the idling after the last."""
        again = []
        for number, planned in enumerate(pending, start=1):
            self.permit.may_go_on()
            where = f"[{number}/{len(pending)}] {_name(planned)}"
            self._note(_name(planned))
            block = self._create_block(planned, measurement)
            failed = False
            try:
                self._train_one(planned, block, idle, facts)
            except OutOfMemoryError as error:
                block.remove()
                self.refused.append(f"{_name(planned)}: {error}")
                self.report(f"{where}: refused: {error}")
                continue
            except RunFailedError as error:
                failed = True
                self.report(f"{where}: {self._keep(error, block, facts)}")
            idle = self._idle(measurement, "idle_after")
            self.permit.may_write()
            troubles = measurement.troubles() if measurement else ()
            records = finish_block(block, self.layout, self.config.power, idle, troubles)
            # Earlier runs were read whole before anything was trained, those of this block when they were written.
            finished = finished_facts(self.layout, planned.experiment.experiment_id)
            done = self._count(planned, finished, trained=not failed)
            self.here.runs += len(records)
            if done:
                self.here.predicted_done_s += planned.predicted_s
                self._remove_checkpoints(planned)
            else:
                again.append(planned)
            self.report(f"{where}: {_outcome(records)}")
            # The idling after a block is that before the next.
            idle = None if idle is None else replace(idle, name="idle_before")
        return again, idle

    def _keep(self, error: RunFailedError, block: StagedBlock, facts: Provenance) -> str:
        """Write a failure down, and say so."""
        self.permit.may_write()
        earlier = read_failures(self.layout, error.runs[0].experiment_id)
        failure = keep_failure(self.layout, error, earlier, block.block_id, facts)
        most = 1 + self.config.scheduling.run_retries
        return f"{error} failed, attempt {failure.attempt} of {most}: {failure.words}"

    def _train_one(self, planned: PlannedExperiment, block: StagedBlock, idle: Phase | None, facts: Provenance) -> None:
        experiment = planned.experiment
        finished, ended = self.finished[experiment.experiment_id], self.given_up[experiment.experiment_id]
        source, name = experiment.settings.dataset_source, experiment.settings.dataset
        missing = missing_repetitions(planned, finished, ended) or [experiment.repetitions]
        with failing([experiment.run(repetition) for repetition in missing]):
            dataset = _dataset(dataset_path(self.layout.datasets, source, name))
        work = BlockWork(self.config, self.layout, block, idle, facts, self.report, ended, self.permit)
        train_block(planned, dataset, finished, work)

    def _create_block(self, planned: PlannedExperiment, measurement: Measurement | None) -> StagedBlock:
        metering = None if measurement is None else Metering.of(measurement)
        folder = self.layout.staged(planned.experiment.experiment_id)
        return StagedBlock.create(folder / f"{self.attempt}-{next(self.block_numbers)}", metering)

    def _remove_checkpoints(self, planned: PlannedExperiment) -> None:
        shutil.rmtree(self.layout.checkpoints(planned.experiment.experiment_id), ignore_errors=True)

    def _idle(self, measurement: Measurement | None, name: PhaseName) -> Phase | None:
        """Do nothing for an idle window, measured; None where power is not."""
        if measurement is None:
            return None
        guard_s = self._guard_s(measurement)
        self.permit.wait(guard_s)
        start_s = time.monotonic()
        self.permit.wait(self.config.power.idle_window_s + guard_s)
        return Phase(name, start_s, start_s + self.config.power.idle_window_s)

    def _guard_s(self, measurement: Measurement | None) -> float:
        refresh_s = 0.0 if measurement is None else max(self.config.power.interval_s, measurement.refresh_s)
        return GUARD_REFRESHES * refresh_s

    @contextmanager
    def _set_up(self) -> Iterator[Provenance]:
        """TensorFlow as the shard needs it, with the programs that shards before it compiled on such a machine."""
        threads = self.config.training.threads
        machine = [cpu_model(), cpu_features(), version("tensorflow", "tensorflow-cpu"), str(threads)]
        machine.append(os.environ.get("XLA_FLAGS", ""))
        with compilation_cache(self.layout.compiled, "/".join(machine), self.shard.shard_id) as programs:
            if programs:
                self.report(
                    f"{programs} compiled programs of earlier shards are at hand (that TensorFlow prints 'Error "
                    "parsing text-format' where it reads one means nothing)"
                )
            facts = provenance(configure(threads, self.shard.hardware))
            shared = self._shared_because()
            if shared:
                self.report(f"the energy is not the runs' alone: {shared}")
            yield facts | ({"node_shared": shared} if shared else {})

    def _shared_because(self) -> str:
        """Why the node is not the shard's alone; empty where it is."""
        most = self.config.scheduling.runs_per_node
        allowed = f"scheduling.runs_per_node is {most}" if most > 1 else ""
        return "; ".join(filter(None, [allowed, shared_because()]))

    @contextmanager
    def _metered(self) -> Iterator[Measurement | None]:
        trace_path = self.layout.trace(self.attempt)
        trace_path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as running:
            # A signal to the whole job is for the shard: it stops its recorder last.
            with children_unaware():
                measurement = running.enter_context(
                    measuring(
                        self.config.power,
                        node_name(),
                        trace_path,
                        profiles=self.layout.nodes,
                        shared=self.config.scheduling.runs_per_node > 1,
                    )
                )
            if measurement is None:
                self.report("power: not measured (power.source is none)")
            else:
                self.report(f"power: {measurement.selection_reason}")
                for recording in measurement.recordings:
                    source = recording.description
                    self.report(f"power: {source.detail} [{source.origin}, {source.scope}]")
            yield measurement


_dataset = lru_cache(maxsize=2)(load)


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
