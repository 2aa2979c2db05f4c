"""Any process of a sweep is killed at any moment: started once more, everything is complete and right.

How often is set by WATTSWEEP_KILLS, for shards, and WATTSWEEP_WORKFLOW_KILLS, for the workflow around them;
docs/reliability.md says how many moments were tried for a release.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from tests.runs.support_shard_process import ShardProcess
from tests.workflow.test_workflow import Project, stamps, with_group
from wattsweep.config import Config, parse
from wattsweep.planning import read_plan
from wattsweep.runs import RunRecord
from wattsweep.training import HISTORY_NAMES

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

KILLS = int(os.environ.get("WATTSWEEP_KILLS", "2"))
WORKFLOW_KILLS = int(os.environ.get("WATTSWEEP_WORKFLOW_KILLS", "2"))
WORKFLOW_S = 60.0
GRID = CUBE | {"depth": [2, 3], "epochs": 4000, "repetitions": 2}


def settings_for(results: Path, **power: Any) -> Config:
    base = config(results, GRID, **power)
    training = base.training.model_copy(update={"checkpoint_every_s": 0.2})
    return base.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    settings = settings_for(tmp_path_factory.mktemp("undisturbed"), source="none")
    run(settings)
    return {record.run.run_id: record for record in records(settings).values()}


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the shard takes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    begun_s = time.monotonic()
    assert ShardProcess(settings_for(folder / "results"), folder / "job").wait() == 0
    return time.monotonic() - begun_s


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_shard_killed_once_and_started_again(
    seed: int, whole_s: float, undisturbed: dict[str, RunRecord], tmp_path: Path
) -> None:
    rng = random.Random(seed)
    settings = settings_for(tmp_path / "results")
    job = ShardProcess(settings, tmp_path / "job")
    try:
        time.sleep(rng.uniform(0.0, whole_s))
        words = kill_one(job.process.pid, rng)
        print(f"killed: {words}")
        job.wait()
        again = ShardProcess(settings, tmp_path / "again")
        assert again.wait() == 0, f"{words}\n{job.log}\n{again.log}"
    finally:
        job.kill()
    found = records(settings)
    planned = {run.run_id for one in shard_of(settings).experiments for run in one.experiment.runs()}
    assert planned <= {record.run.run_id for record in found.values()}, words
    files = [path.stem for path in (tmp_path / "results" / "runs").glob("*/*/*.h5")]
    assert len(files) == len(set(files)) == len(found)
    for record in found.values():
        if record.run.run_id in undisturbed:
            for name in HISTORY_NAMES:
                np.testing.assert_array_equal(
                    record.history[name], undisturbed[record.run.run_id].history[name], err_msg=f"{words}: {name}"
                )
        assert record.power is not None
    assert list((tmp_path / "results" / "staged").glob("*/*/*")) == [], words
    assert not (tmp_path / "results" / "quarantine").exists()


@pytest.mark.parametrize("seed", range(WORKFLOW_KILLS))
def test_a_workflow_killed_once_and_started_again(seed: int, tmp_path: Path, repository: Path) -> None:
    """Of every two, one is killed with all that it started, as where the power fails."""
    rng = random.Random(seed)
    project = Project(tmp_path, repository)
    project.configure(dataset="wine", depth=[2, 3])
    with project.running() as process:
        try:
            process.wait(rng.uniform(0.0, WORKFLOW_S))
        except subprocess.TimeoutExpired:
            words = kill_all(process) if seed % 2 == 0 else kill_one(process.pid, rng)
            process.wait(300)
        else:
            words = "nothing: it had ended"
        # What it started goes on, and is there when the workflow is started again.
        before = stamps(project)
        if list(tmp_path.glob(".snakemake/locks/*")):
            assert "--unlock" in project.snakemake().stderr, words
        project.succeed("--unlock")
        project.succeed()
    assert before.items() <= stamps(project).items(), words
    found = project.runs()
    expected = expected_losses(project, tmp_path / "undisturbed")
    plan = read_plan(tmp_path / "results" / "plan" / "plan.json")
    runs = pd.read_parquet(tmp_path / "results" / "tables" / "runs.parquet")
    assert sorted(runs["run_id"]) == sorted(found), words
    assert len(expected) == plan["runs"]
    assert expected.keys() <= found.keys(), words
    for run_id, history in expected.items():
        for name in HISTORY_NAMES:
            np.testing.assert_array_equal(found[run_id].history[name], history[name], err_msg=f"{words}: {name}")
    assert not (tmp_path / "results" / "quarantine").exists(), words


def expected_losses(project: Project, results: Path) -> dict[str, Any]:
    """The histories of the runs that a project's grid asks for, trained here without a meter."""
    document = yaml.safe_load((project.folder / "config.yaml").read_text())
    settings = parse(document | {"power": {"source": "none"}, "paths": {"results": str(results)}})
    run(settings)
    return {record.run.run_id: record.history for record in records(settings).values()}


def kill_all(process: subprocess.Popen[bytes]) -> str:
    """Kill a process and all that it started, in words."""
    with_group(process)
    return "everything"


def kill_one(pid: int, rng: random.Random) -> str:
    """Kill a process, or one of those that it started; which one, in words."""
    try:
        whole = psutil.Process(pid)
        chosen = rng.choice([whole, *whole.children(recursive=True)])
        words = " ".join(chosen.cmdline()[1:3]) or str(chosen.pid)
        chosen.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return "nothing: it had ended"
    return words
