"""Folders named `column=value`, as Hive, pyarrow and Spark partition Parquet."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(path: Path, root: Path) -> dict[str, str | None]:
    """The values in the folders' names between `root` and a file below it; None for Hive's name of no value."""
    parts = [part.partition("=") for part in path.relative_to(root).parent.parts if "=" in part]
    return {name: None if value == NO_VALUE else unquote(value) for name, _, value in parts}


def partition_folder(values: Mapping[str, str | None]) -> Path:
    """The folder of these values, in their order."""
    return Path(*(f"{name}={NO_VALUE if value is None else quote(value, safe='')}" for name, value in values.items()))
