"""Turns pydantic's errors into lines that name the key, the value, what is allowed and the nearest known name."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

MISSING = object()
LONGEST_VALUE = 80
USER_IN_URL = re.compile(r"//[^/@\s]*@")
"""A user, and perhaps a password, in a URL: no message shows it."""


def describe_errors(error: ValidationError, raw: Any, model: type[BaseModel]) -> list[str]:
    """One line per mistake in `raw`, which `model` refused with `error`."""
    return list(dict.fromkeys(_describe(details, raw, model) for details in error.errors()))


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` for the known name most like `name`; a full stop where none is alike."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{match[0]}`?" if match else "."


def _describe(details: ErrorDetails, raw: Any, model: type[BaseModel]) -> str:
    path, value = _follow(details["loc"], raw)
    key = format_path(path)
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            known = _known_keys(model, path[:-1])
            return f"{key}: unknown key{nearest(str(path[-1]), known)} Known here: {', '.join(known)}."
        case "missing":
            return f"{format_path([*path, details['loc'][-1]])}: missing; this key has no default."
        case "literal_error":
            allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{key} = {_show(value)}: not known{nearest(str(value), allowed)} Allowed: {', '.join(allowed)}."
        case "value_error":
            return f"{key} = {_show(value)}: {context['error']}."
        case _:
            return f"{key} = {_show(value)}: {details['msg'][0].lower()}{details['msg'][1:]}."


def _follow(location: Sequence[str | int], raw: Any) -> tuple[list[str | int], Any]:
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


def format_path(path: Sequence[str | int]) -> str:
    """`sweeps.demo.depth[1]` for the steps of a path; `(top level)` for none."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "(top level)"


def _show(value: Any) -> str:
    text = USER_IN_URL.sub("//***@", json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that the block at `path` knows."""
    for step in path:
        field = _fields(model).get(str(step))
        model = (_block_within(field.annotation) if field else None) or model
    return list(_fields(model))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _block_within(annotation: Any) -> type[BaseModel] | None:
    """The model inside Annotated, list, dict or union types, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((block for inner in get_args(annotation) if (block := _block_within(inner))), None)
