"""Makes what a sweep leaves behind without training: synthetic run files of the true size, with markers.

The grid is BUTTER-E's (configs/butter-e.yaml), cut to a number of runs: whole combinations of datasets, shapes and
hardware, then further repetitions of the smallest networks, as blocks have them. Every run has 3,000 epochs of 20
metrics and a trace of 80 samples. Curves and watts are drawn from a random generator and mean nothing.
"""

import dataclasses
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wattsweep.config import Config, load, parse
from wattsweep.datasets import DatasetFacts, dataset_path
from wattsweep.datasets.cache import FORMAT
from wattsweep.datasets.split import split_counts
from wattsweep.planning import Plan, PlannedExperiment, Shard, make_plan, predict_run_s, write_plan
from wattsweep.power import Energy, RunEnergy, SourceDescription, Trace
from wattsweep.runs import DataFacts, Layout, Network, Phase, RunPower, RunRecord
from wattsweep.runs.files import write_group
from wattsweep.runs.marker import RunSummary, ShardResult, write_marker
from wattsweep.runs.progress import add_up, count_experiment
from wattsweep.runs.sealed import create_sealed
from wattsweep.training import METRICS

CONFIGS = Path(__file__).parents[1] / "configs"
PMLB = {
    "529_pollen": ("regression", "regression", 3848, 4, 1),
    "connect_4": ("classification", "softmax", 67557, 126, 3),
    "537_houses": ("regression", "regression", 20640, 8, 1),
    "mnist": ("classification", "softmax", 70000, 784, 10),
    "201_pol": ("classification", "softmax", 15000, 60, 11),
    "sleep": ("classification", "softmax", 105908, 60, 5),
    "wine_quality_white": ("classification", "softmax", 4898, 11, 7),
    "nursery": ("classification", "softmax", 12958, 26, 4),
    "adult": ("classification", "binary", 48842, 104, 1),
    "505_tecator": ("regression", "regression", 240, 124, 1),
    "294_satellite_image": ("classification", "softmax", 6435, 36, 6),
    "splice": ("classification", "softmax", 3188, 240, 3),
    "banana": ("regression", "binary", 5300, 2, 1),
}
"""Task, last layer, rows and columns of BUTTER's datasets; columns after encoding, about, since no file is at hand."""

N_CURVES = 256
"""Different sets of curves: more than a compressor looks back over."""
SAMPLES, IDLE_W, LOAD_W = 80, 220.0, 260.0
PROVENANCE = {
    "wattsweep_version": "0.0.0",
    "git_commit": "0" * 40,
    "python_version": "3.11.7",
    "host": "synthetic",
    "platform": "Linux-synthetic",
    "cpu_model": "Synthetic CPU",
    "device": "cpu",
    "threads": "1",
    "tensorflow_version": "2.21.0",
    "keras_version": "3.15.1",
    "numpy_version": "2.4.6",
    "h5py_version": "3.14.0",
    "slurm_job_id": "1",
    "slurm_node": "synthetic",
}


def facts() -> dict[tuple[str, str], DatasetFacts]:
    """The facts of BUTTER's datasets."""
    return {
        ("pmlb", name): DatasetFacts("pmlb", name, task, head, rows, inputs, outputs, inputs, "0" * 64)  # type: ignore[arg-type]
        for name, (task, head, rows, inputs, outputs) in PMLB.items()
    }


