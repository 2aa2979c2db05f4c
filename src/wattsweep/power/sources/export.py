"""A site's monitoring export, joined after the fact: CSV files of timestamp, node and watts, as BUTTER-E used.

`read_export` gives the trace of one node in a window. Files are streamed, so their size does not matter; what is kept
is the node's rows in the window. Nothing is repaired or guessed, and everything left out or marked is counted.
"""

import csv
import glob
import gzip
import ipaddress
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Scope, SourceDescription
from wattsweep.power.sources.csv_text import Utf8Stream, as_text
from wattsweep.power.sources.export_times import (
    AMBIGUOUS,
    KNOWN,
    NONEXISTENT,
    UNREADABLE,
    Times,
    named_zone,
    parse_times,
)
from wattsweep.power.trace import Flags, Floats, Status, Trace

COLUMNS = ("timestamp", "node", "watts")
SUFFIXES = (".csv", ".csv.gz")
BLOCK_BYTES = 4 << 20
LONGEST_HEADER = 1 << 20
MARGIN_S = 300.0
SENTINELS_W = (0xFFFF, 0xFFFFFFFF)
MOST_NAMES = 10_000
NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ExportCounts:
    """What became of the rows of an export.

    rows = other_node + unreadable_timestamp + outside_window + duplicate_equal + samples. `malformed_row` counts lines
    with another number of cells than the header, which are not rows. The samples that are not OK, by reason: FAILED are
    `ambiguous_hour` (the clock passed it twice), `nonexistent_hour` (it left it out) and `no_watts` (empty, not a
    number); ZERO is `zero_watts`; IMPLAUSIBLE are `implausible_watts` (negative, a sentinel) and `duplicate_different`
    (two values for one time). `explicit_offset` counts the node's rows whose timestamp says its own offset.
    """

    files: int = 0
    rows: int = 0
    malformed_row: int = 0
    other_node: int = 0
    unreadable_timestamp: int = 0
    outside_window: int = 0
    duplicate_equal: int = 0
    samples: int = 0
    ok: int = 0
    ambiguous_hour: int = 0
    nonexistent_hour: int = 0
    no_watts: int = 0
    zero_watts: int = 0
    implausible_watts: int = 0
    duplicate_different: int = 0
    explicit_offset: int = 0


@dataclass(frozen=True, eq=False)
class Export:
    """The trace of one node from an export (W), what it is, and what became of the rows."""

    trace: Trace
    description: SourceDescription
    counts: ExportCounts


