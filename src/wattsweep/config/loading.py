"""Reads config.yaml into a `Config`, or says in one message everything that is wrong with it."""

import re
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from wattsweep.config.blocks import Config
from wattsweep.config.locating import Places
from wattsweep.config.messages import LineOf, describe_errors, nearest
from wattsweep.errors import ConfigError

EXPLAINED = "`wattsweep config explain KEY` says what a key means and takes."
REMEDIES = {
    "mapping values are not allowed here": "begin each key in the column of its neighbours, and quote a text with ': '",
    "could not find expected ':'": "write a key as `key: value`, with a colon and a space",
    "expected ',' or ']'": "close the list with ], and part its values with commas",
    "expected ',' or '}'": "close the mapping with }, and part its keys with commas",
    "expected <block end>": "begin the keys of one block in the same column",
    "found unexpected end of stream": "close the quotes",
    r"found character '\t'": "write a space where the tab is",
    "found character '@'": "put the text in quotes",
    "found character '`'": "put the text in quotes",
    "found character '%'": "put the text in quotes",
    "could not determine a constructor": "write plain values, without tags",
}
"""What to do about the errors that YAML's parser tells of, by words in them."""

MOST_VALUES, DEEPEST, MOST_TOLD = 200_000, 40, 20


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node; raises ConstructorError for a repeated key."""
        seen: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key `{key.value}` stands twice{_both(seen[key.value], (key, value))}; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[key.value] = (key, value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The document in a YAML file, loaded safely; raises ConfigError where it is missing or malformed."""
    return _document(_text(path), path)


def _check_bounds(path: Path, document: Any) -> None:
    """Refuse what aliases make endless or immense: no more is looked at than a configuration may have."""
    waiting = [(document, 0)]
    for _ in range(MOST_VALUES):
        if not waiting:
            return
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise ConfigError(f"{path}: nested more than {DEEPEST} levels deep; does an alias hold itself?")
        if isinstance(value, Mapping):
            waiting += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, list | set | tuple):
            waiting += [(one, depth + 1) for one in value]
    raise ConfigError(f"{path}: more than {MOST_VALUES:,} values once its aliases are resolved; write less of it.")


def parse(raw: Any, name: str = "config") -> Config:
    """The configuration in a loaded document; `name` is what error messages call it.

    Raises ConfigError with one line per mistake: the key's path, its value, what is allowed, the nearest known name.
    """
    return _checked(raw, name, lambda _: None)


def load(path: Path) -> Config:
    """The configuration in a YAML file; raises ConfigError as `read_yaml` and `parse` do, with lines of mistakes."""
    text = _text(path)
    return _checked(_document(text, path), str(path), _line_of(text))


def _line_of(text: str) -> LineOf:
    """The lines of the keys in a text, which is looked into only once there is a mistake."""
    places = cache(lambda: Places(text))
    return lambda steps: places().line(steps)


def _checked(raw: Any, name: str, line_of: LineOf) -> Config:
    if not isinstance(raw, Mapping):
        wanted = "a mapping with the key `sweeps` is wanted"
        raise ConfigError(f"{name}: {wanted}, this is {type(raw).__name__}. `wattsweep new` writes one to begin with.")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = describe_errors(error, raw, Config, line_of)
        mistakes = "1 mistake" if len(lines) == 1 else f"{len(lines):,} mistakes"
        further = [f"and {len(lines) - MOST_TOLD:,} further ones"] if len(lines) > MOST_TOLD else []
        raise ConfigError(
            "\n  ".join([f"{name}: {mistakes}", *lines[:MOST_TOLD], *further, EXPLAINED]), lines
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        near = nearest(path.name, (one.name for one in path.parent.glob("*.y*ml")))
        remedy = "Name a file with --configfile, or write one with `wattsweep new`."
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){near} {remedy}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid YAML: it is not UTF-8 text ({error.reason}).") from error


def _document(text: str, path: Path) -> Any:
    try:
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; a configuration has a few levels.") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise ConfigError(f"{path}: not valid YAML{line}: {_yaml_mistake(error, text)}.") from error
    # A date that is none, or a number too long to be read, is a ValueError of Python's.
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}.") from error
    _check_bounds(path, document)
    return document


def _yaml_mistake(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, and what to do about it."""
    problem = error.problem or error.context or "it cannot be read"
    lines = text.splitlines()
    number = error.problem_mark.line if error.problem_mark else 0
    if number < len(lines) and re.match(r" *\t", lines[number]):
        return "a tab indents it, and YAML takes spaces only: write two spaces for each level"
    alias = re.match(r"found undefined alias '(.*)'", problem)
    if alias:
        known = list(dict.fromkeys(re.findall(r"&([\w-]+)", text)))
        marked = ", ".join(known) or "none"
        meant = f"`*{alias[1]}` stands for a value that is marked `&{alias[1]}`"
        return f"{meant}, and none is{nearest(alias[1], known)} Marked are: {marked}"
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in problem), "")
    where = f" {error.context}" if error.context and error.context != problem else ""
    return f"{problem}{where}{f'; {remedy}' if remedy else ''}"


def _both(*entries: tuple[yaml.Node, yaml.Node]) -> str:
    """The lines and values of a key that stands twice."""
    told = []
    for key, value in entries:
        shown = f" as {value.value}" if isinstance(value, yaml.ScalarNode) else ""
        told.append(f"line {key.start_mark.line + 1}{shown}")
    return f" ({', '.join(told)})"
