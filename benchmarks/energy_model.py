"""How well the energy model predicts what it has not seen, on a real sweep.

`python -m benchmarks.energy_model` fits every model to the aggregates kept in benchmarks/data and prints the tables of
docs/energy-model.md; `--write` puts them there. `--keep TABLES` first keeps the experiments of a folder of tables, such
as results/energy-model/tables, with a profile of this node, on which they must have been trained.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.page import table, write_between
from wattsweep.analysis import EnergyModelFit, MarginalCost, fit_groups, marginal_costs, threads_of
from wattsweep.config import AnalysisConfig
from wattsweep.hardware import profile, write_profile
from wattsweep.report.numbers import si
from wattsweep.tables import read_experiments, read_runs

DATA = Path(__file__).parent / "data"
EXPERIMENTS, NODE = DATA / "energy-model.parquet", DATA / "energy-model-node.yaml"
PAGE = Path(__file__).parents[1] / "docs" / "energy-model.md"
BEGIN, END = "<!-- begin energy_model -->", "<!-- end energy_model -->"

KEPT = (
    *("experiment_id", "engine", "device", "cpu_model", "power_origin", "dataset_source", "dataset", "shape", "size"),
    *("depth", "epochs", "batch_size", "n_inputs", "n_outputs", "n_observations", "n_train", "n_test", "n_parameters"),
    *("widths", "n_runs", "n_measured", "n_refused", "n_diverged", "macs_per_epoch", "train_batches"),
    *(f"energy_per_datum_j_{end}" for end in ("q1", "median", "q3", "lower", "upper")),
    *(f"training_s_{end}" for end in ("q1", "median", "q3")),
)
"""Columns of experiments.parquet that the analysis needs."""

LEAST_RUNS, NORMAL_IQR = 5, 1.349
RESIDUALS = ("dataset", "size", "depth", "shape")


def keep(folder: Path) -> None:
    """Keep the aggregates of a folder of tables, their threads and this node's profile."""
    experiments, runs = read_experiments(folder), read_runs(folder)
    threads = threads_of(runs)
    begun = runs.groupby("experiment_id")["started_at"].min()
    kept = experiments[list(KEPT)].assign(started_at=experiments["experiment_id"].map(begun))
    DATA.mkdir(exist_ok=True)
    kept.sort_values("experiment_id").to_parquet(EXPERIMENTS, index=False, compression="zstd")
    node = profile("this-cpu")
    write_profile(node.on(max(threads.values(), default=node.levels[0].units)), NODE)


def page(experiments: pd.DataFrame, fits: Sequence[EnergyModelFit], costs: Iterable[MarginalCost]) -> str:
    """The tables as Markdown."""
    fitted = [fit for fit in fits if fit.fitted]
    model = next(fit for fit in fitted if fit.model == "settings")
    group = model.group
    parts = [
        f"{model.n_experiments} experiments ({excluded(model)}), {group.engine} on {group.cpu_model}, "
        f"{experiments['dataset'].nunique()} datasets, {experiments['shape'].nunique()} shapes, "
        f"{experiments['depth'].nunique()} depths, 2^{int(np.log2(experiments['size'].min()))} to "
        f"2^{int(np.log2(experiments['size'].max()))} parameters. Power: {group.power_origin}.",
        table(
            ["model", "predictions", "MAPE", "median", "bias", "within 10 %", "in their interval"],
            [row for fit in fitted for row in error_rows(fit)],
        ),
        "Coefficients of `settings`:",
        table(
            ["term", "paid", "coefficient", f"{model.confidence:.0%} interval", "mean share of energy"],
            [
                [
                    one.name,
                    one.description,
                    si(one.value, one.unit),
                    f"{si(one.lower, one.unit)} to {si(one.upper, one.unit)}",
                    f"{one.share:.1%}",
                ]
                for one in model.coefficients
            ],
        ),
        "What the residuals still hold: the median of predicted / measured, held out by dataset, and of its distance "
        "from 1.",
        table(["of", "experiments", "median ratio", "median error"], residual_rows(experiments, model)),
        noise_words(experiments, model),
        "Marginal costs, without a model:",
        table(
            ["one more", "from parameters", "costs", "interval", "slopes", "lines"],
            [
                [
                    cost.per,
                    f"{cost.least_parameters:,}",
                    si(cost.value, cost.unit),
                    f"{si(cost.lower, cost.unit)} to {si(cost.upper, cost.unit)}",
                    cost.n_slopes,
                    cost.n_lines,
                ]
                for cost in costs
            ],
        ),
    ]
    return "\n\n".join(parts)


