"""Reads config.yaml into a `Config`, or says in one message everything that is wrong with it."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from wattsweep.config.blocks import Config
from wattsweep.config.messages import describe_errors
from wattsweep.errors import ConfigError

MOST_VALUES, DEEPEST = 200_000, 40


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node; raises ConstructorError for a repeated key."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key `{key.value}` stands twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The document in a YAML file, loaded safely; raises ConfigError where it is missing, malformed or boundless."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file with --configfile.") from error
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; a configuration has a few levels.") from None
    # A date that is none, or a number too long to be read, is a ValueError of Python's.
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    _check_bounds(path, document)
    return document


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
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{name}: a mapping with the key `sweeps` is wanted, this is {type(raw).__name__}.")
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = describe_errors(error, raw, Config)
        mistakes = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise ConfigError("\n  ".join([f"{name}: {mistakes}", *lines])) from None


def load(path: Path) -> Config:
    """The configuration in a YAML file; raises ConfigError as `read_yaml` and `parse` do."""
    return parse(read_yaml(path), str(path))
