"""Our IPMI clients and BMC against programs that nobody here wrote, end to end over real IPMI on loopback."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.power.peers import (
    PASSWORD,
    SENSOR,
    STEP_W,
    USERNAME,
    IpmiSim,
    OurSim,
    Peer,
    command_lines,
    found_watts,
    ipmi_dcmi,
    ipmitool,
    program,
    running,
)
from wattsweep.errors import PowerError
from wattsweep.power import Status
from wattsweep.power.sources import spec_to_json
from wattsweep.power.sources.bmc import BmcSource
from wattsweep.power.sources.freeipmi import FreeipmiSource
from wattsweep.power.sources.ipmi import IpmiSource
from wattsweep.power.sources.ipmitool import IpmitoolSource
from wattsweep.power.sources.kept import ProgramSource
from wattsweep.power.sources.specs import IpmiSpec

SOURCES: list[type[BmcSource]] = [IpmiSource, IpmitoolSource, FreeipmiSource]
NEEDED = {IpmiSource: None, IpmitoolSource: "ipmitool", FreeipmiSource: "ipmi-raw"}
WATTS = 123.0
SOON_S = 2.0
LONGEST_READ_S = 5.5

Opened = Callable[[type[BmcSource], IpmiSpec], BmcSource]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens sources that are closed at the end; skips the test where a source's program is missing."""
    sources = []

    def open_source(kind: type[BmcSource], spec: IpmiSpec) -> BmcSource:
        needed = NEEDED[kind]
        if needed is not None:
            program(needed)
        source = kind(spec)
        sources.append(source)
        source.open()
        return source

    yield open_source
    for source in sources:
        source.close()


@pytest.fixture(scope="module")
def ipmi_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpmiSim]:
    bmc = IpmiSim(tmp_path_factory.mktemp("ipmi_sim"))
    bmc.show(200)
    with running(bmc):
        yield bmc


@pytest.fixture(scope="module")
def ours() -> Iterator[OurSim]:
    bmc = OurSim(WATTS)
    with running(bmc):
        yield bmc


def read_until(source: BmcSource, condition: Callable[[float, Status], bool], timeout_s: float) -> float:
    """Read until a condition holds; the longest time that a read took, in s."""
    deadline_s, longest_s = time.monotonic() + timeout_s, 0.0
    while True:
        before_s = time.monotonic()
        reading = source.read()
        longest_s = max(longest_s, time.monotonic() - before_s)
        if condition(reading.value, reading.status):
            return longest_s
        assert time.monotonic() < deadline_s, reading
        time.sleep(0.1)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sensor_of_another_bmc_reads_the_same_on_every_client(
    ipmi_sim: IpmiSim, opened: Opened, kind: type[BmcSource]
) -> None:
    source = opened(kind, ipmi_sim.spec)
    description = source.describe()
    assert f"sensor '{SENSOR}'" in description.detail
    assert (description.name, description.step, description.origin) == (kind.name, STEP_W, "measured")
    for watts in (120, 348, 1020, 4):
        ipmi_sim.show(watts)
        read_until(source, lambda value, status, watts=watts: (value, status) == (watts, Status.OK), 5.0)  # type: ignore[misc]
        assert found_watts(rf"{SENSOR} *\| ([0-9.]+) *\| Watts", ipmitool(ipmi_sim.spec, "sensor")) == watts
        assert found_watts(rf"{SENSOR} *\| ([0-9.]+) Watts", ipmitool(ipmi_sim.spec, "sdr")) == watts
    ipmi_sim.show(0)
    read_until(source, lambda value, status: (value, status) == (0.0, Status.ZERO), 5.0)
    ipmi_sim.show(200)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sensor_whose_name_is_packed_is_read(opened: Opened, tmp_path: Path, kind: type[BmcSource]) -> None:
    bmc = IpmiSim(tmp_path, packed=True)
    bmc.show(348)
    with running(bmc):
        assert SENSOR.upper().encode() not in (tmp_path / "state/ipmi_sim/peer/sdr.20.main").read_bytes()
        source = opened(kind, replace(bmc.spec, sensor=SENSOR.upper()))
        read_until(source, lambda value, _: value == 348, 5.0)
        source.close()


