"""Quality: which runs to trust, by rules with names. Nothing is deleted; a run that a rule finds is flagged with it.

Use `judge` on runs.parquet, ours or imported, and `write_quality` to keep the flags beside it as quality.parquet. The
filters are those of BUTTER-E (arXiv 2403.08151); the reading rules say why a run has no energy at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wattsweep.importers.joins import LITTLE_COVERED, NO_FILE, NO_READING, TOO_FEW, ZERO, reason_kind
from wattsweep.tables.columns import FLAG, FLOAT, TEXT, TEXTS, Column, Table

LONGEST_RUN_S = 75_000.0
MOST_DEVIATIONS = 4.0

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

QUALITY = Table(
    "quality.parquet",
    "one run of runs.parquet",
    (
        Column("run_id", TEXT, "", "The run."),
        Column("kept", FLAG, "", "Whether no rule finds it."),
        Column("rules", TEXTS, "", "The names of the rules that find it."),
        Column(
            "run_time_deviations",
            FLOAT,
            "",
            "How many standard deviations its log run time is from the mean of the measured runs of its hardware "
            "class, dataset and size; null where there is one run, or no spread.",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, what it finds in words, and the flags [runs] that it gives."""

    name: str
    words: str
    find: Callable[[pd.DataFrame], Flags]


@dataclass(frozen=True, eq=False)
class Quality:
    """The flags of runs, [runs, rules] in their order, and the deviations [runs] behind the rule of run times."""

    run_ids: tuple[str, ...]
    rules: tuple[Rule, ...]
    flags: Flags
    deviations: Floats

    @property
    def kept(self) -> Flags:
        """Which runs no rule finds."""
        return np.asarray(~self.flags.any(axis=1), dtype=np.bool_)

    def counts(self) -> dict[str, int]:
        """Runs found by each rule; a run may be found by several."""
        return {rule.name: int(count) for rule, count in zip(self.rules, self.flags.sum(axis=0), strict=True)}

    def describe(self) -> str:
        """A line for each rule that finds a run: how many, and how many of them none before it finds."""
        lines = [f"{'rule':<22}{'runs':>8}{'more':>8}  what it finds"]
        found = np.zeros(len(self.run_ids), dtype=np.bool_)
        for number, rule in enumerate(self.rules):
            own = self.flags[:, number]
            if own.any():
                lines.append(f"{rule.name:<22}{own.sum():>8,}{(own & ~found).sum():>8,}  {rule.words}")
            found |= own
        lines.append(f"{'kept':<22}{self.kept.sum():>8,}{'':>8}  of {len(self.run_ids):,} runs; the others are flagged")
        return "\n".join(lines)

    def frame(self) -> pd.DataFrame:
        """One row per run, with the columns of quality.parquet."""
        names = [rule.name for rule in self.rules]
        return pd.DataFrame(
            {
                "run_id": self.run_ids,
                "kept": self.kept,
                "rules": [[name for name, flag in zip(names, row, strict=True) if flag] for row in self.flags],
                "run_time_deviations": self.deviations,
            }
        )


def judge(runs: pd.DataFrame) -> Quality:
    """The flags of every run of runs.parquet (`wattsweep.tables.read_runs`).

    The filters look at runs that have an energy, as the published ones did; the groups of run times hold all of these,
    long runs included.
    """
    deviations = run_time_deviations(runs)
    rules = (
        *READING_RULES,
        Rule("long_run", f"run time over {LONGEST_RUN_S:,.0f} s", _long_run),
        Rule("zero_energy", "an energy of 0 J", _zero_energy),
        Rule(
            "unusual_run_time",
            f"log run time more than {MOST_DEVIATIONS:g} standard deviations from the mean of its hardware class, "
            "dataset and size",
            lambda _: np.nan_to_num(deviations) > MOST_DEVIATIONS,
        ),
    )
    flags = np.stack([rule.find(runs) for rule in rules], axis=1)
    return Quality(tuple(runs["run_id"]), rules, flags, deviations)


def hardware_class(runs: pd.DataFrame) -> "pd.Series[str]":
    """Cpu or gpu for each run, by what trained it."""
    return runs["device"].fillna("cpu").where(runs["device"].fillna("cpu") == "cpu", "gpu")


def run_time_deviations(runs: pd.DataFrame) -> Floats:
    """|log run time - mean| / standard deviation (of the population) in each (hardware class, dataset, size), [runs].

    Only runs with an energy count, and nan stands for the others, for groups of one run and for those without a spread.
    """
    deviations = np.full(len(runs), np.nan)
    measured = np.flatnonzero(_measured(runs) & (_numbers(runs, "training_s") > 0))
    if len(measured) == 0:
        return deviations
    chosen = runs.iloc[measured]
    logs = pd.Series(np.log(_numbers(chosen, "training_s")), index=chosen.index)
    groups = logs.groupby([hardware_class(chosen), chosen["dataset"], chosen["size"]])
    means, spreads = groups.transform("mean"), groups.transform("std", ddof=0)
    # rounding leaves a spread of 1e-16 where all are equal
    usable = spreads.to_numpy() > 1e-9
    away = np.abs(logs.to_numpy() - means.to_numpy())
    deviations[measured[usable]] = away[usable] / spreads.to_numpy()[usable]
    return deviations


def write_quality(quality: Quality, folder: Path) -> Path:
    """quality.parquet in the tables' folder."""
    path = folder / QUALITY.path
    rows = quality.frame().to_dict("records")
    for row in rows:
        row["run_time_deviations"] = row["run_time_deviations"] if np.isfinite(row["run_time_deviations"]) else None
    pq.write_table(pa.Table.from_pylist(rows, schema=QUALITY.schema), path, compression="zstd")
    return path


def _measured(runs: pd.DataFrame) -> Flags:
    return np.asarray(runs["energy_status"] == "ok", dtype=np.bool_)


def _numbers(runs: pd.DataFrame, column: str) -> Floats:
    return np.asarray(pd.to_numeric(runs[column]), dtype=np.float64)


def _long_run(runs: pd.DataFrame) -> Flags:
    return np.asarray(_measured(runs) & (_numbers(runs, "training_s") > LONGEST_RUN_S), dtype=np.bool_)


def _zero_energy(runs: pd.DataFrame) -> Flags:
    return np.asarray(_measured(runs) & (_numbers(runs, "energy_gross_j") == 0), dtype=np.bool_)


def _refused_for(kind: str) -> Callable[[pd.DataFrame], Flags]:
    def find(runs: pd.DataFrame) -> Flags:
        kinds = runs["energy_reason"].fillna("").map(reason_kind)
        return np.asarray((runs["energy_status"] == "refused") & (kinds == kind), dtype=np.bool_)

    return find


def _refused_otherwise(runs: pd.DataFrame) -> Flags:
    kinds = runs["energy_reason"].fillna("").map(reason_kind)
    return np.asarray((runs["energy_status"] == "refused") & ~kinds.isin(READING_KINDS.values()), dtype=np.bool_)


READING_KINDS = {
    "zero_reading": ZERO,
    "no_reading": NO_READING,
    "too_few_readings": TOO_FEW,
    "no_power_file": NO_FILE,
    "little_covered": LITTLE_COVERED,
}
"""The reading rules' names, and the kinds of reason by which a join refuses a run."""

READING_RULES = (
    *(Rule(name, kind, _refused_for(kind)) for name, kind in READING_KINDS.items()),
    Rule("energy_refused", "an energy that was refused for another reason", _refused_otherwise),
    Rule(
        "not_measured",
        "no power was read",
        lambda runs: np.asarray(runs["energy_status"] == "none", dtype=np.bool_),
    ),
)
