"""Energy of a CPU package, of its DRAM, or of the platform, from RAPL through the kernel's powercap interface.

The counters belong to the processor: they hold neither power supplies nor fans, disks or network. `zones` lists what a
node has; `RaplSource` reads one zone. Facts that shape it: a counter goes back to 0 after some minutes (65.7 kJ are
263 s at 250 W), so what is reported is the counter as read, with the value at which it wraps; since 2020 only root may
read it, so a refusal is no absence; core and uncore are parts of their package and would be counted twice.
"""

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, Scope, SourceDescription
from wattsweep.power.sources.specs import RaplSpec
from wattsweep.power.sources.sysfs import obstacle, read_int, read_optional
from wattsweep.power.trace import Status

ROOT = "/sys/class/powercap"
CPUS = "/sys/devices/system/cpu"

REFRESH_S = 0.001
"""The processors update their counters about every millisecond."""

COUNTER_UNITS = 2**32 - 1
"""The kernel gives the range of a counter of 32 bits, so range / (2^32 - 1) is the counter's unit."""

COARSEST_UNIT_UJ = 1000.0
STANDSTILL_S = 0.05

ZONE = re.compile(r"intel-rapl(-[a-z]+)?(:\d+)+")
CONTROL_TYPE = re.compile(r"intel-rapl(-[a-z]+)?")
PACKAGE = re.compile(r"package-(\d+)(-die-\d+)?")


@dataclass(frozen=True, slots=True)
class Zone:
    """A RAPL zone of a node.

    `zone` is its folder's name, `name` what the kernel calls it. `scope` is None where the zone is a part of another
    and no source. `reason` says why it cannot be read ("" where it can); `note` what to mind when it is.
    """

    zone: str
    name: str
    path: str
    scope: Scope | None
    readable: bool
    reason: str
    note: str


def zones(root: str = ROOT, cpus: str = CPUS) -> list[Zone]:
    """Every RAPL zone below `root`, readable or not, packages before their parts; empty where there are none.

    `cpus` is where the kernel describes the CPUs: a zone that is named after a package which has none of them is noted.
    """
    folders = _folders(Path(root))
    names = {zone: read_optional(folder / "name") or "" for zone, folder in folders.items()}
    packages = _cpu_packages(Path(cpus))
    return [_survey(zone, folder, names, packages) for zone, folder in folders.items()]


class RaplSource:
    """The energy counter of one RAPL zone, in J."""

    def __init__(self, spec: RaplSpec) -> None:
        self._spec = spec
        self._energy: Path | None = None
        self._range_uj = 0
        self._description: SourceDescription | None = None

    def open(self) -> None:
        """Find the zone and read it once.

        Raises PowerError where there is no such zone, it is a part of another, its counter stands still at 0, or this
        user may not read it.
        """
        folders = _folders(Path(self._spec.root))
        folder = folders.get(self._spec.zone)
        if folder is None:
            raise PowerError(_no_zone(self._spec, folders))
        name = read_optional(folder / "name") or ""
        scope = _scope(name)
        if scope is None:
            raise PowerError(
                f"RAPL zone {self._spec.zone} at {folder} is named '{name}': a part of its package, not a package, its "
                f"DRAM or the platform. Choose another of its zones: {_listed(folders, only_sources=True)}."
            )
        energy, ceiling = folder / "energy_uj", folder / "max_energy_range_uj"
        self._range_uj = self._number(ceiling)
        if self._range_uj <= 0:
            raise PowerError(
                f"RAPL zone {self._spec.zone} gives a range of {self._range_uj} uJ in {ceiling}: its wraps cannot be "
                "undone. Choose another zone or another power.source."
            )
        if self._number(energy) == 0:
            time.sleep(STANDSTILL_S)
            if self._number(energy) == 0:
                raise PowerError(
                    f"The counter of RAPL zone {self._spec.zone} ({name}) at {energy} stands still at 0: this "
                    "processor does not meter it. Choose another zone or another power.source."
                )
        self._energy = energy
        self._description = SourceDescription(
            name="rapl",
            kind="energy",
            scope=scope,
            origin="measured",
            detail=f"RAPL counter '{name}' of {folder}, read in-band through the kernel",
            refresh_s=REFRESH_S,
            step=_unit_uj(self._range_uj) / 1e6,
            wrap_j=(self._range_uj + 1) / 1e6,
        )

    def read(self) -> Reading:
        """The counter in J, as it stands; nan and `Status.FAILED` where it cannot be read, never 0."""
        if self._energy is None:
            return Reading(math.nan, Status.FAILED)
        try:
            energy_uj = read_int(self._energy)
        except (OSError, ValueError):
            return Reading(math.nan, Status.FAILED)
        return Reading(energy_uj / 1e6, Status.OK if 0 <= energy_uj <= self._range_uj else Status.IMPLAUSIBLE)

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._description is None:
            raise PowerError(f"RAPL zone {self._spec.place} has not been opened; call open() before describe().")
        return self._description

    def close(self) -> None:
        """Read no more. Harmless when not open."""
        self._energy = None

    def _number(self, path: Path) -> int:
        """The number in a file of the zone. Raises PowerError with the remedy."""
        try:
            return read_int(path)
        except PermissionError as error:
            raise PowerError(
                f"RAPL zone {self._spec.zone} is on this node, but {obstacle(path, error)}: since 2020 kernels keep "
                "these counters to root. Ask an administrator to let a group read energy_uj (chgrp and chmod g+r, "
                "repeated at each boot by a udev rule for the subsystem powercap) or to give the interpreter the "
                "capability CAP_DAC_READ_SEARCH, or choose another power.source."
            ) from None
        except (OSError, ValueError) as error:
            raise PowerError(
                f"RAPL zone {self._spec.zone} cannot be read: {obstacle(path, error)}. Choose another zone or another "
                "power.source."
            ) from None


