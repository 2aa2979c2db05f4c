"""What sources of power a node has, whether they can be read, and what to do about those that cannot.

`survey` is the one function. Every look is taken in a thread of its own with a deadline: a meter that hangs, or a
program that errs, is a finding about that source and hides no other.
"""

import os
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from wattsweep.config.power import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power.selection import IPMI_DEVICE, select_source
from wattsweep.power.sources.base import Reading, Scope, SourceDescription
from wattsweep.power.sources.specs import (
    CraySpec,
    HwmonSpec,
    IpmiSpec,
    NvmlSpec,
    RaplSpec,
    SourceSpec,
)
from wattsweep.power.trace import Status

State = Literal["present", "absent", "no permission", "not configured", "failed"]

LIMIT_S = 3.0
NETWORK_LIMIT_S = 6.0
"""A BMC that does not answer is only known not to after five seconds."""

COUNTED_OVER_S = 0.4
SCONTROL_TIMEOUT_S = 2.0
SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one source: `name` is what it is called here, `source` the value of power.source that reads it.

    `detail` says what would be read, or why not; `remedy` is what to do, "" where there is nothing. `watts` is the
    power now in W, of a counter its mean over 0.4 s; None where it was not read or did not move. `simulated` is True
    for what is no measurement.
    """

    name: str
    source: str
    state: State
    detail: str
    remedy: str = ""
    scope: Scope | None = None
    watts: float | None = None
    simulated: bool = False

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a node's sources are looked for."""

    device: Path = IPMI_DEVICE
    powercap: str = "/sys/class/powercap"
    hwmon: str = "/sys/class/hwmon"
    cray: str = "/sys/cray/pm_counters"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


Look = Callable[[], list[Finding]]


def survey(power: PowerConfig, node: str, *, places: Places | None = None, limit_s: float = LIMIT_S) -> list[Finding]:
    """Every source of `node` (its host name) with its state; what can be read is read once, with `power`'s settings.

    A look that takes longer than `limit_s`, or twice that over the network, has failed. Nothing is raised.
    """
    there = places or Places()
    network_s = limit_s * NETWORK_LIMIT_S / LIMIT_S
    looks: list[tuple[str, str, float, Look]] = [
        ("ipmi, network", "ipmi", network_s, lambda: _ipmi_network(power, node)),
        ("ipmi, in-band", "ipmi", limit_s, lambda: _ipmi_in_band(power, there.device)),
        ("ipmitool", "ipmitool", limit_s, lambda: _program(power, there, "ipmitool", "ipmitool", "ipmitool")),
        ("freeipmi", "freeipmi", limit_s, lambda: _program(power, there, "freeipmi", "ipmi-raw", "freeipmi-tools")),
        ("redfish", "redfish", network_s, lambda: _redfish(power, node)),
        ("cray", "cray", limit_s, lambda: _cray(there.cray)),
        ("hwmon", "hwmon", limit_s, lambda: _hwmon(there.hwmon)),
        ("rapl", "rapl", limit_s, lambda: _rapl(there.powercap)),
        ("nvml", "nvml", limit_s, lambda: _nvml(there.environ)),
        ("slurm", "slurm", limit_s, lambda: _slurm(there.environ)),
        ("csv", "csv", limit_s, lambda: _csv(power)),
        ("simulated", "simulated", limit_s, lambda: _simulated(power)),
    ]
    outcomes = [_begin(name, source, look) for name, source, _, look in looks]
    started_s = time.monotonic()
    found: list[Finding] = []
    for (name, source, longest_s, _), outcome in zip(looks, outcomes, strict=True):
        try:
            found += outcome.get(timeout=max(0.001, started_s + longest_s - time.monotonic()))
        except queue.Empty:
            remedy = f"See what it does: wattsweep meter --watch --source {source}."
            found.append(Finding(name, source, "failed", f"no answer within {longest_s:g} s", remedy))
    return found


