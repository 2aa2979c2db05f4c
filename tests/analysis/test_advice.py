import numpy as np
import pandas as pd
import pytest

from wattsweep.analysis.advice import GROUP, cheapest, savings
from wattsweep.analysis.iso_loss import COLUMNS


def lines(rows: list[tuple[int, float, int, float]]) -> pd.DataFrame:
    """Rows of iso_loss: level, test loss, network, energy."""
    same = dict.fromkeys(GROUP, "a") | {"line": 0, "shape": "rectangle", "depth": 3, "epoch": 1.0, "macs": 1.0}
    made = [
        same | {"level": level, "test_loss": loss, "row": network, "n_parameters": 10 * network, "energy_j": energy}
        for level, loss, network, energy in rows
    ]
    return pd.DataFrame(made).assign(training_s=1.0)[list(COLUMNS)]


TWO = lines(
    [
        *((0, 1.0, 1, 1.0), (1, 0.8, 1, 3.0), (2, 0.6, 1, 9.0)),
        *((0, 1.0, 2, 2.0), (1, 0.8, 2, 2.5), (2, 0.6, 2, 8.0), (3, 0.5, 2, 12.0)),
    ]
)


def test_the_cheapest_at_each_level_is_of_either_network() -> None:
    least = cheapest(TWO)
    assert list(least["test_loss"]) == [1.0, 0.8, 0.6, 0.5]
    assert list(least["row"]) == [1, 2, 2, 2]
    assert list(least["energy_j"]) == [1.0, 2.5, 8.0, 12.0]


def test_each_step_takes_half_the_energy_of_the_one_before() -> None:
    steps = savings(cheapest(TWO))
    # 8 J is more than half of 12 J, so the next step is at 2.5 J; 1 J is less than half of that.
    assert list(steps["energy_j"]) == [12.0, 2.5, 1.0]
    assert list(steps["more_loss"])[1:] == pytest.approx([0.8 / 0.5 - 1, 1.0 / 0.8 - 1])
    assert list(steps["less_energy"])[1:] == pytest.approx([1 - 2.5 / 12, 0.6])
    assert np.isnan(steps["more_loss"].iloc[0])


def test_kinds_of_hardware_are_apart() -> None:
    other = TWO.assign(device="gpu")
    least = cheapest(pd.concat([TWO, other], ignore_index=True))
    assert len(least) == 8
    assert len(savings(least)) == 6


def test_nothing_is_nothing() -> None:
    assert cheapest(TWO.iloc[:0]).empty
    assert savings(cheapest(TWO.iloc[:0])).empty
