"""From a row of BUTTER's two schemas to our records and rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from wattsweep.grid import Experiment, Run, Settings, experiment_id
from wattsweep.importers.butter_schema import HISTORY, SWEEPS
from wattsweep.importers.columns import CURVES, PUBLISHED
from wattsweep.importers.facts import DATASETS, PublishedValueError, count_inputs, data_facts, published_settings
from wattsweep.runs.record import DataFacts, Network, Phase, RunRecord
from wattsweep.tables.columns import EXPERIMENTS, PROVENANCE, SETTINGS
from wattsweep.tables.rows import Row, facts_columns
from wattsweep.workload import split_workload

NO_POWER = "BUTTER publishes no power"
LOSSES = {"q0": "min", "q25": "q1", "q50": "median", "q75": "q3", "q100": "max"}


@dataclass(frozen=True, slots=True)
class Identified:
    """The experiment of a row, and the sweeps that hold it; `told` is what our own export put aside."""

    settings: Settings
    network: Network
    data: DataFacts
    sweeps: tuple[str, ...]
    told: Mapping[str, Any]

    @property
    def n_planned(self) -> int | None:
        """How many runs were asked for; None where the files do not say."""
        return self.told.get("n_planned")


def identify(row: Mapping[str, Any]) -> Identified:
    """What a row says of its experiment. Raises PublishedValueError, which says why, where that is no use."""
    told = _told(row)
    widths = tuple(int(width) for width in row["widths"] or ())
    n_parameters = int(row["num_free_parameters"] or 0)
    network = Network(count_inputs(n_parameters, widths), widths, n_parameters)
    if told:
        try:
            settings = Settings(**{column.name: told[column.name] for column in SETTINGS})
            facts = [told[name] for name in ("task", "head", "n_observations", "n_train", "n_test")] + [""]
        except KeyError as error:
            raise PublishedValueError(f"command lacks {error.args[0]}") from None
        data = DataFacts(*facts)
        sweeps = tuple(told.get("sweeps", ()))
    else:
        settings = published_settings(row)
        known = DATASETS.get(settings.dataset)
        if known is None:
            raise PublishedValueError(f"number of rows of {settings.dataset} is not known")
        softmax = str(row.get("output_activation")) == "softmax"
        data = data_facts(
            settings.dataset, known.n_observations, widths, test_split=settings.test_split, softmax=softmax
        )
        sweeps = tuple(name for flag, name in SWEEPS.items() if row.get(flag))
    return Identified(settings, network, data, sweeps, told)


def to_record(row: Mapping[str, Any], found: Identified, rank: int) -> RunRecord:
    """The record of a run; `rank` numbers it where nothing else does.

    Its provenance is BUTTER's, and of our own export what that put aside. Raises PublishedValueError for a run without
    losses or times.
    """
    history = {name: row[name].astype(np.float32) for name in HISTORY if row.get(name) is not None}
    if any(len(history.get(name, ())) == 0 for name in ("loss", "val_loss")):
        raise PublishedValueError("no loss or val_loss")
    told = found.told
    start_s = told.get("started_at_s", row["start_time"])
    if start_s is None or (row["update_time"] is None and "training_s" not in told):
        raise PublishedValueError("no start_time or update_time")
    training_s = told.get("training_s", float(row["update_time"] or 0) - float(start_s))
    provenance = {
        "host": row["hostname"],
        "platform": row["platform"],
        "python_version": row["python_version"],
        "tensorflow_version": row["tensorflow_version"],
        "git_commit": row["git_hash"],
    }
    provenance |= {name: told[name] for name, _ in PROVENANCE if name in told}
    return RunRecord(
        run=Run(row["run_id"], experiment_id(found.settings), int(told.get("repetition", rank)), int(row["seed"] or 0)),
        settings=found.settings,
        network=found.network,
        data=found.data,
        provenance={name: value for name, value in provenance.items() if value} | {"power_lost": NO_POWER},
        history=history,
        phases=(Phase("training", 0.0, training_s),),
        utc_offset_s=float(start_s),
    )


def published_row(row: Mapping[str, Any], record: RunRecord) -> Row:
    """The row in published.parquet; what only BUTTER-E has is None."""
    published: Row = dict.fromkeys(PUBLISHED.schema.names)
    return published | {
        "run_id": row["run_id"],
        "experiment_id": record.run.experiment_id,
        "published_experiment_id": str(row["experiment_id"]),
        "old_experiment_id": int(row["experiment_id"]),
        "batch": row["batch"],
        "node": row["hostname"],
        "started_at": datetime.fromtimestamp(record.started_at_s, UTC),
        "ended_at": datetime.fromtimestamp(record.started_at_s + record.training_s, UTC),
        "run_s": record.training_s,
        "widths_from": "summary",
    }


def curves_row(row: Mapping[str, Any], found: Identified) -> Row:
    """The row in curves/: quantiles of the test loss at each epoch. BUTTER does not tell those of the best so far."""
    curves: Row = dict.fromkeys(CURVES.schema.names)
    median = row.get("test_loss_median")
    if median is None or len(median) == 0:
        raise PublishedValueError("no test_loss_median")
    curves |= {
        "experiment_id": experiment_id(found.settings),
        "n_runs": row["num_runs"],
        "epoch": np.arange(1, len(median) + 1),
    }
    for quantile, published in LOSSES.items():
        curve = row.get(f"test_loss_{published}")
        curves[f"test_loss_{quantile}"] = None if curve is None else curve.astype(np.float32)
    spread, mean = row.get("test_loss_stddev"), row.get("test_loss_avg")
    if spread is not None and mean is not None and len(spread) == len(mean):
        positive = mean > 0
        curves["test_loss_cv"] = np.where(positive, spread / np.where(positive, mean, 1.0), np.nan).astype(np.float32)
    return curves


def summary_row(row: Mapping[str, Any], found: Identified) -> Row:
    """The row in experiments.parquet of an experiment that only its summary tells of."""
    settings, network, data = found.settings, found.network, found.data
    work = split_workload(network.widths, network.n_inputs, settings.batch_size, data.n_train, data.n_test)
    asked = Experiment(experiment_id(settings), settings, int(row["num_runs"]), found.sweeps)
    told: Row = dict.fromkeys(EXPERIMENTS.schema.names)
    told |= {column.name: getattr(settings, column.name) for column in SETTINGS}
    told |= facts_columns(network, data)
    told |= {
        "experiment_id": asked.experiment_id,
        "power_origin": "none",
        "sweeps": list(asked.sweeps),
        "n_planned": asked.repetitions,
        "n_runs": asked.repetitions,
        "n_measured": 0,
        "n_refused": 0,
        "n_diverged": 0,
        "n_blocks": 0,
        "macs_per_epoch": work.macs_per_epoch,
        "train_batches": work.train_batches,
    }
    for quartile in ("q1", "median", "q3"):
        told[f"test_loss_{quartile}"] = _last(row.get(f"test_loss_{quartile}"))
        told[f"test_loss_best_{quartile}"] = _finite(row.get(f"test_loss_min_value_{quartile}"))
        told[f"test_accuracy_{quartile}"] = _last(row.get(f"test_accuracy_{quartile}"))
    return told


def _told(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What our own export put into `command`; empty for BUTTER's own files."""
    try:
        document = json.loads(row.get("command") or "{}")
    except ValueError:
        return {}
    told = document.get("wattsweep") if isinstance(document, dict) else None
    return told if isinstance(told, dict) else {}


def _last(curve: Any) -> float | None:
    return None if curve is None or len(curve) == 0 else _finite(curve[-1])


def _finite(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
