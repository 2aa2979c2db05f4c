"""The commands about published data sets: `import`, `export`, and `standardise`, which makes runs comparable."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattsweep.cli.app import EXIT_ERROR, app, examples
from wattsweep.cli.options import JsonOption
from wattsweep.cli.talking import Bar, progress, say_next
from wattsweep.errors import AnalysisError

if TYPE_CHECKING:
    from wattsweep.analysis.quality import Quality
    from wattsweep.analysis.standardisation import Standardised

import_app = typer.Typer(
    help="Bring a published data set into our tables.",
    epilog=examples("import butter oedi/5708"),
    no_args_is_help=True,
)
export_app = typer.Typer(
    help="Write our tables as a published data set has them.",
    epilog=examples("export butter --tables results/tables"),
    no_args_is_help=True,
)
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


@import_app.command(
    "butter-e", epilog=examples("import butter-e oedi/5991", "import butter-e oedi/5991 --join interval")
)
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
    as_json: JsonOption = False,
) -> None:
    """Import BUTTER-E (OEDI 5991).

    Joins the runs with the power readings and prints the published table of reasons beside its own counts; then flags
    runs by the quality rules and standardises their energies.
    """
    from wattsweep.importers import import_butter_e

    with progress("importing BUTTER-E") as bar:
        report = import_butter_e(
            folder,
            output,
            join=join.value,
            min_coverage=min_coverage,
            with_summary=not no_summary,
            say=_say(bar),
        )
        judged = _judged(output, overhead, reference, bar)
    if as_json:
        print(json.dumps({"tables": str(output), "import": report.to_json()} | judged.to_json(), indent=1))
    else:
        print(f"{report.describe()}\n\n{judged.describe()}\n\n{output}")
    judged.end()
    model = output.parent / "fit" / "energy_model.json"
    say_next(f"`wattsweep fit --tables {output} --output {model}` fits the energy model", unless=as_json)


@import_app.command(
    "butter", epilog=examples("import butter oedi/5708", "import butter oedi/5708 --output again --json")
)
def import_butter(
    folder: Annotated[Path, typer.Argument(help="Folder with runs, summaries or both of OEDI 5708, unpacked.")],
    output: Annotated[Path, typer.Option("--output", help="Where the tables go.")] = Path("results/butter/tables"),
    as_json: JsonOption = False,
) -> None:
    """Import BUTTER (OEDI 5708).

    Its runs become runs.parquet, experiments.parquet and epochs/; its summaries curves/, and experiments where there
    are no runs of them. BUTTER has no power.
    """
    from wattsweep.importers import import_butter

    with progress("importing BUTTER"):
        report = import_butter(folder, output)
    document = {"tables": str(output), "import": report.to_json()}
    print(json.dumps(document, indent=1) if as_json else f"{report.describe()}\n{output}")
    say_next("BUTTER has no power, so no energy: docs/published-data.md says what is in the tables", unless=as_json)


@export_app.command(
    "butter", epilog=examples("export butter", "export butter --tables results/tables --output ours --json")
)
def export_butter(
    tables: Annotated[Path, typer.Option("--tables", help="Folder of the tables.")] = Path("results/tables"),
    output: Annotated[Path, typer.Option("--output", help="Where the files go.")] = Path("results/butter-export"),
    as_json: JsonOption = False,
) -> None:
    """Write our tables in BUTTER's two schemas.

    all_repetitions/ has a row per run, complete_summary/ one per experiment, both as Hive-partitioned Parquet. Energies
    have no place in them.
    """
    from wattsweep.importers import export_butter

    with progress("exporting to BUTTER's schemas"):
        counts = export_butter(tables, output)
    if as_json:
        print(json.dumps(asdict(counts) | {"folder": str(output)}, indent=1))
        return
    aside = f"; {counts.without_curves} runs have no curves and are not in it" if counts.without_curves else ""
    print(f"{counts.runs} runs of {counts.experiments} experiments in {output}{aside}")
    say_next(f"`wattsweep import butter {output}` reads it back")


@app.command(epilog=examples("standardise results/tables", "standardise results/tables --overhead none --json"))
def standardise(
    tables: Annotated[Path, typer.Argument(help="Folder of the tables, ours or imported ones.")],
    overhead: Overhead = OverheadName.AUTO,
    reference: References = None,
    as_json: JsonOption = False,
) -> None:
    """Flag runs by quality and make energies comparable.

    Writes quality.parquet, standardised_runs.parquet and standardised_experiments.parquet beside the tables, and prints
    what was assumed. No run is deleted.
    """
    with progress("judging runs") as bar:
        judged = _judged(tables, overhead, reference, bar)
    print(json.dumps({"tables": str(tables)} | judged.to_json(), indent=1) if as_json else judged.describe())
    judged.end()
    say_next(f"standardised_experiments.parquet in {tables} has the energies", unless=as_json)


@dataclass(frozen=True)
class _Judged:
    """Flags of runs and their standardised energies, or why there are none."""

    quality: "Quality"
    standardised: "Standardised | None"
    reason: str = ""

    def describe(self) -> str:
        words = "" if self.standardised is None else f"\n\n{self.standardised.describe()}"
        return self.quality.describe() + words

    def to_json(self) -> dict[str, Any]:
        kept = int(self.quality.kept.sum())
        document: dict[str, Any] = {"runs": len(self.quality.run_ids), "kept": kept, "flags": self.quality.counts()}
        if self.standardised is None:
            return document | {"standardised": None, "reason": self.reason}
        done = self.standardised
        return document | {
            "standardised": {
                "runs": len(done.runs),
                "experiments": len(done.experiments),
                "references": dict(done.references),
                "type_idle_w": {name: float(watts) for name, watts in done.type_idle_w.items()},
                "overhead": {
                    name: {"joules": float(joules), "seconds": float(seconds), "basis": basis}
                    for name, (joules, seconds, basis) in done.overhead.items()
                },
                "checks": [{"holds": bool(one.holds), "words": one.words} for one in done.checks],
            }
        }

    def end(self) -> None:
        """End the command with status 1 where nothing was standardised."""
        if self.standardised is None:
            print(f"Not standardised: {self.reason}", file=sys.stderr)
            raise typer.Exit(EXIT_ERROR)


def _judged(tables: Path, overhead: OverheadName, reference: list[str] | None, bar: Bar) -> _Judged:
    """Flag the runs of a tables' folder, standardise them, and write both beside them."""
    from wattsweep.analysis.quality import judge, write_quality
    from wattsweep.analysis.standardisation import read_nodes, standardise, write_standardised
    from wattsweep.tables import read_runs

    references = dict(_reference(text) for text in reference or [])
    bar.say("judging runs")
    runs = read_runs(tables)
    quality = judge(runs)
    write_quality(quality, tables)
    bar.say("standardising energies")
    try:
        done = standardise(runs, quality, read_nodes(tables), overhead=overhead.value, references=references)
    except AnalysisError as error:
        return _Judged(quality, None, str(error))
    write_standardised(done, tables)
    return _Judged(quality, done)


def _say(bar: Bar) -> Callable[[str], None]:
    """Tell how far an import is: by the bar where there is one, else a line each time."""
    return bar.say if bar.shown else lambda line: print(line, file=sys.stderr, flush=True)


def _reference(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not equals or name not in ("cpu", "gpu") or not kind:
        raise typer.BadParameter(f"--reference {text}: give a class and a type, such as cpu=cpu1")
    return name, kind
