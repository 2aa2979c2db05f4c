"""Energy counters: what they have counted, over wraps, and where they were reset or misread."""

from dataclasses import dataclass

import numpy as np

from wattsweep.power.trace import Flags, Floats

ROUNDING_J = 1e-9
"""How far a counter may fall, relative to its value, by the rounding of floats alone."""


@dataclass(frozen=True)
class Counted:
    """A counter's valid samples without wraps.

    `energy_j` grows from sample to sample except behind a reset. `kept` says which of the samples given it is of;
    `breaks` holds one flag per pair of kept neighbours: True where what was counted between them is unknown.
    """

    energy_j: Floats
    kept: Flags
    breaks: Flags


def unwrap(times_s: Floats, values_j: Floats, wrap_j: float | None, plausible_w: tuple[float, float] | None) -> Counted:
    """Undo the wraps of a counter that goes back to 0 at `wrap_j` (None: never), by modular differences.

    `plausible_w` bounds the mean power between two samples. A pair of samples is then taken with the only number of
    wraps that keeps to the bounds; where several do, or none does, what was counted between them is unknown. Without
    bounds a fall is one wrap. A sample whose two neighbours agree with each other but not with it is left out; a fall
    that no wrap explains is a reset: both break the count and nothing is bridged.
    """
    rises, known = _rises(times_s, values_j, wrap_j, plausible_w)
    kept = np.ones(len(values_j), dtype=np.bool_)
    for index in np.flatnonzero(~known):
        # the sample after the odd pair is the odd one if its neighbours agree without it
        odd = index + 1
        if odd + 1 < len(values_j) and kept[odd - 1]:
            around = [odd - 1, odd + 1]
            if _rises(times_s[around], values_j[around], wrap_j, plausible_w)[1][0]:
                kept[odd] = False
    if not kept.all():
        rises, known = _rises(times_s[kept], values_j[kept], wrap_j, plausible_w)
    energy_j = np.concatenate([[0.0], np.cumsum(np.where(known, rises, 0.0))]) if len(rises) else np.zeros(kept.sum())
    return Counted(energy_j=energy_j, kept=kept, breaks=~known)


def _rises(
    times_s: Floats, values_j: Floats, wrap_j: float | None, plausible_w: tuple[float, float] | None
) -> tuple[Floats, Flags]:
    """What was counted from each sample to the next, and whether that is known."""
    rises = np.diff(values_j)
    lengths_s = np.diff(times_s)
    rises[np.abs(rises) <= ROUNDING_J * np.abs(values_j[1:])] = 0.0
    if wrap_j is None:
        known = rises >= 0
    else:
        rises = np.mod(rises, wrap_j)
        known = np.ones(len(rises), dtype=np.bool_)
    if plausible_w is None:
        return rises, known
    low_j, high_j = plausible_w[0] * lengths_s, plausible_w[1] * lengths_s
    if wrap_j is None:
        return rises, known & (rises >= low_j) & (rises <= high_j)
    fewest = np.maximum(0.0, np.ceil((low_j - rises) / wrap_j))
    most = np.floor((high_j - rises) / wrap_j)
    return rises + fewest * wrap_j, fewest == most
