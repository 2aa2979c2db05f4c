"""Sources of power readings, one module each.

`open_source(spec)` opens the source that a spec names. A new source adds a module with a class that satisfies `Source`
and a spec in `base`.
"""

from wattsweep.power.sources.base import (
    IpmiSpec,
    Reading,
    Source,
    SourceDescription,
    SourceSpec,
    spec_from_json,
    spec_to_json,
)

__all__ = [
    "IpmiSpec",
    "Reading",
    "Source",
    "SourceDescription",
    "SourceSpec",
    "open_source",
    "spec_from_json",
    "spec_to_json",
]


def open_source(spec: SourceSpec) -> Source:
    """The source that `spec` names, opened. Raises PowerError that says where it was looked for and what to do."""
    # imported here so that processes which only hand specs around do not load the IPMI client
    from wattsweep.power.sources.ipmi import IpmiSource

    source = IpmiSource(spec)
    source.open()
    return source
