"""How far a sweep has come: from markers, progress, leases and names of files."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.runs.support_runs import config, run, shard_of
from tests.support_records import make_record
from wattsweep.cli import app
from wattsweep.config import parse
from wattsweep.datasets import DatasetFacts
from wattsweep.errors import ConfigError
from wattsweep.planning import Plan, PlannedExperiment, Shard, make_plan, write_plan
from wattsweep.runs import Layout, ShardResult, execute_shard
from wattsweep.runs.leasefile import lease_path
from wattsweep.runs.marker import RunSummary, write_marker
from wattsweep.runs.owner import this_process
from wattsweep.runs.progress import Counts, NodeCounts, Progress, add_up, count_experiment, write_progress
from wattsweep.runs.status import Status, describe_status, energy_words, read_status, status_line

WINE = DatasetFacts("bundled", "wine", "classification", "softmax", 178, 13, 3, 13, "ab" * 32)


def plan_for(results: Path, rates: int, repetitions: int = 5) -> Plan:
    """Two sweeps, the second on a part of the first, in many shards."""
    cube = {
        "dataset": "wine",
        "shape": ["rectangle", "trapezoid"],
        "size": [256, 1024],
        "depth": [2, 3, 4, 5],
        "epochs": 2000,
        "repetitions": repetitions,
    }
    rate = [round(1e-5 * (1 + number), 10) for number in range(rates)]
    sweeps = {"all": cube | {"learning_rate": rate}, "part": cube | {"learning_rate": rate[: rates // 4]}}
    settings = parse(
        {
            "sweeps": sweeps,
            "paths": {"results": str(results)},
            "power": {"source": "none"},
            "scheduling": {"shard_wall_time": "2 min"},
        }
    )
    plan = make_plan(settings, {("bundled", "wine"): WINE})
    write_plan(plan, results / "plan")
    return plan


def progress_of(
    planned: Sequence[PlannedExperiment], *, done: int, host: str = "node-a", elapsed_s: float = 0.0
) -> Progress:
    """The numbers of a shard of which the first `done` experiments are trained: each run took 2 s and 100 J."""
    counts = []
    for number, one in enumerate(planned):
        runs = one.experiment.repetitions if number < done else 0
        each = Counts(planned=one.experiment.repetitions, done=runs, gross_j={"measured": 100.0 * runs} if runs else {})
        counted = count_experiment(one, [], [], done=number < done)
        nodes = {host: NodeCounts(runs, 2.0 * runs, dict(each.gross_j))} if runs else {}
        counts.append(replace(counted, counts=each, nodes=nodes))
    predicted_s = sum(one.predicted_s for one in planned[:done])
    runs = sum(one.experiment.repetitions for one in planned[:done])
    return replace(
        add_up(counts), elapsed_s=elapsed_s or 2 * predicted_s, predicted_done_s=predicted_s, runs=runs, node=host
    )


def finish(layout: Layout, shard: Shard, host: str = "node-a", *, files: bool = False) -> None:
    """The marker of a shard that is done, and the names of its run files."""
    summaries = []
    for planned in shard.experiments:
        folder = layout.experiment(planned.experiment.experiment_id)
        if files:
            folder.mkdir(parents=True)
        for one in planned.experiment.runs():
            path = layout.run(one)
            if files:
                path.touch()
            place = str(path.relative_to(layout.results))
            summaries.append(RunSummary(one.run_id, one.experiment_id, one.repetition, place, "ok"))
    progress = progress_of(shard.experiments, done=len(shard.experiments), host=host)
    result = ShardResult(shard.shard_id, host, "", "", tuple(summaries), (), progress)
    write_marker(layout.marker(shard.shard_id), result)


def begin(layout: Layout, shard: Shard, *, done: int, host: str, ago_s: float = 0.0) -> None:
    """A shard that is being executed; its last heartbeat was so long ago."""
    progress = replace(progress_of(shard.experiments, done=done, host=host, elapsed_s=100.0), now="wine")
    write_progress(layout.progress(shard.shard_id), progress)
    layout.leases.mkdir(exist_ok=True)
    path = lease_path(layout.leases, shard.shard_id, 1)
    owner = replace(this_process(host, 15.0), host=host, slurm_job_id="17")
    path.write_bytes(owner.to_bytes())
    when = path.stat().st_mtime - ago_s
    os.utime(path, (when, when))


def test_every_shard_is_in_one_state(tmp_path: Path) -> None:
    plan, layout = plan_for(tmp_path, rates=400), Layout(tmp_path)
    first, second, third, fourth, fifth, *others = plan.shards
    assert len(others) > 3
    finish(layout, first)
    finish(layout, second, host="node-b")
    begin(layout, third, done=3, host="node-c")
    begin(layout, fourth, done=2, host="node-d", ago_s=61)
    write_progress(layout.progress(fifth.shard_id), progress_of(fifth.experiments, done=1))
    status = read_status(layout)
    assert status.shards == {"done": 2, "running": 1, "silent": 1, "stopped": 1, "waiting": len(others)}
    done = first.runs + second.runs + (3 + 2 + 1) * 5
    assert (status.total.planned, status.total.done, status.remaining) == (plan.runs, done, plan.runs - done)
    assert status.running == third.runs - 15
    assert status.total.gross_j == {"measured": pytest.approx(100.0 * done)}
    assert {name: node.runs for name, node in status.nodes.items()} == {
        "node-a": first.runs + 5,
        "node-b": second.runs,
        "node-c": 15,
        "node-d": 10,
    }
    assert {one.node: (one.state, one.experiments_done, one.now) for one in status.running_shards} == {
        "node-c": ("running", 3, "wine"),
        "node-d": ("silent", 2, "wine"),
    }
    assert status.sweeps["all"].planned == plan.runs
    assert status.sweeps["all"].done == done
    in_part = {one.experiment.experiment_id for one in plan.experiments if "part" in one.experiment.sweeps}
    trained = [*first.experiments, *second.experiments, *third.experiments[:3], *fourth.experiments[:2]]
    trained.append(fifth.experiments[0])
    assert status.sweeps["part"].done == 5 * sum(one.experiment.experiment_id in in_part for one in trained)
    assert not status.finished


def test_rate_and_time_left_follow_from_what_was_predicted(tmp_path: Path) -> None:
    plan, layout = plan_for(tmp_path, rates=400), Layout(tmp_path)
    finish(layout, plan.shards[0])
    nothing = read_status(layout)
    assert (nothing.rate_per_h, nothing.left_s) == (None, None)
    for shard, host in zip(plan.shards[1:3], ("node-b", "node-c"), strict=True):
        begin(layout, shard, done=3, host=host)
    status = read_status(layout)
    assert status.rate_per_h == pytest.approx(2 * 3600 * 15 / 100.0)
    begun = [one for shard in plan.shards[1:3] for one in shard.experiments[:3]]
    spent_s = 2 * sum(one.predicted_s for one in plan.shards[0].experiments) + 200.0
    ratio = spent_s / sum(one.predicted_s for one in (*plan.shards[0].experiments, *begun))
    left_s = sum(one.predicted_s for shard in plan.shards[1:3] for one in shard.experiments[3:])
    left_s += sum(shard.predicted_s for shard in plan.shards[3:])
    assert status.left_s == pytest.approx(left_s * ratio / 2)


def test_what_earlier_plans_trained_is_counted_by_its_files(tmp_path: Path) -> None:
    plan, layout = plan_for(tmp_path, rates=40), Layout(tmp_path)
    one, other = plan.shards[0].experiments[:2]
    for repetition in range(7):
        path = layout.run(one.experiment.run(repetition))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    layout.experiment(other.experiment.experiment_id).mkdir(parents=True)
    layout.run(other.experiment.run(3)).touch()
    (layout.experiment(other.experiment.experiment_id) / ".being-written.tmp").touch()
    (layout.results / "runs" / "ff" / "ffffffffffffffff").mkdir(parents=True)
    status = read_status(layout)
    assert (status.total.done, status.total.further) == (6, 2)
    assert status.sweeps["all"].done == 6
    assert status.shards["waiting"] == len(plan.shards)


def test_markers_of_shards_that_are_not_planned_do_not_count(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    before = plan_for(tmp_path, rates=40)
    for shard in before.shards:
        finish(layout, shard)
    assert read_status(layout).finished
    plan = plan_for(tmp_path, rates=60, repetitions=4)
    status = read_status(layout)
    assert not {shard.shard_id for shard in plan.shards} & {shard.shard_id for shard in before.shards}
    assert (status.total.done, status.shards["waiting"]) == (0, len(plan.shards))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"progress": {"total": 1}}', '{"progress": 1}'])
def test_a_marker_without_numbers_counts_as_done(content: str, tmp_path: Path) -> None:
    """As markers of earlier versions, and those of other programs."""
    plan, layout = plan_for(tmp_path, rates=40), Layout(tmp_path)
    marker = layout.marker(plan.shards[0].shard_id)
    marker.parent.mkdir()
    marker.write_text(content)
    status = read_status(layout)
    assert (status.shards["done"], status.total.done) == (1, 0)


def test_without_a_plan_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wattsweep plan --output"):
        read_status(Layout(tmp_path))


def test_counts_of_an_experiment_follow_from_its_runs(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, rates=4, repetitions=3)
    records = [
        make_record(repetition=0),
        make_record(repetition=1, refused="energy refused: coverage"),
        make_record(repetition=2, origin=None, provenance={"host": "node-b"}),
        make_record(repetition=3, origin="simulated"),
    ]
    counted = count_experiment(plan.experiments[0], records, [1, 7], done=True)
    measured, _, _, simulated = (one.power.energy.gross.joules if one.power else 0.0 for one in records)
    energies = {"measured": measured, "simulated": simulated}
    assert counted.counts == Counts(planned=3, done=3, further=1, failed=1, refused=1, gross_j=energies)
    assert {name: node.runs for name, node in counted.nodes.items()} == {"node-a": 3, "node-b": 1}
    progress = add_up([counted, counted])
    assert (progress.total.done, progress.experiments_done, progress.predicted_left_s) == (6, 2, 0.0)
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


STATUS = Status(
    "2026-11-24T12:00:00Z",
    12,
    Counts(planned=1000, done=250, further=30, failed=2, refused=3, gross_j={"measured": 1.5e6, "simulated": 20.0}),
    running=40,
    rate_per_h=120.0,
    left_s=6.2 * 3600,
    sweeps={"main": Counts(planned=1000, done=250)},
    nodes={"node-a": NodeCounts(280, 7300.0, {"measured": 1.5e6})},
    shards={"done": 5, "running": 2, "silent": 0, "stopped": 0, "waiting": 13},
)


def test_a_log_gets_one_line() -> None:
    assert status_line(STATUS) == (
        "2026-11-24T12:00:00Z 250 of 1,000 runs (25.0%), 2 failed, 3 energies refused, 748 remaining, shards: 5 done, "
        "2 running, 13 waiting, 120 runs/h, about 6.2 h left, 1.5 MJ measured, 20 J simulated"
    )


def test_a_terminal_gets_a_bar_and_tables() -> None:
    lines = describe_status(STATUS, width=80).splitlines()
    assert lines[0] == "[" + "#" * 17 + "-" * 53 + "]  25.0%"
    assert all(len(line) <= 80 for line in lines)
    assert any(line.startswith("main ") and "1,000" in line for line in lines)
    assert any(line.startswith("node-a ") and "2.0 h" in line for line in lines)
    assert "748 remaining, 40 of them in work, 120 runs/h, about 6.2 h left" in lines
    assert energy_words({}) == ""
    assert all(len(line) <= 30 for line in describe_status(STATUS, width=30).splitlines())


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_shard_writes_down_how_far_it_has_come(tmp_path: Path) -> None:
    settings = config(tmp_path)
    layout = Layout(tmp_path)
    shard = shard_of(settings)
    write_plan(Plan(settings, {}, (shard,), ()), tmp_path / "plan")
    seen: list[Status] = []
    result = execute_shard(
        shard,
        settings,
        report=lambda line: seen.append(read_status(layout)) if line.startswith("[") else None,
        marker=layout.marker(shard.shard_id),
    )
    first, second = seen
    assert (first.shards["running"], first.running_shards[0].experiments_done) == (1, 0)
    assert first.running_shards[0].now == "wine rectangle size 256 depth 2"
    assert (second.total.done, second.running, second.running_shards[0].experiments_done) == (2, 2, 1)
    assert second.rate_per_h is not None
    assert second.left_s is not None
    status = read_status(layout)
    assert status.finished
    assert (status.total.done, status.total.done + status.total.further) == (4, len(result.runs))
    joules = status.total.gross_j["simulated"]
    # The simulated node draws 100 W whatever it does.
    assert joules == pytest.approx(100 * sum(node.training_s for node in status.nodes.values()))
    assert not list((tmp_path / "progress").iterdir())
    run(settings)


def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    sweep = "{dataset: wine, shape: rectangle, size: 256, depth: 2}"
    path.write_text(f"sweeps: {{all: {sweep}}}\npaths: {{results: {tmp_path}}}\n")
    return path


def test_the_command_prints_text_or_json(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, rates=40)
    finish(Layout(tmp_path), plan.shards[0])
    options = ["status", "--configfile", str(configuration(tmp_path))]
    runner = CliRunner()
    assert "energy so far: " in runner.invoke(app, options).output
    document = json.loads(runner.invoke(app, [*options, "--json"]).output)
    assert document["total"]["done"] == plan.shards[0].runs
    assert document["remaining"] == plan.runs - plan.shards[0].runs
    refused = runner.invoke(app, [*options, "--every", "1 ms"])
    assert refused.exit_code == 2


def test_watching_ends_with_the_sweep(tmp_path: Path) -> None:
    plan, layout = plan_for(tmp_path, rates=40), Layout(tmp_path)
    for shard in plan.shards[1:]:
        finish(layout, shard)
    command = [sys.executable, "-m", "wattsweep", "status", "--configfile", str(configuration(tmp_path)), "--watch"]
    with subprocess.Popen([*command, "--every", "200 ms"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        finish(layout, plan.shards[0])
        lines += process.stdout.readlines()
    assert process.returncode == 0
    assert len(lines) >= 3
    assert all(line.count(" runs (") == 1 for line in lines)
    assert "(100.0%)" in lines[-1]


def test_in_a_terminal_it_is_drawn_in_place(tmp_path: Path) -> None:
    plan, layout = plan_for(tmp_path, rates=40), Layout(tmp_path)
    for shard in plan.shards[1:]:
        finish(layout, shard)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "wattsweep", "status", "--configfile", str(configuration(tmp_path)), "--watch"]
    with subprocess.Popen([*command, "--every", "200 ms"], stdout=theirs) as process:
        os.close(theirs)
        drawn = b""
        while drawn.count(b"\x1b[A") == 0:
            drawn += os.read(ours, 65536)
        finish(layout, plan.shards[0])
        # The terminal of a process that has ended gives an error in place of an end.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                drawn += piece
    os.close(ours)
    assert process.returncode == 0
    text = drawn.decode()
    height = text.split("\x1b[A")[0].count("\n")
    assert text.count("\x1b[A\x1b[2K") % height == 0
    assert text.count("]") >= 2


@pytest.mark.slow
def test_60_000_runs_are_told_in_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The time is printed: it belongs to the machine."""
    plan, layout = plan_for(tmp_path, rates=750), Layout(tmp_path)
    assert plan.runs == 60_000
    half = len(plan.shards) // 2
    for number, shard in enumerate(plan.shards[:half]):
        finish(layout, shard, host=f"node-{number % 100}", files=True)
    for number, shard in enumerate(plan.shards[half : half + 50]):
        begin(layout, shard, done=len(shard.experiments) // 2, host=f"node-{number}")
    command = [sys.executable, "-m", "wattsweep", "status", "--configfile", str(configuration(tmp_path))]
    started_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    elapsed_s = time.monotonic() - started_s
    assert "of 60,000 runs" in done.stdout
    started_s = time.monotonic()
    status = read_status(layout)
    reading_s = time.monotonic() - started_s
    assert status.total.done > 30_000
    with capsys.disabled():
        print(
            f"\nwattsweep status, 60,000 runs in {len(plan.shards)} shards: {elapsed_s:.2f} s, of which reading "
            f"{reading_s:.2f} s"
        )
