"""Generates the config's JSON schema and reference page from its models: `python -m wattsweep.config.reference`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wattsweep.config.blocks import Config
from wattsweep.config.types import DURATION_PATTERN

SCHEMA_PATH = Path("workflow/schemas/config.schema.json")
PAGE_PATH = Path("docs/configuration.md")

INTRODUCTION = """\
# Configuration

Generated from the models in `src/wattsweep/config/` by `make reference`; edit those, not this page.

A mistake in the configuration stops before any job is planned, with the key, its value, what is allowed and the nearest
known name. An editor that knows YAML schemas completes and checks keys as you type: the first line of each shipped
configuration names the schema.

A **duration** is a number and a unit: `500 ms`, `90 s`, `10 min`, `2 h`, `1 d`.
An **axis** takes one value, a list of values or, where it takes integers, `{powers_of_two: [6, 14], step: 2}`.
"""


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml."""
    document = Config.model_json_schema()
    for definition in document["$defs"].values():
        for field in definition["properties"].values():
            if _is_duration(field) and isinstance(field.get("default"), float):
                field["default"] = f"{field['default']:g} s"
    return document


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
        yield f"| `{prefix}{key}` | {_type(field)} | {default} | {field['description']} |"


def _block_name(field: dict[str, Any]) -> str:
    """The definition that a property refers to, at any depth."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found.append(node["$ref"].rsplit("/", 1)[-1])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(field)
    return found[0]


def _is_duration(field: dict[str, Any]) -> bool:
    return field.get("pattern") == DURATION_PATTERN


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        forms = [_type(form) for form in field["anyOf"]]
        if any(form.startswith("list of") for form in forms):
            return f"axis of {forms[0]}"
        return " or ".join("nothing" if form == "null" else form for form in forms)
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "prefixItems" in field:
        return f"[{', '.join(_type(item) for item in field['prefixItems'])}]"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("format") == "path":
        return "path"
    if _is_duration(field):
        return "duration"
    bounds = [
        f"{sign} {field[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in field
    ]
    return " ".join([str(field["type"]), ", ".join(bounds)]).strip()


def main() -> None:
    """Write both files."""
    SCHEMA_PATH.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE_PATH.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
