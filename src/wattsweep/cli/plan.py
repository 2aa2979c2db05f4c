"""The command `plan`: what a configuration asks for, what it will cost, and predicted against actual."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, ConfigFile, JsonOption
from wattsweep.cli.talking import Bar, progress, say_next, with_config, workflow_command

if TYPE_CHECKING:
    from wattsweep.config import Config
    from wattsweep.datasets import DatasetFacts
    from wattsweep.planning import FinishedRun, FinishedShard, Plan
    from wattsweep.runs import Layout


@app.command(epilog=examples("plan", "plan --configfile my.yaml", "plan --json --output results/plan"))
def plan(
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    output: Annotated[Path | None, typer.Option("--output", help="Folder to write the plan to.")] = None,
) -> None:
    """Show what a configuration asks for and what it will cost.

    Sweeps, experiments, runs, what is left out and why, shards, node-hours and kWh with ranges, and where they go by
    size. Nothing is downloaded: experiments on data that is not at hand are counted apart.

    Once there are finished runs, the predictor is fitted to them, predicted is set against actual, and jobs that are
    submitted from then on ask for the wall times that it predicts. No shard is changed by that.
    """
    from wattsweep.planning import garbage_kept

    with progress("reading the configuration") as bar, garbage_kept():
        words, after = _plan(configfile, as_json, output, bar)
    print(words)
    say_next(after, unless=as_json)


def _plan(configfile: Path, as_json: bool, output: Path | None, bar: Bar) -> tuple[str, str]:
    """Plan, keep what is to be kept, and give what is to be printed and what to do next."""
    from wattsweep.config import load
    from wattsweep.planning import compare, describe_plan, learn, make_plan, plan_to_json, write_plan, write_prediction
    from wattsweep.runs.layout import Layout

    config = load(configfile)
    layout = Layout(config.paths.results)
    bar.say("preparing datasets")
    facts = facts_at_hand(config, layout)
    bar.say("planning")
    planned = make_plan(config, facts)
    if output is not None:
        write_plan(planned, output)
    bar.say("learning from finished runs")
    runs, shards = _finished(layout)
    learned, predicted = learn(planned, runs, shards)
    beside = layout.results / "plan"
    kept = output or (beside if runs and (beside / "plan.json").exists() else None)
    if kept is not None:
        fitted_on = {
            "runs": len(runs),
            "experiments": len({run.experiment_id for run in runs}),
            "finished_shards": len(shards),
        }
        write_prediction(kept, learned, predicted, fitted_on)
    after = _next(planned, configfile)
    if as_json:
        return json.dumps(plan_to_json(planned), indent=1), after
    return describe_plan(planned, predicted, learned, compare(planned, learned, predicted, runs, shards)), after


def _next(planned: "Plan", configfile: Path) -> str:
    """What to do after a plan."""
    if planned.shards:
        return f"`{workflow_command(configfile)}` runs it"
    if planned.unknown:
        settings = planned.unknown[0].settings
        name = f"{settings.dataset_source}:{settings.dataset}"
        return f"`{with_config(f'prepare {name}', configfile)}` fetches a dataset, so that it can be planned"
    return f"change size, shape or depth in {configfile}: there is no network of these"


def facts_at_hand(config: "Config", layout: "Layout") -> "dict[tuple[str, str], DatasetFacts]":
    """The facts of the datasets that are at hand, prepared where they are not yet."""
    from wattsweep.datasets import at_hand, dataset_path, prepare, read_facts
    from wattsweep.errors import DatasetError
    from wattsweep.planning import dataset_names

    facts = {}
    for source, name in dataset_names(config):
        if not at_hand(source, name, layout.datasets, config.paths.pmlb):
            continue
        path = dataset_path(layout.datasets, source, name)
        try:
            found = read_facts(path)
            whole = (found.source, found.name) == (source, name)
        except DatasetError:
            whole = False
        if not whole:
            found = read_facts(prepare(source, name, layout.datasets, config.paths.pmlb))
        facts[source, name] = found
    return facts


def _finished(layout: "Layout") -> "tuple[list[FinishedRun], list[FinishedShard]]":
    """The finished runs of the tables, with a sample of those that were finished since, and the finished shards."""
    runs: list[FinishedRun] = []
    if (layout.results / "tables" / "runs.parquet").exists():
        from wattsweep.tables.reading import finished_runs

        runs = finished_runs(layout.results / "tables")
    if not layout.marker("x").parent.exists():
        return runs, []
    from wattsweep.runs.observing import observe

    since, shards = observe(layout, {run.experiment_id for run in runs})
    return [*runs, *since], shards
