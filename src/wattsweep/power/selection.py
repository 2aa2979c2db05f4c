"""Which sources a node is read from, and why."""

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

import yaml

from wattsweep.config.power import PowerConfig, SourceName
from wattsweep.errors import PowerError
from wattsweep.power.credentials import load_credentials
from wattsweep.power.sources.specs import (
    CraySpec,
    HwmonSpec,
    IpmiSpec,
    NvmlSpec,
    RaplSpec,
    RedfishSpec,
    ReplaySpec,
    SourceSpec,
)

IPMI_DEVICE = Path("/dev/ipmi0")
POWERCAP, HWMON, CRAY = "/sys/class/powercap", "/sys/class/hwmon", "/sys/cray/pm_counters"
ADDRESS_REMEDY = "set power.ipmi.address to the BMC's address"
AFTER_THE_FACT: tuple[SourceName, ...] = ("csv", "slurm")
"""Sources that are joined to the runs when all is over; nothing is read while training."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A source chosen for a node and the sentence that says why.

    `source_spec` is what a `Recorder` takes. It is None for "none", for those after the fact, and for "simulated",
    whose simulator has to be started to know its address (`wattsweep.simulation.SimulatedBmc.source_spec`).
    """

    name: SourceName
    source_spec: SourceSpec | None
    reason: str

    @property
    def after_the_fact(self) -> bool:
        """Whether its energies are joined to the runs later."""
        return self.name in AFTER_THE_FACT


def select_sources(power: PowerConfig, node: str, *, device: Path = IPMI_DEVICE) -> list[Selection]:
    """The source that the `power` block asks for on `node`, then its further ones.

    A further source that has parts of one scope each, such as the packages of a node's CPUs, gives one selection for
    each. Raises PowerError as `select_source` does, and where a further source has no part on this node.
    """
    first = select_source(power, node, device=device)
    return [first, *(one for name in power.also for one in _named(power, name, node, device, "also names it"))]


def select_source(power: PowerConfig, node: str, *, device: Path = IPMI_DEVICE) -> Selection:
    """The source that `power.source` asks for on `node` (its host name; addresses get the part before a dot).

    `auto` takes the BMC at `power.ipmi.address`, else the BMC through `device` where it can be opened, else Cray's
    counters, else the ACPI power meter, else the simulated BMC: sources of the whole node only. Raises PowerError where
    a source is asked for and there is no means to reach it, has several parts, or credentials are missing. No source
    is opened: `Recorder.start` does that.
    """
    if power.source == "none":
        return Selection("none", None, "No power is measured: power.source is none.")
    if power.source == "simulated":
        return Selection("simulated", None, "Power is simulated: power.source is simulated.")
    if power.source in AFTER_THE_FACT:
        reason = f"Energies are joined after the fact: power.source is {power.source}."
        return Selection(power.source, None, reason)
    if power.source == "auto":
        return _best(power, node, device)
    found = _named(power, power.source, node, device, "names it")
    if len(found) > 1:
        places = ", ".join(one.source_spec.place for one in found if one.source_spec)
        raise PowerError(
            f"power.source is {power.source}, which has {len(found)} parts on this node ({places}); a run's energy is "
            f"of one source. Choose a source of the whole node and set power.also: [{power.source}]."
        )
    return found[0]


def _best(power: PowerConfig, node: str, device: Path) -> Selection:
    """The best source of the whole node that is there, else the simulated BMC."""
    if power.ipmi.address is not None or power.ipmi.address_file is not None:
        spec = _ipmi_spec(power, "ipmi", node)
        which = "power.ipmi.address" if power.ipmi.address is not None else "power.ipmi.address_file"
        return Selection("ipmi", spec, f"The BMC at {spec.place} is read, because {which} names it.")
    obstacle = _obstacle(device)
    if obstacle is None:
        return _in_band(power, "ipmi", device)
    cray, meter = CraySpec(root=CRAY), HwmonSpec(chip=power.hwmon.chip, channel=power.hwmon.channel, root=HWMON)
    why_not = f"power.ipmi.address is not set and {obstacle}"
    if (Path(cray.root) / "energy").exists():
        return Selection("cray", cray, f"Cray's counters in {cray.root} are read, because {why_not}.")
    if meter.chip == "power_meter" and _has_chip(meter):
        return Selection("hwmon", meter, f"The ACPI power meter is read, because {why_not}.")
    return Selection("simulated", None, f"Power is simulated, because {why_not}.")


def _has_chip(spec: HwmonSpec) -> bool:
    """Whether the kernel has a monitor of this name that can be read."""
    from wattsweep.power.sources.hwmon import channels

    return any(one.chip == spec.chip and one.channel == spec.channel and one.readable for one in channels(spec.root))


