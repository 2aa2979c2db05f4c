from pathlib import Path

import pytest

from wattsweep.tables.columns import EPOCHS, EXPERIMENTS, RUNS, TABLES, Table
from wattsweep.tables.reference import PAGE_PATH, page

ROOT = Path(__file__).parents[2]
SUFFIX_UNITS = {"_j": "J", "_w": "W", "_s": "s"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path)
def test_every_column_is_named_once_and_described(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names))
    assert all(column.description.endswith(".") or "J" in column.unit for column in table.columns)


@pytest.mark.parametrize("table", [RUNS, EXPERIMENTS], ids=lambda table: table.path)
def test_names_and_units_agree(table: Table) -> None:
    for column in table.columns:
        stem = column.name.removesuffix("_q1").removesuffix("_median").removesuffix("_q3")
        for suffix, unit in SUFFIX_UNITS.items():
            if stem.endswith(suffix):
                assert column.unit == unit, column.name


def test_unit_and_description_are_in_the_schema() -> None:
    field = RUNS.schema.field("energy_net_j")
    assert field.metadata[b"unit"] == b"J"
    assert field.metadata[b"description"] == b"Gross energy - idle power x duration."


def test_epochs_hold_twenty_metrics() -> None:
    assert len(EPOCHS.columns) == 3 + 20


def test_the_reference_page_is_up_to_date() -> None:
    assert (ROOT / PAGE_PATH).read_text(encoding="utf-8") == page(), "run python -m wattsweep.tables.reference"
