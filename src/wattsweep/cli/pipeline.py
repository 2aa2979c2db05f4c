"""The stages of a sweep, one command each, which the workflow calls."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, ConfigFile, JsonOption
from wattsweep.cli.talking import Bar, progress, say_next, with_config
from wattsweep.disk import write_text

Output = Annotated[Path, typer.Option("--output", help="Where to write.")]


@app.command(epilog=examples("prepare wine", "prepare synthetic:classes_1000x8x5 --json"))
def prepare(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset, such as digits or pmlb:529_pollen.")],
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Prepare a dataset.

    Reads it from its source (PMLB's are downloaded where `paths.pmlb` lacks them), encodes its columns and keeps the
    arrays below `paths.results`.
    """
    from wattsweep.config import load
    from wattsweep.datasets import prepare as prepare_dataset
    from wattsweep.datasets import read_facts, resolve
    from wattsweep.runs.layout import Layout

    config = load(configfile)
    source, name = _argument(resolve, dataset)
    with progress(f"preparing {source}:{name}"):
        path = prepare_dataset(source, name, Layout(config.paths.results).datasets, config.paths.pmlb)
    print(json.dumps(asdict(read_facts(path)) | {"file": str(path)}, indent=1) if as_json else path)
    say_next(f"`{with_config('plan', configfile)}` plans with it", unless=as_json)


@app.command(
    "run-shard", epilog=examples("run-shard results/plan/shards/SHARD.json --output results/shards/SHARD.json")
)
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
    say_next(f"`{with_config('status', configfile)}` says how far the sweep has come")


