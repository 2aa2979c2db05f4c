"""How a node's memory is laid out: levels of it, from the fastest up, read from a file or detected."""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from wattsweep.errors import HardwareError

SHIPPED = ("eagle-cpu", "eagle-gpu")
"""Profiles that come with wattsweep."""

DETECTED = ("this", "this-cpu", "this-gpu")
"""Profiles of the node that this runs on."""

BYTES_PER = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

Kind = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One level of memory: `units` equal units of `bytes_per_unit`, such as an L2 of 1 MiB in each of 36 cores.

    `unit` says in a word what has one of its own: core, socket, SM, GPU, node.
    """

    name: str
    unit: str
    units: int
    bytes_per_unit: float

    @property
    def total_bytes(self) -> float:
        """Capacity of all its units."""
        return self.units * self.bytes_per_unit


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """What trains on a kind of node, and its levels of memory, the fastest first.

    `processor` is part of the name of the CPU or GPU that it describes (`cpu_model` or `device` in the tables).
    """

    name: str
    kind: Kind
    processor: str
    levels: tuple[MemoryLevel, ...]

    def on(self, workers: int) -> Self:
        """The same with no more units at each level than `workers` of the first level's units (cores, SMs) can use.

        A level whose units are shared by several workers keeps whole units. Raises ValueError below one worker.
        """
        if workers < 1:
            raise ValueError(f"workers = {workers}: give at least 1")
        most = self.levels[0].units
        used = min(workers, most)
        levels = tuple(
            replace(level, units=max(1, min(level.units, math.ceil(used * level.units / most))))
            for level in self.levels
        )
        return replace(self, levels=levels)

    def describes(self, device: str, cpu_model: str) -> bool:
        """Whether it is for what trained: `device` is cpu, or the name of a GPU, as in the tables."""
        name = cpu_model if device in ("cpu", "") else device
        kind = "cpu" if device in ("cpu", "") else "gpu"
        return kind == self.kind and self.processor.casefold() in name.casefold()

    def to_dict(self) -> dict[str, Any]:
        """What `of` reads; also the content of a profile's file."""
        levels = [{field.name: getattr(level, field.name) for field in fields(level)} for level in self.levels]
        return {"name": self.name, "kind": self.kind, "processor": self.processor, "levels": levels}

    @classmethod
    def of(cls, document: Any, source: str) -> Self:
        """The profile in a loaded document, which error messages call `source`.

        Raises HardwareError with the key, its value and what is allowed.
        """
        known = _mapping(document, source, ("name", "kind", "processor", "levels"))
        if known["kind"] not in ("cpu", "gpu"):
            raise HardwareError(f"{source}: kind is {known['kind']!r}: give cpu or gpu")
        if not isinstance(known["levels"], list) or not known["levels"]:
            raise HardwareError(f"{source}: levels is {known['levels']!r}: give a list of levels, the fastest first")
        levels = tuple(_level(level, f"{source}: levels[{n}]") for n, level in enumerate(known["levels"]))
        names = [level.name for level in levels]
        if len(set(names)) < len(names):
            raise HardwareError(f"{source}: levels are named {', '.join(names)}: give each a name of its own")
        for inner, outer in itertools.pairwise(levels):
            if outer.units > inner.units:
                raise HardwareError(
                    f"{source}: level {outer.name} has {outer.units} units and {inner.name} before it {inner.units}: "
                    "give levels from the fastest up, none with more units than the one before"
                )
        name, processor = (_text(known[key], f"{source}: {key}") for key in ("name", "processor"))
        return cls(name, known["kind"], processor, levels)


def profile(name: str | Path) -> HardwareProfile:
    """The profile of this name: one of `SHIPPED`, one of `DETECTED`, or else the path of a YAML file.

    "this" is the node's GPUs where it has some, else its CPU; "this-cpu" and "this-gpu" choose. Raises HardwareError
    where there is no such profile, a file is not valid, or nothing can be detected.
    """
    text = str(name)
    if text in SHIPPED:
        return _parse((files("wattsweep.hardware") / f"{text}.yaml").read_text(encoding="utf-8"), text)
    if text in DETECTED:
        from wattsweep.hardware.detection import detect

        return detect(text)
    if Path(name).suffix in (".yaml", ".yml") or Path(name).exists():
        return read_profile(Path(name))
    raise HardwareError(
        f"hardware profile {text!r} is not known: give {', '.join((*SHIPPED, *DETECTED))} or the path of a YAML file"
    )


def read_profile(path: Path) -> HardwareProfile:
    """The profile in a YAML file. Raises HardwareError where it is missing or not valid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HardwareError(f"hardware profile {path} cannot be read ({error}): give the path of a YAML file") from None
    return _parse(text, str(path))


def write_profile(profile: HardwareProfile, path: Path) -> None:
    """Write a profile as the YAML file that `read_profile` reads, to be looked over and corrected."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(profile.to_dict(), sort_keys=False), encoding="utf-8")


def parse_bytes(value: object, what: str) -> float:
    """The bytes in a number, or in a text such as "24.75 MiB". Raises HardwareError for others and below 1."""
    allowed = f"give a number of bytes of at least 1, or a number with a unit ({', '.join(BYTES_PER)})"
    found: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    elif isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]iB|B)\s*", value)):
        found = float(match[1]) * BYTES_PER[match[2]]
    if found is None or not 1 <= found < math.inf:
        raise HardwareError(f"{what} is {value!r}: {allowed}")
    return found


def _parse(text: str, source: str) -> HardwareProfile:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HardwareError(f"{source}: not valid YAML: {error}") from None
    return HardwareProfile.of(document, source)


def _level(document: Any, source: str) -> MemoryLevel:
    known = _mapping(document, source, ("name", "unit", "units", "bytes_per_unit"))
    units = known["units"]
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise HardwareError(f"{source}: units is {units!r}: give a whole number of at least 1")
    return MemoryLevel(
        _text(known["name"], f"{source}: name"),
        _text(known["unit"], f"{source}: unit"),
        units,
        parse_bytes(known["bytes_per_unit"], f"{source}: bytes_per_unit"),
    )


def _mapping(document: Any, source: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise HardwareError(f"{source}: {document!r} is no mapping: give the keys {', '.join(keys)}")
    missing = [key for key in keys if key not in document]
    unknown = [str(key) for key in document if key not in keys]
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has unknown keys {', '.join(unknown)}"] if unknown else []
        raise HardwareError(f"{source}: {' and '.join(wrong)}: its keys are {', '.join(keys)}")
    return document


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise HardwareError(f"{what} is {value!r}: give a text")
    return value
