"""The command `record`: the energy of any program."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wattsweep.cli.app import app
from wattsweep.cli.options import OptionalConfigFile, SourceOption, duration, power_settings


@app.command(context_settings={"allow_interspersed_args": False})
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
) -> None:
    """Measure any program.

    Runs it, records the node's power meanwhile, prints its energy to standard error and writes the trace and a summary
    as JSON. Ends with the program's own exit status.

    Example: wattsweep record --idle 5s -- python train.py
    """
    from wattsweep.hardware import node_name
    from wattsweep.simulation.commands import record_command

    idle_s = duration("--idle", idle)
    power, results = power_settings(configfile, source)
    trace_path = output or Path(f"record-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv")
    recorded = record_command(command, power, node_name(), trace_path, idle_s=idle_s, profiles=results / "nodes")
    print(recorded.describe(), file=sys.stderr)
    raise typer.Exit(recorded.exit_status)
