"""Interactive figures of energy: panels for each, as `wattsweep.figures` draws them on paper."""

import numpy as np
import pandas as pd

from wattsweep.analysis.iso_loss import minima, relative_energy
from wattsweep.analysis.quality import judge
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.interactive.spec import Axis, Marks, Panel, Where, numbers, whole
from wattsweep.figures.interactive.table import SharedTable
from wattsweep.figures.iso_loss_samples import samples, shown_levels
from wattsweep.figures.kinds import WORKING_SETS, cache_ends, kinds

PARAMETERS = Axis("trainable parameters")
PER_DATUM = Axis("net energy per datum", "J")
OF_A_RUN = Axis("net energy of a run", "J")
EXPERIMENTS = Axis("experiments", log=False)
DEPTH = Axis("depth, layers", log=False)

EACH_LEVEL = 20
MOST_POINTS = 12_000
BINS = 40


def energy_per_datum(_: FigureInputs, __: SharedTable) -> list[Panel]:
    """Against parameters, and against depth."""
    return [
        Panel("against parameters", PARAMETERS, PER_DATUM, [Marks("points", "n_parameters", "energy_per_datum_j")]),
        Panel("against depth", DEPTH, PER_DATUM, [Marks("points", "depth", "energy_per_datum_j")]),
    ]


def energy_trends(_: FigureInputs, __: SharedTable) -> list[Panel]:
    """The four panels of BUTTER-E's figure 1, with the line of medians of what the filters leave."""
    drawn = [
        ("an epoch, against training rows", Axis("training rows"), "n_train", Axis("net energy of an epoch", "J")),
        ("a datum, against parameters", PARAMETERS, "n_parameters", PER_DATUM),
        ("a datum, against operations", Axis("multiply-accumulates of a datum"), "operations", PER_DATUM),
        ("a datum, against depth", DEPTH, "depth", PER_DATUM),
    ]
    return [
        Panel(
            title,
            x,
            y,
            [Marks("points", column, "energy_epoch_j" if column == "n_train" else "energy_per_datum_j", median=True)],
        )
        for title, x, column, y in drawn
    ]


