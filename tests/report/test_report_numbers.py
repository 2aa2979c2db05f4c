import math

import pytest

from wattsweep.report.numbers import count, counted, duration, percent, plain, si

NBSP, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0032, "3.20 mJ"),
        (0.00099996, "1.00 mJ"),
        (-0.0471, "-47.1 mJ"),
        (1.0, "1.00 J"),
        (123456.0, "123 kJ"),
        (999.9, "1.00 kJ"),
        (4e-11, "40.0 pJ"),
        (2.1e-16, "210 aJ"),
        (1e-25, "0 J"),
        (0, "0 J"),
        (5e16, "50000 TJ"),
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
        (math.inf, "\N{EN DASH}"),
    ],
)
def test_si(value: float | None, words: str) -> None:
    assert si(value, "J") == words.replace(" ", NBSP)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0123, "12.3 ms"),
        (90.0, "90.0 s"),
        (600.0, "10 min"),
        (7200.0, "2.00 h"),
        (1e6, "278 h"),
        (None, "\N{EN DASH}"),
    ],
)
def test_duration(value: float | None, words: str) -> None:
    assert duration(value) == words.replace(" ", NBSP)


def test_shares_counts_and_plain_numbers() -> None:
    assert percent(0.1234) == f"12.3{NBSP}%"
    assert percent(-0.0001) == f"0.0{NBSP}%"
    assert percent(None) == "\N{EN DASH}"
    assert count(1234567) == f"1{THIN}234{THIN}567"
    assert plain(0.1) == "0.100"
    assert plain(math.nan) == "\N{EN DASH}"
    assert counted(1, "run") == "1 run"
    assert counted(2, "planned run") == "2 planned runs"
    assert counted(0, "entry", "entries") == "0 entries"
