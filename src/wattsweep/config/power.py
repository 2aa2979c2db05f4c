"""The `power` block: where watts come from and how long to look at them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from wattsweep.config.types import Block, Duration

SourceName = Literal["auto", "ipmi", "simulated", "none"]


class IpmiConfig(Block):
    """How to reach the node's BMC. Credentials never stand here: they come from a file or the environment."""

    address: str | None = Field(
        default=None,
        description="Address of a node's BMC; `{node}` becomes the node's short host name, as in "
        "`{node}-bmc.example.org`. Without it the BMC is read in-band, through /dev/ipmi0.",
    )
    port: int = Field(default=623, ge=1, le=65535, description="UDP port of the BMC.")
    credentials_file: Path | None = Field(
        default=None,
        description="YAML file with `username` and `password`, mode 0600. Without it the environment variables "
        "WATTSWEEP_BMC_USERNAME and WATTSWEEP_BMC_PASSWORD are read.",
    )
    sensor: str | None = Field(
        default=None,
        description="Name of a sensor in watts, read where the BMC does not answer DCMI power readings. Without it "
        "the only such sensor is taken; more than one is an error that lists them.",
    )


class SimulatedConfig(Block):
    """The simulated BMC: watts = idle + slope x the node's CPU use. Its numbers are marked as simulated everywhere."""

    idle_w: float = Field(default=100.0, ge=0, description="Power at no CPU use, in W.")
    slope_w: float = Field(default=150.0, ge=0, description="Power added at full CPU use of the node, in W.")
    refresh_s: Duration = Field(
        default=1.0, gt=0, alias="refresh", description="Time between two updates of the simulated reading."
    )


class PowerConfig(Block):
    """Where watts come from and how long to look at them."""

    source: SourceName = Field(
        default="auto",
        description="`auto` takes the best real source found, else the simulated BMC, and says which and why; "
        "`none` trains without measuring.",
    )
    interval_s: Duration = Field(default=1.0, gt=0, alias="interval", description="Time between two readings.")
    min_window_s: Duration = Field(
        default=60.0,
        gt=0,
        alias="min_window",
        description="Least training time of a block; further repetitions are trained until it is reached.",
    )
    max_block_repetitions: int = Field(
        default=1000,
        ge=1,
        description="Most repetitions that a block is extended to, whatever its training time.",
    )
    idle_window_s: Duration = Field(
        default=10.0,
        gt=0,
        alias="idle_window",
        description="Time of measured idling before and after each block.",
    )
    min_coverage: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Least share of a block's window that valid samples must support; below it the energy is refused.",
    )
    max_gap_s: Duration | None = Field(
        default=None,
        alias="max_gap",
        description="Longest time between two valid samples that counts as covered; without it, three refresh "
        "intervals of the source.",
    )
    ipmi: IpmiConfig = Field(default_factory=IpmiConfig, description="The node's BMC.")
    simulated: SimulatedConfig = Field(default_factory=SimulatedConfig, description="The simulated BMC.")
