"""The command `record`: the energy of any program."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import JsonOption, OptionalConfigFile, SourceOption, duration, power_settings
from wattsweep.cli.talking import say_next, say_now


@app.command(
    context_settings={"allow_interspersed_args": False},
    epilog=examples("record --idle 1s -- python train.py", "record --idle 0s --json -- sleep 1"),
)
def record(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments, after --.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Name of the trace; the summary goes beside it. Default: record-TIME.csv here."),
    ] = None,
    idle: Annotated[
        str, typer.Option("--idle", help="How long to measure the idle node before and after; 0s for not at all.")
    ] = "10s",
    source: SourceOption = None,
    configfile: OptionalConfigFile = None,
    as_json: JsonOption = False,
) -> None:
    """Measure any program.

    Runs it, records the node's power meanwhile, prints its energy to standard error and writes the trace and a summary
    as JSON. Standard output is the program's, and so is the exit status.
    """
    from wattsweep.hardware import node_name
    from wattsweep.simulation.commands import record_command

    idle_s = duration("--idle", idle)
    power, results = power_settings(configfile, source)
    trace_path = output or Path(f"record-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv")
    if idle_s > 0:
        say_now(f"idling for {idle_s:g} s before {command[0]} runs, and as long after it")
    recorded = record_command(command, power, node_name(), trace_path, idle_s=idle_s, profiles=results / "nodes")
    print(json.dumps(recorded.to_json(), indent=1) if as_json else recorded.describe(), file=sys.stderr)
    say_next(f"{trace_path.with_suffix('.json')} has all of it", unless=as_json)
    raise typer.Exit(recorded.exit_status)
