"""What a configuration asks for, before anything is read, prepared or planned: `overview(config, folder)`."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from wattsweep.config import Config, Hypercube
from wattsweep.datasets import at_hand
from wattsweep.grid import Settings, expand
from wattsweep.planning.plan import dataset_names

AXES = [name for name in Hypercube.model_fields if name in Settings.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class SweepCount:
    """A sweep's experiments and runs, as its hypercubes multiply out, and how: "3 dataset x 5 size"."""

    experiments: int
    runs: int
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """Counts of a grid before the 20 % rule: some sizes will have no network, which `wattsweep plan` finds out.

    `experiments` and `runs` count those once that several sweeps share. `datasets` says of each whether it is at hand.
    """

    config: Config
    sweeps: dict[str, SweepCount]
    experiments: int
    runs: int
    datasets: dict[str, bool]

    def to_json(self) -> dict[str, Any]:
        """The overview as a JSON object."""
        power, scheduling = self.config.power, self.config.scheduling
        return {
            "sweeps": {
                name: {"experiments": one.experiments, "runs": one.runs, "axes": list(one.axes)}
                for name, one in self.sweeps.items()
            },
            "experiments": self.experiments,
            "runs": self.runs,
            "datasets": self.datasets,
            "engine": self.config.training.engine,
            "power": {"source": power.source, "also": list(power.also), "min_window_s": power.min_window_s},
            "shard_wall_time_s": scheduling.shard_wall_time_s,
            "partition": scheduling.partition,
            "results": str(self.config.paths.results),
        }

    def describe(self) -> str:
        """The overview as text."""
        lines = [f"{'sweep':24}{'experiments':>12}{'runs':>12}  settings"]
        for name, one in self.sweeps.items():
            lines.append(f"{name:24}{one.experiments:>12,}{one.runs:>12,}  {one.axes[0]}")
            lines += [f"{'':48}  {axes}" for axes in one.axes[1:]]
        lines.append(f"{'all, each once':24}{self.experiments:>12,}{self.runs:>12,}  before the 20 % rule")
        power, training = self.config.power, self.config.training
        absent = [name for name, there in self.datasets.items() if not there]
        named = "all of them" if len(absent) == len(self.datasets) else ", ".join(absent)
        rows = [
            ("datasets", ", ".join(self.datasets)),
            ("not at hand", f"{named} (the workflow downloads them)" if absent else ""),
            ("engine", f"{training.engine}, repetitions {training.repetitions}"),
            ("power", _power_words(power.source, power.interval_s, power.min_window_s, power.idle_window_s)),
            ("shards", f"filled to {_duration(self.config.scheduling.shard_wall_time_s)}"),
            ("results", str(self.config.paths.results)),
        ]
        return "\n".join([*lines, "", *(f"{name:12}{words}" for name, words in rows if words)])


def overview(config: Config, datasets: Path) -> Overview:
    """The overview of a configuration; `datasets` is the folder of prepared datasets. Nothing is downloaded."""
    grid = expand(config)
    return Overview(
        config=config,
        sweeps={name: _sweep(cubes) for name, cubes in config.sweeps.items()},
        experiments=len(grid),
        runs=sum(experiment.repetitions for experiment in grid),
        datasets={
            f"{source}:{name}": at_hand(source, name, datasets, config.paths.pmlb)
            for source, name in dataset_names(config)
        },
    )


def _sweep(cubes: list[Hypercube]) -> SweepCount:
    counts = [prod(len(getattr(cube, axis)) for axis in AXES) for cube in cubes]
    return SweepCount(
        experiments=sum(counts),
        runs=sum(count * cube.repetitions for count, cube in zip(counts, cubes, strict=True)),
        axes=tuple(map(_axes, cubes)),
    )


def _axes(cube: Hypercube) -> str:
    """The axes with more than one value, and the repetitions."""
    lengths = {axis: len(getattr(cube, axis)) for axis in AXES}
    told = [f"{length} {axis}" for axis, length in lengths.items() if length > 1]
    return " x ".join([*(told or ["one setting"]), f"{cube.repetitions} repetitions"])


def _power_words(source: str, interval_s: float, min_window_s: float, idle_window_s: float) -> str:
    if source == "none":
        return "none: nothing is measured"
    return (
        f"{source}, read every {_duration(interval_s)}; blocks of {_duration(min_window_s)} at least, "
        f"{_duration(idle_window_s)} of idling before and after"
    )


def _duration(seconds: float) -> str:
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
