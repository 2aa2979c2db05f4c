"""What every source is: how it is named to a recorder (spec), what it says of itself, and how it is read."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self

from wattsweep.power.trace import Kind, Status

Origin = Literal["measured", "simulated", "modelled"]
SourceKind = Literal["ipmi", "simulated"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a source, in W or J, and what it is worth; nan where there is none."""

    value: float
    status: Status


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What a source is, for run files and reports. It holds no secret.

    `detail` says in words what is read, from which address and over what. `refresh_s` and `step` (unit of the kind)
    are given where the source tells them.
    """

    name: SourceKind
    kind: Kind
    scope: Literal["node"]
    origin: Origin
    detail: str
    refresh_s: float | None = None
    step: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The description as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The description that `to_json` made; keys of later versions are ignored."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


@dataclass(frozen=True, slots=True)
class IpmiSpec:
    """How to reach a BMC: over the network at `address`, or in-band through /dev/ipmi0 where that is None.

    `sensor` names the sensor to read where the BMC does not answer DCMI. `refresh_s` is given where it is known.
    The credentials do not show in `repr`.
    """

    address: str | None = None
    port: int = 623
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sensor: str | None = None
    origin: Origin = "measured"
    refresh_s: float | None = None

    @property
    def place(self) -> str:
        """Where the BMC is, as messages name it."""
        return "/dev/ipmi0" if self.address is None else f"{self.address}:{self.port}"


SourceSpec = IpmiSpec


def spec_to_json(spec: SourceSpec) -> dict[str, Any]:
    """The spec as a JSON object, secrets included: for the standard input of a process, never for a file."""
    return {"source": "ipmi", **asdict(spec)}


def spec_from_json(data: dict[str, Any]) -> SourceSpec:
    """The spec that `spec_to_json` made."""
    if data.get("source") != "ipmi":
        raise ValueError(f"unknown source {json.dumps(data.get('source'))} in a source spec")
    return IpmiSpec(**{key: value for key, value in data.items() if key != "source"})


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
