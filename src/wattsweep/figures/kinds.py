"""The kinds of hardware in a table: how they are named and drawn, and where their working sets live."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.lines import Line2D

from wattsweep.analysis import WorkingSets, working_sets
from wattsweep.analysis.groups import HARDWARE, keys
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import LINE_STYLES, PALETTE
from wattsweep.hardware import HardwareProfile

WORKING_SETS = {
    "inter_layer": "inter-layer (l)",
    "forward": "forward pass (f)",
    "backward": "backward pass (b)",
    "dataset": "dataset (d)",
}
MARKERS = "os^Dv<>P"


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of hardware with one engine and power of one origin: its experiments, and how it is drawn.

    `profile` is None where none describes it.
    """

    name: str
    gpu: bool
    experiments: pd.DataFrame
    profile: HardwareProfile | None
    colour: str
    marker: str
    line: str

    def handle(self) -> Line2D:
        """Its legend entry."""
        return Line2D(
            [], [], color=self.colour, marker=self.marker, linestyle=self.line, markersize=6, label=wrapped(self.name)
        )


def kinds(inputs: FigureInputs, experiments: pd.DataFrame) -> list[Kind]:
    """The kinds among these experiments, CPUs before GPUs."""
    if experiments.empty:
        return []
    parts = keys(experiments, HARDWARE)
    several = {name: parts[name].nunique() > 1 for name in ("engine", "power_origin")}
    groups = sorted(parts.groupby(HARDWARE, sort=True), key=lambda item: (is_gpu(str(item[0][0])), item[0]))
    found = []
    for place, ((device, cpu_model, engine, origin), rows) in enumerate(groups):
        words = [processor_words(str(device), str(cpu_model))]
        words += [str(engine)] if several["engine"] else []
        words += [f"{origin} power"] if several["power_origin"] else []
        profile = next((one for one in inputs.profiles if one.describes(str(device), str(cpu_model))), None)
        if profile is not None and profile.kind == "cpu":
            profile = _as_trained(profile, inputs.runs, str(cpu_model))
        found.append(
            Kind(
                name=", ".join(words),
                gpu=is_gpu(str(device)),
                experiments=experiments.loc[rows.index],
                profile=profile,
                colour=PALETTE[place % len(PALETTE)],
                marker=MARKERS[place % len(MARKERS)],
                line=LINE_STYLES[place % len(LINE_STYLES)],
            )
        )
    return found


def occupied_bytes(kind: Kind) -> pd.DataFrame:
    """Occupied bytes of a unit by each of `WORKING_SETS`, in columns NAME_bytes [experiments, 4].

    Raises ValueError where the kind has no profile.
    """
    found = placed(kind)
    columns = {f"{name}_bytes": [getattr(sets, name).occupied_bytes for sets in found] for name in WORKING_SETS}
    return pd.DataFrame(columns, index=kind.experiments.index)


def placed(kind: Kind) -> list[WorkingSets]:
    """The working sets of each experiment of a kind. Raises ValueError where it has no profile."""
    if kind.profile is None:
        raise ValueError(f"no profile describes {kind.name}")
    known: dict[tuple[object, ...], WorkingSets] = {}
    found = []
    rows = kind.experiments[["widths", "n_inputs", "batch_size", "n_observations", "n_outputs"]]
    for widths, *numbers in rows.itertuples(index=False, name=None):
        key = (tuple(int(width) for width in widths), *(int(number) for number in numbers))
        if key not in known:
            n_inputs, batch_size, n_observations, n_outputs = (int(number) for number in numbers)
            known[key] = working_sets(
                [int(width) for width in widths], n_inputs, batch_size, n_observations, n_outputs, kind.profile
            )
        found.append(known[key])
    return found


def cache_ends(profile: HardwareProfile) -> list[tuple[str, float]]:
    """Name of each level but the last, and the bytes of a unit from which a working set no longer fits up to there."""
    ends, total = [], 0.0
    for level in profile.levels[:-1]:
        total += level.bytes_per_unit
        ends.append((level.name, total))
    return ends


def without_profile(found: Sequence[Kind]) -> str:
    """A sentence about the kinds that no profile describes; empty where there is none."""
    unknown = [kind.name for kind in found if kind.profile is None]
    if not unknown:
        return ""
    return f"Cache sizes are not known of {'; '.join(unknown)}: give `wattsweep figures` a profile with --hardware."


def is_gpu(device: str) -> bool:
    """Whether what trained, as tables name it, was a GPU."""
    return device not in ("cpu", "")


def processor_words(device: str, cpu_model: str) -> str:
    """What trained, in a few words."""
    name = device if is_gpu(device) else cpu_model
    short = re.sub(r"\((R|TM|r|tm)\)|\bCPU\b|\bProcessor\b|@.*$|\bIntel\b|\bNVIDIA\b", " ", name)
    return f"{'GPU' if is_gpu(device) else 'CPU'} {' '.join(short.split())}".strip()


def wrapped(words: str, width: int = 26) -> str:
    """Words broken into lines for a legend."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _as_trained(profile: HardwareProfile, runs: pd.DataFrame, cpu_model: str) -> HardwareProfile:
    """The profile with the units that its commonest number of threads can use."""
    mine = (runs["cpu_model"].fillna("") == cpu_model) & runs["device"].fillna("").isin(["cpu", ""])
    threads = pd.to_numeric(runs.loc[mine, "threads"], errors="coerce").dropna()
    return profile if threads.empty else profile.on(max(1, int(threads.mode().iloc[0])))
