"""Standardisation: energies as if all runs had been on nodes of one type and without their start-up.

Use `standardise` on runs that were judged (`wattsweep.analysis.quality`). Nodes of one type are taken to idle at one
power, and types to differ by a constant power only (arXiv 2403.08151): the energy of a run becomes
(mean power + idle of the reference type - idle of its node's type) x run time, less the overhead of its start-up. What
that takes for granted is checked on the data (`Standardised.checks`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wattsweep.analysis.assumptions import Check, check_assumptions
from wattsweep.analysis.quality import Quality, hardware_class
from wattsweep.errors import AnalysisError
from wattsweep.grid import Settings, experiment_id
from wattsweep.tables.columns import FACTS, SETTINGS
from wattsweep.workload import split_workload

Overhead = Literal["auto", "setup", "rule", "published", "none"]
Floats = NDArray[np.float64]

OVERHEAD_DATASET, OVERHEAD_SIZE, OVERHEAD_QUANTILE = "505_tecator", 1024, 0.05
PUBLISHED_OVERHEAD = {"cpu": (14_029.0, 52.9), "gpu": (271_560.0, 656.0)}
"""J and s of a start-up on BUTTER-E's nodes, as published."""

PUBLISHED_REFERENCES = {"cpu": "cpu1", "gpu": "gpu1"}
QUANTITIES = ("energy_training_j", "energy_standardised_j", "energy_per_datum_j", "training_s", "run_s")
PER_RUN = (
    *("run_id", "experiment_id", "reduced_to", "hardware_class", "node", "node_type", "idle_w", "idle_basis"),
    *("offset_w", "mean_w", "run_s", "energy_gross_j", "energy_standardised_j", "overhead_j", "overhead_s"),
    *("overhead_basis", "energy_training_j", "training_s", "energy_per_datum_j", "energy_per_row_slot_j", "left_out"),
)


@dataclass(frozen=True, eq=False)
class Standardised:
    """Standardised energies of runs and experiments, and what was assumed.

    `runs` has one row per kept run (the columns `PER_RUN`); `experiments` one per experiment and hardware class, with
    medians and quartiles over its runs under the names of experiments.parquet, so that `fit_groups` takes it;
    `references` the reference type of each class, `type_idle_w` the idle power of each type; `overhead` J, s and the
    basis for each class.
    """

    runs: pd.DataFrame
    experiments: pd.DataFrame
    references: Mapping[str, str]
    type_idle_w: Mapping[str, float]
    overhead: Mapping[str, tuple[float, float, str]]
    checks: Sequence[Check]

    def describe(self) -> str:
        """Idle powers, overheads and checks in words."""
        lines = ["idle power by type of node: " + ", ".join(f"{t} {w:.0f} W" for t, w in self.type_idle_w.items())]
        lines += [f"reference for {name}: {kind}" for name, kind in self.references.items()]
        lines += [
            f"start-up on {name}: {joules:,.0f} J and {seconds:,.1f} s ({basis})"
            for name, (joules, seconds, basis) in self.overhead.items()
        ]
        lines += [f"{'holds' if one.holds else 'DOUBTFUL'}: {one.words}" for one in self.checks]
        lines.append(f"{len(self.runs):,} runs, {len(self.experiments):,} experiments by hardware class")
        return "\n".join(lines)


