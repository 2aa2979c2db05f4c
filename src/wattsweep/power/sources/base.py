"""What every source is: what it says of itself, how it is read, and what one reading is worth."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self

from wattsweep.power.trace import Kind, Status

Origin = Literal["measured", "simulated", "modelled"]
SourceName = Literal[
    "ipmi", "ipmitool", "freeipmi", "redfish", "rapl", "hwmon", "nvml", "cray", "slurm", "csv", "replay", "simulated"
]
Scope = Literal["node", "node AC", "node DC", "CPU package", "DRAM", "GPU", "component"]
"""What the watts are of. "node" is a whole node by a meter that does not say on which side of the power supply;
"component" is a part of a node that only the source's detail names, and is never taken for a node."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a source, in W or J, and what it is worth; nan where there is none.

    `fresh` is True where the source itself showed that it had updated the value since the last reading, False where it
    showed that it had not, None where it does not tell.
    """

    value: float
    status: Status
    fresh: bool | None = None


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What a source is, for run files and reports. It holds no secret.

    `detail` says in words what is read, from which address and over what. All others are None where neither the source
    nor a calibration tells them: `refresh_s` between two updates, `step` (unit of the kind), `wrap_j` at which a
    counter goes back to 0, `accuracy` as the share of its value that the source may be off (0.05 for 5 %),
    `averaging_s` over which an update takes its mean and `lag_s` between the middle of that and the update.
    `shows_updates` is True where it told fresh values from old ones in the recording.
    """

    name: SourceName
    kind: Kind
    scope: Scope
    origin: Origin
    detail: str
    refresh_s: float | None = None
    step: float | None = None
    wrap_j: float | None = None
    accuracy: float | None = None
    lag_s: float | None = None
    averaging_s: float | None = None
    shows_updates: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The description as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The description that `to_json` made; keys of later versions are ignored."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


class Source(Protocol):
    """Something that reports power (W) or an energy counter (J) of this node."""

    def open(self) -> None:
        """Reach the source. Raises PowerError that says where it was looked for and what to do."""

    def read(self) -> Reading:
        """Read it once. A read that fails gives nan and `Status.FAILED`; it does not raise."""

    def describe(self) -> SourceDescription:
        """What the source is; to be called after `open`."""

    def close(self) -> None:
        """Let it go. Harmless when it is not open."""
