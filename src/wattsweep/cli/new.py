"""The command `new`: a configuration to begin with."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG
from wattsweep.cli.talking import say_next, with_config, workflow_command
from wattsweep.errors import ConfigError

if TYPE_CHECKING:
    from wattsweep.config.starting import Starter

QUESTIONS = {
    "datasets": "Datasets (digits, wine, bundled:breast_cancer, pmlb:NAME)",
    "shapes": "Shapes (rectangle, trapezoid, exponential, wide_first_2x, ...)",
    "sizes": "Trainable parameters, as 256, 1024 or 2^6..2^12",
    "depths": "Dense layers, as 2, 3 or 2..5",
    "epochs": "Epochs",
    "repetitions": "Runs of each experiment",
    "meter": "Meter (auto, ipmi, redfish, rapl, simulated, none; `wattsweep meter` lists them)",
    "partition": "Slurm partition (nothing: this machine only)",
}
"""What is asked, by the answer's name in a `Starter`."""


def _presets() -> list[str]:
    from wattsweep.config.checkout import presets

    return list(presets())


def _shapes() -> list[str]:
    from wattsweep.networks import SHAPES

    return list(SHAPES)


def _meters() -> list[str]:
    from typing import get_args

    from wattsweep.config.power import SourceName

    return list(get_args(SourceName))


@app.command(
    epilog=examples(
        "new my-sweep.yaml",
        "new wine.yaml --dataset wine,digits --sizes 2^6..2^12 --depths 2..4 --yes",
        "new small.yaml --preset smoke",
    )
)
def new(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Datasets, parted with commas.", show_default="digits")
    ] = None,
    shapes: Annotated[
        str | None,
        typer.Option("--shapes", help="Shapes, parted with commas.", show_default="rectangle", autocompletion=_shapes),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes", help="Trainable parameters: numbers, or 2^6..2^12.", show_default="256,1024,4096,16384"
        ),
    ] = None,
    depths: Annotated[
        str | None, typer.Option("--depths", help="Dense layers: numbers, or 2..5.", show_default="2,3")
    ] = None,
    epochs: Annotated[str | None, typer.Option("--epochs", help="Epochs.", show_default="500")] = None,
    repetitions: Annotated[
        str | None, typer.Option("--repetitions", help="Runs of each experiment.", show_default="2")
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option("--meter", help="The power source.", show_default="auto", autocompletion=_meters),
    ] = None,
    partition: Annotated[str | None, typer.Option("--slurm-partition", help="Slurm partition.")] = None,
    account: Annotated[str | None, typer.Option("--slurm-account", help="Slurm account.")] = None,
    qos: Annotated[str | None, typer.Option("--slurm-qos", help="Slurm quality of service.")] = None,
    results: Annotated[
        str | None, typer.Option("--results", help="Folder of all that is written.", show_default="results")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Start from a shipped configuration instead.", autocompletion=_presets),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; take defaults for what is not given.")] = False,
) -> None:
    """Write a configuration to begin with.

    In a terminal it asks what is not given; elsewhere, and with --yes, it takes defaults. Its comments say what to
    change and why. A file that is there is never written over. Editors complete its keys, since its first line names
    the schema.
    """
    from wattsweep.config import load
    from wattsweep.config.checkout import preset_text
    from wattsweep.config.starting import refuse_existing, starter_text, write_starter

    refuse_existing(path)
    texts = {
        "datasets": dataset,
        "shapes": shapes,
        "sizes": sizes,
        "depths": depths,
        "epochs": epochs,
        "repetitions": repetitions,
        "meter": meter,
        "results": results,
        "partition": partition,
        "account": account,
        "qos": qos,
    }
    given = {name: text for name, text in texts.items() if text is not None}
    if preset is not None:
        if given:
            raise typer.BadParameter(f"--preset takes a configuration as it is: edit {path} afterwards")
        text = preset_text(preset)
    else:
        starter = _answered(given, ask=not yes and sys.stdin.isatty() and sys.stderr.isatty())
        text = starter_text(starter, str(path))
    write_starter(text, path)
    scheduling = load(path).scheduling
    print(path)
    profile = "slurm" if scheduling.partition or scheduling.account or scheduling.qos else "local"
    check = f"wattsweep config check {'' if path == DEFAULT_CONFIG else path}".rstrip()
    say_next(f"look at {path}, then `{check}` and `{with_config('plan', path)}`")
    say_next(f"`{workflow_command(path, profile=profile)}` runs it")


def _answered(given: dict[str, str], *, ask: bool) -> "Starter":
    """The starter with the answers that are given, and with those to the other questions where they may be asked."""
    from wattsweep.config.starting import Starter

    starter = Starter()
    for name, text in given.items():
        starter = _with_answer(starter, name, text)
    open_questions = {name: words for name, words in QUESTIONS.items() if ask and name not in given}
    for name, words in open_questions.items():
        starter = _asked(starter, name, words)
    return _simulated(starter)


def _asked(starter: "Starter", name: str, question: str) -> "Starter":
    """Ask until the answer is one that the configuration takes."""

    def accept(text: str) -> "Starter":
        return _with_answer(starter, name, text.strip())

    default = getattr(starter, name)
    shown = default if isinstance(default, str | int) else ", ".join(map(str, default))
    answered: Starter = typer.prompt(
        question, default=str(shown), show_default=shown != "", value_proc=accept, err=True
    )
    return answered


def _with_answer(starter: "Starter", name: str, text: str) -> "Starter":
    """The starter with an answer; raises BadParameter, which has it asked again, where it is no good."""
    from wattsweep.config.starting import checked, names, whole_numbers

    def number(text: str) -> int:
        values = whole_numbers(text)
        if len(values) != 1:
            raise ValueError("one whole number is wanted")
        return values[0]

    readers: dict[str, Callable[[str], Any]] = {
        "datasets": names,
        "shapes": names,
        "sizes": whole_numbers,
        "depths": whole_numbers,
        "epochs": number,
        "repetitions": number,
    }
    try:
        changed = replace(starter, **{name: readers.get(name, str)(text)})
        checked(changed)
    except ConfigError as error:
        raise typer.BadParameter("; ".join(error.mistakes)) from None
    except ValueError as error:
        raise typer.BadParameter(f"{name} {text}: {error}") from None
    return changed


def _simulated(starter: "Starter") -> "Starter":
    """The starter, with the times of the simulated BMC where nothing else would be read on this node."""
    if starter.meter == "auto":
        from wattsweep.config import PowerConfig
        from wattsweep.hardware import node_name
        from wattsweep.power.selection import select_source

        chosen = select_source(PowerConfig(), node_name())
        return replace(starter, simulated=chosen.name == "simulated" and not starter.partition)
    return replace(starter, simulated=starter.meter == "simulated")
