"""The reader and its worker process, with a source that a file orders to misbehave."""

import math
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Status, reader
from wattsweep.power.reader import Reader
from wattsweep.power.sources.specs import ReplaySpec

MOODY = """
import math, os, sys, time
from pathlib import Path
from wattsweep.power import sources, worker
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.trace import Status
from wattsweep.errors import PowerError


class Moody:
    def __init__(self, spec):
        self.mood = Path(spec.path)

    def open(self):
        if self.mood.read_text() == "closed":
            raise PowerError("it is closed; come back later")

    def read(self):
        mood = self.mood.read_text()
        if mood == "hang":
            time.sleep(600)
        if mood == "slow":
            time.sleep(0.5)
        if mood == "raise":
            raise RuntimeError("a source that breaks its promise")
        if mood == "die":
            os._exit(3)
        if mood == "fresh zero":
            return Reading(0.0, Status.ZERO, True)
        if mood.startswith("fresh"):
            return Reading(100.0, Status.OK, True)
        if mood.startswith("old"):
            return Reading(100.0, Status.OK, False)
        print("a library that prints")
        return Reading(float(mood), Status.OK)

    def describe(self):
        detail = "another" if self.mood.read_text() == "7" else "a test source"
        return SourceDescription("replay", "power", "node", "measured", detail)

    def close(self):
        self.mood.with_name("closed").touch()


def open_source(spec):
    source = Moody(spec)
    source.open()
    return source


worker.open_source = open_source
worker.main()
"""


@pytest.fixture
def mood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the source's mood: a number of watts, or a misdeed."""
    program = tmp_path / "moody.py"
    program.write_text(textwrap.dedent(MOODY))
    monkeypatch.setattr(reader, "WORKER", (sys.executable, str(program)))
    monkeypatch.setattr(reader, "BACK_OFF_S", (0.0,))
    path = tmp_path / "mood"
    path.write_text("100")
    return path


def opened(mood: Path, stale_after_s: float | None = None, plausible_w: tuple[float, float] | None = None) -> Reader:
    one = Reader(ReplaySpec(str(mood)), stale_after_s=stale_after_s, plausible_w=plausible_w)
    assert one.description(30.0).detail == "a test source"
    return one


def read_until_ok(one: Reader, number: int) -> int:
    """Read until a sample is good; how many were not."""
    deadline_s = time.monotonic() + 60
    failed = 0
    while one.read(number + failed, 2.0).status is not Status.OK:
        assert time.monotonic() < deadline_s
        failed += 1
        time.sleep(0.02)
    return failed


def test_a_sound_source_is_read_and_closed(mood: Path) -> None:
    one = opened(mood)
    sample = one.read(3, 5.0)
    assert (sample.sequence, sample.value, sample.status) == (3, 100.0, Status.OK)
    assert sample.before_s <= sample.after_s <= time.monotonic()
    one.close()
    assert mood.with_name("closed").exists()


def test_a_slow_read_fails_in_time_and_its_late_value_is_dropped(mood: Path) -> None:
    one = opened(mood)
    mood.write_text("slow")
    sample = one.read(0, 0.05)
    assert (sample.status, math.isnan(sample.value)) == (Status.FAILED, True)
    mood.write_text("200")
    assert read_until_ok(one, 1) > 0
    assert one.read(99, 2.0).value == 200.0
    one.close()


def test_a_read_that_hangs_has_its_worker_replaced(mood: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "HANGS_AFTER_S", 0.3)
    one = opened(mood)
    mood.write_text("hang")
    begun_s = time.monotonic()
    assert one.read(0, 0.1).status is Status.FAILED
    assert one.read(1, 5.0).status is Status.FAILED
    assert time.monotonic() - begun_s < 2.0
    time.sleep(0.3)
    assert one.read(2, 0.1).status is Status.FAILED
    mood.write_text("150")
    read_until_ok(one, 3)
    one.close()


@pytest.mark.parametrize("misdeed", ["raise", "die"])
def test_a_source_that_raises_or_dies_costs_samples(
    mood: Path, misdeed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one = opened(mood)
    mood.write_text(misdeed)
    assert one.read(0, 5.0).status is Status.FAILED
    mood.write_text("100")
    read_until_ok(one, 1)
    one.close()
    said = capfd.readouterr().err
    assert ("breaks its promise" if misdeed == "raise" else "ended with exit status 3") in said


def test_it_never_goes_on_with_another_meter(mood: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = opened(mood)
    mood.write_text("die")
    assert one.read(0, 5.0).status is Status.FAILED
    mood.write_text("7")
    deadline_s = time.monotonic() + 30
    said = ""
    while "came back as another meter: another" not in said:
        assert time.monotonic() < deadline_s
        assert one.read(1, 1.0).status is Status.FAILED
        said += capfd.readouterr().err
    one.close()


def test_a_repeated_value_is_stale_unless_it_is_fresh(mood: Path) -> None:
    one = opened(mood, stale_after_s=0.1)
    assert one.read(0, 5.0).status is Status.OK
    time.sleep(0.15)
    stale = one.read(1, 5.0)
    assert (stale.status, stale.value) == (Status.STALE, 100.0)
    mood.write_text("fresh")
    assert one.read(2, 5.0).status is Status.OK
    mood.write_text("old")
    assert one.read(3, 5.0).status is Status.STALE
    mood.write_text("101")
    assert one.read(4, 5.0).status is Status.OK
    one.close()


def test_a_source_that_updates_while_it_gives_no_power_is_not_stale_after(mood: Path) -> None:
    one = opened(mood, stale_after_s=0.5)
    assert one.read(0, 5.0).status is Status.OK
    time.sleep(0.6)
    mood.write_text("fresh zero")
    assert one.read(1, 5.0).status is Status.ZERO
    mood.write_text("100")
    assert one.read(2, 5.0).status is Status.OK
    one.close()


def test_what_cannot_be_is_kept_and_marked(mood: Path) -> None:
    one = opened(mood, plausible_w=(10.0, 3000.0))
    mood.write_text("30000")
    sample = one.read(0, 5.0)
    assert (sample.value, sample.status) == (30_000.0, Status.IMPLAUSIBLE)
    mood.write_text("3000")
    assert one.read(1, 5.0).status is Status.OK
    one.close()


def test_without_a_limit_nothing_is_stale(mood: Path) -> None:
    one = opened(mood)
    one.read(0, 5.0)
    time.sleep(0.15)
    assert one.read(1, 5.0).status is Status.OK
    one.close()


def test_a_source_that_cannot_be_opened_says_why(mood: Path) -> None:
    mood.write_text("closed")
    with pytest.raises(PowerError, match="it is closed; come back later"):
        Reader(ReplaySpec(str(mood))).description(30.0)


def test_a_source_that_does_not_open_in_time_is_said(mood: Path) -> None:
    with pytest.raises(PowerError, match=r"was not open within 0\.01 s"):
        Reader(ReplaySpec(str(mood))).description(0.01)


def test_a_hung_worker_dies_with_its_reader(mood: Path) -> None:
    code = textwrap.dedent(
        f"""
        import os, sys
        from wattsweep.power import reader
        from wattsweep.power.sources.specs import ReplaySpec
        reader.WORKER = (sys.executable, {str(mood.with_name("moody.py"))!r})
        one = reader.Reader(ReplaySpec({str(mood)!r}))
        one.description(30.0)
        open({str(mood)!r}, "w").write("hang")
        one.read(0, 0.2)
        print(one._worker._process.pid, flush=True)
        os.kill(os.getpid(), 9)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(done.stdout)
    deadline_s = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert os.getpid() != pid
