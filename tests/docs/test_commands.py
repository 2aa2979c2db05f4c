"""Every command line of the documentation is one that the programs take."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.exceptions
import yaml

from tests.docs.support_docs import blocks, command_lines, pages
from wattsweep.cli import app
from wattsweep.config import Config, parse

STARTS = (["wattsweep"], ["python", "-m", "wattsweep"])
SWEEP = {"sweeps": {"demo": {"dataset": "wine", "shape": "rectangle", "size": 64, "depth": 2}}}


def arguments(words: list[str]) -> list[str] | None:
    """What `wattsweep` is given by a command line, which may stand behind another program; None where it is not."""
    for start in STARTS:
        for at in range(len(words) - len(start) + 1):
            if words[at : at + len(start)] == start and "--" not in words[:at]:
                return words[at + len(start) :]
    return None


def mistake(words: list[str]) -> str:
    """What the command line has against these arguments, which are parsed and not run; empty where it takes them."""
    command: Any = typer.main.get_command(app)
    name = "wattsweep"
    while words and words[0] in getattr(command, "commands", {}):
        name, *words = words
        command = command.commands[name]
    if words == ["--help"] or (name == "wattsweep" and words == ["--version"]):
        return ""
    if hasattr(command, "commands"):
        return f"there is no command {' '.join(words[:1])} of {name}"
    try:
        command.make_context(name, list(words))
    except typer.exceptions.TyperException as error:
        return error.format_message()
    return ""


def test_every_wattsweep_command_line_parses(repository: Path) -> None:
    found = {where: given for where, words in command_lines(repository) if (given := arguments(words))}
    assert len(found) > 20
    mistakes = [
        f"{where}: wattsweep {' '.join(given)}: {mistake(given)}"
        for where, words in command_lines(repository)
        if (given := arguments(words)) and mistake(given)
    ]
    assert mistakes == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan", "--cofigfile", "x"], "--cofigfile"),
        (["inspect"], "file"),
        (["predict", "--fit"], "--fit"),
        (["plna"], "there is no command plna"),
        (["import", "imagenet", "x"], "there is no command imagenet"),
    ],
)
def test_a_wrong_command_line_would_be_found(words: list[str], expected: str) -> None:
    assert expected in mistake(words).lower()


def test_profiles_presets_and_targets_that_are_named_are_there(repository: Path) -> None:
    targets = re.findall(r"^([a-z]+):.*##", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for where, words in command_lines(repository):
        if words[0] == "make":
            assert set(words[1:]) <= set(targets), where
        for word in words:
            if re.match(r"(profiles|configs|envs|tests|benchmarks)/", word) or word == "config.yaml":
                assert (repository / word).exists(), f"{where}: {word}"


def test_every_piece_of_configuration_is_valid(repository: Path) -> None:
    """Blocks of YAML whose keys are those of a configuration, whole or a part of one."""
    found = 0
    for page in pages(repository):
        for block in blocks(page):
            document = yaml.safe_load(block.text) if block.language == "yaml" else None
            if isinstance(document, dict) and document.keys() <= Config.model_fields.keys():
                parse(SWEEP | document, block.where)
                found += 1
    assert found > 5


def test_links_between_files_lead_somewhere(repository: Path) -> None:
    """Those of the pages outside docs/, which the site does not check."""
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md"):
        page = repository / name
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{name}: {target}"
