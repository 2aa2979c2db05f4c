"""Every example in every command's help is given as it stands there; and what slow commands show meanwhile."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support_finished import FinishedSweep
from tests.support_terminal import in_terminal
from wattsweep.cli import app
from wattsweep.cli.reference import commands, groups

pytestmark = pytest.mark.slow

ALONE = ("record", "calibrate")
"""Commands that start programs or load the CPUs: given in a process of their own."""


def help_of(name: str) -> str:
    return CliRunner().invoke(app, [*name.split(), "--help"]).output


def examples(name: str) -> list[str]:
    """The lines below "Examples:" in the help of a command."""
    _, heading, section = help_of(name).partition("Examples:\n")
    return re.findall(r"^ +wattsweep (.+)$", section, re.MULTILINE) if heading else []


NAMES = [*groups(), *commands()]
EXAMPLES = [(name, example) for name in NAMES for example in examples(name)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedSweep:
    return FinishedSweep(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test has a copy of its own, which it may change."""
    return tmp_path / "sweep"


def copy(finished: FinishedSweep, command: str, folder: Path) -> None:
    finished.ready_for(command)
    shutil.copytree(finished.folder, folder)


def words(example: str, finished: FinishedSweep) -> list[str]:
    """The words of an example as a shell gives them, with ids of this sweep in place of SHARD and RUN."""
    named = example.replace("SHARD", finished.shard).replace("RUN", finished.run)
    expanded = []
    for word in shlex.split(named):
        found = sorted(map(str, Path().glob(word))) if "*" in word else []
        expanded += found or [word]
    return expanded


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_examples(name: str) -> None:
    found = examples(name)
    assert found, help_of(name)
    assert all(example.startswith(name) for example in found)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_an_example_works(
    name: str, example: str, finished: FinishedSweep, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = finished.stage(shlex.split(example))
    if done is None:
        copy(finished, name or example.split()[0], folder)
        monkeypatch.chdir(folder)
    status, output, errors = given(name, words(example, finished)) if done is None else said(done)
    assert status == 0, output + errors
    if "--json" in example:
        assert json.loads(errors[errors.index("{") :] if name == "record" else output)
        assert "next: " not in errors
    elif not example.startswith("meter --source simulated --watch"):
        assert "next: " in errors


def given(name: str, arguments: list[str]) -> tuple[int, str, str]:
    """The exit status of a command, and what it wrote to standard output and error."""
    if name in ALONE:
        command = [sys.executable, "-m", "wattsweep", *arguments]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    return said(CliRunner().invoke(app, arguments))


def said(result: Result) -> tuple[int, str, str]:
    return result.exit_code, result.stdout, f"{result.stderr}{result.exception or ''}"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("plan", "planning"),
        ("tables --plan results/plan --output again/tables", "reading runs"),
        ("fit --tables results/tables --output again/fit.json", "fitting the energy model"),
        ("pack", "packing shards"),
        ("standardise results/tables", "standardising energies"),
        ("import butter-e oedi/5991 --output again", "BUTTER-E"),
        ("export butter --output again", "exporting"),
    ],
)
def test_a_slow_command_shows_how_far_it_is_in_a_terminal_only(
    command: str, shown: str, finished: FinishedSweep, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(finished, "predict", folder)
    monkeypatch.chdir(folder)
    session = in_terminal([sys.executable, "-m", "wattsweep", *command.split()])
    assert session.status == 0, session.screen
    assert shown in session.screen
    assert "next: " in session.screen
    assert session.stdout
    assert not re.search(r"\x1b|━|next: ", session.stdout)