def excluded(fit: EnergyModelFit) -> str:
    """How many were left out and why."""
    return ", ".join(f"{n} left out because {why}" for why, n in fit.excluded.items()) or "none left out"


def error_rows(fit: EnergyModelFit) -> list[list[str]]:
    """The errors of a fit, a row for each way of holding out."""
    return [
        [
            f"`{fit.model}`",
            name,
            f"{one.mape:.1%}",
            f"{one.median:.1%}",
            f"{one.bias:+.1%}",
            f"{one.within_10:.0%}",
            "-" if one.coverage is None else f"{one.coverage:.0%}",
        ]
        for name, one in fit.errors.items()
    ]


def residual_rows(experiments: pd.DataFrame, fit: EnergyModelFit) -> list[list[object]]:
    """Ratios of predictions held out by dataset (at random where there is one), by what experiments have in common."""
    ratios = {
        one.experiment_id: (one.held_out_j if one.by_dataset_j is None else one.by_dataset_j) / one.measured_j
        for one in fit.predictions
    }
    known = experiments[experiments["experiment_id"].isin(ratios)]
    known = known.assign(ratio=known["experiment_id"].map(ratios))
    rows: list[list[object]] = []
    for name in RESIDUALS:
        for value, members in known.groupby(name)["ratio"]:
            error = float((members - 1).abs().median())
            rows.append([f"{name} {value}", len(members), f"{members.median():.2f}", f"{error:.1%}"])
    return rows


def noise_words(experiments: pd.DataFrame, fit: EnergyModelFit) -> str:
    """How much of the residuals is the machine's own unrest, which no model can know."""
    quartiles = [experiments[f"energy_per_datum_j_{end}"] for end in ("q1", "median", "q3")]
    repeated = experiments["n_measured"] >= LEAST_RUNS
    spread = ((quartiles[2] - quartiles[0]) / NORMAL_IQR / quartiles[1])[repeated]
    ratios = {one.experiment_id: np.log(one.held_out_j / one.measured_j) for one in fit.predictions}
    in_order = experiments.sort_values("started_at")["experiment_id"].map(ratios).dropna()
    minutes = (experiments["started_at"].max() - experiments["started_at"].min()).total_seconds() / 60
    return (
        "And the machine's own unrest, which no model can know: runs of one experiment, one right after the other, "
        f"differ by a standard deviation of {spread.median():.0%} (median of {repeated.sum()} experiments, from "
        f"quartiles); a block has {experiments['n_measured'].median():.0f} of them in the median. In the order in "
        f"which experiments were measured, over {minutes:.0f} min, residuals of neighbours correlate by "
        f"{in_order.autocorr(1):.2f}, and by {in_order.autocorr(5):.2f} five apart: its speed drifts from minute to "
        "minute."
    )


def analyse(experiments: pd.DataFrame, node: Path) -> str:
    """Fit every model to the experiments that were trained on the node of a profile, and describe the outcome."""
    config = AnalysisConfig(hardware=[str(node)], bootstrap_samples=1000)
    fits = fit_groups(experiments, config)
    return page(
        experiments, [replace(fit, hardware_assumed=False) for fit in fits], marginal_costs(experiments, config)
    )


def main() -> None:
    """Fit and print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.energy_model", description=__doc__.split("\n\n")[0])
    parser.add_argument("--keep", type=Path, metavar="TABLES", help="keep the aggregates of these tables first")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    arguments = parser.parse_args()
    if arguments.keep:
        keep(arguments.keep)
    text = analyse(pd.read_parquet(EXPERIMENTS), NODE)
    print(text)
    if arguments.write:
        write_between(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
