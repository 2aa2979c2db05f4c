"""`wattsweep record`: real programs under the simulated BMC."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = """
sweeps: {demo: {dataset: wine, shape: rectangle, size: 64, depth: 2}}
power: {source: simulated, interval: 100 ms, simulated: {refresh: 200 ms}}
"""
BURN = """
import time
end = time.monotonic() + 4
while time.monotonic() < end:
    pass
"""


def recorded(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "wattsweep", "record", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_a_program_is_measured_between_idling(tmp_path: Path) -> None:
    done = recorded(tmp_path, "--idle", "2s", "--output", "burn.csv", "--", sys.executable, "-c", f"print('hi'){BURN}")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert "gross" in done.stderr
    assert "(simulated, not a measurement)" in done.stderr
    summary = json.loads((tmp_path / "burn.json").read_text())
    (source,) = summary["sources"]
    assert (source["status"], source["source"]["origin"], source["trace"]) == ("ok", "simulated", "burn.csv")
    energy = source["energy"]
    assert energy["gross_lower"] <= energy["gross_joules"] <= energy["gross_upper"]
    assert 100 <= source["mean_w"] <= 250
    assert source["mean_w"] * summary["duration_s"] == pytest.approx(energy["gross_joules"], rel=0.02)
    assert 4.0 <= summary["duration_s"] < 20.0


def test_the_exit_status_is_the_programs_own(tmp_path: Path) -> None:
    assert recorded(tmp_path, "--idle", "0s", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_signal_is_passed_on_and_what_was_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    program = "import pathlib, time; pathlib.Path('runs').touch(); time.sleep(60)"
    command = [sys.executable, "-m", "wattsweep", "record", "--idle", "0s", "--output", "t.csv", "--"]
    with subprocess.Popen(
        [*command, sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline_s = time.monotonic() + 60
        while not (tmp_path / "runs").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "net energy refused" in said
    assert json.loads((tmp_path / "t.json").read_text())["exit_status"] == 143


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--", "no-such-program"], "There is no program 'no-such-program'"),
        (["--source", "none", "--", "true"], "power.source is none, of which nothing can be read"),
        (["--idle", "5", "--", "true"], "a duration is a number and a unit"),
        (["--source", "oracle", "--", "true"], "there is auto, ipmi"),
        (["--output", "config.csv", "--idle", "0s", "--", "true"], "The summary config.json exists"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "config.json").touch()
    done = recorded(tmp_path, *arguments)
    assert done.returncode in (1, 2)
    assert words in " ".join(done.stderr.replace("│", " ").split())
