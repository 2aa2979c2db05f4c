"""How a source is named to a recorder: plain values, secrets included, that travel as JSON on a standard input.

Importing this loads no client of any source.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from wattsweep.power.sources.base import Origin, SourceName


@dataclass(frozen=True, slots=True)
class IpmiSpec:
    """How to reach a BMC: over the network at `address`, or in-band through /dev/ipmi0 where that is None.

    `client` is what speaks to it: pyghmi (ipmi), or the kept processes `ipmitool shell` and FreeIPMI's `ipmi-raw`.
    `sensor` names the sensor to read where the BMC does not answer DCMI. The cipher suites are tried in order.
    `refresh_s` is given where it is known. The credentials do not show in `repr`.
    """

    address: str | None = None
    port: int = 623
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sensor: str | None = None
    client: Literal["ipmi", "ipmitool", "freeipmi"] = "ipmi"
    cipher_suites: tuple[int, ...] = (17, 3)
    origin: Origin = "measured"
    refresh_s: float | None = None

    @property
    def source(self) -> SourceName:
        """The module that reads it."""
        return self.client

    @property
    def place(self) -> str:
        """Where the BMC is, as messages name it."""
        return "/dev/ipmi0" if self.address is None else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedfishSpec:
    """A Redfish service at `url` (scheme, host, port).

    `chassis` is the path of the resource to read, such as /redfish/v1/Chassis/1; without it the service's only chassis
    with a power reading is taken. `ca_file` verifies a certificate that the system does not know; `verify` False
    accepts any. The credentials do not show in `repr`.
    """

    source: ClassVar[SourceName] = "redfish"
    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    chassis: str | None = None
    ca_file: str | None = None
    verify: bool = True

    @property
    def place(self) -> str:
        """Where the service is, as messages name it."""
        return self.url


@dataclass(frozen=True, slots=True)
class RaplSpec:
    """One RAPL zone of the kernel's powercap interface: a CPU package, or its DRAM. `zone` is its folder's name."""

    source: ClassVar[SourceName] = "rapl"
    zone: str = "intel-rapl:0"
    root: str = "/sys/class/powercap"

    @property
    def place(self) -> str:
        """The zone's folder."""
        return str(Path(self.root) / self.zone)


@dataclass(frozen=True, slots=True)
class HwmonSpec:
    """A power channel of a hardware monitor; the ACPI power meter is chip "power_meter".

    It is found by the chip's `name` file and the channel's number, never by hwmonN, which changes from boot to boot.
    `device` is the name of the chip's device, such as ACPI000D:00 or 1-0040, where several chips share a name.
    """

    source: ClassVar[SourceName] = "hwmon"
    chip: str = "power_meter"
    channel: int = 1
    root: str = "/sys/class/hwmon"
    device: str | None = None

    @property
    def place(self) -> str:
        """The chip and channel."""
        device = "" if self.device is None else f" ({self.device})"
        return f"{self.root}, chip {self.chip}{device}, power{self.channel}"


@dataclass(frozen=True, slots=True)
class NvmlSpec:
    """NVIDIA GPUs, by UUID or index as in CUDA_VISIBLE_DEVICES; their energies are one sum of scope GPU."""

    source: ClassVar[SourceName] = "nvml"
    gpus: tuple[str, ...] = ("0",)

    @property
    def place(self) -> str:
        """The GPUs."""
        return f"GPU {', '.join(self.gpus)}"


@dataclass(frozen=True, slots=True)
class CraySpec:
    """The node's counter in Cray's pm_counters."""

    source: ClassVar[SourceName] = "cray"
    root: str = "/sys/cray/pm_counters"

    @property
    def place(self) -> str:
        """The folder."""
        return self.root


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """A trace file, played back in real time from its first sample; the trace's own origin is kept."""

    source: ClassVar[SourceName] = "replay"
    path: str

    @property
    def place(self) -> str:
        """The file."""
        return self.path


SourceSpec = IpmiSpec | RedfishSpec | RaplSpec | HwmonSpec | NvmlSpec | CraySpec | ReplaySpec
_SPECS: dict[str, Callable[..., SourceSpec]] = {
    "ipmi": IpmiSpec,
    "ipmitool": IpmiSpec,
    "freeipmi": IpmiSpec,
    "redfish": RedfishSpec,
    "rapl": RaplSpec,
    "hwmon": HwmonSpec,
    "nvml": NvmlSpec,
    "cray": CraySpec,
    "replay": ReplaySpec,
}


def spec_to_json(spec: SourceSpec) -> dict[str, Any]:
    """The spec as a JSON object, secrets included: for the standard input of a process, never for a file."""
    return {"source": spec.source, **asdict(spec)}


def spec_from_json(data: dict[str, Any]) -> SourceSpec:
    """The spec that `spec_to_json` made. Raises ValueError for a source that is none."""
    kind = _SPECS.get(data.get("source", ""))
    if kind is None:
        raise ValueError(f"unknown source {data.get('source')!r} in a source spec; there are {', '.join(_SPECS)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "source"}
    return kind(**values)


def identity(spec: SourceSpec) -> str:
    """What two recorders may not read at one time on a node; without secrets."""
    if isinstance(spec, IpmiSpec):
        # the ports of simulated BMCs differ, the CPU use that they show is one
        return "simulated" if spec.origin == "simulated" else f"ipmi {spec.place}"
    return f"{spec.source} {spec.place}"
