"""Damaged run files are set aside with the reason and trained again; nothing of them is read."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.runs.support_runs import config, records, shard_of
from tests.runs.test_run_files import assert_same
from tests.support_records import make_record, resealed
from wattsweep.cli import app
from wattsweep.config import Config
from wattsweep.datasets import prepare, read_facts
from wattsweep.errors import RunFileError
from wattsweep.planning import make_plan, write_plan
from wattsweep.runs import Layout, execute_shard, write_run
from wattsweep.runs.failures import DAMAGED
from wattsweep.runs.finished import finished_runs
from wattsweep.runs.quarantine import quarantined
from wattsweep.tables import read_runs


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def turn_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        offset = file["epochs"].id.get_chunk_info(0).byte_offset
    content[offset + 10] ^= 4
    path.write_bytes(content)


def other_version(path: Path) -> None:
    with resealed(path) as file:
        file.attrs["schema_version"] = 99


def foreign(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


def of_another_experiment(path: Path) -> None:
    other = next(one for one in path.parents[2].glob("*/*/*.h5") if one.parent != path.parent)
    path.write_bytes(other.read_bytes())


DAMAGE: list[Callable[[Path], None]] = [truncate, turn_a_bit, other_version, foreign, of_another_experiment]


def train(settings: Config) -> list[str]:
    lines: list[str] = []
    execute_shard(shard_of(settings), settings, report=lines.append)
    return lines


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_set_aside_and_its_run_trained_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    settings = config(tmp_path)
    layout = Layout(tmp_path)
    train(settings)
    before = records(settings)
    first = min(before)
    path = layout.run(before[first].run)
    damage(path)
    lines = train(settings)
    (one,) = quarantined(layout)
    assert one.experiment_id == first[0]
    assert (tmp_path / one.path).exists()
    assert str(path) in one.reason or str(path.parent) in one.reason
    assert any(str(one) in line for line in lines)
    after = records(settings)
    assert before.keys() <= after.keys()
    for metric, values in after[first].history.items():
        np.testing.assert_array_equal(values, before[first].history[metric])
    for name in before.keys() - {first}:
        assert_same(after[name], before[name])


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_tables_leave_it_out_say_so_and_have_it_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(tmp_path / "results")
    layout = Layout(settings.paths.results)
    shard = shard_of(settings)
    execute_shard(shard, settings, report=lambda _line: None, marker=layout.marker(shard.shard_id))
    facts = read_facts(prepare("bundled", "wine", layout.datasets, settings.paths.pmlb))
    plan = replace(make_plan(settings, {("bundled", "wine"): facts}), shards=(shard,))
    write_plan(plan, layout.results / "plan")
    (tmp_path / "config.json").write_text(settings.model_dump_json(by_alias=True), encoding="utf-8")
    damaged = next(iter(sorted(records(settings).items())))[1].run
    truncate(layout.run(damaged))
    monkeypatch.chdir(tmp_path)
    folders = ["--plan", str(layout.results / "plan"), "--output", str(layout.results / "tables")]
    done = CliRunner().invoke(app, ["tables", "--configfile", "config.json", *folders])
    assert done.exit_code == 0, done.output
    assert f"warning: {damaged.run_id}.h5:" in done.stderr
    assert "1 of them because their files are damaged: start the workflow again" in done.stdout
    assert damaged.run_id not in set(read_runs(layout.results / "tables")["run_id"])
    counts = json.loads((layout.results / "tables" / "counts.json").read_text())
    assert counts["missing_because"] == {DAMAGED: 1}
    assert not layout.marker(shard.shard_id).exists()


def test_of_two_files_of_one_name_both_are_kept(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for content in ("first", "second"):
        path = layout.experiment("ab" * 8) / "run.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        assert finished_runs(layout, "ab" * 8, quarantine=True) == {}
        assert not path.exists()
    kept = list(quarantined(layout))
    assert [(tmp_path / one.path).read_text() for one in kept] == ["first", "second"]
    assert list(quarantined(layout, "ab" * 8)) == kept
    assert list(quarantined(layout, "cd" * 8)) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_disk_that_does_not_answer_is_no_damage(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_record()
    path = Layout(tmp_path).run(record.run)
    write_run(path, record)

    def fail(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    for module in ("files", "facts"):
        monkeypatch.setattr(f"wattsweep.runs.{module}.open_sealed", fail)
    with pytest.raises(RunFileError, match=r"\.h5: cannot be read"):
        finished_runs(Layout(tmp_path), record.run.experiment_id, quarantine=True)
    monkeypatch.undo()
    assert len(finished_runs(Layout(tmp_path), record.run.experiment_id, quarantine=True)) == 1
    assert list(quarantined(Layout(tmp_path))) == []


def test_without_it_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    path = Layout(tmp_path).experiment("ab" * 8) / "run.h5"
    path.parent.mkdir(parents=True)
    path.write_text("no run file")
    with pytest.raises(RunFileError, match=r"run\.h5: not a valid run file"):
        finished_runs(Layout(tmp_path), "ab" * 8)
    assert path.exists()
