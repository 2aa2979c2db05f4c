"""Settings of a configuration by their keys, and what differs between two.

- `flat(config)` gives every setting by its path, defaults included; `format_path` writes a path as `power.interval`.
- `differences(before, after)` gives the settings that are not the same in both.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wattsweep.config.blocks import Config
from wattsweep.config.messages import format_path

KeyPath = tuple[str | int, ...]
ABSENT = object()
"""In place of a setting that a configuration does not have: it has no sweep of that name."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same in two configurations; `ABSENT` where one has none."""

    key: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object; without "before" or "after" where it is absent there."""
        values = {"before": self.before, "after": self.after}
        return {"key": self.key} | {name: value for name, value in values.items() if value is not ABSENT}


def flat(config: Config) -> dict[KeyPath, Any]:
    """Every setting by its path, durations as text: ("power", "interval"), ("sweeps", "demo", "depth").

    Where a sweep has several hypercubes their number follows its name, from 0.
    """
    document = config.model_dump(mode="json", by_alias=True)
    sweeps = document["sweeps"]
    document["sweeps"] = {name: cubes[0] if len(cubes) == 1 else cubes for name, cubes in sweeps.items()}
    return dict(_leaves(document, ()))


def differences(before: Config, after: Config) -> list[Difference]:
    """The settings that differ, in the order of the second configuration, then those that only the first has."""
    old, new = flat(before), flat(after)
    found = [
        Difference(format_path(path), old.get(path, ABSENT), value)
        for path, value in new.items()
        if path not in old or old[path] != value
    ]
    return found + [Difference(format_path(path), value, ABSENT) for path, value in old.items() if path not in new]


def value_words(value: Any) -> str:
    """A value as config.yaml would have it, in a line."""
    if value is ABSENT:
        return "-"
    if isinstance(value, str):
        return re.sub(r"^(\d+)\.0 s$", r"\1 s", value)
    if isinstance(value, list):
        return f"[{', '.join(map(value_words, value))}]"
    return json.dumps(value)


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value
