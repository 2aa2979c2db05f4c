"""What the report says, drawn from the plan and the tables as plain values for its template."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from wattsweep.report.numbers import count, si
from wattsweep.tables.writing import refusal_kinds

Facts = dict[str, Any]

RunLink = Callable[[str, str], str]
"""From ids of an experiment and a run to where its file lies, seen from the report; empty where it is not there."""

MOST_EXPERIMENTS = 500
MOST_RUNS = 1000
MOST_NONCONFORMANT = 100

HARDWARE = ["host", "device", "cpu_model", "threads", "platform"]
SOFTWARE = ["wattsweep_version", "git_commit", "python_version", "tensorflow_version", "keras_version"]
SOURCES = ["power_origin", "power_source", "power_scope"]


def headline(experiments: pd.DataFrame) -> Facts | None:
    """What a run cost: range, dearest and cheapest experiment; None where no experiment has a net energy.

    Origins of power are not compared: where some are measured, those alone are told of.
    """
    known = experiments[experiments["energy_net_j_median"].notna()]
    if known.empty:
        return None
    origins = sorted(known["power_origin"].unique())
    origin = "measured" if "measured" in origins else origins[0]
    chosen = known[known["power_origin"] == origin].sort_values("energy_net_j_median", kind="stable")
    cheapest, dearest = _records(chosen.iloc[[0, -1]])
    low, high = cheapest["energy_net_j_median"], dearest["energy_net_j_median"]
    return {
        "origin": origin,
        "other_origins": [other for other in origins if other != origin],
        "n_experiments": len(chosen),
        "n_runs": int(chosen["n_measured"].sum()),
        "median": float(chosen["energy_net_j_median"].median()),
        "low": low,
        "high": high,
        "ratio": high / low if low > 0 else None,
        "per_datum": float(chosen["energy_per_datum_j_median"].median()),
        "cheapest": cheapest | {"words": in_words(cheapest)},
        "dearest": dearest | {"words": in_words(dearest)},
    }


def in_words(experiment: Mapping[str, Any]) -> str:
    """An experiment in a few words."""
    return (
        f"{experiment['dataset']}, {experiment['shape']} of {experiment['depth']} layers with "
        f"{count(experiment['n_parameters'])} parameters, {count(experiment['epochs'])} epochs"
    )


def completeness(
    plan: Mapping[str, Any], runs: pd.DataFrame, experiments: pd.DataFrame, missing: Mapping[str, Any]
) -> Facts:
    """What was asked, what ran, what is missing and why, what was refused and why."""
    planned = int(runs["planned"].sum())
    statuses = Counter(runs["energy_status"])
    reasons: Counter[str] = Counter()
    for reason in runs.loc[runs["energy_status"] == "refused", "energy_reason"].dropna():
        reasons.update(refusal_kinds(str(reason)))
    left_out = sorted(plan["nonconformant"], key=lambda one: -abs(one["relative_error"]))
    return {
        "sweeps": plan["sweeps"],
        "datasets": plan["datasets"],
        "experiments_asked": plan["experiments"],
        "experiments_ran": int(experiments["experiment_id"].nunique()),
        "runs_asked": plan["runs"],
        "runs": len(runs),
        "runs_planned": planned,
        "runs_further": len(runs) - planned,
        "runs_missing": plan["runs"] - planned,
        "missing_because": missing.get("missing_because", {}),
        "missing_examples": list(missing.get("missing_examples", {}).values()),
        "energy_ok": statuses["ok"],
        "energy_refused": statuses["refused"],
        "energy_none": statuses["none"],
        "refusals": dict(sorted(reasons.items())),
        "examples": _examples(runs),
        "nonconformant": left_out[:MOST_NONCONFORMANT],
        "n_nonconformant": len(left_out),
        "nonconformant_reasons": dict(Counter(one["reason"] for one in left_out if "reason" in one)),
    }


def nodes(runs: pd.DataFrame) -> list[Facts]:
    """The hardware and software that runs were made on, with their number of runs."""
    return _groups(runs, HARDWARE + SOFTWARE)


def power(runs: pd.DataFrame) -> list[Facts]:
    """The kinds of source of power, with what they were worth; one detail and one reason stand for all of a kind."""
    found = []
    for key, group in runs[runs["power_origin"] != "none"].groupby(SOURCES, dropna=False, sort=True):
        blocks = group.drop_duplicates("block_id")
        ok = group[group["energy_status"] == "ok"]
        doubt = (ok["energy_net_upper_j"] - ok["energy_net_lower_j"]) / 2 / ok["energy_net_j"].abs()
        found.append(
            dict(zip(SOURCES, key, strict=True))
            | {
                "detail": group["power_detail"].iloc[0],
                "n_details": group["power_detail"].nunique(),
                "because": group["power_selected_because"].iloc[0],
                "runs": len(group),
                "refused": int((group["energy_status"] == "refused").sum()),
                "blocks": len(blocks),
                "block_s": blocks["block_s"].median(),
                "refresh_s": blocks["refresh_s"].median(),
                "n_refreshes": blocks["n_refreshes"].median(),
                "coverage_low": blocks["coverage"].min(),
                "coverage": blocks["coverage"].median(),
                "idle_w": blocks["idle_w"].median(),
                "mean_w": blocks["mean_w"].median(),
                "doubt": doubt.median(),
            }
        )
    return found


def experiment_table(experiments: pd.DataFrame) -> Facts:
    """The first rows of the table of experiments, and how many there are."""
    order = ["dataset", "shape", "depth", "size", "epochs", "batch_size", "power_origin", "experiment_id"]
    rows = _records(experiments.sort_values(order).head(MOST_EXPERIMENTS))
    return {"rows": rows, "n": len(experiments), "shown": len(rows)}


def run_table(runs: pd.DataFrame, link: RunLink) -> Facts:
    """The runs of most net energy, each with the link to its file, and how many there are."""
    columns = [
        *("run_id", "experiment_id", "dataset", "shape", "depth", "n_parameters", "repetition", "training_s"),
        *("energy_net_j", "energy_net_lower_j", "energy_net_upper_j", "energy_gross_j", "energy_status"),
        *("power_origin", "test_loss", "host"),
    ]
    order = ["energy_net_j", "training_s", "run_id"]
    chosen = runs.sort_values(order, ascending=[False, False, True], na_position="last").head(MOST_RUNS)
    rows = [row | {"link": link(row["experiment_id"], row["run_id"])} for row in _records(chosen[columns])]
    return {"rows": rows, "n": len(runs), "shown": len(rows)}


def span(runs: pd.DataFrame) -> Facts | None:
    """When runs were trained, and what all of them took."""
    if runs.empty:
        return None
    first, last = runs["started_at"].min(), runs["started_at"].max()
    return {
        "first": first.strftime("%Y-%m-%d %H:%M"),
        "last": last.strftime("%Y-%m-%d %H:%M"),
        "training_s": float(runs["training_s"].sum()),
        "gross_j": float(runs["energy_gross_j"].sum()),
        "gross_known": int(runs["energy_gross_j"].notna().sum()),
        "emissions_kg": float(runs["emissions_kgco2e"].sum()) if runs["emissions_kgco2e"].notna().any() else None,
    }


def range_words(low: Any, high: Any, unit: str) -> str:
    """A range with units, such as "1.2 mJ to 3 J"."""
    return f"{si(low, unit)} to {si(high, unit)}"


def _examples(runs: pd.DataFrame) -> list[str]:
    """The first reason in full for each combination of kinds."""
    examples: dict[tuple[str, ...], str] = {}
    for reason in runs.loc[runs["energy_status"] == "refused", "energy_reason"].dropna():
        examples.setdefault(tuple(refusal_kinds(str(reason))), str(reason))
    return [examples[kinds] for kinds in sorted(examples)]


def _groups(runs: pd.DataFrame, columns: list[str]) -> list[Facts]:
    known = runs[columns].fillna("").astype(str)
    return [dict(zip(columns, key, strict=True)) | {"runs": len(group)} for key, group in known.groupby(columns)]


def _records(frame: pd.DataFrame) -> list[Facts]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
