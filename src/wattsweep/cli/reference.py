"""Generates the page of all commands from the commands themselves: `python -m wattsweep.cli.reference`."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from wattsweep.cli import app
from wattsweep.cli.app import EXIT_STATUSES

PAGE_PATH = Path("docs/commands.md")

INTRODUCTION = """\
# Commands

Generated from the commands in `src/wattsweep/cli/` by `make reference`; edit those, not this page. `wattsweep
COMMAND --help` prints the same. A test gives every command of the examples.

Facts go to standard output; what goes on, and what to do next, to standard error. With `--json` facts are JSON, and
nothing is said of what to do next. In a terminal a bar shows how far a command is. Under the workflow, which sets
`WATTSWEEP_QUIET=1`, there are neither bars nor hints: set it where a script keeps standard error.
"""

COMPLETION = """\
## Completion in the shell

`wattsweep --install-completion` has the shell you are in (bash, zsh, fish, PowerShell) complete commands, options, keys
of `config explain`, presets, shapes and meters; start a new shell then. `wattsweep --show-completion` prints the
script, for you to put it elsewhere.
"""

EXIT_INTRODUCTION = """\
## Exit statuses

`record` ends with the status of the program that it measured: 128 and the signal's number where one ended it. A killed
command has no status of ours.

| status | meaning |
|---|---|
"""


def commands() -> dict[str, Any]:
    """Every command by its whole name, as `import butter-e`, in the order of the help; groups are no commands."""
    return dict(_walk(get_command(app), ""))


def groups() -> dict[str, Any]:
    """What has commands below it, by its whole name, the empty one first: that is `wattsweep` itself."""
    root: Any = get_command(app)
    return {"": root} | {name: one for name, one in root.commands.items() if hasattr(one, "commands")}


def examples_of(command: Any) -> list[str]:
    """The examples in a command's help, each a whole command line."""
    return re.findall(r"^ *(wattsweep .+)$", command.epilog or "", re.MULTILINE)


def page() -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION]
    for name, command in commands().items():
        parts.append("\n".join(_section(name, command)))
    statuses = "\n".join(f"| {status} | {words} |" for status, words in EXIT_STATUSES.items())
    return "\n".join([*parts, COMPLETION, f"{EXIT_INTRODUCTION}{statuses}\n"])


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## wattsweep {name}\n"
    for paragraph in (command.help or "").split("\n\n"):
        yield " ".join(paragraph.split()) + "\n"
    yield "| argument or option | default | meaning |\n|---|---|---|"
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            yield f"| `{_written(parameter)}` | {_default(parameter)} | {_cell(parameter.help or '')} |"
    yield "\n```\n" + "\n".join(examples_of(command)) + "\n```\n"


def _written(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return f"`{parameter.show_default}`"
    default = parameter.default
    if default is None or default is False or default in ((), []):
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    PAGE_PATH.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
