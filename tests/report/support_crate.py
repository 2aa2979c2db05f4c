"""Holds a data card to RO-Crate 1.1 and to the files that it tells of."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Entity = dict[str, Any]

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
ROOT = {"name", "description", "datePublished", "license", "hasPart"}
TYPES = {
    *("CreateAction", "CreativeWork", "Dataset", "File", "Organization", "Person", "PropertyValue"),
    "SoftwareApplication",
}
TOLD_OF = ("report.html", "figures/*", "fit/*", "tables/*", "tables/*/**/*")


def checked(results: Path) -> dict[str, Entity]:
    """The entities of the card by id; fails where the card is no RO-Crate or does not fit the folder."""
    document = json.loads((results / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    assert document["@context"][0] == f"{SPECIFICATION}/context"
    entities = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(entities) == len(document["@graph"]), "two entities have one id"
    for entity in entities.values():
        assert entity["@type"] in TYPES
        assert all(map(_flat, entity.values())), entity
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": SPECIFICATION}
    assert root.keys() >= ROOT
    assert date.fromisoformat(root["datePublished"])
    _check_references(entities)
    _check_files(entities, results)
    return entities


def _flat(value: Any) -> bool:
    """Whether a value is text or a reference, or a list of several."""
    if isinstance(value, list):
        return len(value) > 1 and all(_flat(one) and not isinstance(one, list) for one in value)
    return (isinstance(value, str) and value != "") or (isinstance(value, dict) and value.keys() == {"@id"})


def _references(entity: Entity) -> Iterator[str]:
    for value in entity.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield one["@id"]


def _check_references(entities: dict[str, Entity]) -> None:
    """Every reference leads somewhere, and nothing stands alone."""
    referred = {target for entity in entities.values() for target in _references(entity)}
    assert referred - entities.keys() == {SPECIFICATION}
    assert entities.keys() - referred == {"ro-crate-metadata.json"}


def _check_files(entities: dict[str, Entity], results: Path) -> None:
    """What the card says of files is so, and it leaves none of them out."""
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    data = {name for name, entity in entities.items() if entity["@type"] in ("File", "Dataset")} - {"./"}
    assert parts == data
    named = set()
    for part in parts:
        path = results / unquote(part)
        if entities[part]["@type"] == "Dataset":
            assert part.endswith("/")
            assert path.is_dir()
            continue
        named.add(path)
        assert entities[part]["contentSize"] == str(path.stat().st_size)
        assert entities[part]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "/" in entities[part]["encodingFormat"]
    there = {path for pattern in TOLD_OF for path in results.glob(pattern) if path.is_file() and path.name[0] != "."}
    assert there - named == set()