@dataclass
class _Gathered:
    """The rows of the node in the window, and what was seen on the way to them."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, bool] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    span_s: tuple[float, float] = (math.inf, -math.inf)
    unreadable: str = ""
    times_s: list[Floats] = field(default_factory=list)
    watts: list[Floats] = field(default_factory=list)
    fault: list[NDArray[np.int8]] = field(default_factory=list)


def read_export(
    path: Path | str,
    *,
    node: str,
    start_unix_s: float,
    end_unix_s: float,
    timezone: str,
    columns: tuple[str, str, str] = COLUMNS,
    ignore_offset: bool = False,
    utc_offset_s: float = 0.0,
    margin_s: float = MARGIN_S,
    scope: Scope = "node",
    refresh_s: float | None = None,
    averaging_s: float | None = None,
    label: str | None = None,
    delimiter: str = ",",
) -> Export:
    """The power of `node` in [start_unix_s - margin_s, end_unix_s + margin_s], from the CSV files at `path`.

    `path` is a file, a folder (its .csv and .csv.gz files) or a glob; `columns` are the header's names for time, node
    and watts. Timestamps are ISO 8601 or Unix seconds. Those without an offset are on the clock of `timezone`, an IANA
    name; those with one (or Z) are taken as they say, except with `ignore_offset`, for exports that write local time
    with a wrong offset. Nodes are compared by their short names; where both sides have a domain it must agree.

    Times of the trace are Unix seconds minus `utc_offset_s`: with the wall time minus the monotonic time of the node
    they are on its monotonic clock; `wall_s` is Unix time. A sample at an hour that the clock passed twice or left out
    is FAILED, at the first time that it may be. Samples of one time and one value are one; of different values, all are
    IMPLAUSIBLE. The refresh is estimated where `refresh_s` is None. `label` is the site's name for the export.

    To join many runs read the whole time of a node once and cut it by `Trace.window`: each call reads all files.

    Raises PowerError where there are no files, a file cannot be read or lacks a column, the zone is unknown, the
    window is empty, or there is no row of the node in it, and where rows of two nodes share its short name.
    """
    if not (math.isfinite(start_unix_s) and math.isfinite(end_unix_s) and start_unix_s < end_unix_s):
        raise PowerError(
            f"The window of the export is [{start_unix_s!r}, {end_unix_s!r}) in Unix seconds; its end must lie after "
            "its start."
        )
    if not node.strip():
        raise PowerError("The node whose power is wanted from the export has no name; give its host name.")
    zone = named_zone(timezone)
    files = _files(path)
    gathered = _Gathered()
    window_s = (start_unix_s - margin_s, end_unix_s + margin_s)
    for file in files:
        for stamps, nodes, watts in _blocks(file, columns, delimiter, gathered.counts):
            mine = _rows_of_node(nodes, node, gathered)
            if mine.any():
                mine_stamps, mine_watts = stamps.filter(pa.array(mine)), watts.filter(pa.array(mine))
                times = parse_times(mine_stamps, zone, ignore_offset=ignore_offset)
                _gather(gathered, mine_stamps, times, mine_watts, window_s)
    gathered.counts["files"] = len(files)
    _refuse_two_nodes(path, node, gathered.matched)
    if not gathered.times_s:
        raise PowerError(_nothing_found(path, node, timezone, (start_unix_s, end_unix_s), gathered))
    trace = _trace(gathered, utc_offset_s, refresh_s)
    offsets = ", offsets ignored" if ignore_offset else ""
    description = SourceDescription(
        name="csv",
        kind="power",
        scope=scope,
        origin="measured",
        detail=f"{columns[2]} of {node} in the export {path}{f' ({label})' if label else ''}, {len(files)} "
        f"{'file' if len(files) == 1 else 'files'}, clock of {timezone}{offsets}",
        refresh_s=trace.refresh_s,
        step=trace.step,
        averaging_s=averaging_s,
    )
    known = {one.name for one in fields(ExportCounts)}
    return Export(trace, description, ExportCounts(**{key: gathered.counts[key] for key in known}))


def _files(path: Path | str) -> list[Path]:
    whole = Path(path)
    if whole.is_dir():
        found = [one for one in whole.iterdir() if one.name.endswith(SUFFIXES) and one.is_file()]
        where = f"in the folder {path} (looked for {' and '.join(SUFFIXES)})"
    elif whole.is_file():
        return [whole]
    else:
        found = [Path(one) for one in glob.glob(str(path), recursive=True) if Path(one).is_file()]  # noqa: PTH207
        where = f"at {path}"
    if not found:
        raise PowerError(
            f"There is no export {where}. Name a CSV file, a folder of them, or a glob such as 'power/*.csv'."
        )
    return sorted(found)


def _blocks(path: Path, columns: Sequence[str], delimiter: str, counts: Counter[str]) -> Iterator[tuple[Any, Any, Any]]:
    """The columns of time, node and watts of a file as Arrow arrays of text, block by block."""
    compression = "gzip" if path.name.endswith(".gz") else None
    try:
        if not _has_rows(path, columns, delimiter):
            return
        with Utf8Stream(pa.input_stream(str(path), compression=compression)) as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES),
                **as_text(columns, counts, "malformed_row", delimiter=delimiter),
            )
            for batch in reader:
                counts["rows"] += batch.num_rows
                texts = [batch.column(at) for at in range(len(columns))]
                if any(pc.any(pc.match_substring(text, "\n")).as_py() for text in texts):
                    raise PowerError(
                        f"The export {path} has a quote that is not closed, which hides rows. Mend it or leave it out."
                    )
                yield texts[0], texts[1], texts[2]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise PowerError(f"The export {path} cannot be read as CSV in UTF-8: {str(error)[:200]}.") from None


def _has_rows(path: Path, columns: Sequence[str], delimiter: str) -> bool:
    """Whether more than a header is in the file. Raises PowerError where the header lacks a column or has it twice."""
    with _open_text(path) as file:
        header = file.readline(LONGEST_HEADER)
        more = bool(file.read(1))
    if not header:
        return False
    names = next(csv.reader([header], delimiter=delimiter), [])
    for column in columns:
        if names.count(column) != 1:
            problem = "no column" if column not in names else "more than one column"
            raise PowerError(
                f"The export {path} has {problem} '{column}'; its columns are {_listed(names)}. Set "
                "power.csv.timestamp_column, power.csv.node_column and power.csv.power_column to three of them."
            )
    return more


def _open_text(path: Path) -> TextIO:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows_of_node(nodes: Any, wanted: str, gathered: _Gathered) -> Flags:
    """Which rows are of the wanted node."""
    encoded = nodes.dictionary_encode()
    cells = encoded.dictionary.to_pylist()
    for cell in cells:
        if cell not in gathered.names and len(gathered.names) < MOST_NAMES:
            gathered.names[cell] = _is_node(cell, wanted)
    right = np.array([gathered.names.get(cell, _is_node(cell, wanted)) for cell in cells], dtype=np.bool_)
    gathered.matched.update(cell for cell, is_right in zip(cells, right, strict=True) if is_right)
    mine = np.asarray(right[np.asarray(encoded.indices)], dtype=np.bool_)
    gathered.counts["other_node"] += len(mine) - int(np.count_nonzero(mine))
    return mine


def _is_node(cell: str, wanted: str) -> bool:
    (short, domain), (wanted_short, wanted_domain) = _name_parts(cell), _name_parts(wanted)
    return short == wanted_short and (domain == wanted_domain or not domain or not wanted_domain)


def _name_parts(name: str) -> tuple[str, str]:
    """The short name and the domain; an address is a short name."""
    plain = name.strip().lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(plain)), ""
    except ValueError:
        short, _, domain = plain.partition(".")
        return short, domain


def _gather(gathered: _Gathered, stamps: Any, times: Times, watts: Any, window_s: tuple[float, float]) -> None:
    """Keep the rows of the node that are, or may be, in the window; count the others."""
    low_s, high_s = window_s
    readable = times.fault != UNREADABLE
    first_inside = (times.first_s >= low_s) & (times.first_s <= high_s)
    inside = readable & (first_inside | ((times.second_s >= low_s) & (times.second_s <= high_s)))
    gathered.counts["explicit_offset"] += int(np.count_nonzero(times.explicit_offset))
    gathered.counts["unreadable_timestamp"] += int(np.count_nonzero(~readable))
    gathered.counts["outside_window"] += int(np.count_nonzero(readable & ~inside))
    if not readable.all() and not gathered.unreadable:
        gathered.unreadable = str(stamps[int(np.argmin(readable))].as_py())[:40]
    if readable.any():
        seen_s = times.first_s[readable]
        gathered.span_s = (min(gathered.span_s[0], seen_s.min()), max(gathered.span_s[1], seen_s.max()))
    if inside.any():
        numbers = pd.to_numeric(pd.Series(watts.filter(pa.array(inside)).to_pylist(), dtype=object), errors="coerce")
        gathered.times_s.append(np.where(first_inside, times.first_s, times.second_s)[inside])
        gathered.watts.append(np.asarray(numbers, dtype=np.float64))
        gathered.fault.append(times.fault[inside])


def _trace(gathered: _Gathered, utc_offset_s: float, refresh_s: float | None) -> Trace:
    times_s, watts, fault = (np.concatenate(one) for one in (gathered.times_s, gathered.watts, gathered.fault))
    watts = np.where(np.isfinite(watts), watts, np.nan)
    known = fault == KNOWN
    order = np.lexsort((watts, times_s, ~known))
    times_s, watts, fault, known = times_s[order], watts[order], fault[order], known[order]

    together = (times_s[1:] == times_s[:-1]) & known[1:] & known[:-1]
    repeated = np.append(False, together & ((watts[1:] == watts[:-1]) | (np.isnan(watts[1:]) & np.isnan(watts[:-1]))))
    gathered.counts["duplicate_equal"] += int(np.count_nonzero(repeated))
    times_s, watts, fault, known = times_s[~repeated], watts[~repeated], fault[~repeated], known[~repeated]

    differs = (times_s[1:] == times_s[:-1]) & known[1:] & known[:-1] & np.isfinite(watts[1:]) & np.isfinite(watts[:-1])
    different = np.append(False, differs) | np.append(differs, False)
    implausible = (watts < 0) | np.isin(watts, SENTINELS_W)
    status = np.full(len(watts), Status.OK, dtype=np.int8)
    status[watts == 0] = Status.ZERO
    status[implausible | different] = Status.IMPLAUSIBLE
    status[np.isnan(watts) | ~known] = Status.FAILED
    gathered.counts.update(
        samples=len(watts),
        ok=int(np.count_nonzero(status == Status.OK)),
        ambiguous_hour=int(np.count_nonzero(fault == AMBIGUOUS)),
        nonexistent_hour=int(np.count_nonzero(fault == NONEXISTENT)),
        no_watts=int(np.count_nonzero(known & np.isnan(watts))),
        zero_watts=int(np.count_nonzero(status == Status.ZERO)),
        implausible_watts=int(np.count_nonzero(known & implausible & ~different)),
        duplicate_different=int(np.count_nonzero(different)),
    )
    # samples whose time is unknown stand where others are and would shorten the refresh
    estimated = Trace.from_arrays(times_s[known], watts[known], kind="power", status=status[known]).refresh_s
    order = np.argsort(times_s, kind="stable")
    at_s = times_s[order]
    trace = Trace(
        sequence=np.arange(len(at_s), dtype=np.int64),
        before_s=at_s - utc_offset_s,
        after_s=at_s - utc_offset_s,
        wall_s=at_s,
        values=watts[order],
        status=status[order],
        kind="power",
    )
    return trace.described(refresh_s=estimated if refresh_s is None else refresh_s, step=None)


def _refuse_two_nodes(path: Path | str, node: str, matched: set[str]) -> None:
    domains = {_name_parts(cell)[1] for cell in matched} - {""}
    if len(domains) > 1:
        raise PowerError(
            f"The export {path} has more than one node of the short name '{node}': {_listed(sorted(matched))}. Give "
            "the node's name with its domain; the watts of two nodes are never one trace."
        )


def _nothing_found(
    path: Path | str, node: str, timezone: str, window_s: tuple[float, float], gathered: _Gathered
) -> str:
    counts = gathered.counts
    if not gathered.matched:
        names = sorted(gathered.names)
        return (
            f"The export {path} has no row of node '{node}' among {counts['rows']}; it has {len(names)} other nodes: "
            f"{_listed(names)}. Give the node's name as the export writes it, or another export."
        )
    if gathered.span_s[0] > gathered.span_s[1]:
        return (
            f"The export {path} has no row of node '{node}' with a time: {counts['unreadable_timestamp']} rows have a "
            f"timestamp such as '{gathered.unreadable}', which is neither ISO 8601 nor Unix seconds. Convert them."
        )
    return (
        f"The export {path} has no row of node '{node}' from {_utc(window_s[0])} to {_utc(window_s[1])}; its rows are "
        f"from {_utc(gathered.span_s[0])} to {_utc(gathered.span_s[1])}. {counts['explicit_offset']} of them say their "
        f"own offset, the others are taken as on the clock of {timezone}. Check the window, the zone, and whether "
        "offsets have to be ignored (power.csv.ignore_offset)."
    )


def _utc(unix_s: float) -> str:
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{unix_s:g} s"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name[:60]}'" for name in names[:NAMES_SHOWN]) or "none"
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
