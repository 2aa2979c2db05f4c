"""Runs that fail: recorded, tried again, given up; the others are trained."""

import errno
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from tests.runs.test_drain import assert_same_histories
from wattsweep.cli import app
from wattsweep.config import Config
from wattsweep.errors import DrainedError, OutOfMemoryError, RunFileError
from wattsweep.grid import Experiment, Run
from wattsweep.planning import Plan, PlannedExperiment, write_plan
from wattsweep.runs import Layout, execute_shard
from wattsweep.runs.blocks import BlockTarget, is_done, missing_repetitions, train_runs
from wattsweep.runs.failures import (
    Failure,
    RunFailedError,
    attempts,
    failing,
    given_up,
    keep_failure,
    missing_because,
    read_failures,
)

Fails = Callable[[Run, int], bool]


def with_retries(settings: Config, retries: int) -> Config:
    return settings.model_copy(update={"scheduling": settings.scheduling.model_copy(update={"run_retries": retries})})


def fail_when(fails: Fails, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> Counter[str]:
    """Have runs raise when `fails(run, how often it was tried)`; how often each was tried."""
    tried: Counter[str] = Counter()

    def train(planned: PlannedExperiment, runs: list[Run], *rest: Any) -> Any:
        for one in runs:
            tried[one.run_id] += 1
        if any(fails(one, tried[one.run_id]) for one in runs):
            raise error or ValueError("a matrix\nof the wrong shape")
        return train_runs(planned, runs, *rest)

    monkeypatch.setattr("wattsweep.runs.blocks.train_runs", train)
    return tried


def run_of(settings: Config, experiment: int, repetition: int) -> Run:
    return shard_of(settings).experiments[experiment].experiment.run(repetition)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_run_that_fails_for_good_does_not_take_its_shard_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path)
    bad = run_of(settings, 0, 1)
    tried = fail_when(lambda one, _: one == bad, monkeypatch)
    marker = tmp_path / "shards" / "marker.json"
    lines: list[str] = []
    result = execute_shard(shard_of(settings), settings, report=lines.append, marker=marker)

    assert tried[bad.run_id] == 3
    assert max(tried.values()) == 3
    assert all(count == 1 for run_id, count in tried.items() if run_id != bad.run_id)
    done = {(record.run.experiment_id, record.run.repetition) for record in records(settings).values()}
    planned = {one.experiment.run(n) for one in shard_of(settings).experiments for n in range(2)}
    assert {(one.experiment_id, one.repetition) for one in planned - {bad}} <= done
    assert (bad.experiment_id, 1) not in done

    (failed,) = result.failures
    assert (failed.run_id, failed.attempts) == (bad.run_id, 3)
    assert failed.error == "ValueError: a matrix of the wrong shape"
    assert json.loads(marker.read_text())["failures"] == [
        {
            "run_id": bad.run_id,
            "experiment_id": bad.experiment_id,
            "repetition": 1,
            "attempts": 3,
            "error": "ValueError: a matrix of the wrong shape",
        }
    ]
    folder = tmp_path / "failures" / bad.experiment_id[:2] / bad.experiment_id
    assert sorted(path.name for path in folder.iterdir()) == [f"{bad.run_id}-{n}.json" for n in (1, 2, 3)]
    document = json.loads((folder / f"{bad.run_id}-1.json").read_text())
    assert "in train\n" in document["traceback"]
    assert document["kind"] == "ValueError"
    assert any(f"run {bad.run_id} failed, attempt 3 of 3: ValueError" in line for line in lines)
    assert any("1 runs failed for good" in line for line in lines)
    assert (result.progress.total.failed, result.progress.total.done, result.progress.experiments_done) == (1, 3, 2)
    assert not list(tmp_path.rglob("staged/*/*/*"))

    again, lines = run(settings)
    assert "0 of 2 experiments to train" in lines[0]
    assert again.failures == result.failures


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_run_that_fails_once_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = config(tmp_path / "undisturbed", source="none")
    run(undisturbed)
    settings = config(tmp_path / "results", source="none")
    flaky = run_of(settings, 0, 0)
    tried = fail_when(lambda one, count: one == flaky and count == 1, monkeypatch)
    result, lines = run(settings)
    assert tried[flaky.run_id] == 2
    assert sum(tried.values()) == 5
    assert result.failures == ()
    # The other experiment is trained before this one is tried again.
    assert [line.split("]")[0] for line in lines if line.startswith("[")] == ["[1/2", "[1/2", "[2/2", "[1/1"]
    ours = {record.run.run_id: record for record in records(settings).values()}
    assert_same_histories(ours, {record.run.run_id: record for record in records(undisturbed).values()})
    (kept,) = read_failures(Layout(settings.paths.results), flaky.experiment_id)
    assert kept.attempt == 1


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_attempts_of_earlier_shards_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that was killed after a failure does not start to count anew."""
    settings = with_retries(config(tmp_path, source="none"), 1)
    bad = run_of(settings, 0, 0)
    tried = fail_when(lambda one, _: one == bad, monkeypatch)
    monkeypatch.setattr("wattsweep.runs.shards._Execution._note", interrupt_second())
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    assert tried[bad.run_id] == 1
    monkeypatch.undo()
    tried = fail_when(lambda one, _: one == bad, monkeypatch)
    result, _ = run(settings)
    assert tried[bad.run_id] == 1
    assert [failed.attempts for failed in result.failures if failed.run_id == bad.run_id] == [2]


def interrupt_second() -> Callable[..., None]:
    """In place of `_note`: as if the process were interrupted when it goes to its second experiment."""
    names: list[str] = []

    def note(_: object, now: str) -> None:
        names.append(now)
        if len(names) == 3:
            raise KeyboardInterrupt

    return note


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_an_experiment_of_which_nothing_can_be_trained_is_given_up_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_retries(config(tmp_path, CUBE | {"repetitions": 4}, source="none"), 1)
    bad = run_of(settings, 1, 0)
    tried = fail_when(lambda one, _: one.experiment_id == bad.experiment_id, monkeypatch)
    result, _ = run(settings)
    assert sum(tried.values()) == 4 + 2
    assert [failed.attempts for failed in result.failures] == [2, 0, 0, 0]
    assert "not tried" in result.failures[1].error
    planned = {one.experiment.experiment_id: one.experiment for one in shard_of(settings).experiments}
    missing = missing_because(Layout(tmp_path), planned, {}, 5)
    assert missing.reasons == {"failed with ValueError": 4, "not trained yet": 1}
    assert f"run {bad.run_id}: ValueError: a matrix of the wrong shape" in missing.examples["failed with ValueError"]
    assert f"(failures/{bad.experiment_id[:2]}/" in missing.examples["failed with ValueError"]


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("where", ["wattsweep.runs.blocks.make_engine", "wattsweep.runs.shards._dataset"])
def test_what_cannot_be_set_up_fails_for_all_of_its_runs(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_retries(config(tmp_path), 0)

    def broken(*_: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(where, broken)
    result, _ = run(settings)
    assert [failed.attempts for failed in result.failures] == [1] * 4
    assert records(settings) == {}
    for planned in shard_of(settings).experiments:
        (failure,) = read_failures(Layout(tmp_path), planned.experiment.experiment_id)
        assert failure.repetitions == (0, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        DrainedError("stopped"),
        OutOfMemoryError("too large"),
    ],
)
def test_what_concerns_the_shard_is_no_failure_of_a_run(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path, source="none")
    fail_when(lambda _one, _count: True, monkeypatch, error)
    with pytest.raises(type(error)):
        run(settings)
    assert not (tmp_path / "failures").exists()
    assert not list(tmp_path.glob("leases/*"))


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_runs_side_by_side_fail_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = with_retries(config(tmp_path, CUBE | {"depth": 2}, source="none"), 0)
    settings = base.model_copy(update={"training": base.training.model_copy(update={"repetitions": "vectorised"})})
    fail_when(lambda _one, _count: True, monkeypatch)
    result, _ = run(settings)
    assert [failed.repetition for failed in result.failures] == [0, 1]
    (failure,) = read_failures(Layout(tmp_path), result.failures[0].experiment_id)
    assert failure.runs == tuple(failed.run_id for failed in result.failures)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_tables_say_what_is_missing_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_retries(config(tmp_path / "results", source="none"), 0)
    bad = run_of(settings, 0, 1)
    fail_when(lambda one, _: one == bad, monkeypatch)
    run(settings)
    shard = shard_of(settings)
    write_plan(Plan(settings, {}, (shard,), ()), tmp_path / "plan")
    configfile = tmp_path / "config.json"
    configfile.write_text(settings.model_dump_json(by_alias=True))
    output = tmp_path / "tables"
    options = ["tables", "--plan", str(tmp_path / "plan"), "--output", str(output), "--configfile", str(configfile)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "3 runs of 2 experiments" in done.output
    counts = json.loads((output / "counts.json").read_text())
    assert counts["missing"] == 1
    assert counts["missing_because"] == {"failed with ValueError": 1}
    assert bad.run_id in counts["missing_examples"]["failed with ValueError"]


EXPERIMENT = Experiment("0123456789abcdef", None, 3, ("demo",))  # type: ignore[arg-type]


def failure(*repetitions: int, attempt: int = 1) -> Failure:
    runs = tuple(EXPERIMENT.run(number).run_id for number in repetitions)
    return Failure(EXPERIMENT.experiment_id, runs, repetitions, attempt, "ValueError", "", "", "block", "a", "", "now")


def test_when_a_run_is_given_up() -> None:
    twice = [failure(1), failure(1, attempt=2)]
    assert attempts(twice) == {EXPERIMENT.run(1).run_id: 2}
    assert given_up(EXPERIMENT, [], twice, 2) == set()
    assert given_up(EXPERIMENT, [0], twice, 1) == {1}
    assert given_up(EXPERIMENT, [0, 1], twice, 1) == set()
    assert given_up(EXPERIMENT, [], twice, 1) == {0, 1, 2}
    # A further repetition, too.
    assert given_up(EXPERIMENT, [0], [failure(7)], 0) == {7}


def test_an_experiment_with_runs_that_were_given_up_is_done_without() -> None:
    planned = PlannedExperiment(EXPERIMENT, 3, (2, 1), 10, 1.0)
    target = BlockTarget(60.0, 30)
    assert missing_repetitions(planned, {}, {1}) == [0, 2]
    assert not is_done(planned, {}, target, {1})
    assert is_done(planned, {}, target, {0, 1, 2})


def test_failures_are_read_as_they_were_written(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    error = RunFailedError([EXPERIMENT.run(2)])
    error.__cause__ = ValueError("x" * 1000)
    kept = keep_failure(layout, error, [], "block-1", {"host": "node-a", "slurm_job_id": "17"})
    assert (kept.attempt, kept.host, kept.slurm_job_id, len(kept.message)) == (1, "node-a", "17", 300)
    second = keep_failure(layout, error, [kept], "block-2", {})
    assert second.attempt == 2
    assert read_failures(layout, EXPERIMENT.experiment_id) == [kept, second]
    assert replace(kept, message="").words == "ValueError"
    (layout.failures(EXPERIMENT.experiment_id) / "other.json").write_text("{}")
    with pytest.raises(RunFileError, match="not the record of a failure"):
        read_failures(layout, EXPERIMENT.experiment_id)


def test_what_a_run_raises_is_its_failure() -> None:
    runs = [EXPERIMENT.run(0)]
    for raised in (ValueError(), OSError(errno.ENOENT, "No such file"), MemoryError(), RunFileError("not valid")):
        with pytest.raises(RunFailedError) as caught, failing(runs):
            raise raised
        assert caught.value.__cause__ is raised
        assert caught.value.runs == tuple(runs)
    for order in (KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(order)), failing(runs):
            raise order
