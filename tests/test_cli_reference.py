"""The page of commands, the exit statuses that it lists, and completion in the shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wattsweep.cli.app import EXIT_STATUSES
from wattsweep.cli.reference import PAGE_PATH, commands, page
from wattsweep.config.explaining import keys
from wattsweep.planning import read_shards
from wattsweep.runs.lease import Lease

SWEEP = """\
sweeps: {demo: {dataset: wine, shape: rectangle, size: 256, depth: 2}}
scheduling: {lease_wait: 0 s}
"""
COMMAND = [sys.executable, "-m", "wattsweep"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(SWEEP, encoding="utf-8")
    return tmp_path


def status_of(*arguments: str) -> int:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, check=False).returncode


def test_the_page_is_the_one_that_the_commands_generate(repository: Path) -> None:
    assert (repository / PAGE_PATH).read_text(encoding="utf-8") == page(), "run `make reference`"


def test_the_page_has_every_command_and_exit_status() -> None:
    text = page()
    for name in commands():
        assert f"## wattsweep {name}\n" in text
    for status in EXIT_STATUSES:
        assert f"\n| {status} | " in text
    assert set(EXIT_STATUSES) == {0, 1, 2, 75, 130}


def test_done_is_0_a_mistake_1_and_a_command_that_is_none_2(folder: Path) -> None:
    assert status_of("config", "check") == 0
    assert status_of("config", "check", "none.yaml") == 1
    assert status_of("config", "check", "--jsn") == 2
    assert status_of("prepare", "digitz") == 2
    assert status_of("plna") == 2


def test_a_shard_that_another_process_executes_is_75(folder: Path) -> None:
    assert status_of("plan", "--output", "results/plan") == 0
    (shard,) = read_shards(folder / "results" / "plan")
    with Lease(folder / "results" / "leases", shard.shard_id, 15.0):
        file = f"results/plan/shards/{shard.shard_id}.json"
        assert status_of("run-shard", file, "--output", "results/shards/marker.json") == 75
    assert not (folder / "results" / "shards").exists()


def test_an_interrupt_is_130(folder: Path) -> None:
    assert status_of("plan", "--output", "results/plan") == 0
    command = [*COMMAND, "status", "--watch", "--every", "200 ms"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job has it ignored
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_program_that_is_measured_gives_its_own(folder: Path) -> None:
    options = ("--source", "simulated", "--idle", "0s")
    assert status_of("record", *options, "--output", "a.csv", "--", "sh", "-c", "exit 7") == 7
    assert status_of("record", *options, "--output", "b.csv", "--", "sh", "-c", "kill -TERM $$") == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wattsweep config ex", ["explain"]),
        ("wattsweep config explain power.simulated.", [key for key in keys() if key.startswith("power.simulated.")]),
        ("wattsweep new --preset but", ["butter", "butter-e"]),
        ("wattsweep new --shapes tra", ["trapezoid"]),
        ("wattsweep new --meter rap", ["rapl"]),
    ],
)
def test_the_shell_completes(line: str, words: list[str]) -> None:
    command = Path(sys.executable).parent / "wattsweep"
    environment = os.environ | {
        "_WATTSWEEP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run([command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == words


def test_the_script_of_a_shell_is_shown() -> None:
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [str(Path(sys.executable).parent / "wattsweep"), "--show-completion", "bash"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "_WATTSWEEP_COMPLETE=complete_bash" in done.stdout
