"""Numbers as people read them."""

import math
from typing import Any

PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
SMALLEST = 1e-18
THIN = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"


def si(value: Any, unit: str, digits: int = 3) -> str:
    """A value with its unit and an SI prefix, such as "3.20 mJ"; a dash for what is missing or not finite.

    Less than 1e-18 is 0, as nothing here is so small but by rounding.
    """
    number = _number(value)
    if number is None:
        return NOTHING
    if abs(number) < SMALLEST:
        return f"0{THIN}{unit}"
    exponent = min(12, max(-18, 3 * math.floor(math.log10(abs(number)) / 3)))
    scaled = _rounded(number / 10.0**exponent, digits)
    if abs(scaled) >= 1000 and exponent < 12:
        exponent += 3
        scaled = _rounded(number / 10.0**exponent, digits)
    return f"{_plain(scaled, digits)}{THIN}{PREFIXES[exponent]}{unit}"


def duration(value: Any) -> str:
    """A time in seconds as ms, s, min or h."""
    number = _number(value)
    if number is None:
        return NOTHING
    if number < 120:
        return si(number, "s")
    if number < 7200:
        return f"{number / 60:.3g}{THIN}min"
    return f"{_plain(_rounded(number / 3600, 3), 3)}{THIN}h"


def percent(value: Any, digits: int = 1) -> str:
    """A share as a percentage."""
    number = _number(value)
    return NOTHING if number is None else f"{round(100 * number, digits) + 0.0:.{digits}f}{THIN}%"


def count(value: Any) -> str:
    """A whole number with its thousands apart."""
    number = _number(value)
    return NOTHING if number is None else f"{round(number):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plain(value: Any, digits: int = 3) -> str:
    """A number without a unit."""
    number = _number(value)
    return NOTHING if number is None else f"{number:#.{digits}g}".rstrip(".")


def counted(n: Any, singular: str, plural: str = "") -> str:
    """A number and its noun in the right form: "1 run", "2 runs"."""
    return f"{count(n)} {singular if _number(n) == 1 else plural or singular + 's'}"


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _rounded(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")


def _plain(number: float, digits: int) -> str:
    """Without an exponent, whatever the size."""
    whole = len(str(int(abs(number))))
    return f"{number:.{max(0, digits - whole)}f}" if whole < digits else f"{number:.0f}"
