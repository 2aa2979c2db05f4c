"""Where the keys of a YAML file stand in it: `Places(text).find(path)`."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Place:
    """The line of a key, counted from 1; `merged` where `<<` brought it from there."""

    line: int
    merged: bool = False


class Places:
    """The places of the keys of a document. Raises yaml.YAMLError where the text is not YAML."""

    def __init__(self, text: str) -> None:
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)

    def find(self, path: Sequence[str | int]) -> Place | None:
        """Where a key stands; None where the text does not have it. A list of one may be passed over."""
        node, place = self._root, None
        for step in path:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, str) and len(node.value) == 1:
                node = node.value[0]
            found = _child(node, step)
            if found is None:
                return None
            node, inner = found
            place = Place(inner.line, inner.merged or (place is not None and place.merged))
        return place

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of a key, or of the innermost block around it that is there; None where there is none."""
        for length in range(len(path), 0, -1):
            place = self.find(path[:length])
            if place is not None:
                return place.line
        return None


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, Place] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        inner = node.value[step]
        return inner, Place(inner.start_mark.line + 1)
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.value == str(step) and key.tag != MERGE:
            return value, Place(key.start_mark.line + 1)
    for key, value in node.value:
        for merged in _sources(value) if key.tag == MERGE else []:
            found = _child(merged, step)
            if found is not None:
                return found[0], Place(found[1].line, merged=True)
    return None


def _sources(node: yaml.Node) -> list[yaml.Node]:
    """The mappings that a merge key names, the one that wins first."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]