def working_set_energy(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """A panel for each working set; vertical lines are where a level of memory is full."""
    if "forward_bytes" not in table.frame:
        return []
    full = _capacities(inputs)
    return [
        Panel(
            words,
            Axis("bytes occupied of a unit", "B"),
            PER_DATUM,
            [Marks("points", f"{name}_bytes", "energy_per_datum_j", median=True)],
            verticals=full,
        )
        for name, words in WORKING_SETS.items()
    ]


def energy_against_loss(_: FigureInputs, __: SharedTable) -> list[Panel]:
    """One panel, in which filters choose the dataset; the line joins what nothing else beats."""
    marks = [Marks("points", "test_loss", "energy_net_j", front=True)]
    return [Panel("choose a dataset above", Axis("test loss, last epoch"), OF_A_RUN, marks)]


def iso_loss_samples(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """Operations and energy of each sample, a line for each level of loss."""
    panels = []
    for sample in samples(inputs):
        lines = shown_levels(sample.lines)
        one = lines.iloc[0]
        where: Where = {"dataset": str(one["dataset"]), "shape": str(one["shape"]), "depth": int(one["depth"])}
        for quantity, words, unit in (
            ("macs", "multiply-accumulates to get there", ""),
            ("energy_j", "net energy to get there", "J"),
        ):
            y = Axis(words, unit)
            marks = _lines(lines, table, "n_parameters", quantity)
            panels.append(
                Panel(" ".join(sample.words.split()), PARAMETERS, y, [marks], where | {"hardware": sample.kind.name})
            )
    return panels


def iso_loss_aggregate(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """A panel for each working set: energy as a multiple of the least, along lines of equal loss."""
    lines = relative_energy(inputs.iso_loss)
    if lines.empty or "forward_bytes" not in table.frame:
        return []
    lines = lines[lines["level"] % EACH_LEVEL == 0]
    lines = lines[lines["row"].isin(table.frame.index)]
    if len(lines) > MOST_POINTS:
        chosen = np.unique(lines["line"])[:: len(lines) // MOST_POINTS + 1]
        lines = lines[lines["line"].isin(chosen)]
    full = _capacities(inputs)
    panels = []
    for name, words in WORKING_SETS.items():
        sized = lines.assign(n_bytes=lines["row"].map(table.frame[f"{name}_bytes"]))
        marks = _lines(sized.sort_values("n_bytes", kind="stable"), table, "n_bytes", "relative_energy")
        axis = Axis("bytes occupied of a unit", "B")
        panels.append(Panel(words, axis, Axis("energy / least energy"), [marks], verticals=full))
    return panels


def iso_loss_minima(inputs: FigureInputs, table: SharedTable) -> list[Panel]:
    """A histogram for each working set."""
    least = minima(inputs.iso_loss)
    if least.empty or "forward_bytes" not in table.frame:
        return []
    least = least[least["row"].isin(table.frame.index)]
    full = _capacities(inputs)
    rows = whole(table.rows(least["row"]))
    return [
        Panel(
            words,
            Axis("bytes occupied of a unit", "B"),
            Axis("lines of equal loss", log=False),
            [Marks("histogram", numbers(least["row"].map(table.frame[f"{name}_bytes"])), rows=rows)],
            verticals=full,
        )
        for name, words in WORKING_SETS.items()
    ]


def predicted_against_measured(_: FigureInputs, table: SharedTable) -> list[Panel]:
    """Predicted by a fit that did not see the experiment, against the measured value."""
    if "held_out_j" not in table.frame:
        return []
    marks = [Marks("points", "energy_per_datum_j", "held_out_j")]
    y = Axis("predicted, held out", "J")
    return [Panel("from settings alone", PER_DATUM, y, marks, diagonal=True)]


def prediction_ratio(_: FigureInputs, table: SharedTable) -> list[Panel]:
    """A histogram of predicted / measured."""
    if "held_out_ratio" not in table.frame:
        return []
    marks = [Marks("histogram", "held_out_ratio")]
    return [Panel("held out", Axis("predicted / measured", log=False), EXPERIMENTS, marks, verticals=[(1.0, "equal")])]


def quality_control(inputs: FigureInputs, _: SharedTable) -> list[Panel]:
    """Run times of kept and of flagged runs, and run time against energy of each experiment."""
    runs = inputs.runs[inputs.runs["energy_status"] != "none"].reset_index(drop=True)
    times = runs["training_s"].to_numpy(dtype=np.float64)
    known = np.isfinite(times) & (times > 0)
    if not known.any():
        return []
    kept = judge(runs).kept
    edges = np.geomspace(times[known].min() / 1.01, times[known].max() * 1.01, BINS + 1)
    bars = [
        Marks("bars", numbers(edges), numbers(np.histogram(times[known & chosen], edges)[0]), name=name)
        for name, chosen in (("kept", kept), ("found by a rule", ~kept))
    ]
    time = Axis("run time", "s")
    return [
        Panel("all runs", time, Axis("runs", log=False), bars),
        Panel("experiments", time, OF_A_RUN, [Marks("points", "training_s", "energy_net_j")]),
    ]


def _lines(lines: pd.DataFrame, table: SharedTable, x: str, y: str) -> Marks:
    """Lines joining the rows of `iso_loss` that have the same line and level."""
    shown = lines[lines["row"].isin(table.frame.index)]
    number = shown.groupby(["line", "level"], sort=True).ngroup()
    ordered = shown.assign(number=number).sort_values(["number", x], kind="stable")
    return Marks(
        "lines",
        numbers(ordered[x]),
        numbers(ordered[y]),
        rows=whole(table.rows(ordered["row"])),
        lines=whole(ordered["number"]),
    )


def _capacities(inputs: FigureInputs) -> list[tuple[float, str]]:
    """Where the levels of memory of each kind of hardware are full."""
    found = [kind for kind in kinds(inputs, inputs.experiments) if kind.profile is not None]
    several = len(found) > 1
    return [
        (float(n_bytes), f"{name} of {kind.name}" if several else name)
        for kind in found
        if kind.profile is not None
        for name, n_bytes in cache_ends(kind.profile)
    ]
