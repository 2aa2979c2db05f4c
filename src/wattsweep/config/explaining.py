"""What the keys of config.yaml mean, from its models.

- `find_keys(text)` gives the `Key` that a user named, or all of a block; `keys()` gives all by name.
- `settings_of(config, key, places)` says what a configuration has there, and on which line of its file.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from wattsweep.config.blocks import Config
from wattsweep.config.comparing import flat, value_words
from wattsweep.config.locating import Places
from wattsweep.config.messages import block_within, fields_of, format_path, nearest
from wattsweep.config.reference import bounds_of, is_duration, schema, type_words, walk
from wattsweep.config.types import SECONDS_PER_UNIT
from wattsweep.errors import ConfigError

ANY_SWEEP = "*"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of config.yaml. `name` has an asterisk for the name of a sweep, as in `sweeps.*.depth`.

    `allowed` has the names that it takes, or the bounds of its numbers; both empty where anything of its type will do.
    """

    name: str
    meaning: str
    type: str
    unit: str
    allowed: tuple[str, ...]
    required: bool
    default: Any

    def to_json(self) -> dict[str, Any]:
        """The key as a JSON object."""
        return asdict(self)

    def describe(self) -> str:
        """The key as text."""
        rows = [
            ("type", self.type),
            ("unit", self.unit or "none"),
            ("allowed", ", ".join(self.allowed)),
            ("default", "none: it has to be given" if self.required else value_words(self.default)),
        ]
        return "\n".join([self.name, f"  {self.meaning}", *(f"  {name:8}  {words}" for name, words in rows if words)])


@dataclass(frozen=True, slots=True)
class Setting:
    """What a configuration has for a key; `line` is None where that is the default."""

    key: str
    value: Any
    line: int | None = None
    merged: bool = False

    def to_json(self) -> dict[str, Any]:
        """The setting as a JSON object."""
        return asdict(self)

    def describe(self, name: str) -> str:
        """The setting and where it is from, in a line; `name` is that of the configuration's file."""
        origin = f"{name}, line {self.line}" if self.line is not None else "the default"
        return f"{self.key}: {value_words(self.value)} ({origin}{', merged by <<' if self.merged else ''})"


@lru_cache(maxsize=1)
def keys() -> dict[str, Key]:
    """Every key by its name, in the order of the reference page."""
    return {key.name: key for key in _keys(Config, "", schema()["$defs"])}


def find_keys(text: str) -> list[Key]:
    """The key of this name, or those of the block of this name; the last part of a name will do where one has it.

    Raises ConfigError for a name that is no key's, or the last part of several.
    """
    name, known = canonical(text), keys()
    if name in known:
        return [known[name]]
    block = [key for full, key in known.items() if f".{name}." in f".{full}"]
    if block:
        return block
    ends = [key for full, key in known.items() if full.endswith(f".{name}")]
    if len(ends) > 1:
        names = ", ".join(key.name for key in ends)
        raise ConfigError(f"{text}: {len(ends)} keys end so; write one of them in full: {names}.")
    if not ends:
        parts = {part for full in known for part in (full, *full.split("."))} - {ANY_SWEEP}
        raise ConfigError(f"{text}: unknown key{nearest(name, sorted(parts))} `wattsweep config explain` lists all.")
    return ends


def settings_of(config: Config, key: Key, places: Places | None = None) -> list[Setting]:
    """What a configuration has for a key, once for each hypercube where it is one of theirs."""
    found = []
    for path, value in flat(config).items():
        if canonical(format_path(path)) == key.name:
            place = places.find(path) if places is not None else None
            line, merged = (None, False) if place is None else (place.line, place.merged)
            found.append(Setting(format_path(path), value, line, merged))
    return found


def canonical(text: str) -> str:
    """A key's name without the name of its sweep and the numbers of hypercubes and values."""
    parts = re.sub(r"\[\d+\]", "", text).strip(".").split(".")
    if parts[0] == "sweeps" and len(parts) > 1 and parts[1] != ANY_SWEEP:
        is_key = len(parts) == 2 and parts[1] in fields_of(_block_of_sweeps())
        parts = ["sweeps", ANY_SWEEP, *(parts[1:] if is_key else parts[2:])]
    return ".".join(parts)


def _block_of_sweeps() -> type[BaseModel]:
    block = block_within(fields_of(Config)["sweeps"].annotation)
    assert block is not None  # noqa: S101
    return block


def _keys(model: type[BaseModel], prefix: str, definitions: dict[str, Any]) -> Iterator[Key]:
    own = definitions[model.__name__] if prefix else {}
    for name, field in fields_of(model).items():
        block = block_within(field.annotation)
        if block is not None:
            star = f"{ANY_SWEEP}." if get_origin(field.annotation) is dict else ""
            yield from _keys(block, f"{prefix}{name}.{star}", definitions)
            continue
        part = own["properties"][name]
        yield Key(
            name=f"{prefix}{name}",
            meaning=part["description"],
            type=type_words(part, limits=False),
            unit=_unit(part),
            allowed=tuple(_allowed(part, field)),
            required=name in own.get("required", []),
            default=part.get("default"),
        )


def _unit(part: dict[str, Any]) -> str:
    if any(map(is_duration, walk(part))):
        return ", ".join(SECONDS_PER_UNIT)
    return str(part.get("unit", ""))


def _allowed(part: dict[str, Any], field: FieldInfo) -> Sequence[str]:
    """The names that a key takes, or its bounds; those of durations stand in the model alone."""
    for node in walk(part):
        if "enum" in node:
            return [str(value) for value in node["enum"]]
    for node in walk(part):
        if bounds := bounds_of(node):
            return bounds
    found = [(sign, getattr(one, name, None)) for one in field.metadata for name, sign in (("gt", ">"), ("ge", "≥"))]
    return [f"{sign} {bound:g} s" for sign, bound in found if bound is not None]
