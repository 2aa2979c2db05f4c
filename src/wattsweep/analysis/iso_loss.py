"""Lines of equal test loss: what networks of different sizes spend to reach it (BUTTER-E, arXiv 2403.08151).

Which function to use when:

- epochs, energy, operations and run time at which each experiment reaches each level of loss: `iso_loss`.
- the network that reaches a level with least energy, in each line: `minima`.
- the energy along each line as a multiple of its least: `relative_energy`.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wattsweep.analysis.groups import DATASET, HARDWARE, TRAINING, keys, network_shape

Floats = NDArray[np.float64]

N_LEVELS = 200
LEAST_NETWORKS = 3
"""A line of fewer networks says nothing about where its least energy is."""

LINE = ["line", "level"]
NUMBERS = ("energy_per_datum_j_median", "n_train", "macs_per_epoch", "training_s_median", "epochs")
COLUMNS = (
    *("row", "line", *HARDWARE, *DATASET, "shape", "depth", "n_parameters"),
    *("level", "test_loss", "epoch", "energy_j", "macs", "training_s"),
)


def iso_loss(experiments: pd.DataFrame, curves: pd.DataFrame, n_levels: int = N_LEVELS) -> pd.DataFrame:
    """A row for each experiment and level of test loss that it reaches.

    `experiments` is experiments.parquet and `curves` as `wattsweep.analysis.curves.read_curves` gives it. Levels are
    evenly spaced in log loss from the worst to the best loss of each (hardware, dataset), the loss being the best so
    far, its median over repetitions. Level 0 is the worst. Columns:

    - `row`: the experiment's label in the index of `experiments`; `line`: a number for each set of experiments that
      differ in their number of parameters alone.
    - `epoch`: where log loss, linear between epochs, first comes down to the level; 1 where it did so within the first
      epoch. An experiment has no row for a level that it never reached.
    - `energy_j` (J), `macs`, `training_s` (s): that epoch's share of the run's. Energy is net, so neither setup nor
      idling is in it.

    Experiments without a net energy above 0 or without a curve have no rows.
    """
    data = experiments[experiments["energy_per_datum_j_median"] > 0]
    data = data[data["experiment_id"].isin(curves["experiment_id"])]
    if data.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    # What is missing becomes "", so that grouping by it loses no row.
    named = data.assign(**{name: keys(data, [name])[name] for name in (*HARDWARE, *DATASET)}, shape=network_shape(data))
    alike = [*HARDWARE, *DATASET, "shape", "depth", *TRAINING]
    named["line"] = keys(named, alike).groupby(alike, sort=True).ngroup()
    best = dict(zip(curves["experiment_id"], curves["test_loss_best_median"], strict=True))
    places, counts, reached = [], [], []
    for _, group in named.groupby([*HARDWARE, *DATASET], sort=True):
        logs = [_log_loss(best[name]) for name in group["experiment_id"]]
        known = np.concatenate(logs)
        if len(known) == 0 or known.min() == known.max():
            continue
        levels = np.linspace(known.max(), known.min(), n_levels)
        for label, log_loss in zip(group.index, logs, strict=True):
            epoch = first_epoch_at(log_loss, levels)
            there = np.flatnonzero(np.isfinite(epoch))
            places.append(label)
            counts.append(len(there))
            reached.append(np.column_stack([there, np.exp(levels[there]), epoch[there]]))
    if not places:
        return pd.DataFrame(columns=list(COLUMNS))
    level, test_loss, epoch = np.concatenate(reached).T
    rows = named.loc[np.repeat(np.array(places), counts)]
    numbers = {name: rows[name].to_numpy(dtype=np.float64) for name in NUMBERS}
    found = (
        rows.rename_axis("row")
        .reset_index()
        .assign(
            level=level.astype(np.int64),
            test_loss=test_loss,
            epoch=epoch,
            energy_j=numbers["energy_per_datum_j_median"] * numbers["n_train"] * epoch,
            macs=numbers["macs_per_epoch"] * epoch,
            training_s=numbers["training_s_median"] / numbers["epochs"] * epoch,
        )
    )
    return found[list(COLUMNS)]


def first_epoch_at(log_loss: Floats, levels: Floats) -> Floats:
    """The epochs, from 1, at which a log loss [epochs] that never rises first comes down to each of `levels`.

    Linear between epochs. A level passed within the first epoch costs that epoch, since losses are known at the ends of
    epochs alone; nan where a level lies below the last loss.
    """
    found = np.full(len(levels), np.nan)
    after = np.searchsorted(-log_loss, -levels, side="left")
    found[(after == 0) & (len(log_loss) > 0)] = 1.0
    between = (after > 0) & (after < len(log_loss))
    after = after[between]
    high, low = log_loss[after - 1], log_loss[after]
    found[between] = after + (high - levels[between]) / (high - low)
    return found


def relative_energy(lines: pd.DataFrame, least_networks: int = LEAST_NETWORKS) -> pd.DataFrame:
    """The rows of `iso_loss` whose line reaches its level with at least so many networks, with `relative_energy`.

    That is energy / the least energy of the line at the level. Networks of the same number of parameters are one.
    """
    if lines.empty:
        return lines.assign(n_networks=[], relative_energy=[])
    grouped = lines.groupby(LINE, sort=False)
    n_networks = grouped["n_parameters"].transform("nunique")
    least = grouped["energy_j"].transform("min")
    found = lines.assign(n_networks=n_networks, relative_energy=lines["energy_j"] / least)
    return found[n_networks >= least_networks].reset_index(drop=True)


def minima(lines: pd.DataFrame, least_networks: int = LEAST_NETWORKS) -> pd.DataFrame:
    """The row of least energy of each line and level of `iso_loss` that at least so many networks reach.

    Column `place` says whether it is the "smallest" or the "largest" of those networks or lies "inside": only there
    is it known that both fewer and more parameters cost more.
    """
    found = relative_energy(lines, least_networks)
    if found.empty:
        return found.assign(place=[])
    grouped = found.groupby(LINE, sort=True)
    low, high = grouped["n_parameters"].transform("min"), grouped["n_parameters"].transform("max")
    place = np.select([found["n_parameters"] == low, found["n_parameters"] == high], ["smallest", "largest"], "inside")
    return found.assign(place=place).loc[grouped["energy_j"].idxmin()].reset_index(drop=True)


def _log_loss(best: Floats) -> Floats:
    """Natural log of the best loss so far, as long as it is finite and above 0."""
    good = np.isfinite(best) & (best > 0)
    first = int(np.argmax(good)) if good.any() else len(best)
    if first > 0:
        return np.empty(0)
    end = len(best) if good.all() else int(np.argmin(good))
    return np.log(np.asarray(best[:end], dtype=np.float64))
