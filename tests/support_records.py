"""Makes run records with a known energy, without training anything."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from wattsweep.grid import Experiment, Settings, experiment_id, make_run
from wattsweep.networks import count_parameters, layer_widths
from wattsweep.power import Energy, RunEnergy, SourceDescription, Trace
from wattsweep.power.sources.base import Origin
from wattsweep.runs.record import DataFacts, Network, Phase, RunPower, RunRecord
from wattsweep.runs.sealed import write_seal
from wattsweep.training import METRICS
from wattsweep.workload import Workload, workload

DATASETS = {"digits": (64, 10, 1797), "wine": (13, 3, 178), "diabetes": (10, 1, 442)}
SETTINGS = Settings(
    dataset_source="bundled",
    dataset="digits",
    shape="rectangle",
    size=1024,
    depth=3,
    epochs=20,
    batch_size=64,
    learning_rate=1e-3,
    optimizer="adam",
    label_noise=0.0,
    test_split=0.2,
    engine="compiled",
)
PROVENANCE = {
    "wattsweep_version": "0.1.0",
    "git_commit": "0123456789abcdef",
    "python_version": "3.11.9",
    "tensorflow_version": "2.21.0",
    "keras_version": "3.15.1",
    "numpy_version": "2.4.6",
    "host": "node-a",
    "platform": "Linux",
    "cpu_model": "Example CPU 2.0 GHz",
    "device": "cpu",
    "threads": "1",
    "slurm_job_id": "",
    "slurm_node": "",
}

JOULES_PER_OPERATION = 4e-11
JOULES_PER_LAYER_BATCH = 2e-4
JOULES_PER_BATCH = 5e-4
IDLE_W, NET_W = 60.0, 20.0
STARTED_AT_S = 1_700_000_000.0

REFUSED = (
    "energy refused: valid samples cover 0.200 of the block's 10.000 s (2 valid, 0 excluded), "
    "less than power.min_coverage = 0.9"
)


def work_of(settings: Settings) -> Workload:
    n_inputs, n_outputs, n = DATASETS[settings.dataset]
    widths = layer_widths(settings.shape, settings.depth, settings.size, n_inputs, n_outputs)
    return workload(widths, n_inputs, settings.batch_size, n, settings.test_split)


def known_energy_per_datum(settings: Settings) -> float:
    """The net energy in J that these records follow."""
    work = work_of(settings)
    joules = JOULES_PER_OPERATION * work.macs_per_epoch
    joules += work.train_batches * (JOULES_PER_LAYER_BATCH * settings.depth + JOULES_PER_BATCH)
    return joules / work.n_train


def make_record(
    settings: Settings = SETTINGS,
    repetition: int = 0,
    *,
    origin: Origin | None = "measured",
    noise: float = 0.0,
    refused: str = "",
    provenance: dict[str, str] | None = None,
) -> RunRecord:
    """A run of `settings`; its energy is off the known one by a relative error of standard deviation `noise`."""
    identity = experiment_id(settings)
    run = make_run(identity, repetition)
    rng = np.random.default_rng(run.seed)
    n_inputs, n_outputs, n = DATASETS[settings.dataset]
    widths = tuple(layer_widths(settings.shape, settings.depth, settings.size, n_inputs, n_outputs))
    work = work_of(settings)
    net_j = known_energy_per_datum(settings) * settings.epochs * work.n_train * math.exp(noise * rng.normal())
    seconds = net_j / NET_W
    start_s = 100.0 + repetition * seconds
    loss = (2.0 / math.log(settings.size)) * (0.3 + np.exp(-np.arange(settings.epochs) / 6.0)) * rng.uniform(0.95, 1.05)
    history = {
        prefix + name: (loss + 0.01 * len(prefix)).astype(np.float32) for prefix in ("", "val_") for name in METRICS
    }
    history["val_accuracy"] = (1 - loss / 4).astype(np.float32)
    regression = settings.dataset == "diabetes"
    return RunRecord(
        run=run,
        settings=settings,
        network=Network(n_inputs, widths, count_parameters(n_inputs, widths)),
        data=DataFacts(
            "regression" if regression else "classification",
            "regression" if regression else "softmax",
            n,
            work.n_train,
            work.n_test,
            "ab" * 32,
        ),
        provenance=PROVENANCE | (provenance or {}),
        history=history,
        phases=(
            Phase("idle_before", 50.0, 60.0),
            Phase("setup", 60.0, 63.5),
            Phase("training", start_s, start_s + seconds),
        ),
        utc_offset_s=STARTED_AT_S,
        power=None if origin is None else _power(identity, origin, net_j, seconds, refused),
    )


def make_sweep(
    *,
    origin: Origin | None = "measured",
    repetitions: int = 3,
    noise: float = 0.03,
    datasets: tuple[str, ...] = ("digits", "wine"),
    shapes: tuple[str, ...] = ("rectangle", "wide_first_2x"),
    depths: tuple[int, ...] = (2, 3, 5),
    sizes: tuple[int, ...] = (1024, 4096, 16384, 65536),
) -> list[RunRecord]:
    """The records of a small sweep, in the order of the tables."""
    settings = [
        replace(SETTINGS, dataset=dataset, shape=shape, depth=depth, size=size)
        for dataset in datasets
        for shape in shapes
        for depth in depths
        for size in sizes
    ]
    return [
        make_record(one, repetition, origin=origin, noise=noise)
        for one in sorted(settings, key=experiment_id)
        for repetition in range(repetitions)
    ]


def plan_of(records: list[RunRecord], repetitions: int) -> dict[str, Experiment]:
    """A plan that asks for this many repetitions of every experiment among the records."""
    return {
        record.run.experiment_id: Experiment(record.run.experiment_id, record.settings, repetitions, ("main",))
        for record in records
    }


def forbidden(records: list[RunRecord]) -> Iterator[RunRecord]:
    """The records one at a time, then an error in place of an end."""
    yield from records
    raise OSError("a run file could not be read")


def _power(block: str, origin: Origin, net_j: float, seconds: float, refused: str) -> RunPower:
    gross_j = net_j + IDLE_W * seconds
    numbers = (math.nan, math.nan, math.nan) if refused else (gross_j, 0.97 * gross_j, 1.04 * gross_j)
    gross = Energy(
        *numbers, coverage=0.2 if refused else 1.0, n_samples=12, n_excluded=0, n_refreshes=11, method="share of block"
    )
    idle_low, idle_high = IDLE_W - 1, IDLE_W + 1
    return RunPower(
        source=SourceDescription(
            name="ipmi" if origin == "measured" else "simulated",
            kind="power",
            scope="node",
            origin=origin,
            detail="DCMI power reading of the BMC at 127.0.0.1:6230, over LAN",
            refresh_s=1.0,
            step=1.0,
        ),
        selected_because="The BMC at 127.0.0.1:6230 is read, because power.ipmi.address names it.",
        trace=Trace.from_arrays([0.0, 1.0, 2.0], [80.0, 81.0, 80.0], kind="power", refresh_s=1.0, step=1.0),
        block_id=f"{block}-0",
        block_start_s=100.0,
        block_end_s=112.0,
        block_runs=3,
        block_training_s=3 * seconds,
        idle_w=IDLE_W,
        idle_lower_w=idle_low,
        idle_upper_w=idle_high,
        mean_w=IDLE_W + NET_W,
        status="refused" if refused else "ok",
        reason=refused,
        energy=RunEnergy(
            gross,
            gross.joules - IDLE_W * seconds,
            gross.lower - idle_high * seconds,
            gross.upper - idle_low * seconds,
            seconds,
        ),
    )


@contextmanager
def resealed(path: Path) -> Iterator[h5py.File]:
    """A run file open to be changed; afterwards it is sealed as if it had been written so."""
    with h5py.File(path, "r+") as file:
        yield file
    with path.open("r+b") as content:
        write_seal(content)
