"""The figures by name, with the caption that the report and Snakemake's own report show."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pandas as pd

from wattsweep.analysis import EnergyModelFit
from wattsweep.disk import write_bytes
from wattsweep.figures import (
    butter_zone,
    butter_zone_variation,
    descent_slope,
    energy_against_loss,
    energy_per_datum,
    energy_trends,
    iso_loss_aggregate,
    iso_loss_minima,
    iso_loss_samples,
    minimizing_epoch,
    minimum_loss,
    predicted_against_measured,
    prediction_ratio,
    quality_control,
    working_set_energy,
)
from wattsweep.figures.findings import Finding
from wattsweep.figures.inputs import FigureInputs, no_curves
from wattsweep.figures.style import RC, Figure
from wattsweep.hardware import HardwareProfile


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure: how it is drawn, its title, its caption, the figure `of` a paper that it repeats (empty: of none).

    `finding` puts what the paper claims to the test; None where there is no such claim.

    Call it with the tables and the fits to get the figure; curves of loss and profiles of hardware are wanted by some.
    """

    draw: Callable[[FigureInputs], Figure]
    title: str
    caption: str
    of: str = ""
    claim: str = ""
    finding: Callable[[FigureInputs], Finding] | None = None

    def __call__(
        self,
        runs: pd.DataFrame,
        experiments: pd.DataFrame,
        fits: Sequence[EnergyModelFit],
        curves: pd.DataFrame | None = None,
        profiles: Sequence[HardwareProfile] = (),
    ) -> Figure:
        """The figure, in the shared style."""
        curves = no_curves() if curves is None else curves
        return self.figure(FigureInputs(runs, experiments, fits, curves, profiles))

    def figure(self, inputs: FigureInputs) -> Figure:
        """The figure, in the shared style."""
        with mpl.rc_context(RC):
            return self.draw(inputs)


METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""The kinds of file of a figure, and what would make two files of one figure differ."""

MARKED = "The figure is marked where power was simulated or modelled."
REAL_LOSSES = f"Losses are of real trainings, whatever power is. {MARKED}"
OCCUPIED = (
    "Bytes are those that the set and the sets before it occupy of one unit (core, socket, SM, GPU) of the level of "
    "memory that it lives in; dotted lines are where a level is full."
)
EQUAL_LOSS = (
    "Loss is the best so far, its median over repetitions, on 200 levels evenly spaced in its logarithm; energy to get "
    "there is that share of the run's net energy."
)
EQUATION_MARKS = (
    "Marks are experiments, by shape, from the median test loss over repetitions, smoothed over log10(epoch); lines "
    "are the fitted equation. Hollow: the loss had not risen again when training ended."
)


def _kind(module: ModuleType, caption: str, of: str = "") -> FigureKind:
    return FigureKind(
        module.draw, module.TITLE, caption, of, getattr(module, "CLAIM", ""), getattr(module, "finding", None)
    )


FIGURES: dict[str, FigureKind] = {
    "energy_per_datum": _kind(
        energy_per_datum,
        "Net energy for one training row in one epoch, against the network's trainable parameters (left, lines of "
        "equal depth) and against its depth (right, lines of equal size). Points are medians over an experiment's "
        "runs, bars their quartiles, faint bars the interval of the measurement; hollow points are not measured. Net "
        f"energy is what the node used beyond idling. {MARKED}",
    ),
    "energy_trends": _kind(
        energy_trends,
        "Net energy of an epoch against training rows, and net energy per datum against parameters, operations and "
        "depth, for each kind of hardware. Thick lines are medians over all experiments, bars go from quartile to "
        f"quartile; thin lines are those of equal size or depth, the darker the larger. {MARKED}",
        "BUTTER-E, figure 1",
    ),
    "working_set_energy": _kind(
        working_set_energy,
        "Net energy per datum against the bytes of the four working sets of training, a panel for each kind of "
        f"hardware. Lines are running medians, bands go from quartile to quartile. {OCCUPIED} {MARKED}",
        "BUTTER-E, figure 3",
    ),
    "energy_against_loss": _kind(
        energy_against_loss,
        "Net energy of a run against its test loss at the last epoch, a panel for each dataset. Points are medians "
        "over an experiment's runs, bars their quartiles, faint bars the interval of the measurement; colour is the "
        "number of trainable parameters. The line joins the experiments that no other beats in both energy and loss. "
        f"{MARKED}",
    ),
    "iso_loss_samples": _kind(
        iso_loss_samples,
        "For sample networks, operations and net energy that each size needs to reach the same test loss, a line for "
        "each level of it; stars are the least of a line. Bars below say in which level of memory each working set "
        f"lives. {EQUAL_LOSS} {MARKED}",
        "BUTTER-E, figure 4",
    ),
    "iso_loss_aggregate": _kind(
        iso_loss_aggregate,
        "Energy to reach a test loss, as a multiple of the least among networks that differ in size alone, against "
        "the bytes of each working set. Thin lines join networks at the same loss, every tenth level; thick lines are "
        f"running medians, bands go from quartile to quartile. {EQUAL_LOSS} {OCCUPIED} {MARKED}",
        "BUTTER-E, figure 5",
    ),
    "iso_loss_minima": _kind(
        iso_loss_minima,
        "How many lines of equal loss have their least energy at so many bytes of each working set. Hatched: it was "
        f"the smallest or the largest network, so the true least may lie beyond. {EQUAL_LOSS} {OCCUPIED} {MARKED}",
        "BUTTER-E, figure 6",
    ),
    "predicted_against_measured": _kind(
        predicted_against_measured,
        "Each point is an experiment whose energy per datum was predicted by the energy model fitted without it. "
        "The grey band holds predictions within 10 % of the measured value; the histogram shows predicted / "
        f"measured. {MARKED}",
    ),
    "prediction_ratio": _kind(
        prediction_ratio,
        "Predicted / measured energy per datum, by the model that needs settings alone. Filled: each experiment by a "
        "fit that did not see it; outline: by the fit to all of them. What lies beyond the axis is counted at its "
        f"end. {MARKED}",
        "BUTTER-E, figure 7",
    ),
    "quality_control": _kind(
        quality_control,
        "Runs by run time, by the deviation of its logarithm from the mean of runs of like hardware, dataset and size, "
        "and by run time and net energy; those that a quality rule finds are set apart. Nothing is deleted from the "
        f"tables. {MARKED}",
        "BUTTER-E, figure 2",
    ),
    "butter_zone": _kind(
        butter_zone,
        "Median test loss over repetitions, as a multiple of the least of its dataset and capped at 5, over parameters "
        "and epochs. The star is the least of a panel, the dashed line the epoch of least loss of each size. "
        f"{REAL_LOSSES}",
        "BUTTER, the butter zone",
    ),
    "butter_zone_variation": _kind(
        butter_zone_variation,
        "Standard deviation of test loss over repetitions / its mean, over parameters and epochs. Star and dashed line "
        f"are where the median test loss is least. {REAL_LOSSES}",
        "BUTTER, the butter zone's twin",
    ),
    "minimizing_epoch": _kind(
        minimizing_epoch,
        f"The epoch of least test loss against parameters. {EQUATION_MARKS} {REAL_LOSSES}",
        "BUTTER, minimizing epoch",
    ),
    "minimum_loss": _kind(
        minimum_loss,
        f"The least test loss against parameters. {EQUATION_MARKS} {REAL_LOSSES}",
        "BUTTER, minimum loss",
    ),
    "descent_slope": _kind(
        descent_slope,
        "The slope of log10(test loss) against log10(epoch) where it comes down from a tenth to nine tenths of the way "
        f"to its least, against parameters. {EQUATION_MARKS} {REAL_LOSSES}",
        "BUTTER, descent slope",
    ),
}


def findings(inputs: FigureInputs) -> dict[str, Finding]:
    """What each figure that is of a paper's finding says of it on these data."""
    return {name: kind.finding(inputs) for name, kind in FIGURES.items() if kind.finding is not None}


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, ...]:
    """Write `folder`/`name`.svg, .pdf and .png and return their paths; the same figure gives the same bytes."""
    paths = tuple(folder / f"{name}.{kind}" for kind in METADATA)
    with mpl.rc_context(RC):
        for path, (kind, metadata) in zip(paths, METADATA.items(), strict=True):
            # Matplotlib hides what a full disk says behind errors of its own.
            image = io.BytesIO()
            figure.savefig(image, format=kind, metadata=metadata)
            write_bytes(path, image.getbuffer())
    return paths
