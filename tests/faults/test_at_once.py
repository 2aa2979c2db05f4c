"""Many at once, and many of them: two invocations on one results folder, and a folder of 100,000 files."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.runs.support_runs import config, records, shard_of
from tests.runs.support_shard_process import ShardProcess
from tests.support_records import make_record
from tests.workflow.test_workflow import Project
from wattsweep.planning import read_plan
from wattsweep.runs import Layout, write_run
from wattsweep.runs.finished import finished_facts

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("tensorflow")
def test_two_processes_on_one_shard_train_each_run_once(tmp_path: Path) -> None:
    settings = config(tmp_path / "results")
    jobs = [ShardProcess(settings, tmp_path / name) for name in ("one", "other")]
    try:
        statuses = sorted(job.wait() for job in jobs)
    finally:
        for job in jobs:
            job.kill()
    # The other one waited and found all done, or was told to try again.
    assert statuses in ([0, 0], [0, 75]), "\n".join(job.log for job in jobs)
    planned = {run.run_id for one in shard_of(settings).experiments for run in one.experiment.runs()}
    found = records(settings)
    assert planned <= {record.run.run_id for record in found.values()}
    blocks = {record.power.block_id for record in found.values() if record.power is not None}
    assert len(blocks) == len(shard_of(settings).experiments)


def test_two_workflows_on_one_results_folder_train_each_run_once(tmp_path: Path, repository: Path) -> None:
    projects = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        project = Project(tmp_path / name, repository)
        project.configure(dataset="wine", depth=[2, 3])
        document = yaml.safe_load((project.folder / "config.yaml").read_text())
        document["paths"] = {"results": str(tmp_path / "results")}
        (project.folder / "config.yaml").write_text(yaml.safe_dump(document))
        projects.append(project)
    with projects[0].running() as one, projects[1].running() as other:
        statuses = [one.wait(600), other.wait(600)]
    print(statuses)
    # One may meet a table that the other replaces.
    for project in projects:
        project.succeed()
    plan = read_plan(tmp_path / "results" / "plan" / "plan.json")
    files = [path.stem for path in tmp_path.glob("results/runs/*/*/*.h5")]
    assert len(files) == len(set(files)) >= plan["runs"]
    runs = pd.read_parquet(tmp_path / "results" / "tables" / "runs.parquet")
    assert sorted(runs["run_id"]) == sorted(files)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "results" / "quarantine").exists()


def test_a_folder_of_very_many_files(tmp_path: Path) -> None:
    record = make_record()
    layout = Layout(tmp_path)
    path = layout.run(record.run)
    write_run(path, record)
    for number in range(100_000):
        (path.parent / f".other-{number}.tmp").touch()
    write_run(path, record)
    assert list(finished_facts(layout, record.run.experiment_id)) == [record.run.repetition]
