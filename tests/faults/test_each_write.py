"""Each stage of a sweep loses its room at one of its writes: it says so, and given once more it completes.

How many writes of each stage is set by WATTSWEEP_WRITES; docs/reliability.md says how many were tried for a release.
"""

import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runs.support_runs import CUBE, config
from tests.support_preload import preloadable
from wattsweep.runs import read_run
from wattsweep.training import HISTORY_NAMES

pytestmark = pytest.mark.slow

REPETITIONS = 2
WRITES = int(os.environ.get("WATTSWEEP_WRITES", "1"))
NEVER = 1 << 62
OBSTACLES = {errno.EDQUOT: "your quota is used up: free some space", errno.ENOSPC: "the disk is full: free some space"}

PLAN = ("--plan", "results/plan")
TABLES = ("--tables", "results/tables")
FIT = ("--fit", "results/fit/energy_model.json")
FIGURES = ("--figures", "results/figures")
STAGES = {
    "prepare": ("prepare", "wine"),
    "plan": ("plan", "--output", "results/plan"),
    "shard": ("run-shard",),
    "tables": ("tables", *PLAN, "--output", "results/tables"),
    "fit": ("fit", *TABLES, "--output", "results/fit/energy_model.json"),
    "figures": ("figures", *TABLES, *FIT, "--output", "results/figures"),
    "report": ("report", *PLAN, *TABLES, *FIT, *FIGURES, "--output", "results/report.html"),
    "data-card": ("data-card",),
}
"""The commands of the workflow's rules, in their order."""


class Room:
    """Room on the disk below a folder, which ends at a write of one's choice for the processes started with it."""

    def __init__(self, library: Path, folder: Path, counter: Path) -> None:
        self.library = library
        self.folder = folder
        self.counter = counter
        self.ends_at(NEVER)

    def ends_at(self, place: int) -> None:
        """Every write from this one on fails; the first is 1."""
        np.array([0, place], dtype=np.int64).tofile(self.counter)

    @property
    def writes(self) -> int:
        """How many were counted."""
        return int(np.fromfile(self.counter, dtype=np.int64)[0])

    def environment(self, number: int) -> dict[str, str]:
        """What preloads it: writes fail with this number of an OSError."""
        return {
            "LD_PRELOAD": str(self.library),
            "WATTSWEEP_TEST_BELOW": str(self.folder),
            "WATTSWEEP_TEST_COUNTER": str(self.counter),
            "WATTSWEEP_TEST_ERRNO": str(number),
        }


class Sweep:
    """A project folder whose stages are given one by one.

    Of each stage it knows how many writes it took and what was in the results after it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.writes: dict[str, int] = {}
        self.whole: dict[str, dict[str, Any]] = {}
        self.results.mkdir(parents=True)
        # A block takes long enough for each of its runs to be measured.
        settings = config(Path("results"), CUBE | {"epochs": 400, "repetitions": REPETITIONS})
        (folder / "config.yaml").write_text(settings.model_dump_json(by_alias=True))

    def give(self, stage: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        arguments = [*STAGES[stage]]
        if stage == "shard":
            (shard,) = (self.results / "plan" / "shards").glob("*.json")
            marker = f"results/shards/{shard.name}"
            arguments += [str(shard.relative_to(self.folder)), "--output", marker]
        return subprocess.run(
            [sys.executable, "-m", "wattsweep", *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def content(self) -> dict[str, Any]:
        """What is in the results, by name, but what differs from one execution of a shard to the next."""
        found: dict[str, Any] = {str(path): pd.read_parquet(path) for path in self.results.glob("tables/*.parquet")}
        for path in [*self.results.rglob("*.svg"), *self.results.rglob("*.json"), *self.results.glob("*.html")]:
            found[str(path)] = None
        for record in map(read_run, self.results.glob("runs/*/*/*.h5")):
            if record.run.repetition < REPETITIONS:
                found[record.run.run_id] = {name: record.history[name] for name in HISTORY_NAMES}
        return found


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Room:
    folder = tmp_path_factory.mktemp("room")
    library = preloadable(repository / "tests" / "faults" / "used_up.c", folder)
    return Room(library, tmp_path_factory.mktemp("sweep") / "project" / "results", folder / "counter")


@pytest.fixture(scope="module")
def sweep(room: Room) -> Sweep:
    """Of a sweep that has passed all stages, and the results as each stage found them."""
    sweep = Sweep(room.folder.parent)
    for stage in STAGES:
        shutil.copytree(sweep.results, before(sweep, stage))
        room.ends_at(NEVER)
        done = sweep.give(stage, room.environment(errno.EDQUOT))
        assert done.returncode == 0, done.stderr
        sweep.writes[stage] = room.writes
        sweep.whole[stage] = sweep.content()
    return sweep


def before(sweep: Sweep, stage: str) -> Path:
    return sweep.folder.parent / f"before {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_whose_room_ends(stage: str, sweep: Sweep, room: Room) -> None:
    writes = sweep.writes[stage]
    if stage == "shard":
        # The longer it takes, the more often it writes down power: those at the end may not come.
        writes = writes * 3 // 4
    rng = random.Random(stage)
    for place in sorted(rng.sample(range(1, writes + 1), min(WRITES, writes))):
        number, words = rng.choice([*OBSTACLES.items()])
        where = f"{stage}, write {place} of {writes}, {errno.errorcode[number]}"
        shutil.rmtree(sweep.results)
        shutil.copytree(before(sweep, stage), sweep.results)
        room.ends_at(place)
        done = sweep.give(stage, room.environment(number))
        print(f"{where}: {done.stderr[-300:]}")
        assert done.returncode == 1, f"{where}:\n{done.stderr}"
        assert words in done.stderr, f"{where}:\n{done.stderr}"
        assert "Traceback" not in done.stderr, f"{where}:\n{done.stderr}"
        again = sweep.give(stage, {})
        assert again.returncode == 0, f"{where}:\n{again.stderr}"
        assert_same(sweep.content(), sweep.whole[stage], where)
        assert not (sweep.results / "quarantine").exists(), where
        assert not list(sweep.results.rglob("*.tmp")), where


def assert_same(found: dict[str, Any], whole: dict[str, Any], where: str) -> None:
    assert found.keys() == whole.keys(), where
    for name, content in whole.items():
        if isinstance(content, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], content)
        elif content is not None:
            for metric, values in content.items():
                np.testing.assert_array_equal(found[name][metric], values, err_msg=f"{where}: {name} {metric}")
