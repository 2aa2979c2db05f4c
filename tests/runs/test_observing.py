"""What finished runs tell the predictor: from run files, packed files and tables alike."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support_records import IDLE_W, NET_W, SETTINGS, make_record, plan_of
from wattsweep.planning import FinishedRun
from wattsweep.runs import Layout, RunRecord, observing, write_run
from wattsweep.runs.facts import facts_of
from wattsweep.runs.observing import finished_run, observe
from wattsweep.runs.packing import pack_shard
from wattsweep.tables import write_tables
from wattsweep.tables.reading import finished_runs


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "results")


def finish(layout: Layout, records: list[RunRecord], shard_id: str = "0123456789ab", elapsed_s: float = 0.0) -> None:
    for record in records:
        write_run(layout.run(record.run), record)
    runs = [{"run_id": one.run.run_id, "experiment_id": one.run.experiment_id} for one in records]
    progress = {"elapsed_s": elapsed_s, "predicted_done_s": 50.0}
    layout.marker(shard_id).parent.mkdir(parents=True, exist_ok=True)
    layout.marker(shard_id).write_text(json.dumps({"shard_id": shard_id, "runs": runs, "progress": progress}))


def known(records: list[RunRecord]) -> list[FinishedRun]:
    found = [finished_run(facts_of(record)) for record in records]
    return sorted(found, key=lambda run: (run.experiment_id, run.run_s))


def seen(runs: list[FinishedRun]) -> list[FinishedRun]:
    return sorted(runs, key=lambda run: (run.experiment_id, run.run_s))


def sweep() -> list[RunRecord]:
    return [make_record(replace(SETTINGS, depth=depth), number) for depth in (2, 3, 4) for number in range(2)]


def test_a_run_is_known_by_its_network_its_data_its_time_and_its_power() -> None:
    record = make_record()
    run = finished_run(facts_of(record))
    assert run.experiment_id == record.run.experiment_id
    assert (run.widths, run.n_inputs, run.n_parameters) == (
        record.network.widths,
        record.network.n_inputs,
        record.network.n_parameters,
    )
    assert (run.n_train, run.n_test, run.batch_size, run.epochs) == (record.data.n_train, record.data.n_test, 64, 20)
    assert run.run_s == record.training_s
    assert run.setup_s == 3.5
    assert (run.origin, run.mean_w, run.idle_w) == ("measured", IDLE_W + NET_W, IDLE_W)
    assert run.kind == ("compiled", "float32", False, "cpu", "Example CPU 2.0 GHz", 1)


def test_runs_side_by_side_have_each_their_part_of_the_time() -> None:
    record = replace(make_record(), runs_at_once=4)
    assert finished_run(facts_of(record)).run_s == record.training_s / 4


@pytest.mark.parametrize("record", [make_record(refused="no samples"), make_record(origin=None)])
def test_watts_that_were_refused_or_not_measured_are_not_learned(record: RunRecord) -> None:
    run = finished_run(facts_of(record))
    assert (run.origin, run.mean_w, run.idle_w) == ("none", None, None)
    assert run.run_s > 0


def test_run_files_and_packed_files_and_tables_tell_the_same(layout: Layout) -> None:
    records = sweep()
    finish(layout, records)
    assert seen(observe(layout)[0]) == known(records)
    pack_shard(layout, "0123456789ab")
    assert seen(observe(layout)[0]) == known(records)
    ordered = sorted(records, key=lambda one: (one.run.experiment_id, one.run.repetition))
    write_tables(ordered, plan_of(records, 2), layout.results / "tables")
    assert seen(finished_runs(layout.results / "tables")) == known(records)


def test_what_the_tables_have_is_not_read_again(layout: Layout) -> None:
    records = sweep()
    finish(layout, records)
    others = records[2:]
    found, _ = observe(layout, {records[0].run.experiment_id})
    assert seen(found) == known(others)


def test_of_many_experiments_the_same_few_are_read_every_time(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "EXPERIMENTS", 2)
    monkeypatch.setattr(observing, "REPETITIONS", 1)
    records = [make_record(replace(SETTINGS, depth=depth), number) for depth in range(2, 9) for number in range(2)]
    for number, record in enumerate(records):
        finish(layout, [record], f"{number:012x}")
    found, _ = observe(layout)
    assert [run.experiment_id for run in found] == sorted({one.run.experiment_id for one in records})[:2]
    assert observe(layout)[0] == found


def test_what_cannot_be_read_is_left_out(layout: Layout) -> None:
    records = sweep()
    finish(layout, records, elapsed_s=70.0)
    for record in records[:2]:
        layout.run(record.run).write_bytes(b"not HDF5")
    for name, content in (("bad", "{"), ("list", "[]"), ("old", "{}")):
        layout.marker(name).write_text(content)
    runs, (shard,) = observe(layout)
    assert seen(runs) == known(records[2:])
    assert (shard.shard_id, shard.elapsed_s, shard.booked_s) == ("0123456789ab", 70.0, 50.0)


def test_shards_that_say_nothing_of_their_time_are_no_measure(layout: Layout) -> None:
    finish(layout, sweep(), elapsed_s=0.0)
    assert observe(layout)[1] == []


def test_tables_of_another_kind_tell_nothing(tmp_path: Path) -> None:
    assert finished_runs(tmp_path) == []
    (tmp_path / "runs.parquet").write_bytes(b"not Parquet")
    assert finished_runs(tmp_path) == []
    write_tables([], {}, tmp_path)
    assert finished_runs(tmp_path) == []
