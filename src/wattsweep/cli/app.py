"""The command line itself: its options, and how it ends."""

import sys
from typing import Annotated

import typer

from wattsweep import __version__
from wattsweep.disk import obstacle
from wattsweep.errors import TryAgainError, WattsweepError

EXIT_ERROR = 1
EXIT_TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h. Snakemake takes any status but 0 as failed and submits the job again; in a log, or Slurm's
accounting, this one says that nothing is wrong. It is below 128, so no signal's."""

app = typer.Typer(
    help="What training a neural network costs in energy, and what would cost less.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; errors that a user can mend are printed without a traceback.

    Exits with 1 for those, and with 75 where the same command goes on when it is given again.
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
