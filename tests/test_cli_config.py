"""`config check`, `config explain`, `config diff` and `new`, as commands."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support_terminal import in_terminal
from wattsweep.cli import app
from wattsweep.cli.reference import commands
from wattsweep.config import load, parse
from wattsweep.config.checkout import MODELINE, SCHEMA_COPY
from wattsweep.config.explaining import keys
from wattsweep.config.starting import Starter, checked
from wattsweep.errors import ConfigError
from wattsweep.grid import expand

TEXT = """\
sweeps:
  demo:
    dataset: [wine, pmlb:529_pollen]
    shape: rectangle
    size: {powers_of_two: [6, 9]}
    depth: [2, 3]
    repetitions: 3
  again:
    dataset: wine
    shape: rectangle
    size: 64
    depth: [2, 4]
    repetitions: 5
power:
  interval: 50 ms
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result


def test_check_counts_without_reading_any_data(folder: Path) -> None:
    result = run("config", "check")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["config.yaml:", "valid"]
    # 2 datasets x 4 sizes x 2 depths; 2 depths, of which one is shared
    assert ["demo", "16", "48", "2", "dataset", "x", "4", "size", "x", "2", "depth", "x", "3", "repetitions"] in lines
    assert ["again", "2", "10", "2", "depth", "x", "5", "repetitions"] in lines
    assert ["all,", "each", "once", "17", "55", "before", "the", "20", "%", "rule"] in lines
    assert "not at hand pmlb:529_pollen (the workflow downloads them)" in result.stdout
    assert "auto, read every 0.05 s; blocks of 60 s at least" in result.stdout
    assert result.stderr == "next: `wattsweep plan` says what will run, and what it will cost\n"
    assert [one.name for one in folder.iterdir()] == ["config.yaml"]


def test_check_as_json_agrees_with_the_grid(folder: Path) -> None:
    result = run("config", "check", "config.yaml", "--json")
    document = json.loads(result.output)
    grid = expand(load(folder / "config.yaml"))
    assert document["valid"] is True
    assert document["mistakes"] == []
    assert document["experiments"] == len(grid) == 17
    assert document["runs"] == sum(one.repetitions for one in grid) == 55
    assert document["sweeps"]["again"]["experiments"] == 2
    assert document["datasets"] == {"bundled:wine": True, "pmlb:529_pollen": False}


def test_check_tells_mistakes_and_ends_with_1(folder: Path) -> None:
    (folder / "config.yaml").write_text(TEXT.replace("shape: rectangle", "shape: square"), encoding="utf-8")
    result = run("config", "check", status=1)
    assert isinstance(result.exception, ConfigError)
    document = json.loads(run("config", "check", "--json", status=1).output)
    assert document["valid"] is False
    assert [one.split(":")[0] for one in document["mistakes"]] == ["line 4", "line 10"]


def test_explain_says_all_about_a_key() -> None:
    result = run("config", "explain", "power.interval")
    assert result.stdout.splitlines() == [
        "power.interval",
        "  Time between two readings.",
        "  type      duration",
        "  unit      ms, s, min, h, d",
        "  allowed   > 0 s",
        "  default   1 s",
        "  power.interval: 0.05 s (config.yaml, line 15)",
    ]
    depths = run("config", "explain", "depth").stdout
    assert "sweeps.demo.depth: [2, 3] (config.yaml, line 6)" in depths
    assert "sweeps.again.depth: [2, 4] (config.yaml, line 12)" in depths


def test_explain_as_json_has_every_key_and_where_it_stands() -> None:
    document = json.loads(run("config", "explain", "--json").output)
    assert [one["name"] for one in document["keys"]] == list(keys())
    (interval,) = json.loads(run("config", "explain", "power.interval", "--json").output)["keys"]
    assert interval["settings"] == [{"key": "power.interval", "value": "0.05 s", "line": 15, "merged": False}]
    assert interval["unit"] == "ms, s, min, h, d"


def test_explain_lists_a_block_and_all_with_what_they_are_here() -> None:
    lines = run("config", "explain").stdout.splitlines()
    assert len(lines) == len(keys())
    assert any(line.split()[:3] == ["power.interval", "0.05", "s"] for line in lines)
    assert len(run("config", "explain", "power.simulated").stdout.splitlines()) == 3


def test_explain_without_a_configuration_has_defaults(folder: Path) -> None:
    (folder / "config.yaml").unlink()
    assert "default   1 s" in run("config", "explain", "power.interval").stdout
    assert json.loads(run("config", "explain", "power.interval", "--json").output)["config"] is None
    error = run("config", "explain", "power.intervall", status=1).exception
    assert "did you mean `power.interval`?" in str(error)


def test_diff_tells_settings_and_experiments_by_id(folder: Path) -> None:
    other = folder / "other.yaml"
    other.write_text(
        TEXT.replace("[6, 9]", "[6, 8]").replace("repetitions: 3", "repetitions: 4").replace("50 ms", "1 s")
    )
    document = json.loads(run("config", "diff", "config.yaml", "other.yaml", "--json").output)
    assert [one["key"] for one in document["settings"]] == [
        "sweeps.demo.size",
        "sweeps.demo.repetitions",
        "power.interval",
    ]
    before, after = (
        {one.experiment_id: one.repetitions for one in expand(load(folder / name))}
        for name in ("config.yaml", "other.yaml")
    )
    experiments = document["experiments"]
    assert set(experiments["shared"]) == before.keys() & after.keys()
    assert set(experiments["removed"]) == before.keys() - after.keys()
    assert len(experiments["removed"]) == 4
    assert experiments["added"] == []
    assert experiments["repetitions"] == {
        name: {"before": before[name], "after": after[name]} for name in after if before[name] != after[name]
    }
    result = run("config", "diff", "config.yaml", "other.yaml")
    assert "3 settings differ between config.yaml and other.yaml" in result.stdout
    assert "  power.interval           0.05 s -> 1 s" in result.stdout
    assert "0 experiments added, 4 removed, 13 shared, 11 of them with other repetitions" in result.stdout
    assert f"  - {experiments['removed'][0]}  " in result.stdout
    assert "(before: 3)" in result.stdout


