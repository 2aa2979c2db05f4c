"""The command `status`: how far a sweep has come."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, OptionalConfigFile, duration, results_folder
from wattsweep.cli.talking import progress, say_next, with_config, workflow_command

if TYPE_CHECKING:
    from wattsweep.runs.status import Status

EVERY_S, EVERY_IN_A_LOG_S = 2.0, 60.0
LINE_UP_AND_CLEARED = "\x1b[A\x1b[2K"


@app.command(epilog=examples("status", "status --json", "status --watch --every 10s"))
def status(
    configfile: OptionalConfigFile = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until every shard is finished.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line each time.")] = False,
    every: Annotated[
        str | None,
        typer.Option("--every", help="Time between two looks. Default: 2s in a terminal, 60s in a log."),
    ] = None,
) -> None:
    """Say how far a sweep has come.

    Runs done, in work, failed, remaining, energies refused, the rate, the time left and the joules so far, per sweep
    and per node. Only files are read: those of `paths.results`, which the nodes share.
    """
    from wattsweep.runs.layout import Layout
    from wattsweep.runs.status import read_status

    terminal = sys.stdout.isatty()
    default_s = EVERY_S if terminal else EVERY_IN_A_LOG_S
    every_s = default_s if every is None else duration("--every", every, least=0.1)
    layout = Layout(results_folder(configfile))
    shown = 0
    with progress("reading the plan"):
        now = read_status(layout)
    while True:
        shown = _show(now, as_json=as_json, in_a_log=watch and not terminal, replacing=shown if terminal else 0)
        if not watch or now.finished:
            break
        time.sleep(every_s)
        now = read_status(layout)
    say_next(_next(now, layout.results, configfile or DEFAULT_CONFIG), unless=as_json)


def _next(now: "Status", results: Path, configfile: Path) -> str:
    """What to do at this point of a sweep."""
    if now.total.failed:
        return f"{results / 'failures'} has the tracebacks of runs that failed; to try one again, remove its folder"
    if now.finished and (results / "report.html").exists():
        return f"open {results / 'report.html'} in a browser"
    if now.finished:
        return f"`{workflow_command(configfile)}` makes tables, figures and the report of it"
    if now.shards["running"]:
        return f"`{with_config('status --watch', configfile)}` goes on saying it"
    return f"`{workflow_command(configfile)}` goes on with it"


def _show(now: "Status", *, as_json: bool, in_a_log: bool, replacing: int) -> int:
    """Print a status, in place of so many lines; how many lines it has."""
    from wattsweep.runs.status import describe_status, status_line

    if as_json:
        print(json.dumps(now.to_json()), flush=True)
        return 0
    if in_a_log:
        print(status_line(now), flush=True)
        return 0
    text = describe_status(now, width=shutil.get_terminal_size((120, 24)).columns)
    print(LINE_UP_AND_CLEARED * replacing + text, flush=True)
    return text.count("\n") + 1
