"""The value types that configuration blocks share: durations with a unit, and the base of every block."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SECONDS_PER_UNIT = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|min|h|d)\s*$"


class Block(BaseModel):
    """A block of config.yaml: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_alias=True, validate_by_name=True)


def parse_duration(value: Any) -> Any:
    """The seconds in a duration such as "90 s", "10 min" or "1.5 h"; a float (already seconds) passes.

    Raises ValueError for a number without a unit.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, str) and re.match(DURATION_PATTERN, value):
        number, unit = re.findall(r"[\d.]+|[a-z]+", value)
        return float(number) * SECONDS_PER_UNIT[unit]
    raise ValueError(f"a duration is a number and a unit ({', '.join(SECONDS_PER_UNIT)}), such as '90 s' or '10 min'")


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)]),
]
"""A duration in seconds, written with its unit in config.yaml."""
