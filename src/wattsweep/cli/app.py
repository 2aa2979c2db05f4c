"""The command line itself: its options, its examples, and how it ends."""

import sys
from typing import Annotated

import typer

from wattsweep import __version__
from wattsweep.disk import obstacle
from wattsweep.errors import TryAgainError, WattsweepError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h. Snakemake takes any status but 0 as failed and submits the job again; in a log, or Slurm's
accounting, this one says that nothing is wrong. It is below 128, so no signal's."""
EXIT_INTERRUPTED = 130

EXIT_STATUSES = {
    0: "done",
    EXIT_ERROR: "something that you can mend: the last lines on standard error say what it is and how",
    EXIT_USAGE: "the command was not understood: an unknown option, or a value that an option does not take",
    EXIT_TRY_AGAIN: "nothing is wrong, but not now: give the same command again. `run-shard` was told to stop and did "
    "so in order, or another process executes its shard",
    EXIT_INTERRUPTED: "interrupted with Ctrl-C",
}
"""What the exit statuses mean. `record` ends with the status of the program that it measured, 128 and the number of the
signal where one ended it."""


def examples(*commands: str) -> str:
    """The section of a command's help that shows how it is used; a test gives each of these commands."""
    return "\n".join(["\b", "Examples:", *(f"  wattsweep {command}" for command in commands)])


app = typer.Typer(
    help="What training a neural network costs in energy, and what would cost less.",
    epilog=examples("new my-sweep.yaml --yes", "plan", "status"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; errors that a user can mend are printed without a traceback.

    Exits with the statuses of `EXIT_STATUSES`.
    """
    try:
        app()
    except TryAgainError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_TRY_AGAIN)
    except WattsweepError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except OSError as error:
        words = obstacle(error)
        if not words:
            raise
        print(f"error: {words}; then give the same command again, what was finished is kept", file=sys.stderr)
        sys.exit(EXIT_ERROR)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"wattsweep {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version)] = False,
) -> None:
    """What training a neural network costs in energy, and what would cost less."""
