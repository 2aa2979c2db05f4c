"""Our tables in BUTTER's two schemas: all_repetitions/, a row per run, and complete_summary/, a row per experiment.

Both are Hive-partitioned Parquet, a file for each experiment. What BUTTER has no column for stands as JSON in
`command`, so that an import gives the same runs; energies are not in these schemas.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wattsweep.errors import AnalysisError
from wattsweep.importers.butter_schema import BESTS, HISTORY, REPETITION, SUMMARY, SWEEPS, TRAJECTORIES, file_schema
from wattsweep.importers.hive import partition_folder, partitions_of
from wattsweep.importers.statistics import best, spread_of, stacked, trajectory
from wattsweep.tables import read_experiments
from wattsweep.tables.columns import FACTS, PROVENANCE, RUNS, SETTINGS

REPETITIONS, SUMMARIES = "all_repetitions", "complete_summary"
ROWS_PER_BATCH = 64
OUTPUT_ACTIVATIONS = {"regression": "sigmoid", "binary": "sigmoid", "softmax": "softmax"}
OF_EXPERIMENT = ("experiment_id", *(column.name for column in (*SETTINGS, *FACTS)))
OF_RUN = ("repetition", *(name for name, _ in PROVENANCE))
"""What `command` holds, of an experiment and of a run besides."""

NOT_ASKED = {"sweeps": [], "n_planned": 0}


@dataclass(frozen=True, slots=True)
class ExportCounts:
    """What was written: runs, experiments, and runs that have no curves and so no place in BUTTER's schemas."""

    runs: int
    experiments: int
    without_curves: int


def export_butter(tables: Path, output: Path) -> ExportCounts:
    """Write the runs of a tables' folder below `output`, which must not hold them yet.

    BUTTER numbers experiments with 32 bits: they are numbered from 1 in the order of our ids. Curves are read by
    dozens of runs; what is held is the runs of one experiment. Raises AnalysisError where the tables are missing, or
    the output is there.
    """
    experiments = read_experiments(tables)
    folders = {name: output / name for name in (REPETITIONS, SUMMARIES)}
    there = [str(folder) for folder in folders.values() if folder.exists()]
    if there:
        raise AnalysisError(f"{', '.join(there)} exist already; remove them, or choose another folder with --output.")
    epochs = sorted((tables / "epochs").glob("dataset=*/shape=*/*.parquet"))
    if not epochs:
        raise AnalysisError(f"{tables / 'epochs'} holds no curves, so there is nothing for BUTTER's schemas.")
    numbers = {identity: n for n, identity in enumerate(sorted(set(experiments["experiment_id"])), start=1)}
    asked = {
        row["experiment_id"]: {"sweeps": list(row["sweeps"]), "n_planned": int(row["n_planned"])}
        for row in experiments[["experiment_id", "sweeps", "n_planned"]].to_dict("records")
    }
    temporary = output / ".exporting"
    shutil.rmtree(temporary, ignore_errors=True)
    written = n_experiments = 0
    for path in epochs:
        rows_of = _runs(tables, partitions_of(path, tables / "epochs"))
        for identity, curves in _experiments(path):
            runs, plan = _in_order(rows_of, curves, tables), asked.get(identity, NOT_ASKED)
            rows = [_repetition(run, plan, numbers[identity], curves[run["run_id"]]) for run in runs]
            summary = _shared(runs[0], plan, numbers[identity]) | _summary([curves[run["run_id"]] for run in runs])
            place = partition_folder(_partitions(runs[0])) / f"part-{identity}.parquet"
            _write(rows, REPETITION, temporary / REPETITIONS / place)
            _write([summary], SUMMARY, temporary / SUMMARIES / place)
            written += len(rows)
            n_experiments += 1
    for name, folder in folders.items():
        (temporary / name).rename(folder)
    temporary.rmdir()
    total = int(pq.read_metadata(tables / RUNS.path).num_rows)
    return ExportCounts(written, n_experiments, total - written)


def _experiments(path: Path) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """The curves of each experiment's runs in a file of epochs/, by run id."""
    ids = pq.read_table(path, columns=["experiment_id"], partitioning=None).column(0).to_pylist()
    blocks = [identity for identity, _ in groupby(ids)]
    if len(blocks) == len(set(blocks)):
        for identity, rows in groupby(_rows(path), key=lambda row: row["experiment_id"]):
            yield identity, {row["run_id"]: row for row in rows}
        return
    for identity in dict.fromkeys(ids):
        yield identity, {row["run_id"]: row for row in _rows(path) if row["experiment_id"] == identity}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    file = pq.ParquetFile(path)
    names = [name for name in HISTORY if name in file.schema_arrow.names]
    for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=["run_id", "experiment_id", *names]):
        for number in range(batch.num_rows):
            row: dict[str, Any] = {name: batch.column(name)[number].as_py() for name in ("run_id", "experiment_id")}
            for name in names:
                cell = batch.column(name)[number]
                row[name] = np.asarray(cell.values, dtype=np.float32) if cell.is_valid else None
            yield row


