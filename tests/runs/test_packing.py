import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.runs.support_runs import files_no_larger_than
from tests.support_records import SETTINGS, make_record
from wattsweep.cli import app
from wattsweep.errors import LeaseError, RunFileError, UnreachableError
from wattsweep.grid import Settings
from wattsweep.runs import Layout, RunRecord, packed, packing, write_run
from wattsweep.runs.facts import RunFacts, facts_of, read_facts
from wattsweep.runs.finished import finished_facts, finished_runs
from wattsweep.runs.lease import Lease
from wattsweep.runs.packing import pack_shard, write_index

SHARD = "0123456789ab"
FEW, MANY = SETTINGS, replace(SETTINGS, size=4096)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "results")


def finish(layout: Layout, records: list[RunRecord], shard_id: str = SHARD) -> None:
    """Write run files and the marker that names them."""
    for record in records:
        write_run(layout.run(record.run), record)
    marker = layout.marker(shard_id)
    marker.parent.mkdir(parents=True, exist_ok=True)
    runs = [{"run_id": one.run.run_id, "experiment_id": one.run.experiment_id} for one in records]
    marker.write_text(json.dumps({"shard_id": shard_id, "runs": runs}))


def records_of(settings: Settings, repetitions: range = range(3)) -> list[RunRecord]:
    return [make_record(settings, repetition) for repetition in repetitions]


def loose(layout: Layout) -> list[Path]:
    return sorted((layout.results / "runs").rglob("*.h5"))


def assert_same(one: RunRecord, other: RunRecord) -> None:
    assert (one.run, one.settings, one.phases, one.provenance) == (
        other.run,
        other.settings,
        other.phases,
        other.provenance,
    )
    for name, values in one.history.items():
        np.testing.assert_array_equal(values, other.history[name])
    assert one.power is not None
    assert other.power is not None
    assert one.power.energy == other.power.energy
    np.testing.assert_array_equal(one.power.trace.values, other.power.trace.values)


def test_packed_runs_are_read_as_run_files_are(layout: Layout) -> None:
    records = [*records_of(FEW), *records_of(MANY)]
    finish(layout, records)
    identity = FEW.canonical() and records[0].run.experiment_id
    before, facts = finished_runs(layout, identity), finished_facts(layout, identity)
    done = pack_shard(layout, SHARD)
    assert (done.runs, done.packed, done.removed) == (6, 6, 6)
    assert not any((layout.results / "runs").rglob("*"))
    assert [path.name for path in layout.packed.iterdir()] == [f"{SHARD}.h5"]
    after = finished_runs(layout, identity)
    assert after.keys() == before.keys() == {0, 1, 2}
    for number, record in before.items():
        assert_same(record, after[number])
    assert finished_facts(layout, identity) == facts == {number: facts_of(one) for number, one in before.items()}
    assert finished_runs(layout, "00" * 8) == {}


def test_facts_are_those_of_the_record(layout: Layout) -> None:
    for record in (make_record(origin=None), make_record(refused="no samples"), make_record(origin="simulated")):
        write_run(layout.run(record.run), record)
        found = read_facts(layout.run(record.run))
        expected = facts_of(record)
        # What is refused is nan, which is not equal to itself.
        for one in (found, RunFacts.from_json(json.loads(json.dumps(found.to_json())))):
            assert json.dumps(one.to_json(), sort_keys=True) == json.dumps(expected.to_json(), sort_keys=True)
        assert found.training_s == record.training_s
        assert found.epochs_trained == record.epochs_trained


def test_traces_are_left_unread_where_they_are_not_wanted(layout: Layout) -> None:
    record = make_record()
    finish(layout, [record])
    for pack in (False, True):
        if pack:
            pack_shard(layout, SHARD)
        (light,) = finished_runs(layout, record.run.experiment_id, traces=False).values()
        assert record.power is not None
        assert light.power is not None
        assert len(light.power.trace) == 0
        assert light.power.trace.refresh_s == record.power.trace.refresh_s
        assert light.power.energy == record.power.energy
        np.testing.assert_array_equal(light.history["val_loss"], record.history["val_loss"])


