"""The value types that configuration blocks share: durations with a unit, and the base of every block."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

SECONDS_PER_UNIT = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_PATTERN = r"^\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(ms|s|min|h|d)\s*$"
OTHER_SPELLINGS = {
    "ms": ("msec", "millisecond", "milliseconds"),
    "s": ("sec", "secs", "second", "seconds"),
    "min": ("m", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}


class Block(BaseModel):
    """A block of config.yaml: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_alias=True, validate_by_name=True)


def parse_duration(value: Any) -> float:
    """The seconds in a duration such as "90 s", "10 min" or "1.5 h"; raises ValueError for a number without a unit."""
    match = re.match(DURATION_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        units = ", ".join(SECONDS_PER_UNIT)
        raise ValueError(f"a duration is a number and a unit ({units}), such as {_meant(value)}")
    number, unit = match.groups()
    return float(number) * SECONDS_PER_UNIT[unit]


def _meant(value: Any) -> str:
    """The durations that a value may have been meant as; any, where nothing tells."""
    written = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\.?\s*", str(value))
    if written is None:
        return "'90 s' or '10 min'"
    number, word = written[1], written[2].lower()
    if not word:
        return f"'{number} s' or '{number} min'"
    meant = [unit for unit, others in OTHER_SPELLINGS.items() if word == unit or word in others]
    return f"'{number} {meant[0]}'" if meant else f"'{number} s' or '{number} min'"


def format_duration(seconds: float) -> str:
    """The duration as `parse_duration` reads it, exactly."""
    return f"{seconds!r} s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)]),
    PlainSerializer(format_duration, when_used="json"),
]
"""A duration in seconds, written with its unit in config.yaml."""
