"""Executes one block: trains an experiment's missing repetitions, and further ones until the block is long enough."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wattsweep.config import PowerConfig
from wattsweep.datasets import Dataset, split, split_counts
from wattsweep.grid import Run
from wattsweep.planning import PlannedExperiment
from wattsweep.runs.record import DataFacts, Network, Phase, Provenance, RunRecord
from wattsweep.runs.staging import StagedBlock
from wattsweep.training import Architecture, Engine, Objective, TrainingPlan, make_engine


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


def missing_repetitions(planned: PlannedExperiment, finished: Mapping[int, RunRecord]) -> list[int]:
    """The repetitions that the grid asks for and no run file holds."""
    return [number for number in range(planned.experiment.repetitions) if number not in finished]


def is_done(planned: PlannedExperiment, finished: Mapping[int, RunRecord], target: BlockTarget) -> bool:
    """Whether every repetition is there and one block of the experiment was measured for long enough."""
    if missing_repetitions(planned, finished):
        return False
    if target.min_training_s == 0:
        return True
    powers = [record.power for record in finished.values() if record.power is not None]
    return any(target.reached(power.block_runs, power.block_training_s) for power in powers)


def train_block(
    planned: PlannedExperiment,
    dataset: Dataset,
    finished: Mapping[int, RunRecord],
    block: StagedBlock,
    *,
    target: BlockTarget,
    stop_on_divergence: bool,
    idle_before: Phase | None,
    provenance: Provenance,
) -> int:
    """Train the missing repetitions and as many further ones as the target wants, each kept in `block`; how many."""
    started_s = time.monotonic()
    engine = prepare_engine(planned, dataset, stop_on_divergence)
    setup = Phase("setup", started_s, time.monotonic())
    before = (setup,) if idle_before is None else (idle_before, setup)

    wanted = len(missing_repetitions(planned, finished))
    trained, training_s = 0, 0.0
    for repetition in _repetitions(planned, finished):
        if trained >= wanted and target.reached(trained, training_s):
            break
        record = train_run(planned, planned.experiment.run(repetition), dataset, engine, before, provenance)
        block.add(record)
        trained += 1
        training_s += record.training.duration_s
    return trained


def _repetitions(planned: PlannedExperiment, finished: Mapping[int, RunRecord]) -> Iterator[int]:
    """The missing repetitions, then the numbers past all that there are."""
    yield from missing_repetitions(planned, finished)
    number = max([planned.experiment.repetitions, *(repetition + 1 for repetition in finished)])
    while True:
        yield number
        number += 1


def prepare_engine(planned: PlannedExperiment, dataset: Dataset, stop_on_divergence: bool) -> Engine:
    """An engine that is ready to train an experiment's runs."""
    settings = planned.experiment.settings
    n_train, n_test = split_counts(dataset.n_observations, settings.test_split)
    architecture = Architecture(
        n_inputs=planned.n_inputs,
        widths=planned.widths,
        head=dataset.head,
        residual=settings.shape == "rectangle_residual",
    )
    plan = TrainingPlan(
        architecture=architecture,
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
        stop_on_divergence=stop_on_divergence,
    )
    engine = make_engine(settings.engine, plan)
    engine.prepare()
    return engine


def train_run(
    planned: PlannedExperiment,
    run: Run,
    dataset: Dataset,
    engine: Engine,
    phases: tuple[Phase, ...],
    provenance: Provenance,
) -> RunRecord:
    """Train one run; its record has the given phases and its training, and no power yet."""
    settings = planned.experiment.settings
    parts = split(dataset, test_split=settings.test_split, label_noise=settings.label_noise, seed=run.seed)
    (trained,) = engine.train([parts], [run.seed])
    return RunRecord(
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
        provenance=provenance,
        history=trained.history,
        phases=(*phases, Phase("training", trained.start_s, trained.end_s)),
        utc_offset_s=time.time() - time.monotonic(),
    )
