"""What standardisation takes for granted, checked on the runs at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

CLOSE_W = 20.0
SHARE_CLOSE = 0.9
SMALL_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Check:
    """An assumption, what the data say of it, and whether it holds by the limit that the words give."""

    words: str
    holds: bool


def check_assumptions(
    runs: pd.DataFrame, nodes: pd.DataFrame, *, n_unknown: int, n_nodes_differ: int
) -> Sequence[Check]:
    """The checks of standardised runs [run columns of `standardise`] on nodes [node, node_type, idle_w]."""
    total = len(runs) + n_unknown
    checks = [
        Check(
            f"every run's node has a type and an idle power: {n_unknown:,} of {total:,} runs have not, and are left "
            "out here",
            n_unknown == 0,
        ),
        Check(
            f"runs of a class are on nodes of that class: {n_nodes_differ:,} of {len(runs):,} are not (they are "
            "brought to the reference of their own class)",
            n_nodes_differ == 0,
        ),
        _nodes_of_a_type_idle_alike(nodes),
        _idle_is_least(runs),
        _offsets_help(runs),
        _overhead_fits(runs),
        _depth_2_is_one_network(runs),
    ]
    return [check for check in checks if check is not None]


def _nodes_of_a_type_idle_alike(nodes: pd.DataFrame) -> Check:
    known = nodes.dropna(subset=["idle_w"])
    away = (known["idle_w"] - known.groupby("node_type")["idle_w"].transform("median")).abs()
    close = float((away <= CLOSE_W).mean())
    return Check(
        f"nodes of one type idle alike: {close:.0%} of {len(known):,} are within {CLOSE_W:g} W of their type's median "
        f"(wanted {SHARE_CLOSE:.0%}); the farthest is {away.max():.0f} W off",
        close >= SHARE_CLOSE,
    )


def _idle_is_least(runs: pd.DataFrame) -> Check:
    below = int((runs["mean_w"] < runs["idle_w"]).sum())
    return Check(
        f"no run draws less than its idle node: {below:,} of {len(runs):,} do (wanted {SMALL_SHARE:.0%} at most)",
        below <= SMALL_SHARE * len(runs),
    )


def _offsets_help(runs: pd.DataFrame) -> Check | None:
    """Types differ by a constant power: then the same experiment on two types has one power after the offset."""
    groups = runs.groupby(["reduced_to", "hardware_class"])
    several = runs[groups["node_type"].transform("nunique") > 1]
    if len(several) == 0:
        return None
    by_type = several.assign(after_w=several["mean_w"] + several["offset_w"]).groupby(
        ["reduced_to", "hardware_class", "node_type"]
    )[["mean_w", "after_w"]]
    medians = by_type.median().groupby(level=[0, 1])
    spread = medians.max() - medians.min()
    before, after = (float(np.median(spread[name])) for name in ("mean_w", "after_w"))
    return Check(
        f"types of node differ by a constant power: over {len(spread):,} experiments on several types, the powers of "
        f"types lie {before:.1f} W apart in the median, {after:.1f} W after the offset (wanted less)",
        after < before,
    )


def _overhead_fits(runs: pd.DataFrame) -> Check | None:
    if not (runs["overhead_j"] > 0).any():
        return None
    trained = runs[~runs["left_out"]]
    below = int(((trained["energy_training_j"] <= 0) | (trained["training_s"] <= 0)).sum())
    return Check(
        f"a start-up costs every run the same: {below:,} of {len(trained):,} runs took no more energy or time than it "
        f"(wanted {SMALL_SHARE:.0%} at most)",
        below <= SMALL_SHARE * len(trained),
    )


def _depth_2_is_one_network(runs: pd.DataFrame) -> Check | None:
    shallow = runs[runs["depth"] == 2]
    sizes = shallow.groupby(["reduced_to", "hardware_class"])["n_parameters"].nunique()
    shapes = shallow.groupby(["reduced_to", "hardware_class"])["shape"].nunique()
    merged = int((shapes > 1).sum())
    if merged == 0:
        return None
    differ = int((sizes > 1).sum())
    return Check(
        f"with depth 2 all shapes are one network: {differ:,} of {merged:,} experiments that were merged have networks "
        "of different sizes",
        differ == 0,
    )
