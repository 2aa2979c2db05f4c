"""Energy of a node from the counters that Cray EX and XC nodes keep in /sys/cray/pm_counters, updated at 10 Hz.

The files are updated together, and `freshness` moves with each update: what is read between two equal freshnesses
belongs together. `startup` moves when the counters are restarted, `generation` when a power cap changes; a read that
finds one of them moved has failed, so that a restart never looks like energy. The energy is in whole joules and holds
that of the node's accelerators.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.sources.specs import CraySpec
from wattsweep.power.sources.sysfs import obstacle, read_text
from wattsweep.power.trace import Status

MOST_ATTEMPTS = 5
USUAL_SCAN_HZ = 10.0
STEP_J = 1.0


@dataclass(frozen=True, slots=True)
class _Counters:
    """What belongs together; `startup` is None on nodes that do not count it."""

    energy_j: int
    freshness: int
    generation: int
    startup: int | None


class _MovingError(Exception):
    """The counters were updated during every attempt to read them."""


class CraySource:
    """The energy counter of a Cray node, in J."""

    def __init__(self, spec: CraySpec) -> None:
        self._folder = Path(spec.root)
        self._epoch: _Counters | None = None
        self._freshness: int | None = None
        self._description: SourceDescription | None = None

    def open(self) -> None:
        """Read the counters once. Raises PowerError where they are not there or cannot be read."""
        try:
            epoch = self._counters()
            scan_hz = self._scan_hz()
        except _MovingError:
            raise PowerError(
                f"The counters in {self._folder} were updated during each of {MOST_ATTEMPTS} attempts to read them, "
                f"although they are updated at {USUAL_SCAN_HZ:g} Hz. Free a core of this node and try again."
            ) from None
        except OSError as error:
            raise PowerError(
                f"This node's Cray power counters cannot be read: {obstacle(Path(error.filename), error)}. Cray EX and "
                "XC nodes have them for every user; choose another power.source elsewhere."
            ) from None
        except ValueError as error:
            raise PowerError(
                f"The Cray power counters in {self._folder} are not of the form expected: {error}. Choose another "
                "power.source."
            ) from None
        self._epoch, self._freshness = epoch, None
        self._description = SourceDescription(
            name="cray",
            kind="energy",
            scope="node",
            origin="measured",
            detail=f"energy counter of the node in {self._folder}, accelerators included, read in-band",
            refresh_s=1.0 / scan_hz,
            step=STEP_J,
        )

    def read(self) -> Reading:
        """The counter in J, fresh or not by `freshness`.

        It is nan and `Status.FAILED` where the files cannot be read, are updated during every attempt, or the counters
        were restarted since the last read; the read after that takes the counter as it then is.
        """
        if self._epoch is None:
            return Reading(math.nan, Status.FAILED)
        try:
            counters = self._counters()
        except (OSError, ValueError, _MovingError):
            return Reading(math.nan, Status.FAILED)
        if change := _change(self._epoch, counters):
            print(f"{self._folder}: {change}; this reading counts as failed.", file=sys.stderr)
            self._epoch, self._freshness = counters, None
            return Reading(math.nan, Status.FAILED)
        fresh = None if self._freshness is None else counters.freshness != self._freshness
        self._freshness = counters.freshness
        return Reading(float(counters.energy_j), Status.OK if counters.energy_j >= 0 else Status.IMPLAUSIBLE, fresh)

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._description is None:
            raise PowerError(
                f"The power counters in {self._folder} have not been opened; call open() before describe()."
            )
        return self._description

    def close(self) -> None:
        """Read no more. Harmless when not open."""
        self._epoch = None

    def _counters(self) -> _Counters:
        """Counters of one update. Raises OSError, ValueError for other text, _MovingError."""
        for _ in range(MOST_ATTEMPTS):
            freshness = self._number("freshness")
            counters = _Counters(
                energy_j=self._number("energy", unit="J"),
                freshness=freshness,
                generation=self._number("generation"),
                startup=self._startup(),
            )
            if self._number("freshness") == freshness:
                return counters
        raise _MovingError

    def _startup(self) -> int | None:
        try:
            return self._number("startup")
        except FileNotFoundError:
            return None

    def _scan_hz(self) -> float:
        try:
            hertz = self._number("raw_scan_hz")
        except (OSError, ValueError):
            return USUAL_SCAN_HZ
        return float(hertz) if hertz > 0 else USUAL_SCAN_HZ

    def _number(self, name: str, unit: str | None = None) -> int:
        """The number that a file begins with, before its unit and its time ("12345 J 1700000000000000 us")."""
        text = read_text(self._folder / name)
        value, *rest = text.split() or [""]
        if unit is not None and rest[:1] not in ([], [unit]):
            raise ValueError(f"{name} holds '{text}', not a number of {unit}")
        if not value.removeprefix("-").isdecimal():
            raise ValueError(f"{name} holds '{text}', not a number")
        return int(value)


def _change(before: _Counters, now: _Counters) -> str:
    """What has moved that a counter does not survive, in words; "" where nothing has."""
    if now.startup != before.startup:
        return f"the counters were restarted (startup moved from {before.startup} to {now.startup})"
    if now.generation != before.generation:
        return (
            f"the counters were restarted, or a power cap was changed (generation moved from {before.generation} to "
            f"{now.generation})"
        )
    return ""
