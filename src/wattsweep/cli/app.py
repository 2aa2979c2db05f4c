"""The command line itself: its options, and how it ends."""

import sys
from typing import Annotated

import typer

from wattsweep import __version__
from wattsweep.errors import WattsweepError

EXIT_ERROR = 1

app = typer.Typer(
    help="What training a neural network costs in energy, and what would cost less.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; errors that a user can mend are printed without a traceback."""
    try:
        app()
    except WattsweepError as error:
        print(f"error: {error}", file=sys.stderr)
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
