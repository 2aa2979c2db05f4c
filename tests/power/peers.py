"""Programs that nobody here wrote, to hold our IPMI against: Debian's `ipmi_sim` as a BMC, and the plain clients."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wattsweep.power.child import ChildProcess
from wattsweep.power.sources.specs import IpmiSpec

LOOPBACK = "127.0.0.1"
SBIN = "/usr/sbin"
PACKAGES = {
    "ipmi_sim": "openipmi",
    "sdrcomp": "openipmi",
    "ipmitool": "ipmitool",
    "ipmi-raw": "freeipmi-tools",
    "ipmi-dcmi": "freeipmi-tools",
}
USERNAME, PASSWORD = "reader", "s3cret-of-the-bmc"
SENSOR = "Node Power"
STEP_W = 4
START_TIMEOUT_S = 20.0

LAN_CONF = """\
name "peer"
set_working_mc 0x20
startlan 1
  addr {address} {port}
  priv_limit admin
  allowed_auths_user md5
  allowed_auths_admin md5
  guid "wattsweep-peer"
endlan
user 1 false "" "" user 10 md5
user 2 true "{username}" "{password}" admin 10 md5
"""
EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sensor_add 0x20 0 2 0x0b 0x01 poll 200 file "{watts}" div={step}
sensor_set_event_support 0x20 0 2 disable scanning none {none} {none} {none} {none}
mc_enable 0x20
"""
SENSOR_RECORD = """\
sdr type 1
  sensor_owner_id 0x20
  sensor_owner_lun 0
  channel_number 0
  sensor_number 2
  entity_id system_board
  entity_instance 1
  default_sensor_scan_on true
  sensor_type Other_Units_Based_Sensor
  event_reading_type_code 1
  analog_data_format unsigned
  rate_unit none
  modifier_unit none
  percentage false
  base_unit Watts
  modifier_unit_code unspecified
  linearization linear
  m {step}
  tolerance 0
  b 0
  accuracy 0
  accuracy_exp 0
  sensor_direction input
  r_exp 0
  b_exp 0
  sensor_maximum 255
  sensor_minimum 0
  id_string "{sensor}"
endsdr
"""
GET_CHANNEL_CAPABILITIES = bytes.fromhex("0600ff07 00 00000000 00000000 09 20 18 c8 81 00 38 8e 04 b5".replace(" ", ""))


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, saying why."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}")
    if path is None:
        pytest.skip(f"{name} is not installed (apt install {PACKAGES[name]})")
    return path


def free_port() -> int:
    """A UDP port of loopback that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_for_bmc(port: int) -> None:
    """Return once a BMC answers at a port."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        probe.connect((LOOPBACK, port))
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):
                probe.send(GET_CHANNEL_CAPABILITIES)
                if probe.recv(1024):
                    return
            time.sleep(0.02)
    raise AssertionError(f"no BMC answers at port {port} after {START_TIMEOUT_S:g} s")


