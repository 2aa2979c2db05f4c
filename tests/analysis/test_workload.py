from pathlib import Path

import pytest

from wattsweep.analysis import workload
from wattsweep.workload import split_workload


def test_two_layers_by_hand() -> None:
    # 3 inputs, layers of 4 and 2: kernels 12 and 8, P = 16 + 10 = 26; 100 rows: 80 in 5 batches of 16, 20 in 2.
    work = workload([4, 2], 3, 16, 100)
    assert (work.n_train, work.n_test, work.train_batches, work.test_batches) == (80, 20, 5, 2)
    assert work.forward_macs_per_batch == 16 * ((12 + 4) + (8 + 2)) == 416
    assert work.backward_macs_per_batch == 16 * ((8 + 12) + (4 + 8 + 8)) + 26 * 17 == 1082
    assert work.macs_per_epoch == 5 * (416 + 1082) + 2 * 416 == 8322
    assert work.flops_per_epoch == 16644
    assert work.bytes_per_datum == 4 * (3 + 2)


def test_one_layer_has_no_gradient_towards_its_inputs() -> None:
    work = workload([1], 2, 1, 10)
    assert work.forward_macs_per_batch == 3
    assert work.backward_macs_per_batch == (2 + 2) + 3 * 2
    assert work.macs_per_epoch == 8 * (3 + 10) + 2 * 3


def hand_calculations() -> list[list[list[int]]]:
    """Rows of [inputs], widths, [batch], [rows], [train batches, test batches], [forward], [backward], [epoch]."""
    lines = Path(__file__).with_name("hand_calculations.txt").read_text(encoding="utf-8").splitlines()
    chosen = [line.strip("|").split("|")[1:] for line in lines if line.startswith("| operations |")]
    return [[[int(number) for number in cell.split()] for cell in row] for row in chosen]


def test_there_are_enough_hand_calculations() -> None:
    assert len(hand_calculations()) >= 20


@pytest.mark.parametrize("row", hand_calculations(), ids=lambda row: "-".join(map(str, row[1])))
def test_operations_by_hand(row: list[list[int]]) -> None:
    [n_inputs], widths, [batch_size], [n], batches, [forward], [backward], [epoch] = row
    work = workload(widths, n_inputs, batch_size, n)
    assert [work.train_batches, work.test_batches] == batches
    assert (work.forward_macs_per_batch, work.backward_macs_per_batch) == (forward, backward)
    assert work.macs_per_epoch == epoch


def test_deeper_network_by_hand() -> None:
    work = split_workload([5, 5, 1], 4, 10, 30, 0)
    assert work.forward_macs_per_batch == 10 * (25 + 30 + 6)
    assert work.backward_macs_per_batch == 10 * ((10 + 20) + (10 + 25 + 25) + (2 + 5 + 5)) + (25 + 30 + 6) * 11
    assert work.test_batches == 0


@pytest.mark.parametrize(
    ("n_observations", "test_split", "n_test", "train_batches"),
    [(1797, 0.2, 360, 6), (320, 0.2, 64, 1), (321, 0.2, 65, 1), (30, 0.1, 3, 1), (442, 0.5, 221, 1)],
)
def test_rows_are_split_as_datasets_are(
    n_observations: int, test_split: float, n_test: int, train_batches: int
) -> None:
    work = workload([2], 2, 256, n_observations, test_split)
    assert (work.n_test, work.n_train, work.train_batches) == (n_test, n_observations - n_test, train_batches)


def test_impossible_numbers_are_named() -> None:
    with pytest.raises(ValueError, match="batch_size = 0"):
        workload([2], 2, 0, 100)
    with pytest.raises(ValueError, match=r"widths = \[\]"):
        workload([], 2, 16, 100)
    with pytest.raises(ValueError, match="n_train = 0"):
        workload([2], 2, 16, 1, 0.5)
