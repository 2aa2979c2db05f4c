"""A configuration to begin with, whose comments teach: `starter_text(starter)` from a few answers.

`names` and `whole_numbers` read answers as people type them; `checked(starter)` holds a starter to the models.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from wattsweep.config.blocks import Config
from wattsweep.config.checkout import with_schema
from wattsweep.config.loading import parse
from wattsweep.errors import ConfigError

POWER = re.compile(r"2\s*(?:\^|\*\*)\s*(\d{1,2})")
LONGEST_RANGE = 1000

HEAD = """\
# A sweep of wattsweep. `wattsweep plan{named}` says what it asks for before anything runs. Change it and run it
# again: what is done is kept, only new settings are trained. Keys that are not here have a default: `wattsweep config
# explain` lists them all, `wattsweep config explain KEY` says what one means and takes.
"""

SWEEPS = """
sweeps:
  # A name of yours. Every combination of the values below is an experiment; each key takes one value or a list.
  first:
    # No download: digits, wine, bundled:breast_cancer, bundled:diabetes, bundled:iris. pmlb:NAME is fetched once, and
    # synthetic:classes_1000x8x5 is made up: 1000 rows of 8 features and 5 classes.
    dataset: {datasets}
    # How layer widths follow from depth and size: rectangle, trapezoid, exponential, wide_first_2x, ...
    shape: {shapes}
    # Trainable parameters; the widths that come nearest are taken. {{powers_of_two: [6, 12]}} is 64, 128, ... 4096.
    size: {sizes}
    # Dense layers, the output layer included.
    depth: {depths}
    # Passes over the training rows. Energy and time grow with it, straight.
    epochs: {epochs}
    # Step size of the optimizer, which is adam. A list tries several.
    learning_rate: 1.0e-3
    # Runs of each experiment, each with a seed of its own: how far they differ tells chance from effect.
    repetitions: {repetitions}
"""

METER = """
power:
  # Where watts come from. `auto` takes this node's BMC where it finds one, else a simulated one, whose numbers are
  # marked as simulated everywhere. `wattsweep meter` lists what a node has, and what to do about what cannot be read.
  source: {meter}
"""

BMC = """\
  # A BMC in the network is read where its address is known; {node} becomes the node's short host name. Username and
  # password stand in a file of mode 0600, never here.
  # ipmi:
  #   address: "{node}-bmc.example.org"
  #   credentials_file: bmc.yaml
"""

SHORT_WINDOWS = """\
  # These times suit the simulated BMC, which is all that was found here. A real one refreshes about once a second: take
  # the defaults there, an interval of 1 s, a min_window of 60 s and an idle_window of 10 s.
  interval: 50 ms
  # A network that trains in less is trained again, as further repetitions, until its block has lasted as long.
  min_window: 1 s
  idle_window: 600 ms
  max_block_repetitions: 30
  simulated:
    refresh: 100 ms
"""

LONG_WINDOWS = """\
  # Time between two readings; a BMC refreshes about once a second.
  interval: 1 s
  # A network that trains in less is trained again, as further repetitions, until its block has lasted as long: energy
  # of a shorter time is not known well.
  min_window: 60 s
  # What the node uses with nothing running is measured before and after each block.
  idle_window: 10 s
"""

NOT_MEASURED = """
power:
  # Trains without measuring. `wattsweep meter` lists what this node could be measured with.
  source: none
"""

SCHEDULING = """
scheduling:
  # Runs go to jobs by predicted time, `wattsweep plan` says how many. Short ones show sooner how it goes; where jobs
  # queue, take hours.
  shard_wall_time: {shard}
"""

OF_SLURM = """\
  # What jobs ask Slurm for; `snakemake --profile profiles/slurm` submits them (docs/slurm.md).
"""

ON_A_CLUSTER = """\
  # What jobs ask Slurm for, on a cluster (docs/slurm.md):
  # partition: main
  # account: lab
"""

PATHS = """
paths:
  # Everything that is written: run files, tables, figures, report.html.
  results: {results}
