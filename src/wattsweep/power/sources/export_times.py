"""Timestamps of a monitoring export: text to Unix seconds, in a named time zone, nothing guessed."""

import difflib
import zoneinfo
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wattsweep.errors import PowerError
from wattsweep.power.trace import Flags, Floats

TIMESTAMP = (
    r"^\s*(?:(?P<unix>\d{1,11}(?:\.\d{1,9})?)|"
    r"(?P<day>(?:19|20|21)\d\d-\d\d-\d\d)[Tt ](?P<clock>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)"
    r"\s*(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?)\s*$"
)
NOT_A_NAME = ("localtime", "Factory")
MICROSECOND_S = 1e-6
NEAR_NAMES = 5

KNOWN, AMBIGUOUS, NONEXISTENT, UNREADABLE = range(4)


@dataclass(frozen=True, eq=False)
class Times:
    """Timestamps in Unix s: `first_s` and `second_s` are the same where `fault` is `KNOWN`.

    In an hour that the clock passed twice (`AMBIGUOUS`) they are the two times that it may be; in one that it left out
    (`NONEXISTENT`) those by the zone's offset before and after the leap. They are nan where `UNREADABLE`.
    `explicit_offset` marks those that said their own offset, whether or not it was heeded.
    """

    first_s: Floats
    second_s: Floats
    fault: NDArray[np.int8]
    explicit_offset: Flags


def named_zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of an IANA name, such as "America/Denver" or "UTC". Raises PowerError with near names for another."""
    names = zoneinfo.available_timezones()
    if name in names and name not in NOT_A_NAME:
        return zoneinfo.ZoneInfo(name)
    lowered = {one.lower(): one for one in sorted(names)} | {one.lower().split("/")[-1]: one for one in sorted(names)}
    near = difflib.get_close_matches(name.lower().replace(" ", "_"), lowered, n=NEAR_NAMES, cutoff=0.6)
    near_names = list(dict.fromkeys(lowered[one] for one in near)) or ["UTC", "America/Denver", "Europe/Berlin"]
    raise PowerError(
        f"'{name}' is no time zone of the IANA database. Name the zone of the export's clock, such as "
        f"{', '.join(near_names)}."
    )


def parse_times(texts: Any, zone: zoneinfo.ZoneInfo, *, ignore_offset: bool) -> Times:
    """The times in `texts` (an Arrow array of strings): ISO 8601 to the second or finer, or Unix seconds.

    Those without an offset, and with `ignore_offset` those with one, are on the clock of `zone`; Unix seconds never
    are.
    """
    fields = pc.extract_regex(texts, TIMESTAMP)
    unix, day, clock, offset = (
        pc.fill_null(pc.struct_field(fields, name), "") for name in ("unix", "day", "clock", "offset")
    )
    written = pc.binary_join_element_wise(day, clock, "T")
    local = pd.DatetimeIndex(pd.to_datetime(_strings(written), errors="coerce", format="ISO8601")).as_unit("us")
    explicit = np.asarray(pc.not_equal(offset, ""), dtype=np.bool_)
    first_s = np.array(pd.to_numeric(_strings(unix), errors="coerce"), dtype=np.float64)
    second_s = first_s.copy()
    fault = np.full(len(first_s), KNOWN, dtype=np.int8)

    written_out = np.asarray(local.notna(), dtype=np.bool_)
    as_said = written_out & explicit if not ignore_offset else np.zeros_like(written_out)
    first_s[as_said] = _seconds(local[as_said]) - _offsets_s(offset)[as_said]
    second_s[as_said] = first_s[as_said]
    on_the_clock = written_out & ~as_said
    first_s[on_the_clock], second_s[on_the_clock], fault[on_the_clock] = _localise(local[on_the_clock], zone)
    fault[~np.isfinite(first_s)] = UNREADABLE
    return Times(first_s, second_s, fault, explicit)


def _localise(local: pd.DatetimeIndex, zone: zoneinfo.ZoneInfo) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """The two times that each may be in Unix s, and whether that is a fault."""
    utc = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    first_s = _seconds(utc)
    second_s = first_s.copy()
    fault = np.full(len(local), KNOWN, dtype=np.int8)
    for at in np.flatnonzero(np.isnan(first_s)):
        clock = local[int(at)].to_pydatetime()
        first_s[at], second_s[at] = (clock.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        if first_s[at] != second_s[at]:
            fault[at] = AMBIGUOUS if first_s[at] < second_s[at] else NONEXISTENT
    return first_s, second_s, fault


def _seconds(index: pd.DatetimeIndex) -> Floats:
    """Seconds since 1970-01-01 on the clock of `index`, UTC where it has a zone; nan for none."""
    seconds = index.asi8.astype(np.float64) * MICROSECOND_S
    seconds[index.isna()] = np.nan
    return np.asarray(seconds, dtype=np.float64)


def _offsets_s(offsets: Any) -> Floats:
    encoded = offsets.dictionary_encode()
    seconds = np.array([_offset_s(text) for text in encoded.dictionary.to_pylist()], dtype=np.float64)
    return np.asarray(seconds[np.asarray(encoded.indices)], dtype=np.float64)


def _offset_s(text: str) -> float:
    """The seconds by which a clock with offset "+hh:mm" is ahead of UTC; nan for one that no clock has."""
    if text in ("", "Z", "z"):
        return 0.0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        return float("nan")
    return (-1.0 if text[0] == "-" else 1.0) * (3600.0 * hours + 60.0 * minutes)


def _strings(array: Any) -> "pd.Series[str]":
    return pd.Series(np.asarray(array.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object), dtype=object)
