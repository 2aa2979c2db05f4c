"""The readings of a job in BUTTER-E's files: CSV of timestamp, node and watts, on a clock that lies about its zone.

Timestamps end in Z but are on the clock of America/Denver. In the hour that this clock passes twice in autumn, the
order of the file tells the two passes apart; `settle` says how. Nothing is repaired: what is no use is counted.
"""

import zoneinfo
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from wattsweep.power import Status, Trace
from wattsweep.power.sources.csv_text import Utf8Stream, as_text
from wattsweep.power.sources.export_times import AMBIGUOUS, KNOWN, NONEXISTENT, UNREADABLE, Times, parse_times
from wattsweep.power.trace import Flags, Floats

ZONE = "America/Denver"
COLUMNS = ("timestamp", "node", "watts")
NEAR_S = 1800.0
REFRESH_S = 60.0


class UnreadableError(ValueError):
    """A power file that is no CSV of the three columns."""


@dataclass(frozen=True, eq=False)
class JobReadings:
    """The usable readings of one job, in the order of its file: arrays of one length, and counts of the others.

    `times_s` is Unix time, `nodes` indexes `names`, `watts` may be 0. `counts` has rows, readings, and the rows left
    out by reason.
    """

    names: tuple[str, ...]
    times_s: Floats
    nodes: NDArray[np.int64]
    watts: Floats
    counts: Counter[str] = field(default_factory=Counter)

    def of_node(self, name: str) -> Flags:
        """Which readings are of the node of exactly this name."""
        if name not in self.names:
            return np.zeros(len(self.times_s), dtype=np.bool_)
        return np.asarray(self.nodes == self.names.index(name), dtype=np.bool_)

    def trace(self, name: str) -> Trace:
        """The node's power trace in Unix time: 0 W is ZERO, two values at one time are both IMPLAUSIBLE."""
        mine = self.of_node(name)
        order = np.lexsort((self.watts[mine], self.times_s[mine]))
        times_s, watts = self.times_s[mine][order], self.watts[mine][order]
        repeated = np.append(False, (times_s[1:] == times_s[:-1]) & (watts[1:] == watts[:-1]))
        times_s, watts = times_s[~repeated], watts[~repeated]
        together = times_s[1:] == times_s[:-1]
        status = np.where(watts == 0, Status.ZERO, Status.OK).astype(np.int8)
        status[np.append(False, together) | np.append(together, False)] = Status.IMPLAUSIBLE
        return Trace.from_arrays(times_s, watts, kind="power", status=status, refresh_s=REFRESH_S)


def read_job(path: Path, zone: zoneinfo.ZoneInfo) -> JobReadings:
    """The readings in a job's file. Raises UnreadableError where it is empty, no CSV, or lacks a column."""
    counts: Counter[str] = Counter()
    table = _read(path, counts)
    counts["rows"] = table.num_rows
    stamps, nodes, cells = (table.column(name).combine_chunks() for name in COLUMNS)
    encoded = nodes.dictionary_encode()
    codes = np.asarray(encoded.indices, dtype=np.int64)
    times = parse_times(stamps, zone, ignore_offset=True)
    times_s, settled = settle(times, codes)
    watts = np.asarray(pd.to_numeric(pd.Series(cells.to_pylist(), dtype=object), errors="coerce"), dtype=np.float64)
    counts["ambiguous hour, settled"] = int(np.count_nonzero(settled & (times.fault == AMBIGUOUS)))
    problems = (
        ("unreadable timestamp", times.fault == UNREADABLE),
        ("hour that the clock left out", times.fault == NONEXISTENT),
        ("ambiguous hour, not settled", (times.fault == AMBIGUOUS) & ~settled),
        ("no watts", ~np.isfinite(watts)),
        ("negative watts", watts < 0),
    )
    usable = np.ones(len(watts), dtype=np.bool_)
    for reason, wrong in problems:
        counts[reason] += int(np.count_nonzero(usable & wrong))
        usable &= ~wrong
    counts["readings"] = int(np.count_nonzero(usable))
    counts["of 0 W"] = int(np.count_nonzero(usable & (watts == 0)))
    names = tuple(str(name) for name in encoded.dictionary.to_pylist())
    return JobReadings(names, times_s[usable], codes[usable], watts[usable], counts)


def settle(times: Times, nodes: NDArray[np.int64]) -> tuple[Floats, Flags]:
    """Unix times in s, and which readings have one: those of the hour passed twice are settled node by node.

    Readings of that hour that follow one another are a stretch. Where the clock steps back once within it, the readings
    before the step are of the first pass and the others of the second. Without a step the stretch is of one pass: the
    first where its beginning is nearer to the reading before it than its end, taken as the second pass, is to the
    reading after it; the second where it is the other way round. The nearer one has to be within half an hour. Where
    both are as near, as with a whole hour of readings and none of the other pass, or the clock steps back more than
    once, nothing tells: the stretch is not settled.
    """
    times_s = times.first_s.copy()
    settled = times.fault == KNOWN
    for node in np.unique(nodes[times.fault == AMBIGUOUS]):
        rows = np.flatnonzero((nodes == node) & ((times.fault == KNOWN) | (times.fault == AMBIGUOUS)))
        doubtful = times.fault[rows] == AMBIGUOUS
        edges = np.flatnonzero(np.diff(np.concatenate([[False], doubtful, [False]]).astype(np.int8)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            stretch = rows[begin:end]
            before = times.first_s[rows[begin - 1]] if begin > 0 else None
            after = times.first_s[rows[end]] if end < len(rows) else None
            chosen = _passes(times.first_s[stretch], times.second_s[stretch], before, after)
            if chosen is not None:
                times_s[stretch] = chosen
                settled[stretch] = True
    return times_s, np.asarray(settled, dtype=np.bool_)


def _passes(first_s: Floats, second_s: Floats, before_s: float | None, after_s: float | None) -> Floats | None:
    """The times of a stretch in the ambiguous hour; None where nothing tells."""
    back = np.flatnonzero(np.diff(first_s) < 0) + 1
    if len(back) == 1:
        return np.concatenate([first_s[: back[0]], second_s[back[0] :]])
    if len(back) > 1:
        return None
    to_before = np.inf if before_s is None else first_s[0] - before_s
    to_after = np.inf if after_s is None else after_s - second_s[-1]
    if to_before == to_after or min(to_before, to_after) > NEAR_S or min(to_before, to_after) < 0:
        return None
    return first_s if to_before < to_after else second_s


def _read(path: Path, counts: Counter[str]) -> Any:
    try:
        with Utf8Stream(path.open("rb")) as stream:
            return pyarrow.csv.read_csv(
                stream,
                pyarrow.csv.ReadOptions(use_threads=False),
                **as_text(COLUMNS, counts, "row of another length"),
            )
    except (OSError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UnreadableError(str(error)[:200]) from None
