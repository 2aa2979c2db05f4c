"""Which source a node is read from, and why."""

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wattsweep.config.power import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power.credentials import load_credentials
from wattsweep.power.sources.specs import IpmiSpec, SourceSpec

IPMI_DEVICE = Path("/dev/ipmi0")
ADDRESS_REMEDY = "set power.ipmi.address to the BMC's address"


@dataclass(frozen=True, slots=True)
class Selection:
    """The source chosen for a node and the sentence that says why.

    `source_spec` is what a `Recorder` takes. It is None for "none", and for "simulated", whose simulator has to be
    started to know its address (`wattsweep.simulation.SimulatedBmc.source_spec`).
    """

    name: Literal["ipmi", "simulated", "none"]
    source_spec: SourceSpec | None
    reason: str


def select_source(power: PowerConfig, node: str, *, device: Path = IPMI_DEVICE) -> Selection:
    """The source that the `power` block asks for on `node` (its host name; the address gets the part before a dot).

    `auto` takes the BMC at `power.ipmi.address`, else the BMC through `device` where it can be opened, else the
    simulated BMC. Raises PowerError where `ipmi` is asked for and there is no means to reach it, or credentials are
    missing. Nothing is opened: `Recorder.start` does that.
    """
    if power.source == "none":
        return Selection("none", None, "No power is measured: power.source is none.")
    if power.source == "simulated":
        return Selection("simulated", None, "Power is simulated: power.source is simulated.")
    if power.ipmi.address is not None:
        spec = _network_spec(power, power.ipmi.address, node)
        return Selection("ipmi", spec, f"The BMC at {spec.place} is read, because power.ipmi.address names it.")
    obstacle = _obstacle(device)
    if obstacle is None:
        return Selection(
            "ipmi",
            IpmiSpec(sensor=power.ipmi.sensor),
            f"The BMC is read in-band through {device}, because power.ipmi.address is not set and this user may open "
            "the device.",
        )
    if power.source == "ipmi":
        raise PowerError(
            f"power.source is ipmi, but power.ipmi.address is not set and {obstacle}. Either {ADDRESS_REMEDY}, or give "
            f"this user read and write access to {device}, or choose another power.source."
        )
    return Selection(
        "simulated",
        None,
        f"Power is simulated, because power.ipmi.address is not set and {obstacle}.",
    )


def _network_spec(power: PowerConfig, address: str, node: str) -> IpmiSpec:
    credentials = load_credentials(power.ipmi.credentials_file)
    return IpmiSpec(
        address=address.replace("{node}", node.split(".")[0]),
        port=power.ipmi.port,
        username=credentials.username,
        password=credentials.password,
        sensor=power.ipmi.sensor,
    )


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
