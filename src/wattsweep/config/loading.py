"""Reads config.yaml into a `Config`, or says in one message everything that is wrong with it."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from wattsweep.config.blocks import Config
from wattsweep.config.messages import describe_errors
from wattsweep.errors import ConfigError


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
    """The document in a YAML file, loaded safely; raises ConfigError where it is missing or malformed."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file with --configfile.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


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
