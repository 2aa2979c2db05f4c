"""Options that several commands take, and what they mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

if TYPE_CHECKING:
    from wattsweep.config import PowerConfig

DEFAULT_CONFIG = Path("config.yaml")

ConfigFile = Annotated[Path, typer.Option("--configfile", help="The configuration.", show_default=True)]
OptionalConfigFile = Annotated[
    Path | None,
    typer.Option("--configfile", help="The configuration; without it config.yaml where there is one, else defaults."),
]
SourceOption = Annotated[str | None, typer.Option("--source", help="A source, in place of power.source.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def power_settings(configfile: Path | None, source: str | None) -> "tuple[PowerConfig, Path]":
    """The `power` block, with another source where one is named, and the folder of results."""
    from pydantic import ValidationError

    from wattsweep.config import PathsConfig, PowerConfig, load
    from wattsweep.config.power import SourceName

    if configfile is None and not DEFAULT_CONFIG.exists():
        power, results = PowerConfig(), PathsConfig().results
    else:
        config = load(configfile or DEFAULT_CONFIG)
        power, results = config.power, config.paths.results
    if source is None:
        return power, results
    if source not in get_args(SourceName):
        raise typer.BadParameter(f"--source {source}: there is {', '.join(get_args(SourceName))}")
    try:
        document = power.model_dump(mode="json", by_alias=True) | {"source": source, "also": []}
        return PowerConfig.model_validate(document), results
    except ValidationError as error:
        raise typer.BadParameter(f"--source {source}: {error.errors()[0]['msg']}") from None


def results_folder(configfile: Path | None) -> Path:
    """The folder of results of a configuration; the default one where none is named and there is no config.yaml."""
    from wattsweep.config import PathsConfig, load

    if configfile is None and not DEFAULT_CONFIG.exists():
        return PathsConfig().results
    return load(configfile or DEFAULT_CONFIG).paths.results


def duration(option: str, text: str, *, least: float = 0.0) -> float:
    """The seconds in an option such as "90 s". Raises BadParameter where it is no duration, or below `least`."""
    from wattsweep.config.types import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text}: {error}") from None
    if seconds < least:
        raise typer.BadParameter(f"{option} {text}: it must be at least {least:g} s")
    return seconds