def test_diff_of_a_configuration_with_itself() -> None:
    result = run("config", "diff", "config.yaml", "config.yaml")
    assert result.stdout.startswith("0 settings differ")
    assert "0 experiments added, 0 removed, 17 shared, 0 of them" in result.stdout


def test_new_writes_a_configuration_that_checks(folder: Path) -> None:
    result = run(
        "new",
        "mine/sweep.yaml",
        "--dataset",
        "wine,bundled:iris",
        "--sizes",
        "2^6..2^8",
        "--depths",
        "2..4",
        "--epochs",
        "9",
    )
    path = folder / "mine" / "sweep.yaml"
    assert result.stdout == "mine/sweep.yaml\n"
    assert "wattsweep config check mine/sweep.yaml" in result.stderr
    (cube,) = load(path).sweeps["first"]
    assert (cube.dataset, cube.size) == (["bundled:wine", "bundled:iris"], [64, 128, 256])
    assert (cube.depth, cube.epochs) == ([2, 3, 4], [9])
    assert path.read_text(encoding="utf-8").splitlines()[0] == MODELINE + SCHEMA_COPY
    assert (path.parent / SCHEMA_COPY).exists()
    run("config", "check", "mine/sweep.yaml")


def test_new_for_slurm_starts_its_profile_and_waits_as_a_real_meter_wants(folder: Path) -> None:
    result = run("new", "slurm.yaml", "--slurm-partition", "main", "--slurm-account", "lab", "--yes")
    config = load(folder / "slurm.yaml")
    assert (config.scheduling.partition, config.scheduling.account) == ("main", "lab")
    assert config.power.min_window_s == 60
    assert "profiles/slurm --configfile slurm.yaml` runs it" in result.stderr


def test_new_never_writes_over_a_file(folder: Path) -> None:
    error = run("new", status=1).exception
    assert "config.yaml: is there already, and stays as it is" in str(error)
    assert (folder / "config.yaml").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shapes", "square"], 'sweeps.first.shape[0] = "square": not known'),
        (["--sizes", "big"], "sizes big: 'big' is no whole number"),
        (["--depths", "1"], "sweeps.first.depth[0] = 1: it must be at least 2"),
        (["--epochs", "0"], "sweeps.first.epochs = 0: it must be at least 1"),
        (["--meter", "impi"], "did you mean `ipmi`?"),
        (["--preset", "smoke", "--epochs", "3"], "--preset takes a configuration as it is"),
    ],
)
def test_a_wrong_answer_is_a_usage_error(arguments: list[str], words: str, folder: Path) -> None:
    result = run("new", "mine.yaml", *arguments, status=2)
    assert words in " ".join(result.stderr.split())
    assert not (folder / "mine.yaml").exists()


def test_new_from_a_preset(folder: Path, repository: Path) -> None:
    run("new", "smoke.yaml", "--preset", "smoke")
    assert load(folder / "smoke.yaml") == load(repository / "configs" / "smoke.yaml")


def test_new_asks_in_a_terminal_until_an_answer_will_do(folder: Path) -> None:
    answers = ["wine", "rectangle, square", "rectangle, trapezoid", "2^6..2^8", "2, 3", "", "1", "simulated", ""]
    session = in_terminal([sys.executable, "-m", "wattsweep", "new", "asked.yaml"], typed="\n".join(answers) + "\n")
    assert session.status == 0, session.screen
    assert session.stdout.strip() == "asked.yaml"
    assert "Datasets" in session.screen
    assert 'Error: sweeps.first.shape[1] = "square": not known' in session.screen
    starter = Starter(
        datasets=("wine",),
        shapes=("rectangle", "trapezoid"),
        sizes=(64, 128, 256),
        repetitions=1,
        meter="simulated",
        simulated=True,
    )
    assert load(folder / "asked.yaml") == checked(starter)


def test_every_command_that_prints_facts_does_so_as_json() -> None:
    without = {name for name, one in commands().items() if not any("--json" in option.opts for option in one.params)}
    # One writes a file, the other a log.
    assert without == {"new", "run-shard"}


def test_a_grid_in_json_parses_as_it_does_in_yaml(folder: Path) -> None:
    config = load(folder / "config.yaml")
    (folder / "config.json").write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
    document = json.loads(run("config", "diff", "config.yaml", "config.json", "--json").output)
    assert document["settings"] == []
    assert parse(json.loads((folder / "config.json").read_text(encoding="utf-8"))) == config


def test_what_new_writes_by_default_is_planned_whole(folder: Path) -> None:
    run("new", "mine.yaml")
    document = json.loads(run("plan", "--configfile", "mine.yaml", "--json").output)
    assert (document["experiments"], document["runs"]) == (8, 16)
    assert document["nonconformant"] == []
