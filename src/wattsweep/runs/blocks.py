"""Executes one block: trains an experiment's missing repetitions, and further ones until the block is long enough."""

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wattsweep.config import Config, PowerConfig, TrainingConfig
from wattsweep.datasets import Dataset, split, split_counts
from wattsweep.grid import Run
from wattsweep.hardware import gpu_memory_bytes, memory_bytes
from wattsweep.planning import PlannedExperiment
from wattsweep.runs.checkpoints import Attempt, RunCheckpoints, identify
from wattsweep.runs.drain import Permit
from wattsweep.runs.facts import RunFacts
from wattsweep.runs.failures import failing
from wattsweep.runs.layout import Layout
from wattsweep.runs.record import DataFacts, Network, Phase, Provenance, RunRecord, trained_s
from wattsweep.runs.staging import StagedBlock
from wattsweep.training import (
    Architecture,
    Engine,
    Objective,
    TrainingPlan,
    check_gpu_memory,
    check_memory,
    make_engine,
)


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """When a block is long enough: at once where power is not measured, else after `min_training_s` or `max_runs`."""

    min_training_s: float
    max_runs: int

    @classmethod
    def of(cls, power: PowerConfig) -> "BlockTarget":
        """The target that a configuration sets."""
        return cls(0.0 if power.source == "none" else power.min_window_s, power.max_block_repetitions)

    def reached(self, runs: int, training_s: float) -> bool:
        """Whether a block of so many runs and so much training is long enough."""
        return training_s >= self.min_training_s or runs >= self.max_runs


def missing_repetitions(
    planned: PlannedExperiment, finished: Collection[int], given_up: Collection[int] = ()
) -> list[int]:
    """The repetitions that the grid asks for and no run file holds, less those that are not tried any more."""
    numbers = range(planned.experiment.repetitions)
    return [number for number in numbers if number not in finished and number not in given_up]


def is_done(
    planned: PlannedExperiment,
    finished: Mapping[int, RunRecord | RunFacts],
    target: BlockTarget,
    given_up: Collection[int] = (),
) -> bool:
    """Whether every repetition is there, or given up, and one block of the experiment was measured for long enough.

    An experiment with runs that were given up is not measured for longer by further ones.
    """
    if missing_repetitions(planned, finished, given_up):
        return False
    if given_up:
        return True
    if target.min_training_s == 0:
        return True
    awaiting: dict[str, list[RunRecord | RunFacts]] = {}
    for record in finished.values():
        if "power_awaited" in record.provenance:
            awaiting.setdefault(record.provenance["block_id"], []).append(record)
    return any(
        target.reached(record.power.block_runs, record.power.block_training_s + record.measured_earlier_s)
        for record in finished.values()
        if record.power is not None
    ) or any(target.reached(len(block), trained_s(block)) for block in awaiting.values())


def measured_s(records: Sequence[RunRecord]) -> float:
    """Training time that the energies of a block's runs rest on, that of a run's earlier segments included."""
    return trained_s(records) + max((record.measured_earlier_s for record in records), default=0.0)


@dataclass(frozen=True)
class BlockWork:
    """All that a block's training needs beside its experiment and data."""

    config: Config
    layout: Layout
    staged: StagedBlock
    idle_before: Phase | None
    provenance: Provenance
    report: Callable[[str], None]
    given_up: Collection[int] = ()
    permit: Permit = field(default_factory=Permit)

    @property
    def target(self) -> BlockTarget:
        """When the block is long enough."""
        return BlockTarget.of(self.config.power)

    @property
    def attempt(self) -> Attempt:
        """Who trains it, for its checkpoints."""
        metering = self.staged.metering()
        trace_path = metering.trace_path if metering else None
        return Attempt(
            self.staged.block_id,
            self.provenance,
            trace_path,
            self.idle_before,
            self.config.power,
            self.config.training.checkpoint_every_s,
            self.report,
            self.permit,
        )

    def check_memory(self, plan: TrainingPlan) -> None:
        """Raise OutOfMemoryError where the plan cannot fit into what this process, or its GPU if known, has."""
        if not self.provenance.get("device", "").startswith("gpu"):
            check_memory(plan, memory_bytes())
        elif (gpu_bytes := gpu_memory_bytes()) is not None:
            check_gpu_memory(plan, gpu_bytes)


