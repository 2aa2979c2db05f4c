"""Sources of power readings, one module each.

`open_source(spec)` opens the source that a spec names. A new source adds a module with a class that satisfies `Source`
(`base`), a spec (`specs`) and its line in `SOURCES`. What is known only after the fact, a site's export (`export`) or
Slurm's accounting (`accounting`), gives a whole trace instead and is no `Source`.
"""

from importlib import import_module

from wattsweep.power.sources.base import Reading, Source, SourceDescription
from wattsweep.power.sources.specs import SourceSpec, spec_from_json, spec_to_json

__all__ = [
    "Reading",
    "Source",
    "SourceDescription",
    "SourceSpec",
    "open_source",
    "spec_from_json",
    "spec_to_json",
]

SOURCES = {
    "ipmi": "IpmiSource",
    "ipmitool": "IpmitoolSource",
    "freeipmi": "FreeipmiSource",
    "redfish": "RedfishSource",
    "rapl": "RaplSource",
    "hwmon": "HwmonSource",
    "nvml": "NvmlSource",
    "cray": "CraySource",
    "replay": "ReplaySource",
}
"""The class of each source in the module of its name."""


def open_source(spec: SourceSpec) -> Source:
    """The source that `spec` names, opened. Raises PowerError that says where it was looked for and what to do."""
    # imported by name, so that no process loads the clients of sources that it does not read
    module = import_module(f"wattsweep.power.sources.{spec.source}")
    source: Source = getattr(module, SOURCES[spec.source])(spec)
    source.open()
    return source
