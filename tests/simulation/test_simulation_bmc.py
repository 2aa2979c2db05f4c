import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Recorder
from wattsweep.simulation import SimulatedBmc

IDLE_W = 173.0


@pytest.fixture(scope="module")
def bmc() -> Iterator[SimulatedBmc]:
    with SimulatedBmc(idle_w=IDLE_W, slope_w=0.0, refresh_s=0.2) as simulated:
        yield simulated


def test_it_listens_on_loopback_only(bmc: SimulatedBmc) -> None:
    sockets = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    local = [cells[1] for cells in sockets if cells[1].endswith(f":{bmc.port:04X}")]
    assert local == [f"0100007F:{bmc.port:04X}"]
    v6 = Path("/proc/net/udp6")
    assert not v6.exists() or f":{bmc.port:04X}" not in v6.read_text()


def test_its_password_is_random_and_not_in_its_arguments(bmc: SimulatedBmc) -> None:
    assert bmc.password != SimulatedBmc(idle_w=1, slope_w=1, refresh_s=1).password
    assert bmc.password.encode() not in Path(f"/proc/{bmc.pid}/cmdline").read_bytes()
    assert bmc.password.encode() not in Path(f"/proc/{bmc.pid}/environ").read_bytes()
    assert bmc.password not in repr(bmc.source_spec)


def test_two_clients_are_served_at_once(bmc: SimulatedBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(bmc.source_spec, tmp_path / "a.csv", 0.1) as a:
        monkeypatch.setenv("WATTSWEEP_LOCKS", str(tmp_path / "other"))  # as from another node
        with Recorder(bmc.source_spec, tmp_path / "b.csv", 0.1) as b:
            assert set(a.trace().values) == set(b.trace().values) == {IDLE_W}


def test_its_sensor_is_read_where_there_is_no_dcmi(tmp_path: Path) -> None:
    with (
        SimulatedBmc(idle_w=1000.0, slope_w=20.0, refresh_s=0.2, dcmi=False) as bmc,
        Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1) as recorder,
    ):
        assert "sensor 'System Power'" in recorder.description.detail
        assert recorder.description.step == 4.0
        assert 1000.0 - 2.0 <= recorder.trace().values[0] <= 1020.0 + 2.0


def test_a_port_in_use_is_an_error_with_a_remedy(bmc: SimulatedBmc) -> None:
    with pytest.raises(PowerError, match=rf"cannot listen on 127\.0\.0\.1:{bmc.port} .*0 for a free one"):
        SimulatedBmc(idle_w=1.0, slope_w=0.0, refresh_s=1.0, port=bmc.port).start()


def test_its_end_is_seen_and_stopping_again_is_harmless() -> None:
    bmc = SimulatedBmc(idle_w=1.0, slope_w=0.0, refresh_s=1.0)
    with pytest.raises(PowerError, match=r"call start\(\)"):
        _ = bmc.port
    bmc.start()
    assert bmc.alive()
    assert bmc.pid is not None
    os.kill(bmc.pid, signal.SIGTERM)
    bmc.stop()
    bmc.stop()
    assert not bmc.alive()


@pytest.mark.skipif(shutil.which("ipmitool") is None, reason="ipmitool is not installed")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mc", "info"], "IPMI Version              : 2.0"),
        (["dcmi", "power", "reading"], "Instantaneous power reading:                   173 Watts"),
        (["sdr", "list"], "System Power     | 173 Watts"),
        (["sensor", "reading", "System Power"], "System Power     | 173"),
    ],
)
def test_ipmitool_reads_it(bmc: SimulatedBmc, arguments: list[str], expected: str) -> None:
    login = ["-I", "lanplus", "-C", "3", "-L", "USER", "-H", bmc.address, "-p", str(bmc.port), "-U", bmc.username, "-E"]
    environment = {**os.environ, "IPMI_PASSWORD": bmc.password}
    output = subprocess.run(
        ["ipmitool", *login, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert expected in output


@pytest.mark.skipif(shutil.which("ipmitool") is None, reason="ipmitool is not installed")
def test_ipmitool_cannot_switch_it_off_or_enter_without_the_password(bmc: SimulatedBmc) -> None:
    login = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", bmc.address, "-p", str(bmc.port), "-U", bmc.username, "-E"]
    for password, arguments in ((bmc.password, ["chassis", "power", "off"]), ("wrong", ["mc", "info"])):
        environment = {**os.environ, "IPMI_PASSWORD": password}
        done = subprocess.run([*login, *arguments], env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode != 0
    assert bmc.alive()


def test_garbage_on_its_port_does_not_end_it(bmc: SimulatedBmc, tmp_path: Path) -> None:
    rmcp, random = b"\x06\x00\xff\x07", Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for payload_type in (0x00, 0x10, 0x12, 0x14, 0x3F):
            for length in (0, 8, 16, 48, 200):
                packet = rmcp + b"\x06" + bytes([payload_type]) + random.randbytes(length)
                client.sendto(packet, (bmc.address, bmc.port))
    with Recorder(bmc.source_spec, tmp_path / "trace.csv", 0.1) as recorder:
        assert recorder.trace().values[0] == IDLE_W
    assert bmc.alive()
