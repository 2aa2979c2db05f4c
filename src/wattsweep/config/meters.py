"""The blocks within `power` that say how to reach each meter."""

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from wattsweep.config.types import Block, Duration

CREDENTIALS = (
    "YAML file with `username` and `password`, mode 0600. Without it the environment variables WATTSWEEP_BMC_USERNAME "
    "and WATTSWEEP_BMC_PASSWORD are read."
)
NO_PLACES = ("Factory", "localtime")
CSV_SCOPES = Literal["node", "node AC", "node DC"]


def _zone(name: str) -> str:
    if name not in available_timezones() or name in NO_PLACES:
        raise ValueError(f"there is no time zone '{name}'; give an IANA name such as UTC or America/Denver")
    return name


def _without_credentials(url: str) -> str:
    if "@" in url:
        raise ValueError("it holds a user; put username and password into the credentials file")
    if not url.startswith(("https://", "http://")):
        raise ValueError("it must begin with https:// or http://")
    return url


class IpmiConfig(Block):
    """How to reach the node's BMC. Credentials never stand here: they come from a file or the environment."""

    address: str | None = Field(
        default=None,
        description="Address of a node's BMC; `{node}` becomes the node's short host name, as in "
        "`{node}-bmc.example.org`. Without it the BMC is read in-band, through /dev/ipmi0.",
    )
    address_file: Path | None = Field(
        default=None,
        description="YAML file that maps each node's short host name to the address of its BMC, in place of `address`.",
    )
    port: int = Field(default=623, ge=1, le=65535, description="UDP port of the BMC.")
    credentials_file: Path | None = Field(default=None, description=CREDENTIALS)
    sensor: str | None = Field(
        default=None,
        description="Name of a sensor in watts, read where the BMC does not answer DCMI power readings. Without it "
        "the only such sensor is taken; more than one is an error that lists them.",
    )
    cipher_suites: tuple[Literal[3, 17], ...] = Field(
        default=(17, 3),
        min_length=1,
        description="IPMI 2.0 cipher suites, tried in this order: 17 (SHA-256) or 3 (SHA-1, for older BMCs).",
    )


class RedfishConfig(Block):
    """How to reach the node's Redfish service. Credentials never stand here."""

    url: Annotated[str, AfterValidator(_without_credentials)] | None = Field(
        default=None,
        description="Scheme, host and port of the service; `{node}` becomes the node's short host name, as in "
        "`https://{node}-bmc.example.org`.",
    )
    credentials_file: Path | None = Field(default=None, description=CREDENTIALS)
    chassis: str | None = Field(
        default=None,
        description="Path of the chassis to read, as in `/redfish/v1/Chassis/1`; needed where several have power.",
    )
    ca_file: Path | None = Field(default=None, description="Certificates to trust in place of the usual ones (PEM).")
    verify: bool = Field(default=True, description="Whether to check the service's certificate.")


class HwmonConfig(Block):
    """Which power channel of the kernel's hardware monitors is the node's."""

    chip: str = Field(default="power_meter", description="The chip's name file; power_meter is the ACPI power meter.")
    channel: int = Field(default=1, ge=1, description="The channel's number, as in power1_average.")


class CsvConfig(Block):
    """A site's monitoring export, joined after the fact."""

    path: Path | None = Field(default=None, description="A CSV file (.csv or .csv.gz), a folder of them, or a glob.")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="IANA name of the zone of timestamps without an offset, such as America/Denver."
    )
    ignore_offset: bool = Field(
        default=False,
        description="Take timestamps in `timezone` whatever offset they state; the published BUTTER-E files state a Z "
        "that is wrong.",
    )
    timestamp_column: str = Field(default="timestamp", description="Column of the time of a reading.")
    node_column: str = Field(default="node", description="Column of the node's host name.")
    power_column: str = Field(default="watts", description="Column of the reading in W.")
    scope: CSV_SCOPES = Field(default="node", description="What the watts are of.")


class ReplayConfig(Block):
    """A recorded trace, played back in real time."""

    path: Path | None = Field(default=None, description="A trace file that a recorder wrote.")


class SimulatedConfig(Block):
    """The simulated BMC: watts = idle + slope x the node's CPU use. Its numbers are marked as simulated everywhere."""

    idle_w: float = Field(
        default=100.0, ge=0, description="Power at no CPU use, in W.", json_schema_extra={"unit": "W"}
    )
    slope_w: float = Field(
        default=150.0,
        ge=0,
        description="Power added at full CPU use of the node, in W.",
        json_schema_extra={"unit": "W"},
    )
    refresh_s: Duration = Field(
        default=1.0, gt=0, alias="refresh", description="Time between two updates of the simulated reading."
    )
