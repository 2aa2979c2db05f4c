import json
import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from wattsweep.cli import app
from wattsweep.cli.meter import _in_words, _Watched
from wattsweep.errors import PowerError
from wattsweep.hardware import node_name
from wattsweep.power import Sample, Status
from wattsweep.power.profiles import read_profile
from wattsweep.power.updates import Estimate
from wattsweep.simulation.cpu import cpu_use, read_cpu_times

SWEEP = "sweeps: {demo: {dataset: wine, shape: rectangle, size: 64, depth: 2}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, so that there is no config.yaml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def config(folder: Path, **power: Any) -> str:
    path = folder / "other.yaml"
    path.write_text(SWEEP + f"paths: {{results: {folder / 'elsewhere'}}}\npower: {json.dumps(power)}\n")
    return str(path)


def test_meter_lists_every_source_and_says_which_is_chosen() -> None:
    result = run("meter")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"Power sources of {node_name()}"
    assert re.match(r"SOURCE +STATE +SCOPE +NOW +DETAIL", lines[2])
    for name in ("ipmi, network", "ipmi, in-band", "ipmitool", "redfish", "rapl", "nvml", "slurm", "csv", "simulated"):
        assert any(line.startswith(name) for line in lines), name
    assert "no measurement" in result.output
    assert lines[-1].endswith(".")


def test_meter_as_json() -> None:
    document = json.loads(run("meter", "--json").output)
    assert document["node"] == node_name()
    assert document["chosen"]
    simulated = document["sources"][-1]
    assert (simulated["source"], simulated["state"], simulated["simulated"]) == ("simulated", "present", True)


def test_meter_says_that_a_source_cannot_be_chosen() -> None:
    result = run("meter", "--source", "cray", "--json")
    assert result.exit_code == 0
    found = {one["name"]: one for one in json.loads(result.output)["sources"]}
    assert found["cray"]["state"] in ("absent", "present")