def write_datasets(layout: Layout) -> None:
    """Prepared files that tell the facts and hold no rows: enough to plan with, not to train on."""
    for (source, name), one in facts().items():
        path = dataset_path(layout.datasets, source, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = json.dumps({"format": FORMAT, **dataclasses.asdict(one), "columns": []})
        nothing = np.zeros((1, 1), np.float32)
        text = np.frombuffer(metadata.encode(), dtype=np.uint8)
        with path.open("wb") as stream:
            np.savez(stream, metadata=text, features=nothing, responses=nothing)


def preset(name: str, results: Path) -> Config:
    """A shipped configuration with its results elsewhere."""
    document = load(CONFIGS / f"{name}.yaml").model_dump(mode="json", by_alias=True)
    return parse(document | {"paths": {"results": str(results)}})


def cut_to(runs: int, results: Path) -> Config:
    """BUTTER-E's sweep cut to at most so many runs: as many whole combinations as fit; ValueError where none does."""
    config = preset("butter-e", results)
    (cube,) = config.sweeps["energy"]
    best, chosen = 0, None
    for n_datasets, n_shapes, hardware in itertools.product(
        range(1, len(cube.dataset) + 1), (1, 2, 4, len(cube.shape)), (["cpu"], ["cpu", "gpu"])
    ):
        changes = {"dataset": cube.dataset[:n_datasets], "shape": cube.shape[:n_shapes], "hardware": hardware}
        asked = n_datasets * n_shapes * len(hardware) * len(cube.size) * len(cube.depth)
        if best < asked <= runs:
            best = asked
            chosen = config.model_copy(update={"sweeps": {"energy": [cube.model_copy(update=changes)]}})
    if chosen is None:
        raise ValueError(f"{runs} runs: one dataset and one shape are {len(cube.size) * len(cube.depth)}; ask for more")
    return chosen


def repetitions(plan: Plan, runs: int) -> dict[str, int]:
    """How many runs each experiment has, so many in all: the smallest networks have further repetitions."""
    counts = {one.experiment.experiment_id: 1 for one in plan.experiments}
    smallest = sorted(plan.experiments, key=lambda one: (one.n_parameters, one.experiment.experiment_id))
    for one in itertools.islice(itertools.cycle(smallest[: 1 + len(smallest) // 4]), runs - len(counts)):
        counts[one.experiment.experiment_id] += 1
    return counts


def make_runs(config: Config, runs: int, workers: int = 2) -> Plan:
    """Plan, prepared datasets, so many run files and their shards' markers below the config's results."""
    layout = Layout(config.paths.results)
    write_datasets(layout)
    plan = make_plan(config, facts())
    (layout.results / "plan").mkdir(parents=True, exist_ok=True)
    (layout.results / "plan" / "config.json").write_text(config.model_dump_json(by_alias=True, indent=1))
    write_plan(plan, layout.results / "plan")
    counts = repetitions(plan, runs)
    with ProcessPoolExecutor(workers) as pool:
        shards = list(plan.shards)
        parts = [(shards[start::16], counts, layout) for start in range(16)]
        for _ in pool.map(_write_part, parts):
            pass
    return plan


def _write_part(part: tuple[Sequence[Shard], dict[str, int], Layout]) -> None:
    shards, counts, layout = part
    for shard in shards:
        _write_shard(shard, counts, layout)


def _write_shard(shard: Shard, counts: dict[str, int], layout: Layout) -> None:
    summaries, experiments, seconds = [], [], 0.0
    for planned in shard.experiments:
        finished = []
        for record in _records(planned, counts[planned.experiment.experiment_id]):
            _write_quickly(layout.run(record.run), record)
            finished.append(dataclasses.replace(record, history={"loss": np.zeros(1, np.float32)}))
        summaries += [RunSummary.of(record, layout) for record in finished]
        experiments.append(count_experiment(planned, finished, [], done=True))
        seconds += sum(record.training_s for record in finished) + 30.0
    progress = dataclasses.replace(
        add_up(experiments),
        elapsed_s=seconds,
        predicted_done_s=shard.predicted_s,
        runs=len(summaries),
        node="synthetic",
    )
    times = ("2026-01-01T00:00:00+00:00", "2026-01-01T04:00:00+00:00")
    write_marker(
        layout.marker(shard.shard_id),
        ShardResult(shard.shard_id, "synthetic", *times, tuple(summaries), (), progress),
    )


_written: dict[int, h5py.File] = {}
"""A run file in memory for every set of curves: what was compressed once is copied from it."""


def _write_quickly(path: Path, record: RunRecord) -> None:
    """A run file as `write_run` writes it, neither read back nor flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    curves = record.run.seed % N_CURVES
    image = io.BytesIO()
    with create_sealed(image) as file:
        if curves in _written:
            write_group(file, dataclasses.replace(record, history={k: v[:1] for k, v in record.history.items()}))
            del file["epochs"]
            _written[curves].copy("epochs", file)
        else:
            write_group(file, record)
    path.write_bytes(image.getbuffer())
    if curves not in _written:
        _written[curves] = h5py.File(image, "r")


@lru_cache(maxsize=1)
def _curves() -> list[NDArray[np.float32]]:
    """Sets of curves [epochs, 20] that fall and are noisy, as true ones are."""
    random = np.random.default_rng(0)
    epoch = np.arange(3000)[:, None]
    sets = []
    for _ in range(N_CURVES):
        fall = np.exp(-epoch / random.uniform(50, 1000, 2 * len(METRICS)))
        noise = random.normal(0, 1e-3, (3000, 2 * len(METRICS)))
        sets.append((0.2 + random.uniform(0.2, 2, 2 * len(METRICS)) * fall + noise).astype(np.float32))
    return sets


def _records(planned: PlannedExperiment, count: int) -> Iterator[RunRecord]:
    settings, one = planned.experiment.settings, facts()["pmlb", planned.experiment.settings.dataset]
    n_train, n_test = split_counts(one.n_observations, settings.test_split)
    seconds = 1.6 * predict_run_s(
        planned.widths,
        planned.n_inputs,
        n_train=n_train,
        n_test=n_test,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        engine=settings.engine,
    )
    names = [prefix + metric for prefix in ("", "val_") for metric in METRICS]
    for number in range(count):
        run = planned.experiment.run(number)
        random = np.random.default_rng(run.seed)
        took_s = seconds * float(np.exp(random.normal(0, 0.15)))
        start_s = 100.0 + number * took_s
        curves = _curves()[run.seed % N_CURVES]
        yield RunRecord(
            run=run,
            settings=settings,
            network=Network(planned.n_inputs, planned.widths, planned.n_parameters),
            data=DataFacts(one.task, one.head, one.n_observations, n_train, n_test, one.sha256),
            provenance=PROVENANCE | ({"device": "Synthetic GPU"} if settings.hardware == "gpu" else {}),
            history=dict(zip(names, curves.T, strict=True)),
            phases=(
                Phase("idle_before", 80.0, 90.0),
                Phase("setup", 91.0, 95.0),
                Phase("training", start_s, start_s + took_s),
                Phase("idle_after", start_s + took_s + 1.0, start_s + took_s + 11.0),
            ),
            utc_offset_s=1.7e9,
            power=_power(run.experiment_id, count, took_s, random),
            marks=np.stack([np.arange(1.0, 9.0), start_s + np.arange(1.0, 9.0)], axis=1),
        )


def _power(block: str, runs: int, seconds: float, random: np.random.Generator) -> RunPower:
    watts = LOAD_W + random.normal(0, 2, SAMPLES).round()
    trace = Trace.from_arrays(80.0 + np.arange(SAMPLES), watts, kind="power", refresh_s=1.0, step=1.0)
    mean_w = float(watts.mean())
    joules, net_j = mean_w * seconds, (mean_w - IDLE_W) * seconds
    gross = Energy(joules, 0.98 * joules, 1.02 * joules, 1.0, SAMPLES, 0, SAMPLES, method="share of block")
    source: dict[str, Any] = {"name": "simulated", "kind": "power", "scope": "node", "origin": "simulated"}
    return RunPower(
        source=SourceDescription(**source, detail="none: these watts are made up", refresh_s=1.0, step=1.0),
        selected_because="The run was made up by benchmarks/scale.py.",
        trace=trace,
        block_id=f"{block}-0",
        block_start_s=95.0,
        block_end_s=95.0 + runs * seconds,
        block_runs=runs,
        block_training_s=max(60.0, runs * seconds),
        idle_w=IDLE_W,
        idle_lower_w=IDLE_W - 1,
        idle_upper_w=IDLE_W + 1,
        mean_w=mean_w,
        status="ok",
        reason="",
        energy=RunEnergy(gross, net_j, 0.9 * net_j, 1.1 * net_j, seconds),
    )
