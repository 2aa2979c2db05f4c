"""The reader thread of the recorder, with a source that misbehaves on order."""

import math
import threading
from typing import Any

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import SourceDescription, Status, recording
from wattsweep.power.sources import Reading
from wattsweep.power.sources.specs import IpmiSpec

DESCRIPTION = SourceDescription("ipmi", "power", "node", "measured", "a test source")


class Moody:
    """Reads 100 W; hangs while `free` is unset; raises when `angry`."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.angry = False
        self.closed = False

    def open(self) -> None:
        pass

    def read(self) -> Reading:
        self.free.wait(30)
        if self.angry:
            raise RuntimeError("a source that breaks its promise")
        return Reading(100.0, Status.OK)

    def describe(self) -> SourceDescription:
        return DESCRIPTION

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Moody:
    source = Moody()
    monkeypatch.setattr(recording, "open_source", lambda _: source)
    return source


def test_a_sound_source_is_read_and_closed(moody: Moody) -> None:
    reader = recording.Reader(IpmiSpec())
    assert reader.description(5.0) == DESCRIPTION
    sample = reader.read(3, 5.0)
    assert (sample.sequence, sample.value, sample.status) == (3, 100.0, Status.OK)
    assert sample.before_s <= sample.after_s
    assert reader.stuck_s == 0.0
    reader.close()
    assert moody.closed


def test_a_hung_read_fails_in_time_and_its_late_value_is_dropped(moody: Moody) -> None:
    reader = recording.Reader(IpmiSpec())
    moody.free.clear()
    for sequence in range(3):
        sample = reader.read(sequence, 0.05)
        assert (sample.sequence, sample.status) == (sequence, Status.FAILED)
        assert math.isnan(sample.value)
    assert reader.stuck_s > 0.0
    moody.free.set()
    while (sample := reader.read(sequence := sequence + 1, 5.0)).status is not Status.OK:
        pass
    assert sample.sequence == sequence
    reader.close()


def test_a_source_that_raises_costs_a_sample(moody: Moody, capfd: pytest.CaptureFixture[str]) -> None:
    reader = recording.Reader(IpmiSpec())
    moody.angry = True
    assert reader.read(0, 5.0).status is Status.FAILED
    assert "breaks its promise" in capfd.readouterr().err
    moody.angry = False
    assert reader.read(1, 5.0).status is Status.OK
    reader.close()


def test_a_source_that_cannot_be_opened_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: Any) -> None:
        raise PowerError("no such meter")

    monkeypatch.setattr(recording, "open_source", refuse)
    with pytest.raises(PowerError, match="no such meter"):
        recording.Reader(IpmiSpec()).description(5.0)


def test_a_source_that_hangs_when_opened_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def hang(spec: Any) -> Moody:
        free.wait(30)
        return Moody()

    monkeypatch.setattr(recording, "open_source", hang)
    reader = recording.Reader(IpmiSpec("10.0.0.1"))
    with pytest.raises(PowerError, match=r"10\.0\.0\.1:623 was not open within"):
        reader.description(0.05)
    free.set()
    reader.close()
