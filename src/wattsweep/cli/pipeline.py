"""The stages of a sweep, one command each, which the workflow calls."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from wattsweep.cli.app import app
from wattsweep.cli.options import DEFAULT_CONFIG

ConfigFile = Annotated[Path, typer.Option("--configfile", help="The configuration.", show_default=True)]
Output = Annotated[Path, typer.Option("--output", help="Where to write.")]


@app.command()
def plan(
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Folder to write the plan to.")] = None,
) -> None:
    """Show what a configuration asks for.

    Sweeps, experiments, runs, what is left out and why, shards, predicted hours.
    Nothing is downloaded: experiments on data that is not at hand are counted apart.
    """
    from wattsweep.config import load
    from wattsweep.datasets import at_hand, prepare, read_facts
    from wattsweep.planning import dataset_names, describe_plan, make_plan, plan_to_json, write_plan
    from wattsweep.runs.layout import Layout

    config = load(configfile)
    layout = Layout(config.paths.results)
    facts = {
        (source, name): read_facts(prepare(source, name, layout.datasets, config.paths.pmlb))
        for source, name in dataset_names(config)
        if at_hand(source, name, layout.datasets, config.paths.pmlb)
    }
    planned = make_plan(config, facts)
    if output is not None:
        write_plan(planned, output)
    print(json.dumps(plan_to_json(planned), indent=1) if as_json else describe_plan(planned))


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, such as digits or pmlb:529_pollen.")],
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Prepare a dataset.

    Reads it from its source (PMLB's are downloaded where `paths.pmlb` lacks them), encodes its columns and keeps the
    arrays below `paths.results`.
    """
    from wattsweep.config import load
    from wattsweep.datasets import prepare as prepare_dataset
    from wattsweep.datasets import resolve
    from wattsweep.runs.layout import Layout

    config = load(configfile)
    source, name = _argument(resolve, dataset)
    print(prepare_dataset(source, name, Layout(config.paths.results).datasets, config.paths.pmlb))


@app.command("run-shard")
def run_shard(
    shard: Annotated[Path, typer.Argument(help="A shard file of the plan.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Train what a shard misses, measured.

    Run files that are there and valid are not made again. At the end the shard's marker is written to --output.
    """
    from wattsweep.config import load
    from wattsweep.planning import read_shard
    from wattsweep.runs import execute_shard

    result = execute_shard(read_shard(shard), load(configfile), report=lambda line: print(line, flush=True))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A run file (.h5).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print its facts as JSON.")] = False,
) -> None:
    """Validate a run file and show it.

    Exits with 1 where it is not a valid run file.
    """
    from wattsweep.runs import describe_run, read_run, run_facts

    record = read_run(file)
    print(json.dumps(run_facts(record), indent=1) if as_json else describe_run(record))


@app.command()
def tables(
    plan_folder: Annotated[Path, typer.Option("--plan", help="Folder of the plan.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Turn run files into Parquet tables.

    Takes the runs of every planned experiment, further repetitions included.
    """
    from wattsweep.config import load
    from wattsweep.planning import read_shards
    from wattsweep.power.selection import AFTER_THE_FACT
    from wattsweep.runs import Layout, RunRecord
    from wattsweep.runs.joining import Joiner
    from wattsweep.runs.staging import finished_runs
    from wattsweep.tables import Emissions, write_tables

    config = load(configfile)
    layout = Layout(config.paths.results)
    experiments = {
        planned.experiment.experiment_id: planned.experiment
        for shard in read_shards(plan_folder)
        for planned in shard.experiments
    }

    def groups() -> Iterator[list[RunRecord]]:
        for experiment_id in sorted(experiments):
            runs = finished_runs(layout, experiment_id)
            yield [runs[repetition] for repetition in sorted(runs)]

    records = chain.from_iterable(groups())
    if config.power.source in AFTER_THE_FACT:
        joiner = Joiner.for_runs(records, config.power)
        records = chain.from_iterable(joiner.join(group) for group in groups())
    counts = write_tables(records, experiments, output, Emissions.of(config.power))
    (output / "counts.json").write_text(json.dumps(counts.to_json(), indent=1) + "\n", encoding="utf-8")
    print(f"{counts.runs} runs of {counts.experiments} experiments in {output}; {counts.missing} planned runs missing")


@app.command()
def fit(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Fit the energy model.

    Its error is measured on experiments held out of the fit.
    """
    from wattsweep.analysis import fit_groups, write_fits
    from wattsweep.config import load
    from wattsweep.tables import read_experiments

    analysis = load(configfile).analysis
    fits = fit_groups(read_experiments(tables_folder), analysis)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_fits(fits, output)
    for one in fits:
        print(one.summary())


@app.command()
def figures(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    fit_file: Annotated[Path, typer.Option("--fit", help="The fitted energy model.")],
    output: Output,
) -> None:
    """Draw every figure as SVG and PNG."""
    from wattsweep.analysis import read_fits
    from wattsweep.figures import FIGURES, save
    from wattsweep.tables import read_experiments, read_runs

    runs, experiments, fits = read_runs(tables_folder), read_experiments(tables_folder), read_fits(fit_file)
    for name, draw in FIGURES.items():
        print(*save(draw(runs, experiments, fits), output, name))


@app.command()
def report(
    plan_folder: Annotated[Path, typer.Option("--plan", help="Folder of the plan.")],
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    fit_file: Annotated[Path, typer.Option("--fit", help="The fitted energy model.")],
    figures_folder: Annotated[Path, typer.Option("--figures", help="Folder of the figures.")],
    output: Output,
) -> None:
    """Write the report, one HTML file."""
    from wattsweep.analysis import read_fits
    from wattsweep.planning import read_plan
    from wattsweep.report import build_report
    from wattsweep.tables import read_experiments, read_runs

    html = build_report(
        plan=read_plan(plan_folder / "plan.json"),
        runs=read_runs(tables_folder),
        experiments=read_experiments(tables_folder),
        fits=read_fits(fit_file),
        figures_folder=figures_folder,
    )
    output.write_text(html, encoding="utf-8")
    print(output)


def _argument(parse: Callable[[str], Any], value: str) -> Any:
    """What `parse` makes of an argument; its ValueError becomes a usage error."""
    try:
        return parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