def test_the_configuration_says_what_there_is(folder: Path) -> None:
    csv = folder / "export.csv"
    csv.touch()
    document = json.loads(run("meter", "--json", "--configfile", config(folder, csv={"path": str(csv)})).output)
    assert [one["detail"] for one in document["sources"] if one["name"] == "csv"] == [
        f"{csv}, joined to the runs after the fact"
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_shows_the_simulated_bmc(folder: Path, as_json: bool) -> None:
    quiet = config(
        folder,
        source="simulated",
        interval="100 ms",
        simulated={"idle_w": 120.0, "slope_w": 0.0, "refresh": "100 ms"},
    )
    result = run("meter", "--watch", "--seconds", "0.5", "--configfile", quiet, *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    if as_json:
        samples = [json.loads(line) for line in lines]
        assert 3 <= len(samples) <= 6
        assert samples[-1]["watts"] == 120.0
        assert (samples[-1]["source"], samples[-1]["origin"]) == ("simulated", "simulated")
    else:
        assert lines[0] == "Power is simulated: power.source is simulated."
        assert 3 <= len(lines) - 1 <= 6
        assert re.fullmatch(
            r"simulated \(node\): +120\.0 W  ok  0 refreshes seen in \d readings  \(simulated, no measurement\)",
            lines[-1],
        )


def test_watch_ends_with_ctrl_c() -> None:
    command = [sys.executable, "-m", "wattsweep", "meter", "--watch", "--source", "simulated"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job has it ignored
    ) as process:
        assert process.stdout is not None
        assert "Power is simulated" in process.stdout.readline()
        assert "no measurement" in process.stdout.readline()
        process.send_signal(2)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors


def sample(value: float, time_s: float, status: Status = Status.OK) -> Sample:
    return Sample(0, time_s, time_s, time_s, time_s, value, status)


def test_a_counter_is_watched_in_watts() -> None:
    watched = _Watched()
    for second, joules in enumerate([1000.0, 1000.0, 1100.0, 1100.0, 1500.0]):
        watched = watched.seen(sample(joules, float(second)), counter=True)
    assert (watched.watts, watched.updates, watched.readings) == (200.0, 2, 5)
    watched = watched.seen(sample(10.0, 5.0), counter=True)
    assert watched.watts is None


def test_a_failed_reading_has_no_watts() -> None:
    watched = _Watched().seen(sample(100.0, 0.0), counter=False).seen(sample(math.nan, 1.0, Status.FAILED), False)
    assert (watched.watts, watched.updates, watched.readings) == (None, 0, 2)
    watched = watched.seen(sample(101.0, 2.0), counter=False)
    assert (watched.watts, watched.updates, watched.readings) == (101.0, 1, 3)


@pytest.mark.parametrize("source", ["none", "slurm"])
def test_there_must_be_something_to_watch(source: str) -> None:
    error = run("meter", "--watch", "--source", source).exception
    assert isinstance(error, PowerError)
    assert "nothing to watch; choose a source with --source" in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("meter", "--source", "watts"), "--source watts: there is auto, ipmi"),
        (("meter", "--source", "csv"), "--source csv: "),
        (("calibrate", "--period", "20"), "--period 20: a duration is a number and a unit"),
        (("calibrate", "--period", "0 s"), "it must be at least 0.001 s"),
        (("calibrate", "--cycles", "1"), "--cycles"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in re.sub(r"[\s│]+", " ", result.output)


def test_a_busy_node_is_not_calibrated(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("wattsweep.simulation.cpu.cpu_use", lambda *_: 0.42)
    monkeypatch.setattr("wattsweep.cli.meter.BUSY_LOOK_S", 0.01)
    error = run("calibrate", "--source", "simulated").exception
    assert isinstance(error, PowerError)
    assert "is busy: 42% of its CPU time" in str(error)
    assert "--force" in str(error)
    assert not (folder / "results").exists()


def test_there_must_be_something_to_calibrate() -> None:
    error = run("calibrate", "--force", "--source", "slurm").exception
    assert isinstance(error, PowerError)
    assert "power.source is slurm, which reads nothing that could be calibrated" in str(error)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(1.00012, 0.0007), "1.00012 +- 0.00070 s  m"),
        (Estimate(133.21, 12.3), "133 +- 12 s  m"),
        (Estimate(4.0, 0.0), "4 s  m"),
        (Estimate(None, None, "it is late"), "cannot be told: it is late"),
    ],
)
def test_estimates_have_the_digits_that_are_known(estimate: Estimate, words: str) -> None:
    assert _in_words(estimate, "s", "m") == words


@pytest.mark.slow
def test_the_simulated_bmc_is_calibrated(folder: Path) -> None:
    before = read_cpu_times()
    time.sleep(1.0)
    if (cpu_use(before, read_cpu_times()) or 0.0) > 0.95:
        pytest.skip("this machine has no CPU time left, so a load cannot show in its CPU use")
    arguments = ["calibrate", "--source", "simulated", "--period", "6 s", "--cycles", "4", "--force"]
    done = subprocess.run([sys.executable, "-m", "wattsweep", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cycle 4 of 4" in done.stderr
    assert "(simulated, no measurement)" in done.stdout
    assert "It is of the simulated BMC and no measurement." in done.stdout
    assert f"Written to results/nodes/{node_name()}.json." in done.stdout
    found = read_profile(folder / "results" / "nodes", node_name())["simulated"].calibration
    assert found.origin == "simulated"
    assert found.n_edges == 8
    assert found.load_share is not None
    if found.refresh_s.value is None and found.load_share < 0.6:
        pytest.skip(f"other work left {found.load_share:.0%} of the CPUs: {found.refresh_s.reason}")
    assert found.refresh_s.value == pytest.approx(1.0, rel=0.2), done.stdout
    assert found.step.value == 1.0, done.stdout
