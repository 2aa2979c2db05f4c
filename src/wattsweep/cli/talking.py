"""What is said beside a command's facts, on standard error: how far it is, and what to do next.

Under the workflow, which sets WATTSWEEP_QUIET, neither is said: its logs hold what happened, and it knows what is next.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

QUIET = "WATTSWEEP_QUIET"


def _nothing(_: object) -> None:
    """Nobody is there to be told."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a command is: `step(n)` after n more steps, `say(words)` when it comes to something else."""

    step: Callable[[int], None] = _nothing
    say: Callable[[str], None] = _nothing
    shown: bool = False


@contextmanager
def progress(words: str, total: int | None = None) -> Iterator[Bar]:
    """A bar while the block lasts, `total` steps long or without an end; only where standard error is a terminal."""
    if not _watched():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn()]
    if total is not None:
        columns += [MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left,")]
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=5,
        redirect_stdout=False,  # it would bring what is printed to standard error
        redirect_stderr=False,
    ) as shown:
        task = shown.add_task(words, total=total)
        yield Bar(
            step=lambda steps: shown.advance(task, steps),
            say=lambda words: shown.update(task, description=words, refresh=True),
            shown=True,
        )


def say_now(words: str) -> None:
    """Say what goes on, where somebody is looking: for waits in which a bar would use power."""
    if _watched():
        print(words, file=sys.stderr, flush=True)


def say_next(words: str, *, unless: bool = False) -> None:
    """Say what to do next, unless only facts are wanted."""
    if not unless and not quiet():
        print(f"next: {words}", file=sys.stderr)


def _watched() -> bool:
    return sys.stderr.isatty() and not quiet()


def quiet() -> bool:
    """Whether this is a job of the workflow."""
    return bool(os.environ.get(QUIET))


def workflow_command(configfile: Path, *, profile: str = "local") -> str:
    """How the workflow is started from this folder for a configuration."""
    from wattsweep.config.checkout import WORKFLOW, checkout

    here, words = Path.cwd(), ["snakemake"]
    root = here if WORKFLOW.exists() else checkout(here)
    elsewhere = None if root == here else root
    if elsewhere is not None:
        words += ["--snakefile", str(elsewhere / WORKFLOW)]
    words += ["--profile", str((elsewhere or Path()) / "profiles" / profile)]
    if configfile != Path("config.yaml"):
        words += ["--configfile", str(configfile)]
    return shlex.join(words)


def with_config(command: str, configfile: Path) -> str:
    """A command for a configuration, which is named where it is not the one that is taken anyway."""
    named = "" if configfile == Path("config.yaml") else f" --configfile {shlex.quote(str(configfile))}"
    return f"wattsweep {command}{named}"
