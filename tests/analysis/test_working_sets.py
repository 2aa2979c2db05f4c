from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.analysis import WorkingSet, WorkingSets, working_sets
from wattsweep.hardware import HardwareProfile, MemoryLevel, profile

TABLE = Path(__file__).with_name("hand_calculations.txt")
NAMES = ("inter_layer", "forward", "backward", "dataset")
HARDWARE = ("eagle-cpu", "eagle-gpu")


@dataclass(frozen=True)
class Row:
    hardware: str
    n_inputs: int
    widths: list[int]
    batch_size: int
    n_observations: int
    n_responses: int
    expected: list[list[float]]


def read_table() -> list[Row]:
    rows = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| eagle-"):
            continue
        hardware, n_inputs, widths, batch, n, responses, *sets = (cell.strip() for cell in line.strip("|").split("|"))
        expected = [[float(number) for number in one.split()] for one in sets]
        network = [int(width) for width in widths.split()]
        rows.append(Row(hardware, int(n_inputs), network, int(batch), int(n), int(responses), expected))
    return rows


def sets_of(found: WorkingSets) -> list[WorkingSet]:
    return [getattr(found, name) for name in NAMES]


def test_the_table_has_enough_networks() -> None:
    rows = read_table()
    assert {row.hardware for row in rows} == set(HARDWARE)
    assert len({(row.n_inputs, *row.widths) for row in rows}) >= 20
    assert {one[0] for row in rows if row.hardware == "eagle-cpu" for one in row.expected} == {1, 2, 3, 4}
    assert {one[0] for row in rows if row.hardware == "eagle-gpu" for one in row.expected} == {1, 2, 3}


@pytest.mark.parametrize("row", read_table(), ids=lambda row: f"{row.hardware}-{'-'.join(map(str, row.widths))}")
def test_working_sets_by_hand(row: Row) -> None:
    found = working_sets(
        row.widths, row.n_inputs, row.batch_size, row.n_observations, row.n_responses, profile(row.hardware)
    )
    for one, (level, cached, occupied) in zip(sets_of(found), row.expected, strict=True):
        assert one.level == level
        assert one.cached_bytes == pytest.approx(cached, abs=1e-3)
        assert one.occupied_bytes == pytest.approx(occupied, abs=1e-3)


@pytest.mark.parametrize(
    ("widths", "backward", "dataset"),
    [
        # Printed in BUTTER-E's published notebook 4 for 529_pollen at depth 3, sizes 2^5 to 2^9: CPU, GPU.
        ([3, 3, 1], (560, 314), (2697, 772)),
        ([5, 5, 1], (914, 578), (3051, 1036)),
        ([8, 8, 1], (1565, 1095), (3702, 1553)),
        ([13, 13, 1], (2969, 2276), (5106, 2734)),
        ([19, 19, 1], (5182, 4221), (7319, 4679)),
    ],
)
def test_published_numbers_are_met_to_fractions_of_a_byte(
    widths: list[int], backward: tuple[int, int], dataset: tuple[int, int]
) -> None:
    for number, hardware in enumerate(HARDWARE):
        found = working_sets(widths, 4, 256, 3848, 1, hardware)
        assert 0 <= found.backward.occupied_bytes - backward[number] < 3
        assert 0 <= found.dataset.occupied_bytes - dataset[number] < 4


def test_one_thread_has_one_core_of_caches() -> None:
    found = working_sets([13, 13, 1], 4, 256, 3848, 1, profile("eagle-cpu").on(1))
    # l = 26624 in an L1 of 32768; b = 26624 + 2088 + 5120 = 33832 does not fit: 32768 + 2088 + 5120 in L2.
    assert (found.inter_layer.level, found.inter_layer.occupied_bytes) == (1, 26624)
    assert (found.backward.level, found.backward.occupied_bytes) == (2, 39976)
    assert found.backward.level_name == "L2"
    assert found.dataset.total_bytes == 76960


def test_what_fits_nowhere_is_given_to_the_last_level() -> None:
    tiny = HardwareProfile("tiny", "cpu", "X", (MemoryLevel("L1", "core", 2, 100), MemoryLevel("RAM", "node", 1, 1000)))
    found = working_sets([100, 1], 10, 64, 500, 1, tiny)
    assert [one.level for one in sets_of(found)] == [2, 2, 2, 2]
    assert found.dataset.cached_bytes == found.dataset.total_bytes == 4 * 500 * 11


def test_impossible_numbers_are_named() -> None:
    with pytest.raises(ValueError, match=r"widths = \[\]"):
        working_sets([], 4, 256, 100, 1, "eagle-cpu")
    with pytest.raises(ValueError, match="batch_size = 0"):
        working_sets([2], 4, 0, 100, 1, "eagle-cpu")


networks = st.lists(st.integers(1, 3000), min_size=1, max_size=12)
hardware = st.sampled_from([profile(name) for name in HARDWARE])


@given(
    widths=networks, n_inputs=st.integers(1, 800), batch=st.integers(1, 2048), n=st.integers(1, 10**6), node=hardware
)
def test_sets_are_ordered_and_fit_their_levels(
    widths: list[int], n_inputs: int, batch: int, n: int, node: HardwareProfile
) -> None:
    found = working_sets(widths, n_inputs, batch, n, widths[-1], node)
    l, f, b, d = sets_of(found)  # noqa: E741
    assert l.level <= f.level <= b.level
    assert b.level <= d.level
    assert l.occupied_bytes < f.occupied_bytes <= b.occupied_bytes < d.occupied_bytes
    for one in (l, f, b, d):
        capacity = sum(level.bytes_per_unit for level in node.levels[: one.level])
        below = sum(level.bytes_per_unit for level in node.levels[: one.level - 1])
        assert below <= one.occupied_bytes
        assert one.occupied_bytes <= capacity or one.level == len(node.levels)
        assert 0 < one.cached_bytes <= one.total_bytes
        assert one.level_name == node.levels[one.level - 1].name


@given(
    widths=networks,
    layer=st.integers(0, 11),
    more=st.integers(1, 500),
    batch=st.integers(1, 1024),
    n=st.integers(1, 10**5),
    node=hardware,
)
def test_a_larger_network_a_larger_batch_and_more_rows_never_occupy_less(
    widths: list[int], layer: int, more: int, batch: int, n: int, node: HardwareProfile
) -> None:
    wider = list(widths)
    wider[layer % len(widths)] += more
    base = sets_of(working_sets(widths, 8, batch, n, 3, node))
    for grown in (
        working_sets(wider, 8, batch, n, 3, node),
        working_sets(widths, 8 + more, batch, n, 3, node),
        working_sets(widths, 8, batch + more, n, 3, node),
        working_sets(widths, 8, batch, n + more, 3, node),
    ):
        for before, after in zip(base, sets_of(grown), strict=True):
            assert before.level <= after.level
            assert before.occupied_bytes <= after.occupied_bytes * (1 + 1e-12)
            assert before.total_bytes <= after.total_bytes
