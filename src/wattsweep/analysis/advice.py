"""What to train: the network of least energy at each test loss, and what a somewhat higher loss would save.

Energies are those of `wattsweep.analysis.iso_loss`: net, to the epoch that first reaches the loss, so training is taken
to stop there; setup and idling are not in them.
"""

import numpy as np
import pandas as pd

from wattsweep.analysis.groups import DATASET, HARDWARE

GROUP = [*HARDWARE, *DATASET]
SAVING = 0.5
"""Each step of `savings` takes at most this share of the energy of the step before."""


def cheapest(lines: pd.DataFrame) -> pd.DataFrame:
    """Of `iso_loss`'s rows that of least energy at each level of each (hardware, dataset), the highest loss first.

    A network that reaches a lower loss has reached the higher ones before, so energy never falls along the rows.
    """
    if lines.empty:
        return lines
    least = lines.loc[lines.groupby([*GROUP, "level"], sort=True)["energy_j"].idxmin()]
    return least.sort_values([*GROUP, "level"], kind="stable").reset_index(drop=True)


def savings(least: pd.DataFrame, share: float = SAVING) -> pd.DataFrame:
    """The rows of `cheapest` from the lowest loss up, each the lowest loss at `share` of the energy before it or less.

    Columns `more_loss` and `less_energy` are by how much, as a share, loss is higher and energy lower than in the row
    before; nan in the first.
    """
    places: list[int] = []
    more: list[float] = []
    less: list[float] = []
    for _, group in least.groupby(GROUP, sort=True):
        ordered = group.sort_values("level", ascending=False)
        losses, energies = (ordered[name].to_numpy(dtype=np.float64) for name in ("test_loss", "energy_j"))
        before = -1
        for place, label in enumerate(ordered.index):
            if before < 0 or energies[place] <= share * energies[before]:
                places.append(label)
                more.append(losses[place] / losses[before] - 1 if before >= 0 else np.nan)
                less.append(1 - energies[place] / energies[before] if before >= 0 else np.nan)
                before = place
    return least.loc[places].assign(more_loss=more, less_energy=less)