def test_packing_again_takes_what_was_trained_since(layout: Layout) -> None:
    finish(layout, records_of(FEW))
    pack_shard(layout, SHARD)
    again = pack_shard(layout, SHARD)
    assert (again.runs, again.packed, again.removed) == (3, 0, 0)
    finish(layout, records_of(FEW, range(3, 5)))
    more = pack_shard(layout, SHARD)
    assert (more.runs, more.packed, more.removed) == (5, 2, 2)
    identity = make_record(FEW).run.experiment_id
    assert sorted(finished_runs(layout, identity)) == sorted(finished_facts(layout, identity)) == [0, 1, 2, 3, 4]


def dies(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["_write", "_digest", "to_disk", "_remove"])
def test_what_a_kill_leaves_is_read_once_and_packed_by_the_next_call(
    where: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = records_of(FEW)
    finish(layout, records)
    with monkeypatch.context() as patched:
        patched.setattr(packing, where, dies)
        with pytest.raises(KeyboardInterrupt):
            pack_shard(layout, SHARD)
    assert len(loose(layout)) == 3
    assert (layout.packed / f"{SHARD}.h5").exists() == (where == "_remove")
    identity = records[0].run.experiment_id
    assert sorted(finished_runs(layout, identity)) == [0, 1, 2]
    done = pack_shard(layout, SHARD)
    assert (done.runs, done.removed) == (3, 3)
    assert loose(layout) == []
    for number, record in finished_runs(layout, identity).items():
        assert_same(records[number], record)


def test_a_run_that_differs_from_its_packed_one_is_kept(layout: Layout) -> None:
    finish(layout, records_of(FEW))
    pack_shard(layout, SHARD)
    other = make_record(FEW, 1, noise=0.5)
    finish(layout, [other, make_record(FEW, 7)])
    with pytest.raises(RunFileError, match=r"is not as in its run file; both are kept"):
        pack_shard(layout, SHARD)
    assert len(loose(layout)) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def rename(path: Path) -> None:
    path.rename(path.with_name("0" * 16 + ".h5"))


@pytest.mark.parametrize(("damage", "words"), [(truncate, "not a valid run file"), (rename, "holds run")])
def test_a_damaged_run_file_stops_packing_before_anything_is_removed(
    damage: Callable[[Path], None], words: str, layout: Layout
) -> None:
    finish(layout, records_of(FEW))
    damage(loose(layout)[1])
    with pytest.raises(RunFileError, match=words):
        pack_shard(layout, SHARD)
    assert len(loose(layout)) == 3
    assert not list(layout.packed.glob("*"))


def test_a_full_disk_loses_nothing(layout: Layout) -> None:
    finish(layout, records_of(FEW))
    with files_no_larger_than(40_000), pytest.raises(OSError, match="File too large"):
        pack_shard(layout, SHARD)
    assert len(loose(layout)) == 3
    assert not list(layout.packed.glob("*"))


def test_only_finished_shards_are_packed(layout: Layout) -> None:
    write_run(layout.run(make_record().run), make_record())
    with pytest.raises(RunFileError, match="no such marker"):
        pack_shard(layout, SHARD)
    layout.marker(SHARD).parent.mkdir(parents=True)
    layout.marker(SHARD).write_text("{}")
    with pytest.raises(RunFileError, match="not a shard's marker"):
        pack_shard(layout, SHARD)


def test_a_shard_that_is_executed_is_left_alone(layout: Layout) -> None:
    finish(layout, records_of(FEW))
    with Lease(layout.leases, SHARD, 15.0), pytest.raises(LeaseError, match="is being executed"):
        pack_shard(layout, SHARD)
    assert len(loose(layout)) == 3


def test_an_experiment_may_be_in_several_packed_files(layout: Layout) -> None:
    """More repetitions make another shard of an experiment that is packed already."""
    finish(layout, records_of(FEW))
    pack_shard(layout, SHARD)
    identity = make_record(FEW).run.experiment_id
    assert sorted(finished_runs(layout, identity)) == [0, 1, 2]
    finish(layout, records_of(FEW, range(3, 4)), "ba9876543210")
    pack_shard(layout, "ba9876543210")
    assert sorted(finished_runs(layout, identity)) == sorted(finished_facts(layout, identity)) == [0, 1, 2, 3]


def test_the_index_spares_looking_into_every_file(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        settings = replace(FEW, depth=2 + number)
        finish(layout, records_of(settings, range(1)), f"{number:012x}")
        pack_shard(layout, f"{number:012x}")
    write_index(layout)
    opened: list[Path] = []
    really = packed.open_packed

    def open_packed(path: Path) -> Any:
        opened.append(path)
        return really(path)

    monkeypatch.setattr(packed, "_looked_into", {})
    monkeypatch.setattr(packed, "open_packed", open_packed)
    assert list(finished_runs(layout, make_record(replace(FEW, depth=3)).run.experiment_id)) == [0]
    assert opened == [layout.packed / f"{1:012x}.h5"]
    (layout.packed / packed.INDEX).write_text("[]")
    for _ in range(2):
        assert packed.read_index(layout.packed).keys() == {f"{number:012x}.h5" for number in range(3)}
        assert len(opened) == 1 + 3


def test_a_damaged_packed_file_is_named(layout: Layout) -> None:
    finish(layout, records_of(FEW))
    pack_shard(layout, SHARD)
    path = layout.packed / f"{SHARD}.h5"
    with pytest.raises(RunFileError, match="holds no run"):
        packed.read_packed(path, "00" * 8)
    path.write_bytes(b"not HDF5")
    with pytest.raises(RunFileError, match="not a packed file"):
        finished_runs(layout, make_record(FEW).run.experiment_id)
    write_run(path, make_record(FEW))
    with pytest.raises(RunFileError, match="its format and version are"):
        packed.facts_in(path)


def test_a_disk_that_does_not_answer_is_no_damage_of_a_packed_file(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(packed, "open_sealed", fail)
    with pytest.raises(UnreachableError, match=r"\.h5: cannot be read \(.*the disk does not answer"):
        packed.open_packed(layout.packed / "shard.h5")


def test_the_command_packs_and_inspect_shows_packed_runs(layout: Layout, tmp_path: Path) -> None:
    records = records_of(FEW)
    finish(layout, records)
    config = tmp_path / "config.yaml"
    config.write_text(
        "sweeps: {demo: {dataset: wine, shape: rectangle, size: 64, depth: 2}}\n"
        f"paths: {{results: {layout.results}}}\n"
    )
    runner = CliRunner()
    with Lease(layout.leases, SHARD, 15.0):
        output = runner.invoke(app, ["pack", "--configfile", str(config)]).output
        assert "left alone: shard 0123456789ab is being executed" in output
    output = runner.invoke(app, ["pack", "--configfile", str(config)]).output
    assert "1 shards: 3 runs packed, 3 run files removed" in output
    assert packed.INDEX in {path.name for path in layout.packed.iterdir()}
    path, run = layout.packed / f"{SHARD}.h5", records[1].run
    listed = runner.invoke(app, ["inspect", str(path)]).output
    assert "3 runs of 1 experiments" in listed
    assert f"run {run.run_id}  experiment {run.experiment_id}, repetition 1: digits rectangle size 1024" in listed
    assert len(json.loads(runner.invoke(app, ["inspect", str(path), "--json"]).output)) == 3
    for arguments in ([str(path), "--run", run.run_id], [str(layout.run(run))]):
        assert f"run {run.run_id}: valid" in runner.invoke(app, ["inspect", *arguments]).output


def test_packing_counts_fewer_files_than_a_fiftieth_of_the_runs(layout: Layout) -> None:
    finish(layout, records_of(replace(FEW, epochs=2), range(120)))
    pack_shard(layout, SHARD)
    write_index(layout)
    files = [path for folder in (layout.packed, layout.results / "runs") for path in folder.rglob("*")]
    assert len(files) <= 120 / 50