@app.command(epilog=examples("tables --plan results/plan --output results/tables"))
def tables(
    plan_folder: Annotated[Path, typer.Option("--plan", help="Folder of the plan.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: JsonOption = False,
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

    def groups(bar: Bar) -> Iterator[list[RunRecord]]:
        for group in runs_of(layout, sorted(experiments), quarantine=True):
            bar.step(1)
            if group and (group[0].run.experiment_id in failed or quarantine.exists()):
                finished[group[0].run.experiment_id] = [record.run.repetition for record in group]
            yield group

    joined = config.power.source in AFTER_THE_FACT
    with progress("reading runs", len(experiments) * (2 if joined else 1)) as bar:
        records = chain.from_iterable(groups(bar))
        if joined:
            joiner = Joiner.for_runs(records, config.power)
            records = chain.from_iterable(joiner.join(group) for group in groups(bar))
        counts = write_tables(records, experiments, output, Emissions.of(config.power))
    damaged = set(quarantined(layout)) - known
    for one in sorted(damaged, key=lambda one: one.name):
        print(f"warning: {one}", file=sys.stderr)
        # Without its marker the shard is executed again, and trains what it misses.
        layout.marker(shards[one.experiment_id][0]).unlink(missing_ok=True)
    missing = missing_because(layout, experiments, finished, counts.missing)
    document = counts.to_json() | missing.to_json()
    write_text(output / "counts.json", json.dumps(document, indent=1) + "\n")
    words = f"{counts.runs} runs of {counts.experiments} experiments in {output}; {counts.missing} planned runs missing"
    if damaged:
        words += (
            f"\n{len(damaged)} of them because their files are damaged: start the workflow again to train them anew"
        )
    print(json.dumps(document, indent=1) if as_json else words)
    fitting = with_config(f"fit --tables {output} --output {output.parent / 'fit' / 'energy_model.json'}", configfile)
    say_next(f"`{fitting}` fits the energy model", unless=as_json)


@app.command(epilog=examples("fit --tables results/tables --output results/fit/energy_model.json"))
def fit(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    output: Output,
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Fit the energy model.

    Its error is measured on experiments held out of the fit.
    """
    from wattsweep.analysis import fit_groups, threads_of, write_fits
    from wattsweep.config import load
    from wattsweep.tables import read_experiments, read_runs

    analysis = load(configfile).analysis
    with progress("fitting the energy model"):
        fits = fit_groups(read_experiments(tables_folder), analysis, threads_of(read_runs(tables_folder)))
    write_fits(fits, output)
    if as_json:
        without = [{key: value for key, value in one.to_json().items() if key != "predictions"} for one in fits]
        print(json.dumps(without, indent=1))
    else:
        for one in fits:
            print(one.summary())
    drawing = f"wattsweep figures --tables {tables_folder} --fit {output} --output {tables_folder.parent / 'figures'}"
    say_next(f"`{drawing}` draws them; `{with_config('predict', configfile)}` prices settings", unless=as_json)


@app.command(
    epilog=examples("figures --tables results/tables --fit results/fit/energy_model.json --output results/figures")
)
def figures(
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    fit_file: Annotated[Path, typer.Option("--fit", help="The fitted energy model.")],
    output: Output,
    hardware: Annotated[
        list[str] | None,
        typer.Option(help="Profile of a node that trained: a shipped one, this, or a YAML file. May be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw every figure as SVG, PDF and PNG.

    Beside them findings.json says whether the papers' findings hold on these data, and interactive.json is what the
    report draws its interactive figures from.
    """
    from wattsweep.analysis import read_fits
    from wattsweep.figures import FIGURES, findings, read_inputs, save, write_findings
    from wattsweep.figures.interactive import interactive, write_interactive

    written: list[Path] = []
    with progress("reading tables", len(FIGURES) + 2) as bar:
        inputs = read_inputs(tables_folder, read_fits(fit_file), hardware or [])
        for name, kind in FIGURES.items():
            bar.say(name)
            written += save(kind.figure(inputs), output, name)
            bar.step(1)
        bar.say("findings")
        written.append(write_findings(findings(inputs), output))
        bar.step(1)
        bar.say("interactive figures")
        written.append(write_interactive(interactive(inputs), output))
    print(json.dumps({"files": list(map(str, written))}, indent=1) if as_json else "\n".join(map(str, written)))
    folder = output.parent
    inputs_of = f"--plan {folder / 'plan'} --tables {tables_folder} --fit {fit_file} --figures {output}"
    say_next(f"`wattsweep report {inputs_of} --output {folder / 'report.html'}` writes the report", unless=as_json)


@app.command(
    epilog=examples(
        "report --plan results/plan --tables results/tables --fit results/fit/energy_model.json "
        "--figures results/figures --output results/report.html"
    )
)
def report(
    plan_folder: Annotated[Path, typer.Option("--plan", help="Folder of the plan.")],
    tables_folder: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")],
    fit_file: Annotated[Path, typer.Option("--fit", help="The fitted energy model.")],
    figures_folder: Annotated[Path, typer.Option("--figures", help="Folder of the figures.")],
    output: Output,
    as_json: JsonOption = False,
) -> None:
    """Write the report, one HTML file."""
    from wattsweep.analysis import read_fits
    from wattsweep.planning import read_plan
    from wattsweep.report import build_report
    from wattsweep.runs.layout import Layout
    from wattsweep.runs.links import run_link
    from wattsweep.tables import read_experiments, read_runs

    counts = tables_folder / "counts.json"
    plan = read_plan(plan_folder / "plan.json")
    with progress("writing the report"):
        html = build_report(
            missing=json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {},
            plan=plan,
            runs=read_runs(tables_folder),
            experiments=read_experiments(tables_folder),
            fits=read_fits(fit_file),
            figures_folder=figures_folder,
            run_link=partial(run_link, Layout(Path(plan["config"]["paths"]["results"])), output.parent),
        )
        write_text(output, html)
    print(json.dumps({"report": str(output), "bytes": len(html.encode())}, indent=1) if as_json else output)
    say_next(f"open {output} in a browser", unless=as_json)


@app.command("data-card", epilog=examples("data-card"))
def data_card(
    configfile: ConfigFile = DEFAULT_CONFIG,
    publication: Annotated[
        str | None, typer.Option(help="In place of the configuration's block `publication`: the same as JSON.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the data card of the results.

    An RO-Crate, ro-crate-metadata.json in `paths.results`: what each file and column is, who made them, and under
    which license they are published.
    """
    from datetime import UTC, datetime

    from wattsweep.config import PublicationConfig, load
    from wattsweep.report.crate import REMEDY, write_crate

    config = load(configfile)
    block = _argument(PublicationConfig.model_validate_json, publication) if publication else config.publication
    path = write_crate(config.paths.results, block, datetime.now(UTC).date())
    print(json.dumps({"data_card": str(path)}, indent=1) if as_json else path)
    if block.license is None:
        print(f"warning: {REMEDY}", file=sys.stderr)
    say_next(f"publish {config.paths.results} with it", unless=as_json)


def _argument(parse: Callable[[str], Any], value: str) -> Any:
    """What `parse` makes of an argument; its ValueError becomes a usage error."""
    try:
        return parse(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
