"""The energy of the runs of a block: each has its share of the block's time, and pays idle power for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wattsweep.power.integration import Energy, integrate
from wattsweep.power.trace import Status, Trace

Window = tuple[float, float]

EDGE_TOLERANCE_S = 1e-6
FROZEN_FOR_S = 5.0
FROZEN_AT_LEAST_S = 2.0
FROZEN_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class RunEnergy:
    """Energy of one run of a block in J: `gross` all that the node used, `net_j` what it used beyond idling."""

    gross: Energy
    net_j: float
    net_lower_j: float
    net_upper_j: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class BlockEnergy:
    """Energy of a block. `gross` is that of its whole window as measured, uncovered time adding nothing.

    `mean_w` is its mean power over the covered time. `reason` is empty when `status` is "ok", else it says what was
    refused and gives the numbers; what is refused is nan.
    """

    gross: Energy
    idle_w: float
    idle_lower_w: float
    idle_upper_w: float
    mean_w: float
    status: Literal["ok", "refused"]
    reason: str
    runs: tuple[RunEnergy, ...]


def account_block(
    trace: Trace,
    *,
    block: Window,
    runs: Sequence[Window],
    idle: Sequence[Window],
    min_coverage: float,
    max_gap_s: float | None = None,
    plausible_w: tuple[float, float] | None = None,
    may_be_frozen: bool = False,
    runs_at_once: int = 1,
) -> BlockEnergy:
    """The energy of a block and of its runs, from windows (start_s, end_s) on the monotonic clock.

    A run's gross energy is the block's mean power over its covered time x the run's duration; its interval is the
    block's interval x duration / block's duration, which holds the uncovered time too. Idle power is pooled over the
    idle windows that reach `min_coverage` and hold a valid sample: sum of joules / sum of covered seconds; its interval
    is the pooled interval, widened to hold the mean of each window. With P the idle power and d the duration, which is
    the window's divided by `runs_at_once` where so many runs share each window:

    net = gross - P d, net_lower = gross_lower - P_upper d, net_upper = gross_upper - P_lower d.

    When the block's coverage is below `min_coverage` (or 0) all energies of its runs are refused; when no idle window
    reaches it, their net energies are. With `may_be_frozen` all are refused too where the source did not move at all
    from idling to training or back (`frozen_edge`). Refused energies are nan and the reason has the numbers.
    `plausible_w` are the bounds of `integrate`.

    Leave about two refresh intervals between the work and an idle window. Where they touch, the samples around the edge
    mix both, and the interval of the idle power grows by what that may come to (see `integrate`).

    Raises ValueError where the block is empty or a run lies outside it, PowerError where a counter decreases.
    """
    _check_runs(block, runs)
    gross = integrate(trace, *block, max_gap=max_gap_s, plausible=plausible_w)
    block_s = block[1] - block[0]
    mean_w = gross.joules / (gross.coverage * block_s) if gross.coverage > 0 else math.nan
    idle_w, idle_lower_w, idle_upper_w = _idle_power(trace, idle, min_coverage, max_gap_s, plausible_w)

    refusals = []
    if gross.coverage == 0 or gross.coverage < min_coverage:
        refusals.append(
            f"energy refused: valid samples cover {gross.coverage:.3f} of the block's {block_s:.3f} s "
            f"({gross.n_samples} valid, {_excluded(trace, block, gross)}), less than power.min_coverage = "
            f"{min_coverage:g}"
        )
    frozen = frozen_edge(trace, block, idle) if may_be_frozen else None
    if frozen is not None:
        refusals.append(f"energy refused: {frozen}")
    block_refused = bool(refusals)
    if math.isnan(idle_w):
        refusals.append(
            f"net energy refused: none of {len(idle)} idle windows holds a valid sample and is covered to "
            f"power.min_coverage = {min_coverage:g}"
        )
    run_gross = _without_numbers(gross) if block_refused else gross
    return BlockEnergy(
        gross=gross,
        idle_w=idle_w,
        idle_lower_w=idle_lower_w,
        idle_upper_w=idle_upper_w,
        mean_w=mean_w,
        status="refused" if refusals else "ok",
        reason="; ".join(refusals),
        runs=tuple(
            _run_energy(run_gross, mean_w, (end - start) / runs_at_once, block_s, (idle_w, idle_lower_w, idle_upper_w))
            for start, end in runs
        ),
    )


def add_energies(parts: Sequence[RunEnergy]) -> RunEnergy:
    """The energy of a run that was measured in parts: sums, its interval that of the parts' ends, coverage by time."""
    duration_s = sum(part.duration_s for part in parts)
    gross = Energy(
        joules=sum(part.gross.joules for part in parts),
        lower=sum(part.gross.lower for part in parts),
        upper=sum(part.gross.upper for part in parts),
        coverage=sum(part.gross.coverage * part.duration_s for part in parts) / duration_s,
        n_samples=sum(part.gross.n_samples for part in parts),
        n_excluded=sum(part.gross.n_excluded for part in parts),
        n_refreshes=sum(part.gross.n_refreshes for part in parts),
        method="sum of segments",
    )
    return RunEnergy(
        gross=gross,
        net_j=sum(part.net_j for part in parts),
        net_lower_j=sum(part.net_lower_j for part in parts),
        net_upper_j=sum(part.net_upper_j for part in parts),
        duration_s=duration_s,
    )