def _begin(name: str, source: str, look: Look) -> "queue.SimpleQueue[list[Finding]]":
    outcome: queue.SimpleQueue[list[Finding]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(look())
        except PowerError as error:
            outcome.put([_of_error(name, source, "failed", error)])
        except Exception as error:  # noqa: BLE001 - whatever one source raises, the others are still reported
            words = f"{type(error).__name__}: {error}"
            outcome.put([Finding(name, source, "failed", words, "Report this: it is a mistake in wattsweep.")])

    threading.Thread(target=run, name=f"survey {name}", daemon=True).start()
    return outcome


def _of_error(name: str, source: str, state: State, error: PowerError, scope: Scope | None = None) -> Finding:
    """A finding in the error's words: the first sentence says what is, the rest what to do."""
    detail, *remedy = SENTENCE.split(str(error), maxsplit=1)
    return Finding(name, source, state, detail, "".join(remedy), scope)


def _read(name: str, spec: SourceSpec, note: str = "") -> Finding:
    """Open the source and read it. Raises PowerError where it cannot be opened."""
    from wattsweep.power.sources import open_source

    source = open_source(spec)
    try:
        description = source.describe()
        readings = [(time.monotonic(), source.read())]
        if description.kind == "energy":
            time.sleep(COUNTED_OVER_S)
            readings.append((time.monotonic(), source.read()))
    finally:
        source.close()
    watts, remark = _watts(description, readings)
    detail = "; ".join(filter(None, [description.detail, remark, note]))
    bad = next((reading.status for _, reading in readings if reading.status is not Status.OK), None)
    if bad is not None:
        remedy = f"See whether it stays so: wattsweep meter --watch --source {spec.source}."
        return Finding(name, spec.source, "failed", f"{detail}; it was read as '{bad.word}'", remedy, description.scope)
    return Finding(
        name,
        spec.source,
        "present",
        detail,
        scope=description.scope,
        watts=watts,
        simulated=description.origin != "measured",
    )


def _watts(description: SourceDescription, readings: list[tuple[float, Reading]]) -> tuple[float | None, str]:
    if any(reading.status is not Status.OK for _, reading in readings):
        return None, ""
    if description.kind == "power":
        return readings[-1][1].value, ""
    (first_s, first), (last_s, last) = readings
    rise_j = last.value - first.value
    if rise_j > 0:
        return rise_j / (last_s - first_s), ""
    return None, f"the counter stood at {last.value:.6g} J for {last_s - first_s:.1g} s"


def _ipmi_network(power: PowerConfig, node: str) -> list[Finding]:
    name = "ipmi, network"
    if power.ipmi.address is None and power.ipmi.address_file is None:
        remedy = "Set power.ipmi.address to the BMC's address."
        return [Finding(name, "ipmi", "not configured", "power.ipmi.address is not set", remedy, "node")]
    try:
        spec = select_source(power.model_copy(update={"source": "ipmi"}), node).source_spec
    except PowerError as error:
        return [_of_error(name, "ipmi", "not configured", error, "node")]
    assert spec is not None  # noqa: S101
    return [_read(name, spec)]


def _ipmi_in_band(power: PowerConfig, device: Path) -> list[Finding]:
    name = "ipmi, in-band"
    if not device.exists():
        remedy = "On a node with a BMC, load the kernel modules ipmi_si and ipmi_devintf."
        return [Finding(name, "ipmi", "absent", f"there is no {device}", remedy, "node")]
    if (obstacle := _closed(device, os.R_OK | os.W_OK)) is not None:
        remedy = f"Give this user read and write access to {device}, or set power.ipmi.address."
        return [Finding(name, "ipmi", "no permission", obstacle, remedy, "node")]
    return [_read(name, IpmiSpec(sensor=power.ipmi.sensor))]


def _closed(path: Path, access: int) -> str | None:
    """Why this user may not have that access to a path that is there, in words; None where it may."""
    from wattsweep.power.sources.sysfs import obstacle

    return None if os.access(path, access) else obstacle(path, PermissionError())


def _program(power: PowerConfig, places: Places, source: str, program: str, package: str) -> list[Finding]:
    """Whether a program is installed; the BMC is read by `ipmi` alone here, since sessions of a BMC are few."""
    from wattsweep.power.sources.kept import find_program

    try:
        path = find_program(program, package=package, source=source)
    except PowerError:
        remedy = f"Install it: apt install {package}, or the like."
        return [Finding(source, source, "absent", f"the program {program} is not installed", remedy, "node")]
    if power.ipmi.address is not None or power.ipmi.address_file is not None:
        return [Finding(source, source, "present", f"{path} would read the BMC over the network", scope="node")]
    if not places.device.exists():
        remedy = "Set power.ipmi.address to the BMC's address."
        return [Finding(source, source, "not configured", f"{path} has no BMC to read", remedy, "node")]
    if (obstacle := _closed(places.device, os.R_OK | os.W_OK)) is not None:
        remedy = f"Give this user read and write access to {places.device}, or set power.ipmi.address."
        return [Finding(source, source, "no permission", f"{path} is installed, but {obstacle}", remedy, "node")]
    return [Finding(source, source, "present", f"{path} would read the BMC through {places.device}", scope="node")]


def _redfish(power: PowerConfig, node: str) -> list[Finding]:
    if power.redfish.url is None:
        remedy = "Set power.redfish.url to the BMC's address, as in https://{node}-bmc.example.org."
        return [Finding("redfish", "redfish", "not configured", "power.redfish.url is not set", remedy, "node")]
    try:
        spec = select_source(power.model_copy(update={"source": "redfish"}), node).source_spec
    except PowerError as error:
        return [_of_error("redfish", "redfish", "not configured", error, "node")]
    assert spec is not None  # noqa: S101
    return [_read("redfish", spec)]


def _cray(root: str) -> list[Finding]:
    energy = Path(root) / "energy"
    if not energy.exists():
        detail = f"there is no {energy}; Cray EX and XC nodes have it"
        return [Finding("cray", "cray", "absent", detail, scope="node")]
    if (obstacle := _closed(energy, os.R_OK)) is not None:
        remedy = f"Ask an administrator to let this user read {root}."
        return [Finding("cray", "cray", "no permission", obstacle, remedy, "node")]
    return [_read("cray", CraySpec(root))]


def _hwmon(root: str) -> list[Finding]:
    from wattsweep.power.sources.hwmon import channels

    found = []
    for one in channels(root):
        name = f"hwmon {one.chip} power{one.channel}"
        spec = HwmonSpec(chip=one.chip, channel=one.channel, root=root, device=one.device or None)
        if one.readable:
            found.append(_tried(name, spec, "", one.scope))
        else:
            state: State = "failed" if os.access(one.path, os.R_OK) else "no permission"
            remedy = f"Give this user read access to {one.path}."
            found.append(Finding(name, "hwmon", state, one.reason, remedy, one.scope))
    remedy = "On a server with an ACPI power meter, load the kernel module acpi_power_meter."
    return found or [Finding("hwmon", "hwmon", "absent", f"there is no power channel below {root}", remedy)]


def _rapl(root: str) -> list[Finding]:
    from wattsweep.power.sources.rapl import zones

    found = []
    for zone in zones(root):
        name = f"rapl {zone.name}"
        if zone.scope is None:
            continue
        if zone.readable:
            found.append(_tried(name, RaplSpec(zone=zone.zone, root=root), zone.note, zone.scope))
            continue
        state: State = "failed" if os.access(Path(zone.path) / "energy_uj", os.R_OK) else "no permission"
        remedy = (
            "Ask an administrator to let a group read energy_uj (chgrp and chmod g+r, by a udev rule for powercap)."
        )
        found.append(
            Finding(name, "rapl", state, "; ".join(filter(None, [zone.reason, zone.note])), remedy, zone.scope)
        )
    remedy = "On a machine that is not virtual, load the kernel module intel_rapl_msr."
    return found or [Finding("rapl", "rapl", "absent", f"there is no RAPL zone below {root}", remedy, "CPU package")]


def _tried(name: str, spec: SourceSpec, note: str, scope: Scope) -> Finding:
    """`_read`, with an error as a finding of this part, so that other parts are still read."""
    try:
        return _read(name, spec, note)
    except PowerError as error:
        return _of_error(name, spec.source, "failed", error, scope)


def _nvml(environ: Mapping[str, str]) -> list[Finding]:
    from wattsweep.power.sources.nvml import visible_gpus

    try:
        gpus = visible_gpus(environ)
    except PowerError as error:
        return [_of_error("nvml", "nvml", "absent", error, "GPU")]
    found = [_tried(f"nvml GPU {gpu}", NvmlSpec(gpus=(gpu,)), "", "GPU") for gpu in gpus]
    detail = f"CUDA_VISIBLE_DEVICES is '{environ.get('CUDA_VISIBLE_DEVICES', '')}': this job has no GPU"
    return found or [Finding("nvml", "nvml", "absent", detail, "Ask Slurm for one, as in --gres=gpu:1.", "GPU")]


def _slurm(environ: Mapping[str, str]) -> list[Finding]:
    path = shutil.which("sacct", path=environ.get("PATH", os.defpath))
    if path is None:
        remedy = "On a cluster with Slurm, run where its client programs are."
        return [Finding("slurm", "slurm", "absent", "the program sacct is not there", remedy, "node")]
    try:
        said = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=SCONTROL_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        remedy = "See what it says: scontrol show config."
        return [Finding("slurm", "slurm", "failed", f"Slurm's controller does not answer: {error}", remedy, "node")]
    settings = {line.split("=")[0].strip(): line.split("=", 1)[1].strip() for line in said.splitlines() if "=" in line}
    plugin = settings.get("AcctGatherEnergyType", "(null)")
    if plugin in ("(null)", "", "acct_gather_energy/none"):
        remedy = "Ask an administrator to set AcctGatherEnergyType (acct_gather_energy/ipmi or the like) in slurm.conf."
        return [Finding("slurm", "slurm", "not configured", "Slurm's accounting has no energy", remedy, "node")]
    detail = f"{path}: energy of a job after its end, by {plugin}"
    return [Finding("slurm", "slurm", "present", detail, scope="CPU package" if plugin.endswith("rapl") else "node")]


def _csv(power: PowerConfig) -> list[Finding]:
    path, scope = power.csv.path, power.csv.scope
    if path is None:
        remedy = "Set power.csv.path to a monitoring export of the site."
        return [Finding("csv", "csv", "not configured", "power.csv.path is not set", remedy, scope)]
    if not path.exists():
        return [Finding("csv", "csv", "absent", f"there is no {path}", "Correct power.csv.path.", scope)]
    return [Finding("csv", "csv", "present", f"{path}, joined to the runs after the fact", scope=scope)]


def _simulated(power: PowerConfig) -> list[Finding]:
    simulated = power.simulated
    detail = f"{simulated.idle_w:g} W + {simulated.slope_w:g} W x CPU use; marked as simulated, no measurement"
    return [Finding("simulated", "simulated", "present", detail, scope="node", simulated=True)]
