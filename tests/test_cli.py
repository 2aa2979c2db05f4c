import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support_records import make_record
from wattsweep.cli import app
from wattsweep.runs import write_run

runner = CliRunner()
COMMANDS = [
    *("new", "plan", "prepare", "run-shard", "inspect", "tables", "fit", "figures", "report"),
    *("meter", "calibrate", "record", "status", "pack", "config", "predict", "import", "export", "standardise"),
]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"""
sweeps:
  demo:
    dataset: wine
    shape: [rectangle, trapezoid]
    size: [64, 256]
    depth: [2, 4]
    repetitions: 3
paths:
  results: {tmp_path / "results"}
"""
    )
    return path


def wattsweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wattsweep", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command() -> None:
    text = runner.invoke(app, ["--help"]).output
    for command in COMMANDS:
        assert f"  {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_version() -> None:
    assert runner.invoke(app, ["--version"]).output.startswith("wattsweep 0.")


def test_plan_prints_counts_and_what_is_left_out(config_file: Path) -> None:
    output = runner.invoke(app, ["plan", "--configfile", str(config_file)]).output
    assert "wine rectangle size 64 depth 4: nearest has 78 parameters (+21.9%)" in output
    assert "shards      1, predicted" in output


def test_plan_as_json_agrees_with_its_files(config_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    output = runner.invoke(app, ["plan", "--configfile", str(config_file), "--json", "--output", str(folder)]).output
    document = json.loads(output)
    assert document == json.loads((folder / "plan.json").read_text())
    assert document["experiments"] + len(document["nonconformant"]) == 2 * 2 * 2
    assert document["runs"] == 3 * document["experiments"]
    assert sorted(path.stem for path in (folder / "shards").iterdir()) == sorted(
        shard["shard_id"] for shard in document["shards"]
    )


def test_prepare_prints_the_file(config_file: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["prepare", "wine", "--configfile", str(config_file)])
    assert result.stdout.strip() == str(tmp_path / "results/datasets/bundled/wine.npz")
    assert Path(result.stdout.strip()).exists()


def test_an_unknown_dataset_is_a_usage_error(config_file: Path) -> None:
    done = wattsweep("prepare", "digitz", "--configfile", str(config_file))
    assert done.returncode == 2
    assert "digits" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_is_told_without_a_traceback(config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace("depth:", "dpeth:"))
    done = wattsweep("plan", "--configfile", str(config_file))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "did you mean `depth`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_inspect_shows_a_valid_run_and_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_run(path, make_record(origin="simulated"))
    shown = wattsweep("inspect", str(path))
    assert shown.returncode == 0
    assert ": valid" in shown.stdout
    assert "simulated, not a measurement" in shown.stdout
    facts = json.loads(wattsweep("inspect", "--json", str(path)).stdout)
    assert facts["power"]["source"]["origin"] == "simulated"

    path.write_bytes(path.read_bytes()[:100])
    refused = wattsweep("inspect", str(path))
    assert refused.returncode == 1
    assert "not a valid run file" in refused.stderr


def test_inspect_of_many_names_those_that_are_not_valid(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.h5" for number in range(3)]
    for path in paths:
        write_run(path, make_record())
    assert wattsweep("inspect", *map(str, paths)).stdout == "3 of 3 files are valid\n"
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    found = wattsweep("inspect", *map(str, paths))
    assert found.returncode == 1
    assert found.stdout.endswith("2 of 3 files are valid\n")
    assert f"{paths[1]}: not a valid run file" in found.stdout
    listed = json.loads(wattsweep("inspect", "--json", *map(str, paths)).stdout)
    assert listed["files"] == 3
    assert list(listed["not_valid"]) == [str(paths[1])]
    asked = wattsweep("inspect", "--run", "x", *map(str, paths))
    assert asked.returncode == 2
    assert "it is of one packed shard, and 3 files are named" in asked.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run-shard", "FOLDER/none.json", "--output", "FOLDER/out.json"),
        ("run-shard", "FOLDER/other.json", "--output", "FOLDER/out.json"),
        ("run-shard", "FOLDER/text.json", "--output", "FOLDER/out.json"),
        ("tables", "--plan", "FOLDER/none", "--output", "FOLDER/tables"),
        ("fit", "--tables", "FOLDER/none", "--output", "FOLDER/fit.json"),
        ("plan", "--configfile", "FOLDER/none.yaml"),
        ("inspect", "FOLDER/none.h5"),
    ],
)
def test_a_missing_or_foreign_file_is_told_without_a_traceback(
    arguments: tuple[str, ...], config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "text.json").write_text("text")
    named = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments]
    takes_config = arguments[0] in ("run-shard", "tables", "fit")
    done = wattsweep(*named, *(["--configfile", str(config_file)] if takes_config else []))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}")
    assert "Traceback" not in done.stderr