def refused_energy(duration_s: float) -> RunEnergy:
    """The energy of a run of which none was measured: nan."""
    nothing = Energy(math.nan, math.nan, math.nan, 0.0, 0, 0, 0, "refused")
    return RunEnergy(nothing, math.nan, math.nan, math.nan, duration_s)


def frozen_edge(trace: Trace, block: Window, idle: Sequence[Window]) -> str | None:
    """What speaks for a source that is frozen at an edge of the block: the same value while idling and training.

    At an edge that an idle window is near, no valid sample differs from another over the longer of five refreshes and
    5 s on either side, as far as the idle window and the block reach: at least five samples and 2 s. None where nothing
    speaks for it.
    """
    times, values = trace.times_s[trace.valid], trace.values[trace.valid]
    reach_s = max(FROZEN_FOR_S, FROZEN_SAMPLES * max(trace.refresh_s or 0.0, trace.spacing_s or 0.0))
    for start, end in idle:
        before = end <= block[0] + EDGE_TOLERANCE_S
        edge = block[0] if before else block[1]
        low = max(start, end - reach_s) if before else max(block[0], edge - reach_s)
        high = min(block[1], edge + reach_s) if before else min(end, start + reach_s)
        near = (times >= low) & (times < high)
        training = near & (times >= block[0]) & (times < block[1])
        sides = (times[training], times[near & ~training])
        enough = all(len(side) >= FROZEN_SAMPLES and np.ptp(side) >= FROZEN_AT_LEAST_S for side in sides)
        if enough and np.ptp(values[near]) == 0.0:
            said = f"{values[near][0]:g} {'W' if trace.kind == 'power' else 'J'} {int(near.sum())} times"
            return (
                f"the source said {said} from {'idling to training' if before else 'training to idling'} without a "
                "change: it is frozen, or too coarse for this load; where it is known to be that coarse, set "
                "power.stale_after: null"
            )
    return None


def _excluded(trace: Trace, block: Window, gross: Energy) -> str:
    """How many samples of the block are excluded, by status."""
    inside = (trace.times_s >= block[0]) & (trace.times_s < block[1])
    counts = {status.word: int(np.count_nonzero(inside & (trace.status == status))) for status in Status}
    counts.pop("ok")
    words = [f"{count} {word}" for word, count in counts.items() if count]
    others = gross.n_excluded - sum(counts.values())
    if others > 0:
        words.append(f"{others} not plausible")
    return " and ".join(words) + " excluded" if words else "0 excluded"


def _check_runs(block: Window, runs: Sequence[Window]) -> None:
    for start, end in runs:
        if not (block[0] - EDGE_TOLERANCE_S <= start <= end <= block[1] + EDGE_TOLERANCE_S):
            raise ValueError(f"the run [{start}, {end}) does not lie in its block [{block[0]}, {block[1]})")


def _idle_power(
    trace: Trace,
    windows: Sequence[Window],
    min_coverage: float,
    max_gap_s: float | None,
    plausible_w: tuple[float, float] | None,
) -> tuple[float, float, float]:
    """Pooled idle power in W with its lower and upper end; nan where no window is covered enough."""
    energies = [
        (integrate(trace, start, end, max_gap=max_gap_s, plausible=plausible_w), end - start) for start, end in windows
    ]
    kept = [
        (energy, s)
        for energy, s in energies
        if energy.coverage > 0 and energy.coverage >= min_coverage and energy.n_samples > 0
    ]
    if not kept:
        return math.nan, math.nan, math.nan
    total_s = sum(s for _, s in kept)
    pooled_w = sum(energy.joules for energy, _ in kept) / sum(energy.coverage * s for energy, s in kept)
    means_w = [energy.joules / (energy.coverage * s) for energy, s in kept]
    lower_w = min(sum(energy.lower for energy, _ in kept) / total_s, *means_w, pooled_w)
    upper_w = max(sum(energy.upper for energy, _ in kept) / total_s, *means_w, pooled_w)
    return pooled_w, lower_w, upper_w


def _without_numbers(energy: Energy) -> Energy:
    return Energy(
        joules=math.nan,
        lower=math.nan,
        upper=math.nan,
        coverage=energy.coverage,
        n_samples=energy.n_samples,
        n_excluded=energy.n_excluded,
        n_refreshes=energy.n_refreshes,
        method=energy.method,
    )


def _run_energy(
    block: Energy, mean_w: float, run_s: float, block_s: float, idle_w: tuple[float, float, float]
) -> RunEnergy:
    share = run_s / block_s
    gross = Energy(
        joules=mean_w * run_s if math.isfinite(block.joules) else math.nan,
        lower=block.lower * share,
        upper=block.upper * share,
        coverage=block.coverage,
        n_samples=block.n_samples,
        n_excluded=block.n_excluded,
        n_refreshes=block.n_refreshes,
        method="share of block",
    )
    mean, lower, upper = idle_w
    return RunEnergy(
        gross=gross,
        net_j=gross.joules - mean * run_s,
        net_lower_j=gross.lower - upper * run_s,
        net_upper_j=gross.upper - lower * run_s,
        duration_s=run_s,
    )
