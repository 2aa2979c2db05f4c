"""Power from a hardware monitor of the kernel, such as the ACPI power meter of a server.

`channels` lists what a node has; `HwmonSource` reads one. Chips are found by their `name`, since hwmonN is another chip
after the next boot. Only the ACPI power meter is known to be of the whole node; what another channel is of stands in
its label, and unless that says that it is a CPU package its scope is "component".
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, Scope, SourceDescription
from wattsweep.power.sources.specs import HwmonSpec
from wattsweep.power.sources.sysfs import obstacle, read_int, read_optional
from wattsweep.power.trace import Status

ROOT = "/sys/class/hwmon"
ACPI_METER = "power_meter"

UNKNOWN = 2**32 - 1
SENTINELS_UW = (UNKNOWN, UNKNOWN * 1000)
"""What ACPI firmware gives for "not known", in the uW of the file: raw, or as mW turned into uW by the kernel."""

INTERVAL_UNITS_S = {"occ": 1e-6}
"""The unit of power*_average_interval of the chips whose unit is not the usual ms."""
USUAL_INTERVAL_UNIT_S = 1e-3

VALUE = re.compile(r"power(\d+)_(average|input)")
PACKAGE_LABEL = re.compile(r"(cpu[ _-])?(package|socket)([ _-](id )?\d+)?( power)?", re.IGNORECASE)
ACCURACY = re.compile(r"(\d+)\.(\d{1,3})%")


@dataclass(frozen=True, slots=True)
class Channel:
    """A power channel of a hardware monitor.

    `device` is what the chip's device is called on its bus, which stays the same from boot to boot ("" where the chip
    has none). `reason` says why the channel cannot be read ("" where it can).
    """

    chip: str
    device: str
    channel: int
    label: str
    scope: Scope
    path: str
    readable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Chip:
    """A hardware monitor; its attributes lie in `folder`, or in `folder`/device by drivers of old."""

    name: str
    device: str
    folder: Path

    def attribute(self, name: str) -> Path:
        """Where the attribute is; in the chip's folder where it is nowhere."""
        below = self.folder / "device" / name
        return below if not (self.folder / name).exists() and below.exists() else self.folder / name

    def values(self) -> dict[int, Path]:
        """The file with the power of each channel: its average where it has one."""
        found: dict[int, Path] = {}
        for folder in (self.folder, self.folder / "device"):
            for path in sorted(folder.glob("power*_average")) + sorted(folder.glob("power*_input")):
                if match := VALUE.fullmatch(path.name):
                    found.setdefault(int(match[1]), path)
        return dict(sorted(found.items()))

    def label(self, channel: int) -> str:
        """The channel's label, "" where it has none."""
        return read_optional(self.attribute(f"power{channel}_label")) or ""

    def scope(self, channel: int) -> Scope:
        """What the channel's watts are of, as far as the kernel says."""
        if self.name == ACPI_METER:
            return "node"
        return "CPU package" if PACKAGE_LABEL.fullmatch(self.label(channel)) else "component"


def channels(root: str = ROOT) -> list[Channel]:
    """Every power channel below `root`, readable or not; empty where there is none."""
    return [_survey(chip, channel, path) for chip in _chips(Path(root)) for channel, path in chip.values().items()]


