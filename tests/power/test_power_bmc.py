"""What all clients of a BMC share: judging DCMI readings, waiting between logins, trying suites, hearing programs."""

import math
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pyghmi.ipmi.private.localsession import Session as LocalSession

from wattsweep.errors import PowerError
from wattsweep.power import Status
from wattsweep.power.sources import Reading, bmc, freeipmi, ipmi, ipmitool
from wattsweep.power.sources.bmc import BackOff, BmcSource, LinkError, by_suites, explain
from wattsweep.power.sources.dcmi import Freshness, RefusedError, status_of
from wattsweep.power.sources.specs import IpmiSpec

SPEC = IpmiSpec("bmc", 623, "user", "word")
INVALID_COMMAND = 0xC1


@pytest.mark.parametrize(
    ("watts", "status"),
    [
        (200.0, Status.OK),
        (0.0, Status.ZERO),
        (65535.0, Status.IMPLAUSIBLE),
        (-4.0, Status.IMPLAUSIBLE),
        (math.nan, Status.IMPLAUSIBLE),
    ],
)
def test_what_watts_are_worth(watts: float, status: Status) -> None:
    assert status_of(watts) is status


def judged(refresh_s: float | None, moments: Sequence[tuple[float, int]]) -> list[bool | None]:
    freshness = Freshness(refresh_s)
    return [freshness.judge(timestamp, now) for now, timestamp in moments]


def test_a_timestamp_that_never_moves_tells_nothing() -> None:
    assert judged(None, [(t, 7) for t in range(100)]) == [None] * 100


def test_a_timestamp_that_moved_and_stands_still_is_stale_after_five_seconds() -> None:
    moments = [(0.0, 7), (1.0, 8), (1.5, 8), (6.0, 8), (6.1, 8), (7.0, 9), (7.1, 9)]
    assert judged(None, moments) == [None, True, None, None, False, True, None]


def test_it_may_stand_for_five_refreshes() -> None:
    moments = [(0.0, 7), (1.0, 8), (20.0, 8), (51.0, 8), (51.1, 8)]
    assert judged(10.0, moments) == [None, True, None, None, False]


def test_the_refresh_is_learned_where_it_is_not_known() -> None:
    # first seen late in its interval of 10 s, so the first move comes after 2 s
    moments = [(0.0, 7), (2.0, 17), (12.0, 27), (20.0, 27), (22.0, 37), (72.0, 37), (72.1, 37)]
    assert judged(None, moments) == [None, True, True, None, True, None, False]


def test_a_clock_set_back_is_a_move() -> None:
    assert judged(1.0, [(0.0, 700), (1.0, 3)]) == [None, True]


def test_the_back_off_doubles_up_to_half_a_minute() -> None:
    back_off, now_s, waits = BackOff(), 0.0, []
    assert back_off.allows(now_s)
    for _ in range(7):
        back_off.tried(now_s)
        before_s = now_s
        while not back_off.allows(now_s):
            now_s += 0.5
        waits.append(now_s - before_s)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    back_off.tried(now_s)
    back_off.worked()
    assert not back_off.allows(now_s + 29.0)
    back_off.tried(now_s + 40.0)
    assert back_off.allows(now_s + 41.0)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class FakeSource(BmcSource):
    """A source whose BMC the test plays."""

    name = "ipmi"
    open_timeout_s = 5.0
    read_timeout_s = 2.0

    def __init__(self, spec: IpmiSpec = SPEC) -> None:
        super().__init__(spec)
        self.answer: Any = power_answer(200, 7)
        self.broken: LinkError | None = None
        self.logins = 0
        self.session = False

    def close(self) -> None:
        self.session = False

    def _drop(self) -> None:
        self.session = False

    def _connected(self) -> bool:
        return self.session

    def _connect(self, _: float | None) -> None:
        self.logins += 1
        if self.broken is not None:
            raise self.broken
        self.session = True

    def _request(self, netfn: int, *_: Any, **__: Any) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        if netfn != 0x2C:
            raise RefusedError.of_code(INVALID_COMMAND)
        return bytes(self.answer)


def power_answer(watts: int, timestamp: int) -> bytes:
    return struct.pack("<BHHHHIIB", 0xDC, watts, 0, 0, 0, timestamp, 1000, 0x40)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bmc, "time", clock)
    return clock


def test_a_reading_that_is_no_longer_updated_is_stale(clock: Clock) -> None:
    source = FakeSource()
    source.open()
    assert source.read() == Reading(200.0, Status.OK, None)
    source.answer = power_answer(201, 8)
    assert source.read() == Reading(201.0, Status.OK, True)
    clock.now_s += 5.0
    assert source.read() == Reading(201.0, Status.OK, None)
    clock.now_s += 0.1
    assert source.read() == Reading(201.0, Status.STALE, False)


def test_a_lost_session_is_opened_again_no_more_often_than_the_back_off_allows(clock: Clock) -> None:
    source = FakeSource()
    source.open()
    source.answer = LinkError("silent", "no answer")
    assert source.read().status is Status.FAILED
    source.broken = LinkError("silent", "no answer")
    for _ in range(600):
        assert source.read().status is Status.FAILED
        clock.now_s += 0.1
    # at 0, 1, 3, 7, 15 and 31 s
    assert source.logins == 1 + 6
    source.broken, source.answer = None, power_answer(200, 9)
    clock.now_s += 30.0
    assert source.read().value == 200.0


