"""Writes the page of commands from the command line itself, each time that the site is built."""

from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from wattsweep.cli import app

WIDTH = 100

INTRODUCTION = """\
# Commands

What `wattsweep COMMAND --help` prints, for every command. Exit statuses: 0 where all went well, 1 for what the message
says how to mend, 2 where the command line itself is wrong, 75 where the same command goes on when it is given again.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    lines = [INTRODUCTION]
    for name, text in _commands(typer.main.get_command(app), "wattsweep"):
        lines += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    files.append(File.generated(config, "commands.md", content="\n".join(lines)))
    return files


def _commands(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """A command and those within it, each with its help."""
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    yield name, command.get_help(context)
    for inner, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from _commands(one, f"{name} {inner}")
