"""The commands `config check`, `config explain` and `config diff`, which look into configurations."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattsweep.cli.app import EXIT_ERROR, app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, JsonOption, OptionalConfigFile
from wattsweep.cli.talking import progress, say_next, with_config
from wattsweep.errors import ConfigError

if TYPE_CHECKING:
    from wattsweep.config import Config
    from wattsweep.config.comparing import Difference
    from wattsweep.config.explaining import Key, Setting
    from wattsweep.config.locating import Places
    from wattsweep.grid import Experiment, GridDifference

MOST_SHOWN = 20

config_app = typer.Typer(
    help="Check, explain and compare configurations.",
    epilog=examples("config check", "config explain power.min_window"),
    no_args_is_help=True,
)
app.add_typer(config_app, name="config")


def _known_keys() -> list[tuple[str, str]]:
    from wattsweep.config.explaining import keys

    return [(name, key.meaning) for name, key in keys().items()]


@config_app.command(epilog=examples("config check", "config check my.yaml --json"))
def check(
    file: Annotated[Path, typer.Argument(help="The configuration.")] = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration, and say what it asks for.

    Every mistake is named at once, with its line, its value and the remedy; the exit status is then 1. Nothing is read
    but the configuration, and nothing is downloaded: `wattsweep plan` looks at the data too.
    """
    from wattsweep.config import load
    from wattsweep.planning.overview import overview
    from wattsweep.runs.layout import Layout

    try:
        config = load(file)
    except ConfigError as error:
        if not as_json:
            raise
        print(json.dumps({"config": str(file), "valid": False, "mistakes": error.mistakes}, indent=1))
        raise typer.Exit(EXIT_ERROR) from None
    with progress("counting experiments"):
        found = overview(config, Layout(config.paths.results).datasets)
    if as_json:
        print(json.dumps({"config": str(file), "valid": True, "mistakes": []} | found.to_json(), indent=1))
        return
    print(f"{file}: valid\n\n{found.describe()}")
    say_next(f"`{with_config('plan', file)}` says what will run, and what it will cost")


@config_app.command(
    epilog=examples("config explain", "config explain power.min_window", "config explain sweeps.depth --json")
)
def explain(
    key: Annotated[
        str | None,
        typer.Argument(
            help="A key, such as power.min_window, or a block, such as power; without it all are listed.",
            autocompletion=_known_keys,
        ),
    ] = None,
    configfile: OptionalConfigFile = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a key of config.yaml means and takes, and what it is in a configuration.

    Meaning, type, unit, allowed values and default are those of the code that reads it. The last part of a key will do
    where only one ends so.
    """
    from wattsweep.config.explaining import find_keys, keys, settings_of

    config, places, name = _config_of(configfile)
    found = list(keys().values()) if key is None else find_keys(key)
    settings = {one.name: settings_of(config, one, places) if config else [] for one in found}
    if as_json:
        document = [one.to_json() | {"settings": [that.to_json() for that in settings[one.name]]} for one in found]
        print(json.dumps({"config": name or None, "keys": document}, indent=1))
    elif len(found) == 1:
        print("\n".join([found[0].describe(), *(f"  {one.describe(name)}" for one in settings[found[0].name])]))
        say_next(f"`wattsweep config explain {found[0].name.split('.')[0]}` lists the keys of its block")
    else:
        print("\n".join(_listed(found, settings)))
        say_next(f"`wattsweep config explain {found[0].name}` says all about one")


@config_app.command(epilog=examples("config diff config.yaml my.yaml", "config diff config.yaml my.yaml --json"))
def diff(
    before: Annotated[Path, typer.Argument(help="A configuration.")],
    after: Annotated[Path, typer.Argument(help="Another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two configurations: their settings, and the experiments that follow from them.

    Settings are compared with their defaults filled in. An experiment is its settings, whatever sweep it is in: those
    that both have keep their ids, and are not trained again. Counts are those before the 20 % rule.
    """
    from wattsweep.config import load
    from wattsweep.config.comparing import differences
    from wattsweep.grid import compare

    first, second = load(before), load(after)
    with progress("comparing experiments"):
        settings, grids = differences(first, second), compare(first, second)
    if as_json:
        print(json.dumps(_diff_to_json(before, after, settings, grids), indent=1))
        return
    print("\n".join(_diff_words(before, after, settings, grids)))
    say_next(f"`{with_config('plan', after)}` says what is left to run, and what it will cost")


def _config_of(configfile: Path | None) -> "tuple[Config | None, Places | None, str]":
    """The configuration that is named, or config.yaml where there is one, with the places of its keys and its name."""
    from wattsweep.config import load
    from wattsweep.config.locating import Places

    if configfile is None and not DEFAULT_CONFIG.exists():
        return None, None, ""
    path = configfile or DEFAULT_CONFIG
    config = load(path)
    return config, Places(path.read_text(encoding="utf-8")), str(path)


def _listed(found: "Sequence[Key]", settings: "dict[str, list[Setting]]") -> list[str]:
    """A line for each key: its value in the configuration, else its default, and its meaning."""
    from wattsweep.config.comparing import value_words

    rows = []
    for key in found:
        values = list(dict.fromkeys(value_words(one.value) for one in settings[key.name]))
        default = "required" if key.required else value_words(key.default)
        rows.append((key.name, _cut("; ".join(values) or default, 30), key.meaning))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"{name:{first}}  {value:{second}}  {_cut(words, 90)}" for name, value, words in rows]


def _diff_words(before: Path, after: Path, settings: "Sequence[Difference]", grids: "GridDifference") -> list[str]:
    from wattsweep.config.comparing import value_words

    lines = [f"{len(settings)} settings differ between {before} and {after}"]
    width = max((len(one.key) for one in settings), default=0)
    for one in settings:
        lines.append(f"  {one.key:{width}}  {_cut(value_words(one.before), 40)} -> {_cut(value_words(one.after), 40)}")
    lines += [
        "",
        f"{len(grids.added):,} experiments added, {len(grids.removed):,} removed, {len(grids.shared):,} shared, "
        f"{len(grids.repetitions):,} of them with other repetitions",
    ]
    marked = [("+", one) for one in grids.added] + [("-", one) for one in grids.removed]
    marked += [("=", one) for one in grids.shared]
    lines += [f"  {mark} {_experiment_words(one, grids)}" for mark, one in marked[:MOST_SHOWN]]
    if len(marked) > MOST_SHOWN:
        lines.append(f"  ... and {len(marked) - MOST_SHOWN:,} more: --json has all")
    return lines


def _experiment_words(one: "Experiment", grids: "GridDifference") -> str:
    settings = one.settings
    words = f"{one.experiment_id}  {settings.dataset} {settings.shape} size {settings.size} depth {settings.depth}"
    words += f" epochs {settings.epochs} learning rate {settings.learning_rate:g}, {one.repetitions} repetitions"
    counts = grids.repetitions.get(one.experiment_id)
    return f"{words} (before: {counts[0]})" if counts else words


def _diff_to_json(
    before: Path, after: Path, settings: "Sequence[Difference]", grids: "GridDifference"
) -> dict[str, Any]:
    return {
        "before": str(before),
        "after": str(after),
        "settings": [one.to_json() for one in settings],
        "experiments": {
            "added": [one.experiment_id for one in grids.added],
            "removed": [one.experiment_id for one in grids.removed],
            "shared": [one.experiment_id for one in grids.shared],
            "repetitions": {
                name: {"before": first, "after": second} for name, (first, second) in grids.repetitions.items()
            },
        },
    }


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