def test_a_refusal_keeps_the_session(clock: Clock) -> None:
    source = FakeSource()
    source.open()
    source.answer = RefusedError.of_code(0xC0)
    assert source.read().status is Status.FAILED
    source.answer = power_answer(200, 8)
    assert source.read().value == 200.0
    assert source.logins == 1


def test_a_source_that_cannot_be_opened_has_no_session_and_no_description() -> None:
    source = FakeSource()
    source.answer = RefusedError.of_code(INVALID_COMMAND)
    with pytest.raises(PowerError, match=r"bmc:623 does not answer DCMI .*0xc1\) and has no sensor in watts"):
        source.open()
    assert not source.session
    with pytest.raises(PowerError, match="has not been opened"):
        source.describe()


def test_a_bmc_that_is_lost_while_it_is_opened_is_told() -> None:
    source = FakeSource()
    source.answer = LinkError("silent", "no answer")
    with pytest.raises(PowerError, match=r"bmc:623 cannot be opened: after the login it went silent \(no answer\)"):
        source.open()


def test_pyghmi_is_not_asked_for_suites_that_it_does_not_know() -> None:
    with pytest.raises(PowerError, match=r"cipher_suites is 8, 12, but power\.source ipmi knows 17 and 3 only"):
        ipmi.IpmiSource(replace(SPEC, cipher_suites=(8, 12))).open()


def test_in_band_an_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipmi, "ANSWER_TIMEOUT_S", 0.05)
    reading, writing = os.pipe()
    try:
        session = SimpleNamespace(ipmidev=reading)
        with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
            LocalSession.await_reply(session)
        os.write(writing, b"x")
        LocalSession.await_reply(session)
    finally:
        os.close(reading)
        os.close(writing)


def test_the_cipher_suites_are_tried_in_order_until_one_is_taken() -> None:
    tried = []

    def log_in(suite: int) -> None:
        tried.append(suite)
        if suite != 3:
            raise LinkError("suite", "no match")

    assert by_suites(SPEC, (17, 8, 3, 1), log_in) == 3
    assert tried == [17, 8, 3]


@pytest.mark.parametrize(
    ("problems", "told", "tries"),
    [
        (["suite", "credentials"], "credentials", 2),
        (["credentials", "suite"], "credentials", 2),
        (["suite", "suite"], "suite", 2),
        (["other", "suite"], "other", 2),
        (["silent", "suite"], "silent", 1),
    ],
)
def test_the_refusal_that_says_most_is_told(problems: list[Any], told: str, tries: int) -> None:
    tried = []

    def log_in(suite: int) -> None:
        tried.append(suite)
        raise LinkError(problems[len(tried) - 1], "words")

    with pytest.raises(LinkError) as caught:
        by_suites(SPEC, (17, 3), log_in)
    assert caught.value.problem == told
    assert len(tried) == tries


def test_no_cipher_suite_at_all_is_an_error() -> None:
    with pytest.raises(PowerError, match=r"power\.ipmi\.cipher_suites is empty"):
        by_suites(SPEC, (), lambda _: None)


def test_an_explanation_names_the_bmc_and_what_to_correct() -> None:
    assert "takes none of the cipher suites 17, 3 (no match)" in explain(SPEC, LinkError("suite", "no match"))
    assert "No answer from a BMC at bmc:623" in explain(SPEC, LinkError("silent", "no answer"))
    assert "bmc:623 cannot be opened: no memory." in explain(SPEC, LinkError("other", "no memory"))


def test_what_ipmitool_says_is_read() -> None:
    said = (
        "ipmitool> raw 0x06 0x01\nRAW REQ (channel=0x0 netfn=0x6 lun=0x0 cmd=0x1 data_len=2)\nRAW REQUEST (2 bytes)\n"
        " dc 01\nRAW RSP (18 bytes)\n dc 7b 00 7b 00 7b 00 7b 00 0d 85 05 6b dc 05 00\n 00 40\nipmitool> "
    )
    assert ipmitool.parse_answer(said) == bytes.fromhex("dc7b007b007b007b000d85056bdc05000040")
    with pytest.raises(RefusedError, match="0xc1"):
        ipmitool.parse_answer("Unable to send RAW command (channel=0x0 netfn=0x2c lun=0x0 cmd=0x3 rsp=0xc1): Invalid")
    for broken in ("", "RAW RSP (18 bytes)\n dc 7b\nipmitool> ", "Unable to send RAW command (channel=0x0)"):
        with pytest.raises(LinkError):
            ipmitool.parse_answer(broken)


def test_what_freeipmi_says_is_read() -> None:
    assert freeipmi.parse_answer("rcvd: 02 00 DC 7B 00 \n", 2) == bytes.fromhex("dc7b00")
    with pytest.raises(RefusedError, match="0xd4"):
        freeipmi.parse_answer("rcvd: 02 D4 \n", 2)
    for broken in ("rcvd: 03 00 \n", "rcvd: \n", "ipmi-raw: session timeout\n"):
        with pytest.raises(LinkError):
            freeipmi.parse_answer(broken, 2)


def test_a_line_break_in_a_password_is_refused_where_it_would_be_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeipmi, "find_program", lambda name, **_: name)
    source = freeipmi.FreeipmiSource(IpmiSpec("127.0.0.1", 9, "user", "wo\nrd"))
    with pytest.raises(PowerError, match=r"127\.0\.0\.1:9 holds a line break"):
        source.open()