def _runs(tables: Path, place: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """The rows of runs.parquet of a data set and a shape, by run id."""
    filters = [(name, "=", value) for name, value in place.items()]
    table = pq.read_table(tables / RUNS.path, filters=filters, partitioning=None)
    return {row["run_id"]: row for row in table.to_pylist()}


def _in_order(rows: Mapping[str, dict[str, Any]], run_ids: Iterable[str], tables: Path) -> list[dict[str, Any]]:
    """The rows of these runs by repetition. Raises AnalysisError where one is missing."""
    try:
        return sorted((rows[run_id] for run_id in run_ids), key=lambda row: int(row["repetition"]))
    except KeyError as error:
        raise AnalysisError(
            f"{tables}: run {error.args[0]} has curves but no row in runs.parquet; make the tables anew."
        ) from None


def _partitions(run: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        "dataset": run["dataset"],
        "learning_rate": repr(run["learning_rate"]),
        "batch_size": str(run["batch_size"]),
        "kernel_regularizer.type": _regularizer(run),
        "label_noise": f"{run['label_noise']:.12g}",
        "epochs": str(run["epochs"]),
        "shape": run["shape"],
        "depth": str(run["depth"]),
    }


def _regularizer(run: Mapping[str, Any]) -> str | None:
    used = [name for name in ("l1", "l2") if run[f"kernel_{name}"]]
    return "_".join(used) or None


def _shared(run: Mapping[str, Any], plan: Mapping[str, Any], number: int) -> dict[str, Any]:
    widths = list(run["widths"])
    layers = [{"units": units, "activation": "relu"} for units in widths]
    layers[-1]["activation"] = OUTPUT_ACTIVATIONS[run["head"]]
    return {
        "experiment_id": number,
        **{flag: name in plan["sweeps"] for flag, name in SWEEPS.items()},
        "activation": "relu",
        "batch": ",".join(plan["sweeps"]) or None,
        "input_activation": "relu",
        "kernel_regularizer": _regularizer(run),
        "kernel_regularizer_l1": run["kernel_l1"],
        "kernel_regularizer_l2": run["kernel_l2"],
        "optimizer": run["optimizer"],
        "momentum": run["momentum"],
        "output_activation": OUTPUT_ACTIVATIONS[run["head"]],
        "size": run["size"],
        "task": run["task"],
        "test_split": run["test_split"],
        "num_free_parameters": run["n_parameters"],
        "widths": widths,
        "network_structure": json.dumps({"type": "dense", "inputs": run["n_inputs"], "layers": layers}),
        "command": _command(run, OF_EXPERIMENT, plan),
    }


def _command(run: Mapping[str, Any], names: Sequence[str], others: Mapping[str, Any]) -> str:
    told = {name: run[name] for name in names if run[name] is not None}
    return json.dumps({"wattsweep": told | dict(others)}, sort_keys=True)


def _repetition(
    run: Mapping[str, Any], plan: Mapping[str, Any], number: int, curves: Mapping[str, Any]
) -> dict[str, Any]:
    start_s, training_s = run["started_at"].timestamp(), run["training_s"]
    times = {"started_at_s": start_s, "training_s": training_s}
    return _shared(run, plan, number) | {
        "run_id": run["run_id"],
        "command": _command(run, (*OF_EXPERIMENT, *OF_RUN), dict(plan) | times),
        "python_version": run["python_version"],
        "tensorflow_version": run["tensorflow_version"],
        "test_split_method": "shuffled_train_test_split",
        "platform": run["platform"],
        "git_hash": run["git_commit"],
        "hostname": run["host"],
        "seed": run["seed"],
        "start_time": int(start_s),
        "update_time": int(start_s + training_s),
        **{name: curves.get(name) for name in HISTORY},
    }


def _summary(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"num_runs": len(curves)}
    for name, (metric, statistics) in TRAJECTORIES.items():
        known = [one[metric] for one in curves if one.get(metric) is not None]
        values, reached = stacked(known)
        told = trajectory(values, reached)
        row |= {f"{name}_{statistic}": told[statistic] if known else None for statistic in statistics}
        if metric == "val_loss":
            row["num"] = reached.astype(np.uint16)
    for name, (metric, sign) in BESTS.items():
        known = [one[metric] for one in curves if one.get(metric) is not None]
        epochs, values = best(stacked(known)[0], sign)
        for what, numbers in (("epoch", epochs), ("value", values)):
            row |= {f"{name}_{what}_{statistic}": value for statistic, value in spread_of(numbers).items()}
    return row


def _write(rows: Sequence[Mapping[str, Any]], columns: tuple[tuple[str, Any], ...], path: Path) -> None:
    schema = file_schema(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pa.array([row.get(field.name) for row in rows], type=field.type) for field in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")