@pytest.mark.parametrize("kind", SOURCES)
def test_our_bmc_reads_the_same_on_every_client(
    ours: OurSim, opened: Opened, tmp_path: Path, kind: type[BmcSource]
) -> None:
    source = opened(kind, ours.spec)
    assert "DCMI Get Power Reading" in source.describe().detail
    said = ipmitool(ours.spec, "dcmi", "power", "reading")
    assert found_watts(r"Instantaneous power reading: +([0-9]+) Watts", said) == WATTS
    assert found_watts(r"Current Power +: ([0-9]+) Watts", ipmi_dcmi(ours.spec, tmp_path)) == WATTS
    assert {source.read().value for _ in range(20)} == {WATTS}
    # the timestamp of the simulated BMC moves on each second
    deadline_s = time.monotonic() + 5.0
    while not source.read().fresh:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_sensor_of_our_bmc_reads_the_same_on_every_client(opened: Opened, kind: type[BmcSource]) -> None:
    bmc = OurSim(WATTS, dcmi=False)
    with running(bmc):
        source = opened(kind, bmc.spec)
        assert "sensor 'System Power'" in source.describe().detail
        assert source.read().value == WATTS
        assert found_watts(r"System Power *\| ([0-9.]+) Watts", ipmitool(bmc.spec, "sdr")) == WATTS
        source.close()


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("wrong", [{"password": "wrong-word"}, {"username": "nobody"}])
@pytest.mark.parametrize("peer", ["ours", "ipmi_sim"])
def test_wrong_credentials_are_told_soon(
    request: pytest.FixtureRequest, opened: Opened, kind: type[BmcSource], wrong: dict[str, str], peer: str
) -> None:
    bmc: Peer = request.getfixturevalue(peer)
    before_s = time.monotonic()
    with pytest.raises(PowerError, match=rf"127\.0\.0\.1:{bmc.port} refused .*credentials_file") as caught:
        opened(kind, replace(bmc.spec, **wrong))  # type: ignore[arg-type]
    assert time.monotonic() - before_s < SOON_S
    assert "wrong-word" not in str(caught.value)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_cipher_suite_that_the_bmc_lacks_is_told(ours: OurSim, opened: Opened, kind: type[BmcSource]) -> None:
    with pytest.raises(PowerError, match=r"takes none of the cipher suites 17 .*power\.ipmi\.cipher_suites"):
        opened(kind, replace(ours.spec, cipher_suites=(17,)))
    assert opened(kind, replace(ours.spec, cipher_suites=(3,))).read().value == WATTS


@pytest.mark.parametrize("kind", [IpmitoolSource, FreeipmiSource])
def test_no_password_is_in_any_arguments(ours: OurSim, opened: Opened, kind: type[ProgramSource]) -> None:
    source = opened(kind, ours.spec)
    assert isinstance(source, ProgramSource)
    assert source.read().status is Status.OK
    assert source.pid is not None
    lines = command_lines()
    assert str(ours.port).encode() in lines[source.pid]
    assert [pid for pid, line in lines.items() if PASSWORD.encode() in line] == []
    if kind is FreeipmiSource:
        assert PASSWORD.encode() not in Path(f"/proc/{source.pid}/environ").read_bytes()
        assert USERNAME.encode() not in lines[source.pid]


