"""Shards executed for real: training, the recorder, the simulated BMC and the run files."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run, shard_of
from wattsweep.planning import PlannedExperiment
from wattsweep.runs import Layout, RunRecord, describe_run, execute_shard, write_run
from wattsweep.runs.blocks import BlockTarget, is_done, missing_repetitions
from wattsweep.runs.finished import finished_runs
from wattsweep.runs.staging import StagedBlock

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]


def test_a_shard_trains_measures_and_is_done(tmp_path: Path) -> None:
    settings = config(tmp_path)
    result, lines = run(settings)
    done = records(settings)
    assert {(summary.experiment_id, summary.repetition) for summary in result.runs} == set(done)
    assert any("simulated" in line for line in lines)
    for record in done.values():
        power = record.power
        assert power is not None
        assert power.status == "ok", power.reason
        assert power.source.origin == "simulated"
        assert [phase.name for phase in record.phases] == ["idle_before", "setup", "training", "idle_after"]
        ends = [(phase.start_s, phase.end_s) for phase in record.phases]
        assert all(start < end for start, end in ends)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(ends))

        # The simulated node draws 100 W whatever it does, so energies follow from times alone.
        assert power.energy.gross.joules == pytest.approx(100 * record.training.duration_s, rel=1e-12)
        assert power.energy.net_j == pytest.approx(0, abs=1e-9)
        assert power.block_training_s >= 0.15
        assert power.block_runs >= 2
        block = [other for other in done.values() if other.power and other.power.block_id == power.block_id]
        assert len(block) == power.block_runs
        assert sum(other.training.duration_s for other in block) == pytest.approx(power.block_training_s)

    again, lines = run(settings)
    assert "0 of 2 experiments to train" in lines[0]
    assert again.runs == result.runs


def test_a_run_that_diverges_is_recorded_and_measured(tmp_path: Path) -> None:
    settings = config(tmp_path, CUBE | {"optimizer": "sgd", "learning_rate": 1e30, "depth": 3})
    _, lines = run(settings)
    assert any("diverged" in line for line in lines)
    for record in records(settings).values():
        assert record.diverged_at_epoch == record.epochs_trained < 40
        assert record.power is not None
        assert f"diverged    at epoch {record.epochs_trained}" in describe_run(record)
    _, lines = run(settings)
    assert "0 of 1 experiments to train" in lines[0]


def test_a_block_stops_at_its_most_repetitions(tmp_path: Path) -> None:
    settings = config(tmp_path, min_window="1 h", max_block_repetitions=5)
    result, _ = run(settings)
    assert len(result.runs) == 2 * 5


def test_without_power_only_the_asked_repetitions_are_trained(tmp_path: Path) -> None:
    settings = config(tmp_path, source="none")
    result, _ = run(settings)
    assert [summary.energy_status for summary in result.runs] == ["none"] * 4
    assert all(record.power is None for record in records(settings).values())


def test_a_run_of_which_the_file_is_lost_is_trained_again_to_the_same_history(tmp_path: Path) -> None:
    settings = config(tmp_path)
    run(settings)
    before = records(settings)
    lost = next(key for key in before if key[1] == 1)
    Layout(tmp_path).run(before[lost].run).unlink()
    run(settings)
    after = records(settings)
    assert set(before) <= set(after)
    for metric, values in before[lost].history.items():
        np.testing.assert_array_equal(values, after[lost].history[metric])


def test_what_an_interrupted_attempt_trained_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(tmp_path)
    add = StagedBlock.add
    calls = itertools.count()

    def interrupt(block: StagedBlock, record: RunRecord) -> None:
        add(block, record)
        if next(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(StagedBlock, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    monkeypatch.undo()
    kept = {path.stem: path.read_bytes() for path in tmp_path.rglob("staged/**/*.h5")}
    assert len(kept) == 3

    _, lines = run(settings)
    assert any("3 runs of an earlier attempt kept" in line for line in lines)
    recovered = [record for record in records(settings).values() if record.run.run_id in kept]
    assert len(recovered) == 3
    for record in recovered:
        power = record.power
        assert power is not None
        if power.status == "ok":
            assert power.energy.gross.joules == pytest.approx(100 * record.training.duration_s, rel=1e-12)
        else:
            assert "energy refused: valid samples cover" in power.reason
    # The interrupted block was too short to be trusted: its experiment was measured once more, with further runs.
    blocks = {record.power.block_id for record in records(settings).values() if record.power}
    assert len(blocks) == 3
    assert not list(tmp_path.rglob("staged/**/*.h5"))


def test_without_its_trace_an_interrupted_run_is_kept_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path)
    add = StagedBlock.add

    def interrupt(block: StagedBlock, record: RunRecord) -> None:
        add(block, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(StagedBlock, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    monkeypatch.undo()
    (staged,) = tmp_path.rglob("staged/**/*.h5")
    shutil.rmtree(tmp_path / "traces")

    run(settings)
    kept = next(record for record in records(settings).values() if record.run.run_id == staged.stem)
    assert kept.power is None
    assert "cannot be read" in kept.provenance["power_lost"]


def test_killed_while_a_block_is_finished_its_files_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path)
    calls = itertools.count()

    def write_two(path: Path, record: RunRecord) -> None:
        if record.power is not None and next(calls) == 2:
            raise KeyboardInterrupt
        write_run(path, record)

    monkeypatch.setattr("wattsweep.runs.staging.write_run", write_two)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    monkeypatch.undo()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/*.h5")}
    assert len(before) == 2

    run(settings)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/*.h5")}
    assert before.items() <= after.items()
    assert all(record.phase("idle_after").duration_s > 0 for record in records(settings).values())
    blocks = {record.power.block_id for record in records(settings).values() if record.power}
    assert len(blocks) == 2


def test_losses_do_not_depend_on_where_or_when_a_shard_ran(tmp_path: Path) -> None:
    one, other = config(tmp_path / "one", source="none"), config(tmp_path / "other", source="none")
    run(one)
    shard = shard_of(other)
    reversed_shard = replace(shard, experiments=shard.experiments[::-1])
    execute_shard(reversed_shard, other, report=lambda _line: None)
    ours, theirs = records(one), records(other)
    assert ours.keys() == theirs.keys()
    for key, record in ours.items():
        for metric, values in record.history.items():
            np.testing.assert_array_equal(values, theirs[key].history[metric])


def test_when_an_experiment_is_done(tmp_path: Path) -> None:
    settings = config(tmp_path)
    run(settings)
    planned: PlannedExperiment = shard_of(settings).experiments[0]
    finished = finished_runs(Layout(tmp_path), planned.experiment.experiment_id)
    target = BlockTarget.of(settings.power)
    assert is_done(planned, finished, target)
    assert not is_done(planned, finished, BlockTarget(1e6, 10**6))
    assert is_done(planned, finished, BlockTarget(0.0, 1))
    del finished[0]
    assert missing_repetitions(planned, finished) == [0]
    assert not is_done(planned, finished, target)
    shutil.rmtree(tmp_path)
