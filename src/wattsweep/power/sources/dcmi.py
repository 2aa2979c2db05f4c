"""What a BMC's answer about power is worth: DCMI Get Power Reading, and the judgement of watts and of their age."""

import math
import struct
from dataclasses import dataclass
from typing import Self

from wattsweep.power.trace import Status

DCMI_NETFN, DCMI_GET_POWER_READING, DCMI_GROUP = 0x2C, 0x02, 0xDC
DCMI_SYSTEM_POWER = (DCMI_GROUP, 0x01, 0x00, 0x00)
DCMI_LAYOUT = struct.Struct("<BHHHHIIB")
DCMI_ACTIVE = 0x40
DCMI_STEP_W = 1.0
SENTINEL_W = 0xFFFF

STALE_AFTER_S = 5.0
STALE_AFTER_REFRESHES = 5.0


class RefusedError(Exception):
    """The BMC answered, with a completion code other than 0 or with nothing of use; the session is sound."""

    def __init__(self, words: str, code: int | None = None) -> None:
        super().__init__(words)
        self.code = code

    @classmethod
    def of_code(cls, code: int) -> Self:
        """The refusal that a completion code means."""
        return cls(f"completion code 0x{code:02x}", code)


@dataclass(frozen=True, slots=True)
class PowerReading:
    """A DCMI power reading: W now, the BMC's clock (s) at the reading, and whether the BMC measures at all.

    The minimum, maximum and mean that come along are of the BMC's own window of hours, so nothing is made of them.
    """

    watts: float
    timestamp_s: int
    active: bool

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The reading in the data of an answer. Raises RefusedError for bytes that are none."""
        if len(data) < DCMI_LAYOUT.size or data[0] != DCMI_GROUP:
            raise RefusedError(f"{len(data)} bytes that are no DCMI answer")
        _, current, _, _, _, timestamp, _, state = DCMI_LAYOUT.unpack_from(data)
        return cls(float(current), timestamp, bool(state & DCMI_ACTIVE))


def status_of(watts: float) -> Status:
    """What a number of watts is worth that a BMC gave without reservation."""
    if watts == 0:
        return Status.ZERO
    return Status.IMPLAUSIBLE if not math.isfinite(watts) or watts < 0 or watts == SENTINEL_W else Status.OK


class Freshness:
    """Whether a BMC goes on updating its power, told by the timestamp of its answers.

    `refresh_s` is the time between two updates; where it is None the shortest one seen is taken. Some BMCs give the
    time of the answer in place of that of the measurement: theirs always look fresh.
    """

    def __init__(self, refresh_s: float | None) -> None:
        self._refresh_s = refresh_s
        self._timestamp_s: int | None = None
        self._since_s = 0.0
        self._moves = 0
        self._interval_s = 0.0

    def judge(self, timestamp_s: int, now_s: float) -> bool | None:
        """The freshness of a reading with this timestamp, taken at `now_s` on the monotonic clock.

        True where the timestamp has moved since the last reading; False where it once moved and has now stood still for
        more than 5 s and more than 5 refresh intervals; None where neither is so, as with a timestamp that never moved.
        """
        if self._timestamp_s is None:
            self._timestamp_s, self._since_s = timestamp_s, now_s
            return None
        if timestamp_s != self._timestamp_s:
            interval_s = now_s - self._since_s
            # the first interval began before the first reading, so the second one, the first whole one, replaces it
            self._interval_s = interval_s if self._moves < 2 else min(self._interval_s, interval_s)
            self._moves += 1
            self._timestamp_s, self._since_s = timestamp_s, now_s
            return True
        if self._moves == 0:
            return None
        refresh_s = self._interval_s if self._refresh_s is None else self._refresh_s
        limit_s = max(STALE_AFTER_S, STALE_AFTER_REFRESHES * refresh_s)
        return False if now_s - self._since_s > limit_s else None