@pytest.mark.parametrize("word", ['a#b "c\\', " spaced ", "pässwörd", "$HOME`x`"])
@pytest.mark.parametrize("kind", SOURCES)
def test_any_password_comes_through(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, kind: type[BmcSource], word: str
) -> None:
    monkeypatch.setattr("tests.power.peers.PASSWORD", word)
    bmc = OurSim(WATTS)
    with running(bmc):
        source = opened(kind, bmc.spec)
        assert source.read().value == WATTS
        source.close()


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["ours", "ipmi_sim"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_bmc_that_dies_costs_readings_until_it_is_back(
    opened: Opened, tmp_path: Path, kind: type[BmcSource], peer: str
) -> None:
    bmc: Peer = OurSim(WATTS) if peer == "ours" else IpmiSim(tmp_path)
    watts = WATTS if isinstance(bmc, OurSim) else 200.0
    if isinstance(bmc, IpmiSim):
        bmc.show(200)
    with running(bmc):
        source = opened(kind, bmc.spec)
        detail = source.describe().detail
        read_until(source, lambda value, status: (value, status) == (watts, Status.OK), 5.0)
        bmc.kill()
        longest_s = 0.0
        for _ in range(3):
            longest_s = max(longest_s, read_until(source, lambda _, status: status is Status.FAILED, 0.0))
        bmc.start()
        longest_s = max(longest_s, read_until(source, lambda _, status: status is not Status.FAILED, 40.0))
        read_until(source, lambda value, status: (value, status) == (watts, Status.OK), 5.0)
        assert longest_s < LONGEST_READ_S
        assert source.describe().detail == detail
        source.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_a_bmc_that_falls_silent_costs_readings_until_it_speaks(opened: Opened, kind: type[BmcSource]) -> None:
    bmc = OurSim(WATTS)
    with running(bmc):
        source = opened(kind, bmc.spec)
        bmc.signal(signal.SIGSTOP)
        longest_s = 0.0
        for _ in range(3):
            longest_s = max(longest_s, read_until(source, lambda _, status: status is Status.FAILED, 0.0))
        bmc.signal(signal.SIGCONT)
        longest_s = max(
            longest_s, read_until(source, lambda value, status: (value, status) == (WATTS, Status.OK), 40.0)
        )
        assert longest_s < LONGEST_READ_S
        source.close()


@pytest.mark.parametrize("kind", [IpmitoolSource, FreeipmiSource])
def test_a_program_that_ends_is_replaced(ours: OurSim, opened: Opened, kind: type[ProgramSource]) -> None:
    source = opened(kind, ours.spec)
    assert isinstance(source, ProgramSource)
    first = source.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert source.read().status is Status.FAILED
    assert source.read().value == WATTS
    assert source.pid != first
    source.close()
    source.close()
    assert source.pid is None
    assert math.isnan(source.read().value)  # the last login is less than a second ago
    read_until(source, lambda value, _: value == WATTS, 5.0)


OWNER = """
import json, sys, time
from wattsweep.power.sources import open_source, spec_from_json
source = open_source(spec_from_json(json.loads(sys.stdin.readline())))
print(source.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("client", ["ipmitool", "freeipmi"])
def test_a_program_does_not_outlive_its_killed_owner(ours: OurSim, client: str) -> None:
    program("ipmitool" if client == "ipmitool" else "ipmi-raw")
    order = json.dumps(spec_to_json(ours.spec) | {"source": client, "client": client}) + "\n"
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        owner.stdin.write(order)
        owner.stdin.flush()
        pid = int(owner.stdout.readline())
        assert str(ours.port).encode() in command_lines()[pid]
        owner.kill()
    deadline_s = time.monotonic() + 10.0
    while str(ours.port).encode() in command_lines().get(pid, b""):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.parametrize("kind", [IpmitoolSource, FreeipmiSource])
def test_a_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch, kind: type[BmcSource]) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(PowerError, match=rf"power source {kind.name} needs the program .* apt install \w+"):
        kind(IpmiSpec("127.0.0.1", 9)).open()


@pytest.mark.parametrize("kind", [IpmitoolSource, FreeipmiSource])
def test_in_band_without_a_device_is_told(opened: Opened, kind: type[BmcSource]) -> None:
    if Path("/dev/ipmi0").exists():
        pytest.skip("this machine has a BMC in-band")
    with pytest.raises(PowerError, match=r"in-band through /dev/ipmi0 \(.*ipmi_devintf"):
        opened(kind, IpmiSpec())