def train_block(planned: PlannedExperiment, dataset: Dataset, finished: Collection[int], work: BlockWork) -> None:
    """Train the missing repetitions and as many further ones as the target wants, each kept in the block.

    `finished` are the repetitions that have a run file.

    Vectorised repetitions are trained side by side, further ones as many at once as were missing, so that one compiled
    program serves. Raises OutOfMemoryError where that cannot fit, RunFailedError where runs cannot be trained, and
    between two calls of the engine what `work.permit` raises; what was trained before stays in the block.
    """
    started_s = time.monotonic()
    missing = missing_repetitions(planned, finished, work.given_up)
    vectorised = planned.experiment.settings.vectorised
    at_once = len(missing) or planned.experiment.repetitions if vectorised else 1
    plan = training_plan(planned, dataset, work.config.training, at_once)
    work.check_memory(plan)
    with failing([planned.experiment.run(repetition) for repetition in missing or [planned.experiment.repetitions]]):
        engine = make_engine(planned.experiment.settings.engine, plan)
        engine.prepare()
    setup = Phase("setup", started_s, time.monotonic())
    before = (setup,) if work.idle_before is None else (work.idle_before, setup)

    trained: list[RunRecord] = []
    for repetitions in _groups(_repetitions(planned, finished, work.given_up), at_once):
        if len(trained) >= len(missing) and work.target.reached(len(trained), measured_s(trained)):
            break
        work.permit.may_go_on()
        runs = [planned.experiment.run(repetition) for repetition in repetitions]
        name = f"{runs[0].run_id}.checkpoint" if at_once == 1 else f"{runs[0].run_id}-{at_once}.checkpoint"
        with failing(runs):
            checkpoints = RunCheckpoints(
                work.layout.checkpoints(planned.experiment.experiment_id) / name,
                runs,
                identify(runs, plan, dataset.sha256, work.provenance),
                work.attempt,
            )
            records = train_runs(planned, runs, dataset, engine, checkpoints)
            work.permit.may_write()
            for record in records:
                record = replace(record, phases=(*before, *record.phases), provenance=work.provenance)
                work.staged.add(record)
                trained.append(record)
            checkpoints.remove()


def _repetitions(planned: PlannedExperiment, finished: Collection[int], given_up: Collection[int]) -> Iterator[int]:
    """The missing repetitions, then the numbers past all that there are."""
    yield from missing_repetitions(planned, finished, given_up)
    number = max([planned.experiment.repetitions, *(repetition + 1 for repetition in (*finished, *given_up))])
    while True:
        yield number
        number += 1


def _groups(repetitions: Iterator[int], size: int) -> Iterator[list[int]]:
    while True:
        yield list(itertools.islice(repetitions, size))


def training_plan(
    planned: PlannedExperiment, dataset: Dataset, training: TrainingConfig, runs_at_once: int
) -> TrainingPlan:
    """What an engine is asked to train for an experiment."""
    settings = planned.experiment.settings
    n_train, n_test = split_counts(dataset.n_observations, settings.test_split)
    return TrainingPlan(
        architecture=Architecture(
            n_inputs=planned.n_inputs,
            widths=planned.widths,
            head=dataset.head,
            residual=settings.shape == "rectangle_residual",
        ),
        n_train=n_train,
        n_test=n_test,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        objective=Objective(
            optimizer=settings.optimizer,  # type: ignore[arg-type]
            momentum=settings.momentum,
            kernel_l1=settings.kernel_l1,
            kernel_l2=settings.kernel_l2,
        ),
        stop_on_divergence=training.stop_on_divergence,
        precision=settings.precision,  # type: ignore[arg-type]
        runs_at_once=runs_at_once,
    )


def train_runs(
    planned: PlannedExperiment, runs: Sequence[Run], dataset: Dataset, engine: Engine, checkpoints: RunCheckpoints
) -> list[RunRecord]:
    """Train runs side by side; their records have their training alone, no other phase, provenance or power."""
    settings = planned.experiment.settings
    splits = [
        split(dataset, test_split=settings.test_split, label_noise=settings.label_noise, seed=run.seed) for run in runs
    ]
    checkpoints.begin()
    trained = engine.train(splits, [run.seed for run in runs], checkpoints)
    return [
        RunRecord(
            run=run,
            settings=settings,
            network=Network(planned.n_inputs, planned.widths, planned.n_parameters),
            data=DataFacts(
                task=dataset.task,
                head=dataset.head,
                n_observations=dataset.n_observations,
                n_train=len(parts.train_x),
                n_test=len(parts.test_x),
                sha256=dataset.sha256,
            ),
            provenance={},
            history=one.history,
            phases=(Phase("training", one.start_s, one.end_s),),
            utc_offset_s=time.time() - time.monotonic(),
            runs_at_once=len(runs),
            segments=checkpoints.segments,
            marks=one.marks,
        )
        for run, parts, one in zip(runs, splits, trained, strict=True)
    ]
