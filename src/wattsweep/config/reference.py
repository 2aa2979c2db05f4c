"""Generates the config's JSON schema and reference page from its models: `python -m wattsweep.config.reference`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wattsweep.config.blocks import Config
from wattsweep.config.types import DURATION_PATTERN

SCHEMA_PATH = Path("workflow/schemas/config.schema.json")
PAGE_PATH = Path("docs/configuration.md")
SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

INTRODUCTION = """\
# Configuration

Generated from the models in `src/wattsweep/config/` by `make reference`; edit those, not this page.

A mistake in the configuration stops before any job is planned, with the key, its value, what is allowed and the nearest
known name. An editor that knows YAML schemas completes and checks keys as you type: the first line of each shipped
configuration names the schema.

| command | what it does |
|---|---|
| `wattsweep new my.yaml` | writes a configuration to begin with, from a few questions, options or a preset |
| `wattsweep config check my.yaml` | finds mistakes, and says what the configuration asks for |
| `wattsweep config explain power.min_window` | says what a key means and takes, and what it is in a configuration |
| `wattsweep config diff config.yaml my.yaml` | compares settings, and the experiments that follow from them |

A **duration** is a number and a unit: `500 ms`, `90 s`, `10 min`, `2 h`, `1 d`.
An **axis** takes one value, a list of values or, where it takes integers, `{powers_of_two: [6, 14], step: 2}`.
"""


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml."""
    document = Config.model_json_schema()
    for definition in document["$defs"].values():
        for field in definition["properties"].values():
            if any(map(is_duration, walk(field))) and isinstance(field.get("default"), float):
                field["default"] = f"{field['default']:g} s"
    for node in walk(document):
        for bound in ("gt", "ge"):  # of durations: JSON Schema has no bounds for a text
            node.pop(bound, None)
    return document


def schema_text() -> str:
    """The JSON schema as it is written to a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The reference page, in Markdown."""
    document = schema()
    definitions = document["$defs"]
    lines = [INTRODUCTION]
    for block, properties in document["properties"].items():
        definition = definitions[_block_name(properties)]
        description = properties.get("description", definition["description"])
        lines += [f"## {block}", "", description, ""]
        lines += [
            "| key | value | default | meaning |",
            "|---|---|---|---|",
            *_rows(definition, definitions),
            "",
        ]
    return "\n".join(lines)


def _rows(definition: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> Iterator[str]:
    required = definition.get("required", [])
    for key, field in definition["properties"].items():
        if "$ref" in field:
            yield from _rows(definitions[_block_name(field)], definitions, f"{prefix}{key}.")
            continue
        default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
        yield f"| `{prefix}{key}` | {_value(field)} | {default} | {_cell(field['description'])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _value(field: dict[str, Any]) -> str:
    unit = field.get("unit")
    return type_words(field) + (f", in {unit}" if unit else "")


def _block_name(field: dict[str, Any]) -> str:
    """The definition that a property refers to, at any depth."""
    return next(str(node["$ref"]).rsplit("/", 1)[-1] for node in walk(field) if "$ref" in node)


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a part of a schema, itself first."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from walk(child)


def is_duration(field: dict[str, Any]) -> bool:
    """Whether a part of a schema is that of a duration."""
    return field.get("pattern") == DURATION_PATTERN


def type_words(field: dict[str, Any], *, limits: bool = True) -> str:
    """The type of a key in words, from its part of the schema; without `limits` neither bounds nor names."""
    if "anyOf" in field:
        forms = [type_words(form, limits=limits) for form in field["anyOf"]]
        if any(form.startswith("list of") for form in forms):
            return f"axis of {forms[0]}"
        return " or ".join("nothing" if form == "null" else form for form in forms)
    if "enum" in field and limits:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field and limits:
        return f"`{field['const']}`"
    if "prefixItems" in field:
        return f"[{', '.join(type_words(item, limits=limits) for item in field['prefixItems'])}]"
    if field.get("type") == "array":
        return f"list of {type_words(field['items'], limits=limits)}"
    if field.get("format") == "path":
        return "path"
    if is_duration(field):
        return "duration"
    bounds = ", ".join(bounds_of(field)) if limits else ""
    return f"{field['type']} {bounds}".strip()


def bounds_of(field: dict[str, Any]) -> list[str]:
    """The bounds of a number in words."""
    return [f"{sign} {field[name]}" for name, sign in SIGNS.items() if name in field]


def main() -> None:
    """Write both files."""
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
    PAGE_PATH.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
