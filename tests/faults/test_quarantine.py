"""Damaged run files are set aside with the reason and trained again; nothing of them is read."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from tests.runs.support_runs import config, records, run, shard_of
from tests.runs.test_run_files import assert_same
from wattsweep.planning import write_plan
from wattsweep.runs import Layout, execute_shard, read_run
from wattsweep.runs.finished import finished_runs
from wattsweep.runs.quarantine import quarantined


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def turn_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        offset = file["epochs"].id.get_chunk_info(0).byte_offset
    content[offset + 10] ^= 4
    path.write_bytes(content)


def other_version(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99


def foreign(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


def of_another_experiment(path: Path) -> None:
    other = next(one for one in path.parents[2].glob("*/*/*.h5") if one.parent != path.parent)
    path.write_bytes(other.read_bytes())


DAMAGE: list[Callable[[Path], None]] = [truncate, turn_a_bit, other_version, foreign, of_another_experiment]


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_set_aside_and_its_run_trained_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    settings = config(tmp_path)
    shard = shard_of(settings)
    layout = Layout(settings.paths.results)
    execute_shard(shard, settings, report=lambda _line: None)
    before = records(layout)
    path = layout.run(before[0].run)
    damage(path)
    lines: list[str] = []
    execute_shard(shard, settings, report=lines.append)
    (one,) = quarantined(layout)
    assert one.experiment_id == before[0].run.experiment_id
    assert (layout.results / one.path).exists()
    assert path.name in one.reason or str(path.parent) in one.reason
    assert any(str(one) in line for line in lines)
    again = read_run(path)
    assert again.run == before[0].run
    for metric, values in again.history.items():
        assert (values == before[0].history[metric]).all()
    for other in before[1:]:
        assert_same(read_run(layout.run(other.run)), other)


def test_readers_leave_it_out_or_name_it(tmp_path: Path) -> None:
    assert list(quarantined(Layout(tmp_path))) == []
    assert finished_runs(Layout(tmp_path), "0" * 16, quarantine=True) == {}
