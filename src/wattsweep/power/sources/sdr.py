"""The sensors in watts that a BMC has: its sensor data records, read and understood (IPMI 2.0, sections 33, 35 and 43).

`watt_sensors` finds them through any function that sends a request, so every client finds the same ones.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from wattsweep.power.sources.dcmi import RefusedError

BMC_ADDRESS = 0x20
FULL_RECORD = 0x01
WATTS = 6
LAST_RECORD = 0xFFFF
MOST_RECORDS = 4096

REPOSITORY, DEVICE = (0x0A, 0x23), (0x04, 0x21)
"""Network function and command with which a record is got: from the repository, or from the BMC as a device."""
RESERVE = 0x22
HEADER = struct.Struct("<HBBB")
WHOLE = 0xFF
CHUNK = 17
RESERVATION_LOST = 0xC5
TRIES = 5

SENSOR_NETFN, GET_SENSOR_READING = 0x04, 0x2D
SCANNING, UNAVAILABLE = 0x40, 0x20

UNITS, BASE_UNIT, LINEARIZATION, FACTORS, NAME = 20, 21, 23, 24, 47
"""Offsets in a full record."""
PERCENT_RATE_OR_SECOND_UNIT = 0x3F
LINEAR = 0
FORMULAS: tuple[Callable[[float], float], ...] = (
    lambda x: x,
    math.log,
    math.log10,
    math.log2,
    math.exp,
    lambda x: 10.0**x,
    lambda x: 2.0**x,
    lambda x: 1.0 / x,
    lambda x: x**2,
    lambda x: x**3,
    math.sqrt,
    lambda x: math.copysign(abs(x) ** (1.0 / 3.0), x),
)
BCD_PLUS = "0123456789 -.:,_"


Request = Callable[[int, int, tuple[int, ...]], bytes]
"""Sends a request (network function, command, data) to the BMC and gives the data of its answer. Raises RefusedError
for a completion code other than 0."""


class Sensor(Protocol):
    """A sensor in watts. `step` is its smallest change (W), None where that differs over its range."""

    @property
    def name(self) -> str:
        """Its name, as clients show it."""

    @property
    def number(self) -> int:
        """Its number, by which it is read."""

    @property
    def lun(self) -> int:
        """The logical unit of the BMC that has it."""

    @property
    def step(self) -> float | None:
        """Its smallest change in W."""

    def watts(self, data: bytes) -> float | None:
        """The W in the data of a Get Sensor Reading answer; None where the BMC says that it has none."""


@dataclass(frozen=True, slots=True)
class RecordedSensor:
    """A sensor as its full record describes it: W = formula((m x raw + b) x 10^exponent)."""

    name: str
    number: int
    lun: int
    number_format: int
    formula: int
    m: float
    b: float
    exponent: int

    @property
    def step(self) -> float | None:
        """Its smallest change in W; None where it is not linear."""
        return abs(self.m) * 10.0**self.exponent if self.formula == LINEAR else None

    def watts(self, data: bytes) -> float | None:
        """The W in the data of a Get Sensor Reading answer; None where the BMC says that it has none."""
        if len(data) < 2 or data[1] & UNAVAILABLE or not data[1] & SCANNING:
            return None
        raw = _signed(data[0], 8) if self.number_format == 2 else data[0]
        if self.number_format == 1 and data[0] & 0x80:
            raw = data[0] - 0xFF
        try:
            return FORMULAS[self.formula]((self.m * raw + self.b) * 10.0**self.exponent)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None


def watt_sensors(request: Request) -> list[RecordedSensor]:
    """The sensors in watts that the BMC itself has, in the order of its records.

    Sensors of other controllers behind it are left out, since a request to the BMC reads another sensor of that number;
    so are those whose factors differ from reading to reading. Raises RefusedError where the BMC shows no records.
    """
    try:
        return [sensor for sensor in map(_understand, _Records(request, *REPOSITORY)) if sensor is not None]
    except RefusedError:
        return [sensor for sensor in map(_understand, _Records(request, *DEVICE)) if sensor is not None]


class _Records:
    """The full records that a BMC shows; those of sensors that are not in watts may end after their unit."""

    def __init__(self, request: Request, netfn: int, command: int) -> None:
        self._request = request
        self._netfn = netfn
        self._command = command
        self._reservation = 0
        self._at_once = True

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        for _ in range(MOST_RECORDS):
            following, record = self._get(number)
            if len(record) > HEADER.size and record[3] == FULL_RECORD:
                yield record
            if following in (LAST_RECORD, number):
                return
            number = following

    def _get(self, number: int) -> tuple[int, bytes]:
        """The number of the next record, and this one."""
        if self._at_once:
            try:
                following, record = self._part(number, 0, WHOLE)
                if len(record) >= HEADER.size and len(record) == HEADER.size + record[4]:
                    return following, record
            except RefusedError:
                pass
            self._at_once = False  # many BMCs give a record in parts only
        for _ in range(TRIES):
            try:
                return self._assemble(number)
            except RefusedError as error:
                if error.code != RESERVATION_LOST:
                    raise
                self._reservation = 0
        raise RefusedError(f"sensor data record {number}, whose reservation it cancels each time", RESERVATION_LOST)

    def _assemble(self, number: int) -> tuple[int, bytes]:
        if self._reservation == 0:
            self._reservation = int.from_bytes(self._request(self._netfn, RESERVE, ())[:2], "little")
        following, record = self._part(number, 0, HEADER.size)
        if len(record) < HEADER.size:
            raise RefusedError(f"{len(record)} bytes that are no sensor data record")
        end = HEADER.size + record[4] if record[3] == FULL_RECORD else 0
        # no more of a record than shows that it is of no use: a BMC may have hundreds and take 50 ms for each part
        while len(record) < end and (len(record) <= BASE_UNIT or record[BASE_UNIT] == WATTS):
            part = self._part(number, len(record), min(CHUNK, end - len(record)))[1]
            if not part:
                raise RefusedError(f"sensor data record {number}, which ends early")
            record += part
        return following, record

    def _part(self, number: int, offset: int, count: int) -> tuple[int, bytes]:
        reservation = 0 if count == WHOLE else self._reservation
        data = self._request(
            self._netfn, self._command, tuple(struct.pack("<HHBB", reservation, number, offset, count))
        )
        if len(data) < 2:
            raise RefusedError(f"{len(data)} bytes that are no part of a sensor data record")
        return int.from_bytes(data[:2], "little"), data[2:]


def _understand(record: bytes) -> RecordedSensor | None:
    """The sensor of a full record where it is the BMC's own, in plain watts, by a fixed formula."""
    if len(record) <= NAME or record[5] != BMC_ADDRESS or record[BASE_UNIT] != WATTS:
        return None
    units, formula = record[UNITS], record[LINEARIZATION] & 0x7F
    number_format = units >> 6
    if units & PERCENT_RATE_OR_SECOND_UNIT or number_format == 3 or formula >= len(FORMULAS):
        return None
    m_low, m_high, b_low, b_high, _, exponents = record[FACTORS : FACTORS + 6]
    return RecordedSensor(
        name=_text(record[NAME], record[NAME + 1 :]),
        number=record[7],
        lun=record[6] & 0x03,
        number_format=number_format,
        formula=formula,
        m=_signed(m_low | (m_high & 0xC0) << 2, 10),
        b=_signed(b_low | (b_high & 0xC0) << 2, 10) * 10.0 ** _signed(exponents & 0x0F, 4),
        exponent=_signed(exponents >> 4, 4),
    )


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _text(kind_and_length: int, data: bytes) -> str:
    """A name by its type and length byte (section 43.15), without the padding that some BMCs add."""
    kind, data = kind_and_length >> 6, data[: kind_and_length & 0x1F]
    if kind == 1:
        text = "".join(BCD_PLUS[byte >> 4] + BCD_PLUS[byte & 0x0F] for byte in data)
    elif kind == 2:
        packed = int.from_bytes(data, "little")
        text = "".join(chr((packed >> 6 * place & 0x3F) + 0x20) for place in range(8 * len(data) // 6))
    else:
        text = data.decode("utf-8" if kind == 0 else "latin-1", "replace")
    return text.strip("\0 ")
