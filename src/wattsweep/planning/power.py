"""The power of a node that trains: measured by finished runs, else the simulated meter's; where neither, unknown."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wattsweep.config import Config
from wattsweep.grid import Settings
from wattsweep.planning.observed import FinishedRun, Kind

BEST_FIRST = ("measured", "simulated", "modelled")
QUANTILES = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class NodePower:
    """Power of a node in W while it idles, and while it trains with its range. `origin` is that of the watts.

    `kind` is None for what the configuration says; else it was found in `blocks` blocks of that kind.
    """

    kind: Kind | None
    origin: str
    idle_w: float
    load_low_w: float
    load_w: float
    load_high_w: float
    blocks: int = 0

    @property
    def basis(self) -> str:
        """From what it is known, in words."""
        if self.kind is None:
            return (
                f"simulated, not a measurement: the meter of power.simulated shows {self.idle_w:g} W at rest and "
                f"{self.load_high_w:g} W with all cores busy"
            )
        mark = "" if self.origin == "measured" else f" ({self.origin}, not a measurement)"
        return f"the mean power of {self.blocks:,} blocks{mark}: {self.load_w:.0f} W, {self.idle_w:.0f} W at rest"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for prediction.json."""
        return asdict(self) | {"kind": None if self.kind is None else self.kind._asdict()}


def measured_powers(runs: Iterable[FinishedRun]) -> list[NodePower]:
    """The power of every kind of run among some that have one: of each kind the best origin there is, a block once."""
    blocks: dict[Kind, dict[str, dict[str, FinishedRun]]] = {}
    for run in runs:
        if run.mean_w is not None and run.idle_w is not None and run.origin in BEST_FIRST:
            blocks.setdefault(run.kind, {}).setdefault(run.origin, {})[run.block_id] = run
    powers = []
    for kind in sorted(blocks):
        origin = min(blocks[kind], key=BEST_FIRST.index)
        chosen = list(blocks[kind][origin].values())
        load_w = np.array([run.mean_w for run in chosen], dtype=np.float64)
        low, high = np.quantile(load_w, QUANTILES).tolist()
        idle_w = float(np.mean([run.idle_w for run in chosen if run.idle_w is not None]))
        powers.append(NodePower(kind, origin, idle_w, low, float(load_w.mean()), high, len(chosen)))
    return powers


def node_power(
    config: Config, settings: Settings, measured: Sequence[NodePower], threads: int, cores: int
) -> NodePower | None:
    """The power of a node that trains an experiment; None where it is not known.

    Of several kinds that would serve, the one with most blocks. A simulated meter is taken to run on a node with as
    many `cores` as this machine, of which training keeps `threads` busy.
    """
    serving = [one for one in measured if one.kind is not None and one.kind.serves(settings, threads)]
    if serving:
        return max(serving, key=lambda one: (-BEST_FIRST.index(one.origin), one.blocks))
    if config.power.source != "simulated":
        return None
    meter = config.power.simulated
    use = min(1.0, threads / cores)
    load_w = meter.idle_w + use * meter.slope_w
    return NodePower(None, "simulated", meter.idle_w, meter.idle_w, load_w, meter.idle_w + meter.slope_w)
