"""What the IPMI source makes of a BMC's answers; the wire itself is tested against the simulated BMC."""

import math
import struct
from typing import Any

import pytest

from tests.power.test_power_sdr import Repository, record
from wattsweep.errors import PowerError
from wattsweep.power import Status
from wattsweep.power.sources import Reading, ipmi
from wattsweep.power.sources.dcmi import RefusedError
from wattsweep.power.sources.ipmi import IpmiSource
from wattsweep.power.sources.specs import IpmiSpec

DCMI = (0x2C, 0x02)
SENSOR = (0x04, 0x2D)
ACTIVE = 0x40


def dcmi_answer(watts: int, *, state: int = ACTIVE, group: int = 0xDC) -> dict[str, Any]:
    return {"code": 0, "data": bytearray(struct.pack("<BHHHHIIB", group, watts, 90, 300, 150, 0, 1000, state))}


def watt_sensor(name: str, number: int = 1) -> bytes:
    """The record of a sensor of 4 W steps."""
    return record(bytes([0xC0 | len(name)]) + name.encode(), number=number, factors=(4, 0, 0, 0, 0, 0))


class FakeCommand:
    """An in-band client whose answers the test sets."""

    def __init__(self, answers: dict[tuple[int, int], Any], sensors: list[bytes]) -> None:
        self.answers = answers
        self._records = Repository(record(b"\xc5Inlet", base_unit=1), *sensors)

    def raw_command(self, *, netfn: int, command: int, data: tuple[int, ...], **_: Any) -> Any:
        answer = self.answers.get((netfn, command))
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        try:
            return {"code": 0, "data": self._records(netfn, command, data)}
        except RefusedError:
            return {"code": 0xC1, "data": b""}


def opened(
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[tuple[int, int], Any],
    sensors: list[bytes] | None = None,
    spec: IpmiSpec | None = None,
) -> tuple[IpmiSource, FakeCommand]:
    command = FakeCommand(answers, sensors or [])
    monkeypatch.setattr(ipmi, "Command", lambda: command)
    source = IpmiSource(spec or IpmiSpec())
    source.open()
    return source, command


def test_dcmi_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = opened(monkeypatch, {DCMI: dcmi_answer(211)}, [watt_sensor("PSU")])
    assert source.read() == Reading(211.0, Status.OK)
    description = source.describe()
    assert description.detail == "DCMI Get Power Reading of the BMC at /dev/ipmi0, in-band"
    assert (description.name, description.origin, description.step) == ("ipmi", "measured", 1.0)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (dcmi_answer(0), Status.ZERO),
        (dcmi_answer(0xFFFF), Status.IMPLAUSIBLE),
        (dcmi_answer(200, state=0), Status.FAILED),
        (dcmi_answer(200, group=0xDD), Status.FAILED),
        ({"code": 0, "data": bytearray(b"\xdc\x01")}, Status.FAILED),
        ({"code": 0xC0, "data": bytearray()}, Status.FAILED),
        ({"code": 0xFFFF, "error": "timeout"}, Status.FAILED),
        (RuntimeError("anything"), Status.FAILED),
    ],
)
def test_what_an_answer_is_worth(monkeypatch: pytest.MonkeyPatch, answer: Any, status: Status) -> None:
    source, command = opened(monkeypatch, {DCMI: dcmi_answer(200)})
    command.answers[DCMI] = answer
    assert source.read().status is status
    command.answers[DCMI] = dcmi_answer(200)
    assert source.read() == Reading(200.0, Status.OK)


@pytest.mark.parametrize("answer", [{"code": 0xC1, "data": b""}, dcmi_answer(0, state=0), dcmi_answer(9, group=0)])
def test_without_dcmi_the_only_sensor_in_watts_is_read(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    reading = {"code": 0, "data": bytearray([50, 0xC0, 0])}
    source, command = opened(monkeypatch, {DCMI: answer, SENSOR: reading}, [watt_sensor("PSU")])
    assert source.read() == Reading(200.0, Status.OK)
    assert source.describe().detail == "sensor 'PSU' of the BMC at /dev/ipmi0, in-band"
    assert source.describe().step == 4.0
    command.answers[SENSOR] = {"code": 0, "data": bytearray([50, 0x20, 0])}
    unavailable = source.read()
    assert (math.isnan(unavailable.value), unavailable.status) == (True, Status.FAILED)


def test_a_named_sensor_is_chosen_among_several(monkeypatch: pytest.MonkeyPatch) -> None:
    sensors = [watt_sensor("PSU 1"), watt_sensor("PSU 2", 2)]
    source, _ = opened(monkeypatch, {}, sensors, IpmiSpec(sensor="PSU 2"))
    assert "'PSU 2'" in source.describe().detail


@pytest.mark.parametrize(
    ("sensors", "named", "words"),
    [
        ([watt_sensor("PSU 1"), watt_sensor("PSU 2", 2)], None, "more than one sensor in watts: 'PSU 1', 'PSU 2'"),
        ([watt_sensor("PSU 1")], "PSU 9", r"no sensor 'PSU 9' in watts \(it has: 'PSU 1'\)"),
        ([], None, "has no sensor in watts"),
    ],
)
def test_a_sensor_that_cannot_be_chosen_is_an_error(
    monkeypatch: pytest.MonkeyPatch, sensors: list[bytes], named: str | None, words: str
) -> None:
    with pytest.raises(PowerError, match=words):
        opened(monkeypatch, {}, sensors, IpmiSpec(sensor=named))


def test_a_missing_device_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/dev/ipmi0")

    monkeypatch.setattr(ipmi, "Command", missing)
    source = IpmiSource(IpmiSpec())
    with pytest.raises(PowerError, match="ipmi_devintf"):
        source.open()
    assert source.read().status is Status.FAILED
    with pytest.raises(PowerError, match="has not been opened"):
        source.describe()