"""


@dataclass(frozen=True, slots=True)
class Starter:
    """The answers that a configuration is made of; `simulated` says that no real meter will be read."""

    datasets: Sequence[str] = ("digits",)
    shapes: Sequence[str] = ("rectangle",)
    sizes: Sequence[int] = (256, 1024, 4096, 16384)
    depths: Sequence[int] = (2, 3)
    epochs: int = 500
    repetitions: int = 2
    meter: str = "auto"
    simulated: bool = False
    partition: str = ""
    account: str = ""
    qos: str = ""
    results: str = "results"


def names(text: str) -> list[str]:
    """The names in an answer such as "wine, digits"."""
    return [name for name in re.split(r"[,\s]+", text.strip()) if name]


def whole_numbers(text: str) -> list[int]:
    """The numbers in an answer such as "64, 256", "2..5" or "2^6..2^12", which is all powers of two between.

    Raises ValueError for anything else.
    """
    numbers: list[int] = []
    for part in names(re.sub(r"\s*(\.\.|\^|\*\*)\s*", r"\1", text)):
        first, dots, last = part.partition("..")
        if not dots:
            numbers.append(_whole_number(first))
        elif POWER.fullmatch(first) and POWER.fullmatch(last):
            numbers += [2**exponent for exponent in _range(_exponent(first), _exponent(last), part)]
        else:
            numbers += _range(_whole_number(first), _whole_number(last), part)
    if not numbers:
        raise ValueError("write at least one whole number, such as 64, 256 or 2^6..2^12")
    return numbers


def starter_text(starter: Starter, name: str = "config.yaml") -> str:
    """The configuration as text, but for its first line, which `checkout.with_schema` puts there; `name` its file's."""
    blocks = [
        HEAD.format(named="" if name == "config.yaml" else f" --configfile {name}"),
        SWEEPS.format(
            datasets=_flow(starter.datasets),
            shapes=_flow(starter.shapes),
            sizes=_sizes(starter.sizes),
            depths=_flow(starter.depths),
            epochs=starter.epochs,
            repetitions=starter.repetitions,
        ),
        _power(starter),
        _scheduling(starter),
        PATHS.format(results=_flow(starter.results)),
    ]
    return "".join(blocks)


def checked(starter: Starter) -> Config:
    """The configuration of a starter; raises ConfigError where an answer is not one that the models take."""
    return parse(yaml.safe_load(starter_text(starter)), "the new configuration")


def write_starter(text: str, path: Path) -> None:
    """Write a configuration that was not there, with its schema named in the first line.

    Raises ConfigError where the file is there already, or cannot be written.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = with_schema(text, path.parent)
        with path.open("x", encoding="utf-8") as file:
            file.write(whole)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); name another place.") from error


def refuse_existing(path: Path) -> None:
    """Raise ConfigError where there is something of that name: a configuration is never written over."""
    if path.exists():
        raise ConfigError(f"{path}: is there already, and stays as it is; name another: `wattsweep new my-sweep.yaml`.")


def _power(starter: Starter) -> str:
    if starter.meter == "none":
        return NOT_MEASURED
    windows = SHORT_WINDOWS if starter.simulated else LONG_WINDOWS
    return METER.format(meter=starter.meter) + BMC + windows


def _scheduling(starter: Starter) -> str:
    slurm = {"partition": starter.partition, "account": starter.account, "qos": starter.qos}
    given = {key: value for key, value in slurm.items() if value}
    if not given:
        return SCHEDULING.format(shard="2 min") + ON_A_CLUSTER
    asked = "".join(f"  {key}: {_flow(value)}\n" for key, value in given.items())
    return SCHEDULING.format(shard="2 h") + OF_SLURM + asked


def _sizes(sizes: Sequence[int]) -> str:
    first = sizes[0].bit_length() - 1
    if len(sizes) > 3 and list(sizes) == [2 ** (first + number) for number in range(len(sizes))]:
        return f"{{powers_of_two: [{first}, {first + len(sizes) - 1}]}}"
    return _flow(sizes)


def _flow(value: Sequence[str] | Sequence[int] | str) -> str:
    """A value as YAML on one line."""
    plain = value if isinstance(value, str) else list(value)
    return str(yaml.safe_dump(plain, default_flow_style=True, width=10**9)).removesuffix("...\n").strip()


def _whole_number(text: str) -> int:
    power = POWER.fullmatch(text)
    if power:
        return 1 << int(power[1])
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise ValueError(f"'{text}' is no whole number; write such as 64, 256 or 2^6..2^12") from None


def _exponent(text: str) -> int:
    power = POWER.fullmatch(text)
    assert power is not None  # noqa: S101
    return int(power[1])


def _range(first: int, last: int, text: str) -> range:
    if not first <= last <= first + LONGEST_RANGE:
        raise ValueError(f"'{text}' is no range; write the smaller number first, as in 2..5 or 2^6..2^12")
    return range(first, last + 1)
