"""Turns pydantic's errors into lines that name the key, the value, what is allowed and the nearest known name."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from wattsweep.config.types import DURATION_PATTERN

MISSING = object()
LONGEST_VALUE = 80
USER_IN_URL = re.compile(r"//[^/@\s]*@")
"""A user, and perhaps a password, in a URL: no message shows it."""
SECRET = re.compile(r"pass|pwd|secret|token|user|login|credential", re.IGNORECASE)
"""Names of keys whose values no message shows."""
SECRETS_GO = (
    "credentials never stand in a configuration: put `username` and `password` into a YAML file of mode 0600 and name "
    "it with `credentials_file`, or set WATTSWEEP_BMC_USERNAME and WATTSWEEP_BMC_PASSWORD"
)
BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}

Steps = Sequence[str | int]
LineOf = Callable[[Steps], int | None]
"""The line of a file in which a key stands; None where that is not known."""


def describe_errors(
    error: ValidationError, raw: Any, model: type[BaseModel], line_of: LineOf = lambda _: None
) -> list[str]:
    """One line per mistake in `raw`, which `model` refused with `error`."""
    lines = []
    for details in error.errors():
        path, value = _follow(details["loc"], raw)
        number = line_of(path)
        place = "" if number is None else f"line {number}: "
        lines.append(place + _describe(details, path, value, model))
    return list(dict.fromkeys(lines))


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` for the known name most like `name`; a full stop where none is alike."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{match[0]}`?" if match else "."


def format_path(path: Steps) -> str:
    """`sweeps.demo.depth[1]` for the steps of a path; `(top level)` for none."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "(top level)"


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a block by the key that config.yaml has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def block_within(annotation: Any) -> type[BaseModel] | None:
    """The model inside Annotated, list, dict or union types, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((block for inner in get_args(annotation) if (block := block_within(inner))), None)


def _describe(details: ErrorDetails, path: Steps, value: Any, model: type[BaseModel]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _unknown_key(path, value, model)
        case "missing":
            return _missing_key([*path, details["loc"][-1]], model)
        case "literal_error":
            allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            words = f"not known{nearest(str(value), allowed)} Allowed: {', '.join(allowed)}"
        case "value_error":
            words = str(context["error"])
        case "model_type" | "model_attributes_type" | "dict_type":
            words = _keys_wanted(path, model)
        case "string_pattern_mismatch" if "[key]" in details["loc"]:
            name = re.sub(r"[^A-Za-z0-9_-]", "_", str(path[-1]))
            name = name if name[:1].isalpha() else f"s{name}"
            words = f"a name has a letter first, then letters, digits, _ and -, such as `{name}`"
        case _:
            words = _wanted(kind, context, value) or details["msg"][0].lower() + details["msg"][1:]
    return f"{format_path(path)} = {_show(value)}: {words}."


def _unknown_key(path: Steps, value: Any, model: type[BaseModel]) -> str:
    key, name = format_path(path), str(path[-1])
    if SECRET.search(name):
        return f"{key}: unknown key: {SECRETS_GO}."
    known = _known_keys(model, path[:-1])
    hint = nearest(name, known)
    if hint == ".":
        homes = [home for home in _homes(model) if home.rpartition(".")[2] == name]
        hint = f"; it stands in another block: {' or '.join(homes)}." if homes else "."
    # What stands near the address of a meter is shown to nobody.
    shown = "" if {"ipmi", "redfish"} & set(path) else f" = {_show(value)}"
    return f"{key}{shown}: unknown key{hint} Known here: {', '.join(known)}."


def _missing_key(path: Steps, model: type[BaseModel]) -> str:
    fields = fields_of(_block_at(model, path[:-1]))
    field = fields.get(str(path[-1]))
    meaning = f" {field.description}" if field is not None and field.description else ""
    return f"{format_path(path)}: missing; this key has no default, so give it a value.{meaning}"


def _keys_wanted(path: Steps, model: type[BaseModel]) -> str:
    if path == ["sweeps"]:
        return "names of sweeps are wanted, each with its settings indented below it"
    known = _known_keys(model, path)
    return f"a block of keys is wanted, indented below it. Known here: {', '.join(known)}"


def _wanted(kind: str, context: Mapping[str, Any], value: Any) -> str:
    """What is wanted in place of a value; empty for a kind of error that has no words of ours."""
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        is_duration = isinstance(value, str) and re.match(DURATION_PATTERN, value)
        return f"it must be {words} {_number(context[name])}{' s' if is_duration else ''}"
    match kind:
        case "int_type" | "int_parsing" | "int_from_float":
            return _whole_number(value)
        case "float_type" | "float_parsing" | "finite_number":
            return f"a number is wanted, such as 0.001{_as_list(value)}"
        case "bool_type" | "bool_parsing":
            return "true or false is wanted"
        case "string_type" | "path_type":
            return f"text is wanted; write it in quotes: '{value}'" if _is_scalar(value) else "one text is wanted"
        case "list_type" | "tuple_type":
            return "a list is wanted, such as [0, 1]"
        case "too_short":
            return f"there is too little in it: {context['min_length']} at least"
    return ""


def _whole_number(value: Any) -> str:
    """That a whole number is wanted, and how to write the one that may have been meant."""
    if isinstance(value, list):
        return "one whole number is wanted here, not a list"
    if not isinstance(value, str | float) or isinstance(value, bool):
        return "a whole number is wanted"
    text = str(value).strip().replace("_", "")
    power = re.fullmatch(r"(\d{1,3})\s*(?:\^|\*\*)\s*(\d{1,2})", text)
    if power:
        return f"a whole number is wanted: write {int(power[1]) ** int(power[2])}"
    try:
        number = float(text)
    except ValueError:
        return f"a whole number is wanted{_as_list(value)}"
    return f"a whole number is wanted: write {int(number)}" if number.is_integer() else "a whole number is wanted"


def _as_list(value: Any) -> str:
    """How to write several values, where they stand in one text."""
    return f"; several are a list: [{value}]" if isinstance(value, str) and "," in value else ""


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _follow(location: Steps, raw: Any) -> tuple[list[str | int], Any]:
    """The part of a pydantic location that exists in the raw document, and the value there.

    Pydantic also counts the steps that validators add (the index of a lone value, the name of a union's branch).
    """
    path: list[str | int] = []
    value = raw
    for step in location:
        inner = _child(value, step)
        if inner is not MISSING:
            path.append(step)
            value = inner
    return path, value


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return MISSING


def _show(value: Any) -> str:
    text = USER_IN_URL.sub("//***@", json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _known_keys(model: type[BaseModel], path: Steps) -> list[str]:
    """The keys that the block at `path` knows."""
    return list(fields_of(_block_at(model, path)))


def _block_at(model: type[BaseModel], path: Steps) -> type[BaseModel]:
    for step in path:
        field = fields_of(model).get(str(step))
        model = (block_within(field.annotation) if field else None) or model
    return model


def _homes(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, as `power.interval`; those of a sweep as `sweeps.NAME.depth`."""
    for key, field in fields_of(model).items():
        block = block_within(field.annotation)
        if block is None:
            yield prefix + key
        else:
            named = "NAME." if get_origin(field.annotation) is dict else ""
            yield from _homes(block, f"{prefix}{key}.{named}")
