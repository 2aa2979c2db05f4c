"""The figures by name, with the caption that the report and Snakemake's own report show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from wattsweep.analysis import EnergyModelFit
from wattsweep.figures import energy_against_loss, energy_per_datum, predicted_against_measured
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.style import RC, Figure


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure: how it is drawn, its title and its caption. Call it with the tables and the fits to get the figure."""

    draw: Callable[[FigureInputs], Figure]
    title: str
    caption: str

    def __call__(self, runs: pd.DataFrame, experiments: pd.DataFrame, fits: Sequence[EnergyModelFit]) -> Figure:
        """The figure, in the shared style."""
        with mpl.rc_context(RC):
            return self.draw(FigureInputs(runs, experiments, fits))


MARKED = "The figure is marked where power was simulated or modelled."

FIGURES: dict[str, FigureKind] = {
    "energy_per_datum": FigureKind(
        energy_per_datum.draw,
        energy_per_datum.TITLE,
        "Net energy for one training row in one epoch, against the network's trainable parameters (left, lines of "
        "equal depth) and against its depth (right, lines of equal size). Points are medians over an experiment's "
        "runs, bars their quartiles, faint bars the interval of the measurement; hollow points are not measured. Net "
        f"energy is what the node used beyond idling. {MARKED}",
    ),
    "energy_against_loss": FigureKind(
        energy_against_loss.draw,
        energy_against_loss.TITLE,
        "Net energy of a run against its test loss at the last epoch, a panel for each dataset. Points are medians "
        "over an experiment's runs, bars their quartiles, faint bars the interval of the measurement; colour is the "
        "number of trainable parameters. The line joins the experiments that no other beats in both energy and loss. "
        f"{MARKED}",
    ),
    "predicted_against_measured": FigureKind(
        predicted_against_measured.draw,
        predicted_against_measured.TITLE,
        "Each point is an experiment whose energy per datum was predicted by the energy model fitted without it. "
        "The grey band holds predictions within 10 % of the measured value; the histogram shows predicted / "
        f"measured. {MARKED}",
    ),
}


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `folder`/`name`.svg and .png and return their paths; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    with mpl.rc_context(RC):
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, metadata={"Software": None})
    return svg, png
