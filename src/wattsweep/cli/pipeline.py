"""The stages of a sweep, one command each, which the workflow calls."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from wattsweep.cli.app import app
from wattsweep.cli.options import DEFAULT_CONFIG, ConfigFile

Output = Annotated[Path, typer.Option("--output", help="Where to write.")]


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

    Ends with 75 where the same command is to be given again: after SIGTERM, SIGUSR1 or SIGINT, which have it stop in
    order (a second one stops it at once), and where another process executes the shard.
    """
    from wattsweep.config import load
    from wattsweep.planning import read_shard
    from wattsweep.runs import execute_shard
    from wattsweep.runs.drain import drain_on_signals

    def say(line: str) -> None:
        print(line, flush=True)

    with drain_on_signals(say) as drain:
        execute_shard(read_shard(shard), load(configfile), report=say, drain=drain, marker=output)


@app.command()
def tables(
    plan_folder: Annotated[Path, typer.Option("--plan", help="Folder of the plan.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Turn run files into Parquet tables.

    Takes the runs of every planned experiment, further repetitions included. Beside the tables counts.json says how
    many planned runs are missing, and why.
    """
    from wattsweep.config import load
    from wattsweep.planning import read_shards
    from wattsweep.power.selection import AFTER_THE_FACT
    from wattsweep.runs import Layout, RunRecord
    from wattsweep.runs.failures import failed_experiments, missing_because
    from wattsweep.runs.joining import Joiner
    from wattsweep.runs.quarantine import quarantined
    from wattsweep.runs.reading import runs_of
    from wattsweep.tables import Emissions, write_tables

    config = load(configfile)
    layout = Layout(config.paths.results)
    shards = {
        planned.experiment.experiment_id: (shard.shard_id, planned.experiment)
        for shard in read_shards(plan_folder)
        for planned in shard.experiments
    }
    experiments = {identity: experiment for identity, (_, experiment) in shards.items()}
    known = set(quarantined(layout))

    failed = failed_experiments(layout)
    finished: dict[str, list[int]] = {}
    quarantine = layout.results / "quarantine"

    def groups() -> Iterator[list[RunRecord]]:
        for group in runs_of(layout, sorted(experiments), quarantine=True):
            if group and (group[0].run.experiment_id in failed or quarantine.exists()):
                finished[group[0].run.experiment_id] = [record.run.repetition for record in group]
            yield group

    records = chain.from_iterable(groups())
    if config.power.source in AFTER_THE_FACT:
        joiner = Joiner.for_runs(records, config.power)
        records = chain.from_iterable(joiner.join(group) for group in groups())
    counts = write_tables(records, experiments, output, Emissions.of(config.power))
    damaged = set(quarantined(layout)) - known
    for one in sorted(damaged, key=lambda one: one.name):
        print(f"warning: {one}", file=sys.stderr)
        # Without its marker the shard is executed again, and trains what it misses.
        layout.marker(shards[one.experiment_id][0]).unlink(missing_ok=True)
    missing = missing_because(layout, experiments, finished, counts.missing)
    document = counts.to_json() | missing.to_json()
    (output / "counts.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{counts.runs} runs of {counts.experiments} experiments in {output}; {counts.missing} planned runs missing")
    if damaged:
        print(f"{len(damaged)} of them because their files are damaged: start the workflow again to train them anew")


@app.command()
def fit(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Fit the energy model.

    Its error is measured on experiments held out of the fit.
    """
    from wattsweep.analysis import fit_groups, threads_of, write_fits
    from wattsweep.config import load
    from wattsweep.tables import read_experiments, read_runs

    analysis = load(configfile).analysis
    fits = fit_groups(read_experiments(tables_folder), analysis, threads_of(read_runs(tables_folder)))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_fits(fits, output)
    for one in fits:
        print(one.summary())


@app.command()
def figures(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    fit_file: Annotated[Path, typer.Option("--fit", help="The fitted energy model.")],
    output: Output,
    hardware: Annotated[
        list[str] | None,
        typer.Option(help="Profile of a node that trained: a shipped one, this, or a YAML file. May be repeated."),
    ] = None,
) -> None:
    """Draw every figure as SVG and PNG.

    Beside them findings.json says whether the papers' findings hold on these data.
    """
    from wattsweep.analysis import read_fits
    from wattsweep.figures import FIGURES, findings, read_inputs, save, write_findings

    inputs = read_inputs(tables_folder, read_fits(fit_file), hardware or [])
    for name, kind in FIGURES.items():
        print(*save(kind.figure(inputs), output, name))
    print(write_findings(findings(inputs), output))


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

    counts = tables_folder / "counts.json"
    html = build_report(
        missing=json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {},
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