def standardise(
    runs: pd.DataFrame,
    quality: Quality,
    nodes: pd.DataFrame | None = None,
    *,
    overhead: Overhead = "auto",
    references: Mapping[str, str] | None = None,
) -> Standardised:
    """Standardise the kept runs of runs.parquet.

    `nodes` (nodes.parquet of an import) has each node's type and idle power by its history. Without it the idle power
    of a node is the median of what was measured around its blocks, and nodes of one processor and device are a type.
    `references` names the type of each class (cpu, gpu) that others are brought to: cpu1 and gpu1 where they are there,
    else that of most runs.

    `overhead`: "setup" where start-up was measured apart and is in no run's energy; "rule" the published one, the 5 %
    quantile of energy and of run time among the runs of 505_tecator with size <= 1024; "published" the published
    numbers; "none". "auto" takes setup where it was measured, else the rule, else, for BUTTER-E's runs, the published
    numbers. With rule and published numbers 505_tecator is left out of the experiments.

    Raises AnalysisError where no run is left, or none has a node of known idle power.
    """
    kept = runs[quality.kept].reset_index(drop=True)
    if len(kept) == 0:
        raise AnalysisError(
            f"None of {len(runs)} runs is kept, so there is nothing to standardise; see quality.parquet."
        )
    kept = kept.assign(
        hardware_class=hardware_class(kept), node=kept["host"], run_s=kept["training_s"] / kept["runs_at_once"]
    )
    listed = _nodes_of(kept) if nodes is None else nodes
    kept = kept.drop(columns=["idle_w"]).merge(
        listed[["node", "node_type", "idle_w", "idle_basis"]], on="node", how="left", validate="many_to_one"
    )
    type_idle = listed.dropna(subset=["idle_w"]).groupby("node_type")["idle_w"].median()
    chosen = _references(kept, references, set(type_idle.index))
    kept["offset_w"] = kept["hardware_class"].map(chosen).map(type_idle) - kept["node_type"].map(type_idle)
    n_unknown = int(kept["offset_w"].isna().sum())
    known = kept[kept["offset_w"].notna()].reset_index(drop=True)
    if len(known) == 0:
        raise AnalysisError(
            f"None of the nodes of {len(kept)} runs has a known idle power; runs.parquet and nodes.parquet are of "
            "different imports."
        )
    known["mean_w"] = known["energy_gross_j"] / known["run_s"]
    known["energy_standardised_j"] = (known["mean_w"] + known["offset_w"]) * known["run_s"]
    overheads = {str(name): _overhead(group, str(name), overhead) for name, group in known.groupby("hardware_class")}
    for number, column in enumerate(("overhead_j", "overhead_s", "overhead_basis")):
        known[column] = known["hardware_class"].map({name: found[number] for name, found in overheads.items()})
    known["energy_training_j"] = known["energy_standardised_j"] - known["overhead_j"]
    known["training_s"] = known["run_s"] - known["overhead_s"]
    slots = _row_slots(known)
    known["energy_per_datum_j"] = known["energy_training_j"] / (known["epochs_trained"] * known["n_train"])
    known["energy_per_row_slot_j"] = known["energy_training_j"] / slots
    subtracted = known["overhead_basis"].str.startswith(("rule", "published"))
    known["left_out"] = subtracted & (known["dataset"] == OVERHEAD_DATASET)
    known["reduced_to"] = [
        _rectangle_id(IDENTITY, row) for row in known[list(IDENTITY)].itertuples(index=False, name=None)
    ]
    checks = check_assumptions(known, listed, n_unknown=n_unknown, n_nodes_differ=_other_class(known, listed))
    return Standardised(
        runs=known[list(PER_RUN)],
        experiments=_reduced(known[~known["left_out"]]),
        references=chosen,
        type_idle_w={str(name): float(watts) for name, watts in type_idle.items()},
        overhead=overheads,
        checks=checks,
    )


def write_standardised(done: Standardised, folder: Path) -> list[Path]:
    """standardised_runs.parquet and standardised_experiments.parquet in the tables' folder."""
    paths = []
    for name, frame in (("runs", done.runs), ("experiments", done.experiments)):
        path = folder / f"standardised_{name}.parquet"
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, compression="zstd")
        paths.append(path)
    return paths


def read_nodes(folder: Path) -> pd.DataFrame | None:
    """nodes.parquet of a tables' folder; None where there is none, as with tables of our own runs."""
    path = folder / "nodes.parquet"
    return pd.read_parquet(path) if path.is_file() else None


IDENTITY = tuple(field.name for field in fields(Settings))


def _nodes_of(runs: pd.DataFrame) -> pd.DataFrame:
    measured = runs.dropna(subset=["idle_w"])
    first = measured.groupby("node", as_index=False).agg(
        idle_w=("idle_w", "median"),
        cpu_model=("cpu_model", "first"),
        device=("device", "first"),
        hardware_class=("hardware_class", "first"),
    )
    kinds = first["cpu_model"].fillna("unknown processor")
    first["node_type"] = kinds + first["device"].map(lambda name: "" if name == "cpu" else f", {name}")
    return first.assign(idle_basis="measured around blocks")