def _folders(root: Path) -> dict[str, Path]:
    """The folder of each zone by its name, in order, whether they lie side by side (class) or in one another."""
    found: dict[str, Path] = {}
    for folder in _walk(root):
        found.setdefault(folder.name, folder)
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _walk(folder: Path) -> Iterator[Path]:
    """The zones in `folder`, then those in them: the first of a name has the shortest path."""
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    within = [child for child in children if ZONE.fullmatch(child.name)]
    yield from within
    for child in within + [child for child in children if CONTROL_TYPE.fullmatch(child.name)]:
        yield from _walk(child)


def _order(zone: str) -> tuple[str, list[int]]:
    kind, *numbers = zone.split(":")
    return kind, [int(number) for number in numbers]


def _scope(name: str) -> Scope | None:
    if PACKAGE.fullmatch(name):
        return "CPU package"
    if name == "dram":
        return "DRAM"
    return "node" if name == "psys" else None


def _unit_uj(range_uj: int) -> float:
    """The counter's unit, typically 61 or 15.3 uJ; the 1 uJ in which it is written where its range tells no unit."""
    unit_uj = range_uj / COUNTER_UNITS
    return unit_uj if 1.0 <= unit_uj <= COARSEST_UNIT_UJ else 1.0


def _survey(zone: str, folder: Path, names: dict[str, str], packages: set[int]) -> Zone:
    reason = ""
    try:
        read_int(folder / "energy_uj")
    except (OSError, ValueError) as error:
        reason = obstacle(folder / "energy_uj", error)
    name = names[zone]
    return Zone(
        zone=zone,
        name=name,
        path=str(folder),
        scope=_scope(name),
        readable=not reason,
        reason=reason,
        note=_note(zone, names, packages),
    )


def _note(zone: str, names: dict[str, str], packages: set[int]) -> str:
    name = names[zone]
    if name == "psys":
        return "the whole platform: it holds the packages and their DRAM, so do not add them to it"
    if name == "dram":
        return "beside its package, not a part of it"
    package = PACKAGE.fullmatch(name)
    if package is None:
        return "a part of its package, so do not add it"
    twins = [other for other in names if other != zone and names[other] == name]
    if zone.startswith("intel-rapl-") and twins:
        return f"the same package as {twins[0]}, read another way, so do not add it"
    if packages and int(package[1]) not in packages:
        return f"no CPU is in package {package[1]}: it may be psys, which holds the packages, so do not add it to them"
    if same := [other for other in twins if not other.startswith("intel-rapl-")]:
        return f"{same[0]} has the same name: one of them may be psys, which holds the packages, so do not add them"
    return ""


def _cpu_packages(cpus: Path) -> set[int]:
    """The numbers of the packages that have a CPU; empty where the kernel does not tell."""
    texts = [read_optional(path) for path in cpus.glob("cpu[0-9]*/topology/physical_package_id")]
    return {int(text) for text in texts if text is not None and text.isdecimal()}


def _no_zone(spec: RaplSpec, folders: dict[str, Path]) -> str:
    if folders:
        return f"There is no RAPL zone {spec.zone} below {spec.root}. Choose one of {_listed(folders)}."
    return (
        f"There is no RAPL zone {spec.zone} below {spec.root}, nor any other. Load the kernel module intel_rapl_msr "
        "(Intel, and AMD from Zen on), or choose another power.source; virtual machines and most containers "
        "have none."
    )


def _listed(folders: dict[str, Path], *, only_sources: bool = False) -> str:
    names = {zone: read_optional(folder / "name") or "" for zone, folder in folders.items()}
    kept = [f"{zone} ({name})" for zone, name in names.items() if not only_sources or _scope(name) is not None]
    return ", ".join(kept) or "there is none"