class HwmonSource:
    """The power of one channel of a hardware monitor, in W."""

    def __init__(self, spec: HwmonSpec) -> None:
        self._spec = spec
        self._path: Path | None = None
        self._name: Path | None = None
        self._description: SourceDescription | None = None

    def open(self) -> None:
        """Find the channel and read it once.

        Raises PowerError where it is not there, several chips have it, it meters a battery, or it cannot be read.
        """
        chip = self._find()
        path = chip.values()[self._spec.channel]
        if read_optional(chip.attribute(f"power{self._spec.channel}_is_battery")) == "1":
            raise PowerError(
                f"Channel power{self._spec.channel} of {_called(chip)} at {path} meters a battery, not the node. "
                "Choose another chip or channel, or another power.source."
            )
        try:
            read_int(path)
        except (OSError, ValueError) as error:
            raise PowerError(
                f"The power of {_called(chip)} cannot be read: {obstacle(path, error)}. Give this user read access to "
                "it, or choose another chip or channel, or another power.source."
            ) from None
        self._path, self._name = path, chip.attribute("name")
        self._description = self._describe(chip, path)

    def read(self) -> Reading:
        """The power in W; nan and `Status.FAILED` where it cannot be read or the folder has become another chip's."""
        if self._path is None or self._name is None or read_optional(self._name) != self._spec.chip:
            return Reading(math.nan, Status.FAILED)
        try:
            power_uw = read_int(self._path)
        except (OSError, ValueError):
            return Reading(math.nan, Status.FAILED)
        if power_uw < 0 or power_uw in SENTINELS_UW:
            return Reading(power_uw / 1e6, Status.IMPLAUSIBLE)
        return Reading(power_uw / 1e6, Status.OK if power_uw else Status.ZERO)

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._description is None:
            raise PowerError(f"The monitor {self._spec.place} has not been opened; call open() before describe().")
        return self._description

    def close(self) -> None:
        """Read no more. Harmless when not open."""
        self._path = self._name = None

    def _find(self) -> _Chip:
        chips = _chips(Path(self._spec.root))
        named = [chip for chip in chips if chip.name == self._spec.chip and self._spec.device in (None, chip.device)]
        having = [chip for chip in named if self._spec.channel in chip.values()]
        if len(having) == 1:
            return having[0]
        if having:
            raise PowerError(
                f"Several hardware monitors below {self._spec.root} are called '{self._spec.chip}' and have a channel "
                f"power{self._spec.channel}: {', '.join(_called(chip) for chip in having)}. Name one by its device."
            )
        listed = [f"power{number} of {_called(chip)}" for chip in named or chips for number in chip.values()]
        raise PowerError(
            f"There is no channel power{self._spec.channel} of a chip '{self._spec.chip}'"
            f"{'' if self._spec.device is None else f' on device {self._spec.device}'} below {self._spec.root}; "
            f"there {'is ' + ', '.join(listed) if listed else 'is no power channel'}. Choose one of these, or load the "
            "chip's kernel module (acpi_power_meter for the ACPI power meter), or choose another power.source."
        )

    def _describe(self, chip: _Chip, path: Path) -> SourceDescription:
        prefix = f"power{self._spec.channel}"
        label = chip.label(self._spec.channel)
        averaging_s = None
        if path.name.endswith("_average"):
            unit_s = INTERVAL_UNITS_S.get(chip.name, USUAL_INTERVAL_UNIT_S)
            averaging_s = _seconds(chip.attribute(f"{prefix}_average_interval"), unit_s)
        return SourceDescription(
            name="hwmon",
            kind="power",
            scope=chip.scope(self._spec.channel),
            origin="measured",
            detail=f"{path.name}{f' ({label!r})' if label else ''} of {_called(chip)}, read in-band through the kernel",
            refresh_s=_seconds(chip.attribute("update_interval"), USUAL_INTERVAL_UNIT_S),
            accuracy=_accuracy(read_optional(chip.attribute(f"{prefix}_accuracy"))),
            averaging_s=averaging_s,
        )


def _chips(root: Path) -> list[_Chip]:
    chips = []
    for folder in sorted(root.glob("hwmon*")):
        name = read_optional(folder / "name") or read_optional(folder / "device" / "name")
        if name:
            link = folder / "device"
            chips.append(_Chip(name, link.resolve().name if link.exists() else "", folder))
    return sorted(chips, key=lambda chip: (chip.name, chip.device))


def _survey(chip: _Chip, channel: int, path: Path) -> Channel:
    reason = ""
    try:
        read_int(path)
    except (OSError, ValueError) as error:
        reason = obstacle(path, error)
    return Channel(
        chip=chip.name,
        device=chip.device,
        channel=channel,
        label=chip.label(channel),
        scope=chip.scope(channel),
        path=str(path),
        readable=not reason,
        reason=reason,
    )


def _called(chip: _Chip) -> str:
    return f"chip {chip.name} ({chip.device or chip.folder.name})"


def _seconds(path: Path, unit_s: float) -> float | None:
    """The time in the file; None where there is none, or it says that it does not know."""
    try:
        units = read_int(path)
    except (OSError, ValueError):
        return None
    return units * unit_s if 0 < units < UNKNOWN else None


def _accuracy(text: str | None) -> float | None:
    """The share that a value may be off, of an accuracy such as "95.0%"; None where it is not said, or 0 or 100 %.

    The digits behind the point are thousandths of a percent, written without leading zeros: "95.5%" is 95.005 %.
    """
    match = ACCURACY.fullmatch(text or "")
    if match is None:
        return None
    percent = int(match[1]) + int(match[2]) / 1000.0
    return (100.0 - percent) / 100.0 if 0.0 < percent < 100.0 else None