def _named(power: PowerConfig, name: SourceName, node: str, device: Path, who: str) -> list[Selection]:
    """What the source of this name has on this node, at least one selection."""
    which = "power.source" if who == "names it" else "power.also"
    because = f"because {which} names it"
    if name in ("ipmi", "ipmitool", "freeipmi"):
        if power.ipmi.address is None and power.ipmi.address_file is None:
            obstacle = _obstacle(device)
            if obstacle is not None:
                raise PowerError(
                    f"{which} is {name}, but power.ipmi.address is not set and {obstacle}. Either {ADDRESS_REMEDY}, or "
                    f"give this user read and write access to {device}, or choose another source."
                )
            return [_in_band(power, name, device)]
        ipmi = _ipmi_spec(power, name, node)
        return [Selection(name, ipmi, f"The BMC at {ipmi.place} is read, because power.ipmi names its address.")]
    specs: dict[str, list[SourceSpec]] = {}
    if name == "redfish":
        specs[name] = [_redfish_spec(power, node)]
    elif name == "rapl":
        specs[name] = _rapl_specs()
    elif name == "nvml":
        specs[name] = _nvml_specs()
    else:
        specs = {
            "hwmon": [HwmonSpec(chip=power.hwmon.chip, channel=power.hwmon.channel, root=HWMON)],
            "cray": [CraySpec(root=CRAY)],
            "replay": [ReplaySpec(str(power.replay.path))],
        }
    return [Selection(name, spec, f"{spec.place} is read, {because}.") for spec in specs[name]]


def _rapl_specs() -> list[SourceSpec]:
    from wattsweep.power.sources.rapl import zones

    found = [zone for zone in zones(POWERCAP) if zone.scope is not None]
    if not found:
        raise PowerError(
            f"RAPL is asked for, but this node has no RAPL zones in {POWERCAP}: its CPU has none, the kernel module "
            "intel_rapl_msr is not loaded, or it is a virtual machine. Choose another source."
        )
    return [RaplSpec(zone=zone.zone, root=POWERCAP) for zone in found]


def _nvml_specs() -> list[SourceSpec]:
    from wattsweep.power.sources.nvml import visible_gpus

    gpus = visible_gpus(os.environ)
    if not gpus:
        raise PowerError("NVML is asked for, but CUDA_VISIBLE_DEVICES gives this job no GPU. Ask for one, or leave it.")
    return [NvmlSpec(gpus=gpus)]


def _in_band(power: PowerConfig, name: SourceName, device: Path) -> Selection:
    spec = IpmiSpec(sensor=power.ipmi.sensor, client=name)  # type: ignore[arg-type]
    reason = (
        f"The BMC is read in-band through {device}, because power.ipmi.address is not set and this user may open the "
        "device."
    )
    return Selection(name, spec, reason)


def _ipmi_spec(power: PowerConfig, name: SourceName, node: str) -> IpmiSpec:
    credentials = load_credentials(power.ipmi.credentials_file)
    return IpmiSpec(
        address=_address(power, node),
        port=power.ipmi.port,
        username=credentials.username,
        password=credentials.password,
        sensor=power.ipmi.sensor,
        client=name,  # type: ignore[arg-type]
        cipher_suites=power.ipmi.cipher_suites,
    )


def _redfish_spec(power: PowerConfig, node: str) -> RedfishSpec:
    credentials = load_credentials(power.redfish.credentials_file)
    assert power.redfish.url is not None  # noqa: S101 - the configuration was checked
    return RedfishSpec(
        url=power.redfish.url.replace("{node}", _short(node)),
        username=credentials.username,
        password=credentials.password,
        chassis=power.redfish.chassis,
        ca_file=None if power.redfish.ca_file is None else str(power.redfish.ca_file),
        verify=power.redfish.verify,
    )


def _address(power: PowerConfig, node: str) -> str:
    """The address of the node's BMC: by the template, or from the mapping file."""
    path = power.ipmi.address_file
    if path is None:
        assert power.ipmi.address is not None  # noqa: S101
        return power.ipmi.address.replace("{node}", _short(node))
    try:
        addresses = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PowerError(f"power.ipmi.address_file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        addresses = None
    if not isinstance(addresses, dict):
        raise PowerError(f"power.ipmi.address_file {path} must be YAML that maps host names to addresses.")
    found = {_short(str(name)): address for name, address in addresses.items()}.get(_short(node))
    if not isinstance(found, str) or not found:
        raise PowerError(
            f"power.ipmi.address_file {path} has no address for node {_short(node)}; add a line "
            f"'{_short(node)}: ADDRESS'."
        )
    return found


def _short(node: str) -> str:
    return node.split(".", maxsplit=1)[0]


def _obstacle(device: Path) -> str | None:
    """Why `device` cannot be opened, as part of a sentence; None where it can."""
    try:
        status = device.stat()
    except OSError:
        return f"there is no {device}"
    if os.access(device, os.R_OK | os.W_OK):
        return None
    mode = stat.S_IMODE(status.st_mode)
    return (
        f"{device} is there but user {_user_name(os.getuid())} may not open it (mode {mode:04o}, owner "
        f"{_user_name(status.st_uid)}, group {_group_name(status.st_gid)})"
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
