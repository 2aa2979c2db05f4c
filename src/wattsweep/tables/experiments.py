"""From the runs of an experiment to its rows: medians and quartiles, kinds of power and of hardware kept apart."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from wattsweep.grid import Experiment
from wattsweep.tables.columns import FACTS, QUANTITIES, QUARTILES, SETTINGS
from wattsweep.tables.rows import Row
from wattsweep.workload import split_workload

Key = tuple[str, str, str]

SHARED = tuple(column.name for column in (*SETTINGS, *FACTS))


def experiment_rows(runs: Sequence[Row], planned: Experiment | None) -> list[Row]:
    """The rows of one experiment in experiments.parquet, of all its rows in runs.parquet.

    One row for each (device, CPU model, origin of power) among the runs, in that order.
    """
    ordered = sorted(runs, key=_key)
    return [_row(list(group), planned) for _, group in groupby(ordered, key=_key)]


def _key(run: Row) -> Key:
    return (run["device"] or "", run["cpu_model"] or "", run["power_origin"])


def _row(runs: Sequence[Row], planned: Experiment | None) -> Row:
    first = runs[0]
    work = split_workload(first["widths"], first["n_inputs"], first["batch_size"], first["n_train"], first["n_test"])
    statuses = [run["energy_status"] for run in runs]
    row = {name: first[name] for name in ("experiment_id", "device", "cpu_model", "power_origin", *SHARED)}
    row |= {
        "sweeps": list(planned.sweeps) if planned else [],
        "n_planned": planned.repetitions if planned else 0,
        "n_runs": len(runs),
        "n_measured": statuses.count("ok"),
        "n_refused": statuses.count("refused"),
        "n_diverged": sum(run["diverged_at_epoch"] is not None for run in runs),
        "n_blocks": len({run["block_id"] for run in runs} - {None}),
        "macs_per_epoch": work.macs_per_epoch,
        "train_batches": work.train_batches,
    }
    for name, _, _ in QUANTITIES:
        row |= _quartiles(name, (run.get(name) for run in runs))
    for end in ("lower", "upper"):
        row[f"energy_net_j_{end}"] = _median(run[f"energy_net_{end}_j"] for run in runs)
        row[f"energy_per_datum_j_{end}"] = _median(_per_datum(run, f"energy_net_{end}_j") for run in runs)
    return row


def _per_datum(run: Row, name: str) -> float | None:
    data = run["epochs_trained"] * run["n_train"]
    return None if run[name] is None else float(run[name] / data)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _quantile(sorted(known), 0.5) if known else None


def _quartiles(name: str, values: Iterable[float | None]) -> Row:
    known = [value for value in values if value is not None]
    names = [f"{name}_{quartile}" for quartile, _ in QUARTILES]
    if not known:
        return dict.fromkeys(names)
    ordered = sorted(known)
    return dict(zip(names, (_quantile(ordered, share) for share in (0.25, 0.5, 0.75)), strict=True))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted values, interpolated between two of them as by NumPy, which is slow for a few values."""
    place = share * (len(ordered) - 1)
    index = int(place)
    low, high, rest = ordered[index], ordered[min(index + 1, len(ordered) - 1)], place - index
    return float(low + (high - low) * rest if rest < 0.5 else high - (high - low) * (1 - rest))
