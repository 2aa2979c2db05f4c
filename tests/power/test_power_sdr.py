"""The sensors in watts that are found in a BMC's sensor data records, and what their readings are."""

import struct
from typing import Any

import pytest

from wattsweep.power.sources.dcmi import RefusedError
from wattsweep.power.sources.sdr import watt_sensors

INVALID_COMMAND, CANNOT_RETURN_SO_MUCH, RESERVATION_LOST = 0xC1, 0xCA, 0xC5


def record(
    name: bytes = b"\xc4Watt",
    *,
    number: int = 5,
    owner: int = 0x20,
    lun: int = 0,
    units: int = 0,
    base_unit: int = 6,
    formula: int = 0,
    factors: tuple[int, int, int, int, int, int] = (2, 0, 0, 0, 0, 0),
    kind: int = 1,
) -> bytes:
    body = bytearray(42)
    body[0:3] = owner, lun, number
    body[15:18] = units, base_unit, 0
    body[18] = formula
    body[19:25] = factors
    return struct.pack("<HBBB", 0, 0x51, kind, len(body) + len(name)) + bytes(body) + name


class Repository:
    """Records as a BMC keeps them: whether it gives one as a `whole`, and how often it `loses` a reservation."""

    def __init__(self, *records: bytes, whole: bool = True, device: bool = False, loses: int = 0) -> None:
        self.records: tuple[bytes, ...] = records
        self.whole = whole
        self.netfn, self.get = (0x04, 0x21) if device else (0x0A, 0x23)
        self.reservation = 0
        self.loses = loses
        self.requests = 0

    def __call__(self, netfn: int, command: int, data: tuple[int, ...]) -> bytes:
        self.requests += 1
        if netfn != self.netfn:
            raise RefusedError.of_code(INVALID_COMMAND)
        if command == 0x22:
            self.reservation += 1
            return struct.pack("<H", self.reservation)
        assert command == self.get
        reservation, number, offset, count = map(int, struct.unpack("<HHBB", bytes(data)))
        if count > 22 and not self.whole:
            raise RefusedError.of_code(CANNOT_RETURN_SO_MUCH)
        if offset > 0:
            if self.loses > 0:
                self.loses -= 1
                raise RefusedError.of_code(RESERVATION_LOST)
            assert reservation == self.reservation
        following = number + 1 if number + 1 < len(self.records) else 0xFFFF
        part = self.records[number][offset : offset + count]
        return struct.pack("<H", following) + part


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("device", [True, False])
def test_sensors_are_found_in_records_given_whole_or_in_parts(whole: bool, device: bool) -> None:
    others = [
        record(b"\xc4Volt", base_unit=4),
        record(b"\xc3ME1", owner=0x2C),
        record(b"\xc4Rate", units=3 << 3),
        record(b"\xc2no", units=3 << 6),
        record(b"\xc2no", formula=0x70),
        record(b"\xc4Comp", kind=2),
    ]
    repository = Repository(*others, record(b"\xc4PSU1", number=9, lun=1), record(), whole=whole, device=device)
    found = watt_sensors(repository)
    assert [(sensor.name, sensor.number, sensor.lun) for sensor in found] == [("PSU1", 9, 1), ("Watt", 5, 0)]
    assert {sensor.step for sensor in found} == {2.0}


def test_a_lost_reservation_is_made_again_but_not_for_ever() -> None:
    assert len(watt_sensors(Repository(record(), whole=False, loses=3))) == 1
    with pytest.raises(RefusedError):
        watt_sensors(Repository(record(), whole=False, loses=100))


def test_records_that_go_round_come_to_an_end() -> None:
    repository = Repository(record(), record())

    def round_and_round(netfn: int, command: int, data: tuple[int, ...]) -> bytes:
        answer = bytearray(repository(netfn, command, data))
        if command == 0x23:
            answer[:2] = struct.pack("<H", 1 - data[2])
        return bytes(answer)

    assert len(watt_sensors(round_and_round)) > 1
    assert repository.requests < 10_000


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b"\xc4Watt", "Watt"),
        (b"\xc6W\xe4rme ", "Wärme"),
        (b"\x04Watt", "Watt"),
        (b"\x83" + bytes.fromhex("29dca6"), "IPMI"),
        (b"\x42\x12\xa0", "12 0"),
        (b"\xc8Watt\0\0\0\0", "Watt"),
    ],
)
def test_a_name_is_read_in_each_of_its_four_forms(name: bytes, read: str) -> None:
    assert watt_sensors(Repository(record(name)))[0].name == read


@pytest.mark.parametrize(
    ("fields", "raw", "watts"),
    [
        ({}, 100, 200.0),
        ({"factors": (4, 0, 10, 0, 0, 0)}, 100, 410.0),
        ({"factors": (5, 0, 2, 0, 0, 0xF1)}, 100, 52.0),
        ({"factors": (0, 0x40, 0, 0, 0, 0)}, 2, 512.0),
        ({"factors": (0xFF, 0xC0, 0, 0, 0, 0)}, 2, -2.0),
        ({"units": 2 << 6}, 0xFF, -2.0),
        ({"units": 1 << 6}, 0xFE, -2.0),
        ({"formula": 8}, 10, 400.0),
        ({"formula": 7}, 0, None),
    ],
)
def test_a_reading_is_converted_as_its_record_says(fields: dict[str, Any], raw: int, watts: float | None) -> None:
    sensor = watt_sensors(Repository(record(**fields)))[0]
    assert sensor.watts(bytes([raw, 0xC0, 0])) == (None if watts is None else pytest.approx(watts))
    assert sensor.step == (None if "formula" in fields else sensor.step)


@pytest.mark.parametrize("data", [b"", b"\x64", b"\x64\x00", b"\x64\x60"])
def test_a_reading_that_is_not_available_is_none(data: bytes) -> None:
    assert watt_sensors(Repository(record()))[0].watts(data) is None
