"""The `power` block: where watts come from and how long to look at them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from wattsweep.config.meters import (
    CsvConfig,
    HwmonConfig,
    IpmiConfig,
    RedfishConfig,
    ReplayConfig,
    SimulatedConfig,
)
from wattsweep.config.types import Block, Duration

SourceName = Literal[
    "auto",
    "ipmi",
    "ipmitool",
    "freeipmi",
    "redfish",
    "rapl",
    "hwmon",
    "nvml",
    "cray",
    "slurm",
    "csv",
    "replay",
    "simulated",
    "none",
]
FurtherName = Literal["ipmi", "ipmitool", "freeipmi", "redfish", "rapl", "hwmon", "nvml", "cray"]


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] < 0 or bounds[0] >= bounds[1]:
        raise ValueError("the bounds are the lowest and the highest power in W: at least 0, and the lower one first")
    return bounds


class PowerConfig(Block):
    """Where watts come from and how long to look at them."""

    source: SourceName = Field(
        default="auto",
        description="`auto` takes the best source of the whole node that is found, else the simulated BMC, and says "
        "which and why; `csv` and `slurm` are joined after the fact; `none` trains without measuring.",
    )
    also: tuple[FurtherName, ...] = Field(
        default=(),
        description="Further sources read at the same time, such as `rapl` or `nvml`. Each has its own trace and "
        "energy; they are never added to the first.",
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
        json_schema_extra={"unit": "runs"},
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
    plausible_w: Annotated[tuple[float, float], AfterValidator(_rising)] = Field(
        default=(0.0, 20_000.0),
        alias="plausible",
        description="Lowest and highest power in W that the node can draw; readings outside are excluded and counted, "
        "and wraps of counters are told apart by it.",
        json_schema_extra={"unit": "W"},
    )
    stale_after_s: Duration | None = Field(
        default=120.0,
        gt=0,
        alias="stale_after",
        description="A value that a source repeats for longer is stale, unless the source shows that it is fresh; "
        "`null` for meters so coarse that a steady load does not move them.",
    )
    carbon_intensity_g_per_kwh: float | None = Field(
        default=None,
        ge=0,
        alias="carbon_intensity",
        description="Emissions of the node's electricity in gCO2e/kWh; with it, tables have kgCO2e beside joules.",
        json_schema_extra={"unit": "gCO2e/kWh"},
    )
    pue: float = Field(
        default=1.0,
        ge=1,
        description="Power usage effectiveness of the site: its whole energy over that of its computers. It counts in "
        "kgCO2e, never in joules.",
    )
    ipmi: IpmiConfig = Field(default_factory=IpmiConfig, description="The node's BMC, over IPMI.")
    redfish: RedfishConfig = Field(default_factory=RedfishConfig, description="The node's BMC, over Redfish.")
    hwmon: HwmonConfig = Field(default_factory=HwmonConfig, description="A hardware monitor of the kernel.")
    csv: CsvConfig = Field(default_factory=CsvConfig, description="The site's monitoring export.")
    replay: ReplayConfig = Field(default_factory=ReplayConfig, description="A recorded trace, played back.")
    simulated: SimulatedConfig = Field(default_factory=SimulatedConfig, description="The simulated BMC.")

    @model_validator(mode="after")
    def _sources_have_what_they_need(self) -> Self:
        needs: dict[str, tuple[str, str | Path | None]] = {
            "csv": ("csv.path", self.csv.path),
            "replay": ("replay.path", self.replay.path),
            "redfish": ("redfish.url", self.redfish.url),
        }
        for name in (self.source, *self.also):
            if name in needs and needs[name][1] is None:
                raise ValueError(f"the source {name} needs {needs[name][0]}; set it, or choose another source")
        twice = [name for name in self.also if name == self.source or self.also.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is named twice among source and also; a source is read once")
        if self.ipmi.address is not None and self.ipmi.address_file is not None:
            raise ValueError("ipmi.address and ipmi.address_file are both set; give one of them")
        if self.also and self.source in ("none", "csv", "slurm"):
            raise ValueError(f"also needs a source that is read while training, but source is {self.source}")
        return self