def _references(runs: pd.DataFrame, asked: Mapping[str, str] | None, types: set[str]) -> dict[str, str]:
    chosen = {}
    for name, group in runs.groupby("hardware_class"):
        wanted = (asked or {}).get(str(name))
        if wanted is not None and wanted not in types:
            raise AnalysisError(
                f"reference {name}={wanted}: no such type of node. Known are {', '.join(sorted(types))}."
            )
        usual = PUBLISHED_REFERENCES[str(name)]
        counts = group["node_type"].value_counts()
        most = min(counts[counts == counts.max()].index) if len(counts) else ""
        chosen[str(name)] = wanted or (usual if usual in types else most)
    return chosen


def _overhead(group: pd.DataFrame, name: str, wanted: Overhead) -> tuple[float, float, str]:
    """J and s to subtract from each run of a class, and on what basis."""
    small = group[(group["dataset"] == OVERHEAD_DATASET) & (group["size"] <= OVERHEAD_SIZE)]
    measured = bool(group["energy_setup_j"].notna().any())
    if wanted == "auto":
        wanted = "setup" if measured else "rule" if len(small) else "none"
        if wanted == "none" and (group["power_source"] == "published").all():
            wanted = "published"
    if wanted == "setup":
        return 0.0, 0.0, "setup was measured apart and is in no run's energy"
    if wanted == "published":
        return *PUBLISHED_OVERHEAD[name], "published numbers"
    if wanted == "none":
        return 0.0, 0.0, "none subtracted"
    if len(small) == 0:
        raise AnalysisError(
            f"The overhead of {name} runs cannot be found: no run of {OVERHEAD_DATASET} with size <= {OVERHEAD_SIZE} "
            "is kept. Give --overhead published or none."
        )
    joules = float(small["energy_standardised_j"].quantile(OVERHEAD_QUANTILE))
    return joules, float(small["run_s"].quantile(OVERHEAD_QUANTILE)), f"rule, over {len(small)} runs"


def _row_slots(runs: pd.DataFrame) -> Floats:
    """Rows of a run's minibatches, the places that the last one leaves empty included: BUTTER-E's number of data."""
    batches = np.ceil(runs["n_train"].to_numpy(np.float64) / runs["batch_size"].to_numpy(np.float64))
    slots = runs["epochs_trained"].to_numpy(np.float64) * batches * runs["batch_size"].to_numpy(np.float64)
    return np.asarray(slots, dtype=np.float64)


@lru_cache(maxsize=65536)
def _rectangle_id(names: tuple[str, ...], row: tuple[Any, ...]) -> str:
    """The experiment that a run of these settings counts for: with depth 2, that of the rectangle."""
    settings = Settings(**dict(zip(names, row, strict=True)))
    return experiment_id(replace(settings, shape="rectangle") if settings.depth == 2 else settings)


def _other_class(runs: pd.DataFrame, nodes: pd.DataFrame) -> int:
    classes = runs["node"].map(nodes.set_index("node")["hardware_class"])
    return int((classes != runs["hardware_class"]).sum())


def _reduced(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per experiment and hardware class: what its runs share, and quartiles over them."""
    shared = [column.name for column in (*SETTINGS, *FACTS)]
    rows = []
    for (identity, name), group in runs.groupby(["reduced_to", "hardware_class"], sort=True):
        first = (group[group["shape"] == "rectangle"] if (group["shape"] == "rectangle").any() else group).iloc[0]
        work = split_workload(
            [int(width) for width in first["widths"]],
            int(first["n_inputs"]),
            int(first["batch_size"]),
            int(first["n_train"]),
            int(first["n_test"]),
        )
        row: dict[str, Any] = {"experiment_id": identity, "hardware_class": name}
        row |= {column: first[column] for column in ("device", "cpu_model", "power_origin", *shared)}
        row |= {
            "shape": "rectangle" if first["depth"] == 2 else first["shape"],
            "n_runs": len(group),
            "n_measured": len(group),
            "n_refused": 0,
            "n_diverged": int(group["diverged_at_epoch"].notna().sum()),
            "n_shapes": int(group["shape"].nunique()),
            "macs_per_epoch": work.macs_per_epoch,
            "train_batches": work.train_batches,
        }
        for quantity in QUANTITIES:
            quartiles = np.percentile(group[quantity].to_numpy(np.float64), [25, 50, 75])
            row |= dict(zip((f"{quantity}_q1", f"{quantity}_median", f"{quantity}_q3"), quartiles, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)
