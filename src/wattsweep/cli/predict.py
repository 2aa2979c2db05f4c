"""The command `predict`: joules and seconds of settings that were never run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, JsonOption
from wattsweep.cli.plan import facts_at_hand
from wattsweep.cli.talking import progress, say_next, with_config

if TYPE_CHECKING:
    import pandas as pd

    from wattsweep.analysis.predicting import FitPair

MOST_ROWS = 40


@app.command(epilog=examples("predict --config my.yaml", "predict --config my.yaml --output prices.csv --json"))
def predict(
    configfile: Annotated[
        Path,
        typer.Option("--config", "--configfile", help="The settings to predict, a configuration.", show_default=True),
    ] = DEFAULT_CONFIG,
    fit_file: Annotated[
        Path | None, typer.Option("--fit", help="The fitted models; without it those below paths.results.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Part of the name of the device: cpu, or a GPU's.")] = "",
    cpu_model: Annotated[str, typer.Option("--cpu-model", help="Part of the name of the CPU.")] = "",
    as_json: JsonOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write every experiment to: .csv, else Parquet.")
    ] = None,
) -> None:
    """Predict energy and time of a configuration's runs.

    Nothing is trained. The models are those that `wattsweep fit` made of finished runs; energy is net of idling, and
    intervals are those of networks and data that the fit did not see.
    """
    from wattsweep.analysis import choose_fits, planned_experiments, predict_runs, read_fits, trained_by
    from wattsweep.config import load
    from wattsweep.errors import AnalysisError
    from wattsweep.planning import garbage_kept, make_plan
    from wattsweep.runs.layout import Layout

    config = load(configfile)
    layout = Layout(config.paths.results)
    path = fit_file or layout.results / "fit" / "energy_model.json"
    pair = choose_fits(read_fits(path), config.training.engine, device, cpu_model)
    with progress("planning"), garbage_kept():
        plan = make_plan(config, facts_at_hand(config, layout))
    if not plan.experiments:
        raise AnalysisError(f"{configfile} plans no experiment whose data are at hand: see `wattsweep plan`")
    experiments = planned_experiments(plan)
    fitting = trained_by(experiments, pair.group)
    with progress("predicting"):
        found = predict_runs(pair, experiments[fitting])
    notes = []
    if len(plan.unknown):
        notes.append(f"{len(plan.unknown):,} experiments on data that are not at hand are left out")
    if not fitting.all():
        notes.append(f"{int((~fitting).sum()):,} experiments for other hardware than {pair.group.device} are left out")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        found.to_csv(output, index=False) if output.suffix == ".csv" else found.to_parquet(output, index=False)
    if as_json:
        print(json.dumps(json.loads(found.to_json(orient="records")), indent=1))
    else:
        print("\n".join(_described(found, pair, path, notes)))
    say_next(f"`{with_config('plan', configfile)}` says how many jobs and hours that is", unless=as_json)


def _described(found: "pd.DataFrame", pair: "FitPair", path: Path, notes: list[str]) -> list[str]:
    group = pair.group
    lines = [
        f"by {path}: {group.engine} on {group.device}, {group.cpu_model}; {group.power_origin} power, net of idling",
        f"mean errors on what the fits did not see: energy {_errors(pair.energy)}; time {_errors(pair.time)}",
        "",
        f"{'dataset':24}{'shape':20}{'parameters':>12}{'depth':>6}{'epochs':>8}  "
        f"{'energy of a run':34}{'time of a run':34}",
    ]
    for _, row in found.head(MOST_ROWS).iterrows():
        beyond = " *" if row["beyond_fit"] else ""
        lines.append(
            f"{row['dataset']:24}{row['shape']:20}{row['n_parameters']:>12,}{row['depth']:>6}{row['epochs']:>8}  "
            f"{_range(row, 'energy_net_j', 'J'):34}{_range(row, 'training_s', 's'):34}{beyond}".rstrip()
        )
    if len(found) > MOST_ROWS:
        lines.append(f"... and {len(found) - MOST_ROWS:,} more: --output or --json gives all")
    total = {
        name + end: float((found[name + end] * found["runs"]).sum())
        for name in ("energy_net_j", "training_s")
        for end in ("", "_lower", "_upper")
    }
    lines += [
        "",
        f"all {found['runs'].sum():,} runs: {_range(total, 'energy_net_j', 'J')}, {_range(total, 'training_s', 's')}",
    ]
    lines.append("the interval of all is as if every run were off to the same side")
    if found["beyond_fit"].any():
        lines.append(
            f"* {int(found['beyond_fit'].sum()):,} experiments lie beyond what was fitted: intervals may not hold"
        )
    return [*lines, *notes]


def _errors(fit: object) -> str:
    errors = getattr(fit, "errors", {})
    return ", ".join(f"{one.mape:.1%} {name}" for name, one in errors.items() if name != "in sample")


def _range(row: "pd.Series | dict[str, float]", name: str, unit: str) -> str:
    from wattsweep.report.numbers import si

    low, high = si(row[name + "_lower"], unit), si(row[name + "_upper"], unit)
    return f"{si(row[name], unit)} ({low} to {high})"