@dataclass
class IpmiSim:
    """OpenIPMI's simulated BMC with one sensor in watts, which shows what stands in a file. It knows no DCMI.

    With `packed` the sensor's name is in capitals packed in 6 bits each, on which pyghmi's own reader of records hangs.
    """

    folder: Path
    packed: bool = False
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def spec(self) -> IpmiSpec:
        return IpmiSpec(LOOPBACK, self.port, USERNAME, PASSWORD)

    @property
    def sensor(self) -> str:
        return SENSOR.upper() if self.packed else SENSOR

    def show(self, watts: int) -> None:
        """Have the sensor show whole watts, a multiple of its step, from its next poll on (within 0.2 s)."""
        fresh = self.folder / "watts.new"
        fresh.write_text(f"{watts}\n", encoding="ascii")
        fresh.rename(self.folder / "watts")

    def start(self) -> None:
        """Start it, as often as liked on the same port."""
        emulator, compiler = program("ipmi_sim"), program("sdrcomp")
        state = self.folder / "state"
        records = state / "ipmi_sim" / "peer"
        records.mkdir(parents=True, exist_ok=True)
        names = {"address": LOOPBACK, "port": self.port, "username": USERNAME, "password": PASSWORD}
        names |= {"step": STEP_W, "sensor": self.sensor, "watts": self.folder / "watts", "none": "0" * 15}
        for name, text in (("lan.conf", LAN_CONF), ("peer.emu", EMULATION), ("peer.sdrs", SENSOR_RECORD)):
            (self.folder / name).write_text(text.format(**names), encoding="ascii")
        plain = [] if self.packed else ["-8"]
        subprocess.run(
            [compiler, *plain, "-o", records / "sdr.20.main", self.folder / "peer.sdrs"], check=True, timeout=30
        )
        with (self.folder / "ipmi_sim.log").open("ab") as log:
            self._process = subprocess.Popen(
                [emulator, "-c", "lan.conf", "-f", "peer.emu", "-s", state, "-n"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for_bmc(self.port)

    def kill(self) -> None:
        """End it at once. Harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(30)


@dataclass
class OurSim:
    """Our simulated BMC with constant watts, on one port with one password however often it is started."""

    watts: float
    dcmi: bool = True
    port: int = 0
    _child: ChildProcess | None = None

    @property
    def spec(self) -> IpmiSpec:
        return IpmiSpec(LOOPBACK, self.port, USERNAME, PASSWORD)

    def start(self) -> None:
        """Start it, as often as liked on the same port."""
        orders: dict[str, object] = {
            "idle_w": self.watts,
            "slope_w": 0.0,
            "refresh_s": 0.2,
            "port": self.port,
            "dcmi": self.dcmi,
        }
        orders |= {"username": USERNAME, "password": PASSWORD}
        self._child = ChildProcess("wattsweep.simulation.bmc", orders, name="The simulated BMC", timeout_s=60)
        self.port = int(self._child.start()["port"])

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self._child is not None
        assert self._child.pid is not None
        os.kill(self._child.pid, number)

    def kill(self) -> None:
        """End it at once. Harmless when it does not run."""
        child, self._child = self._child, None
        if child is not None and child.pid is not None:
            if child.alive():
                os.kill(child.pid, signal.SIGKILL)
            child.stop()


Peer = IpmiSim | OurSim


@contextlib.contextmanager
def running(bmc: Peer) -> Iterator[None]:
    """A BMC that runs at first and at the latest ends here."""
    try:
        bmc.start()
        yield
    finally:
        bmc.kill()


def ipmitool(spec: IpmiSpec, *arguments: str) -> str:
    """What plain ipmitool says, logged in for this one command."""
    login = ["-I", "lanplus", "-C", "3", "-L", "USER", "-H", str(spec.address), "-p", str(spec.port)]
    command = [program("ipmitool"), *login, "-U", spec.username, "-E", *arguments]
    environment = {**os.environ, "IPMI_PASSWORD": spec.password}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def ipmi_dcmi(spec: IpmiSpec, folder: Path) -> str:
    """What FreeIPMI's ipmi-dcmi says about power, logged in for this one command."""
    secrets = folder / "freeipmi.conf"
    secrets.touch(mode=0o600)
    secrets.write_text(f"username {spec.username}\npassword {spec.password}\n", encoding="ascii")
    login = ["-D", "LAN_2_0", "-h", f"{spec.address}:{spec.port}", "-I", "3", "-l", "USER", f"--config-file={secrets}"]
    command = [program("ipmi-dcmi"), *login, "--get-system-power-statistics"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def found_watts(pattern: str, said: str) -> float:
    """The number that a pattern's group finds in what a program said."""
    match = re.search(pattern, said)
    assert match is not None, said
    return float(match[1])


def command_lines() -> dict[int, bytes]:
    """The arguments of every process that may be looked at."""
    lines = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                lines[int(folder.name)] = (folder / "cmdline").read_bytes()
    return lines
