"""Bars and hints are for people: in a terminal, on standard error, and never under the workflow."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support_terminal import in_terminal
from wattsweep.cli.talking import QUIET, Bar, progress, workflow_command

PLAN = [sys.executable, "-m", "wattsweep", "plan"]
SWEEP = "sweeps: {demo: {dataset: wine, shape: rectangle, size: 256, depth: 2}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(SWEEP, encoding="utf-8")
    return tmp_path


def test_a_terminal_shows_a_bar_and_what_is_next() -> None:
    session = in_terminal(PLAN)
    assert session.status == 0
    assert "planning" in session.screen
    assert "next: `snakemake " in session.screen
    assert "all, each once" in session.stdout
    assert "next" not in session.stdout


def test_a_pipe_has_no_bar() -> None:
    done = subprocess.run(PLAN, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("next: `snakemake ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_a_job_of_the_workflow_has_neither(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUIET, "1")
    if terminal:
        session = in_terminal(PLAN)
        assert (session.status, session.screen) == (0, "")
    else:
        assert subprocess.run(PLAN, capture_output=True, check=True).stderr == b""


def test_the_workflow_keeps_its_jobs_quiet(repository: Path) -> None:
    assert f"{QUIET}=1" in (repository / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")


def test_without_a_terminal_there_is_no_bar_to_step() -> None:
    with progress("reading", 3) as bar:
        bar.step(1)
        bar.say("writing")
    assert bar == Bar()


def test_the_workflow_is_started_from_where_one_is(
    repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert workflow_command(Path("config.yaml")) == "snakemake --profile profiles/local"
    assert workflow_command(Path("my own.yaml"), profile="slurm") == (
        "snakemake --profile profiles/slurm --configfile 'my own.yaml'"
    )
    monkeypatch.chdir(folder)
    assert workflow_command(Path("config.yaml")) == (
        f"snakemake --snakefile {repository}/workflow/Snakefile --profile {repository}/profiles/local"
    )
