"""Runs of many experiments are the same, and in the same order, whoever reads them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support_records import SETTINGS, make_record
from wattsweep.errors import RunFileError
from wattsweep.runs import Layout, RunRecord, reading, write_run
from wattsweep.runs.packing import pack_shard
from wattsweep.runs.reading import runs_of


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    """Runs of seven experiments, none of an eighth, in the order of the tables."""
    found = [
        make_record(replace(SETTINGS, depth=depth), number) for depth in range(2, 9) for number in range(1 + depth % 3)
    ]
    for record in found:
        path = layout_of(tmp_path).run(record.run)
        write_run(path, record)
    return sorted(found, key=lambda one: (one.run.experiment_id, one.run.repetition))


def layout_of(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "results")


def ids(records: list[RunRecord]) -> list[str]:
    return sorted({*(record.run.experiment_id for record in records), "f" * 16})


@pytest.fixture(params=[1, 2])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of them, and a few experiments enough for them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(request.param)))
    monkeypatch.setattr(reading, "FEWEST", 2)
    monkeypatch.setattr(reading, "RUNS_AT_ONCE", 2)


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("packed", [False, True])
def test_every_experiment_has_its_runs_in_order(records: list[RunRecord], packed: bool, tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    if packed:
        marker = layout.marker("0123456789ab")
        marker.parent.mkdir(parents=True)
        listed = ", ".join(f'{{"experiment_id": "{one.run.experiment_id}"}}' for one in records)
        marker.write_text(f'{{"runs": [{listed}]}}')
        pack_shard(layout, "0123456789ab")
    groups = list(runs_of(layout, ids(records)))
    assert [len(group) for group in groups][-1] == 0
    assert len(groups) == len(ids(records))
    found = [record for group in groups for record in group]
    assert [one.run for one in found] == [one.run for one in records]
    for one, other in zip(found, records, strict=True):
        np.testing.assert_array_equal(one.history["val_loss"], other.history["val_loss"])
        assert one.power is not None
        assert len(one.power.trace) == 0
    (first, *_) = next(iter(runs_of(layout, ids(records), traces=True)))
    assert first.power is not None
    assert len(first.power.trace) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_a_damaged_run_file_is_named(records: list[RunRecord], tmp_path: Path) -> None:
    layout = layout_of(tmp_path)
    path = layout.run(records[5].run)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RunFileError, match=path.name):
        list(runs_of(layout, ids(records)))
