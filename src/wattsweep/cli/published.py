"""The commands about published data sets: `import`, `export`, and `standardise`, which makes runs comparable."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wattsweep.cli.app import app
from wattsweep.errors import AnalysisError

import_app = typer.Typer(help="Bring a published data set into our tables.", no_args_is_help=True)
export_app = typer.Typer(help="Write our tables as a published data set has them.", no_args_is_help=True)
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")


class JoinName(StrEnum):
    """The ways from readings to a run's energy."""

    AS_PUBLISHED = "as-published"
    INTERVAL = "interval"


class OverheadName(StrEnum):
    """What is subtracted for the start-up of a run."""

    AUTO = "auto"
    SETUP = "setup"
    RULE = "rule"
    PUBLISHED = "published"
    NONE = "none"


Overhead = Annotated[
    OverheadName,
    typer.Option(
        "--overhead",
        help="Start-up of a run: setup (measured apart), rule (of BUTTER-E), published (its numbers), none; auto takes "
        "the first of these that there is data for.",
    ),
]
References = Annotated[
    list[str] | None,
    typer.Option("--reference", help="Type of node that others are brought to, as in cpu=cpu1; may be repeated."),
]


@import_app.command("butter-e")
def import_butter_e(
    folder: Annotated[Path, typer.Argument(help="Folder with the files of OEDI 5991, unpacked.")],
    output: Annotated[Path, typer.Option("--output", help="Where the tables go.")] = Path("results/butter-e/tables"),
    join: Annotated[
        JoinName, typer.Option("--join", help="Whose energies runs.parquet has; published.parquet has both.")
    ] = JoinName.AS_PUBLISHED,
    min_coverage: Annotated[
        float, typer.Option("--min-coverage", min=0.0, max=1.0, help="Least share of a run covered, with interval.")
    ] = 0.9,
    no_summary: Annotated[
        bool, typer.Option("--no-summary", help="Go without summary_by_epoch; networks then follow our rule.")
    ] = False,
    overhead: Overhead = OverheadName.AUTO,
    reference: References = None,
) -> None:
    """Import BUTTER-E (OEDI 5991).

    Joins the runs with the power readings and prints the published table of reasons beside its own counts; then flags
    runs by the quality rules and standardises their energies.

    Example: wattsweep import butter-e ~/oedi/5991 --join interval
    """
    from wattsweep.importers import import_butter_e

    report = import_butter_e(
        folder,
        output,
        join=join.value,
        min_coverage=min_coverage,
        with_summary=not no_summary,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(report.describe())
    print()
    _judge_and_standardise(output, overhead, reference)
    print(f"\n{output}")


@import_app.command("butter")
def import_butter(
    folder: Annotated[Path, typer.Argument(help="Folder with runs, summaries or both of OEDI 5708, unpacked.")],
    output: Annotated[Path, typer.Option("--output", help="Where the tables go.")] = Path("results/butter/tables"),
) -> None:
    """Import BUTTER (OEDI 5708).

    Its runs become runs.parquet, experiments.parquet and epochs/; its summaries curves/, and experiments where there
    are no runs of them. BUTTER has no power.

    Example: wattsweep import butter ~/oedi/5708/primary_sweep_summary
    """
    from wattsweep.importers import import_butter

    print(import_butter(folder, output).describe())
    print(output)


@export_app.command("butter")
def export_butter(
    tables: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")] = Path("results/tables"),
    output: Annotated[Path, typer.Option("--output", help="Where the files go.")] = Path("results/butter-export"),
) -> None:
    """Write our tables in BUTTER's two schemas.

    all_repetitions/ has a row per run, complete_summary/ one per experiment, both as Hive-partitioned Parquet. Energies
    have no place in them.

    Example: wattsweep export butter --tables results/tables --output /scratch/ours-as-butter
    """
    from wattsweep.importers import export_butter

    counts = export_butter(tables, output)
    aside = f"; {counts.without_curves} runs have no curves and are not in it" if counts.without_curves else ""
    print(f"{counts.runs} runs of {counts.experiments} experiments in {output}{aside}")


@app.command()
def standardise(
    tables: Annotated[Path, typer.Argument(help="Folder of the tables, ours or imported ones.")],
    overhead: Overhead = OverheadName.AUTO,
    reference: References = None,
) -> None:
    """Flag runs by quality and make energies comparable.

    Writes quality.parquet, standardised_runs.parquet and standardised_experiments.parquet beside the tables, and prints
    what was assumed. No run is deleted.

    Example: wattsweep standardise results/tables
    """
    _judge_and_standardise(tables, overhead, reference)


def _judge_and_standardise(tables: Path, overhead: OverheadName, reference: list[str] | None) -> None:
    from wattsweep.analysis.quality import judge, write_quality
    from wattsweep.analysis.standardisation import read_nodes, standardise, write_standardised
    from wattsweep.tables import read_runs

    references = dict(_reference(text) for text in reference or [])
    runs = read_runs(tables)
    quality = judge(runs)
    write_quality(quality, tables)
    print(quality.describe())
    print()
    try:
        done = standardise(runs, quality, read_nodes(tables), overhead=overhead.value, references=references)
    except AnalysisError as error:
        print(f"Not standardised: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    write_standardised(done, tables)
    print(done.describe())


def _reference(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not equals or name not in ("cpu", "gpu") or not kind:
        raise typer.BadParameter(f"--reference {text}: give a class and a type, such as cpu=cpu1")
    return name, kind
