"""The energies of a block's runs from the trace of one source: block, setup, each run, each epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wattsweep.config import PowerConfig
from wattsweep.power import Energy, SourceDescription, Trace, account_block, integrate
from wattsweep.runs.record import RunPower, RunRecord, trained_s
from wattsweep.runs.segments import trace_around, with_energy


@dataclass(frozen=True, slots=True)
class MeasuredBy:
    """What measured a block: a source, why it was chosen, and its trace on the monotonic clock of the block's node."""

    block_id: str
    selected_because: str
    source: SourceDescription
    trace: Trace


def with_power(records: Sequence[RunRecord], by: MeasuredBy, power: PowerConfig) -> list[RunRecord]:
    """The records of one block, in the order of their training, with their power and energies."""
    windows = [(record.training.start_s, record.training.end_s) for record in records]
    block = (windows[0][0], windows[-1][1])
    phases = {phase.name: phase for phase in records[0].phases}
    idle = [(phases[name].start_s, phases[name].end_s) for name in ("idle_before", "idle_after") if name in phases]
    trace = trace_around(by.trace, [block, *idle], power.interval_s)
    account = account_block(
        trace,
        block=block,
        runs=windows,
        idle=idle,
        min_coverage=power.min_coverage,
        max_gap_s=power.max_gap_s,
        plausible_w=power.plausible_w,
        may_be_frozen=power.stale_after_s is not None and not by.source.shows_updates,
        runs_at_once=records[0].runs_at_once,
    )
    refused = math.isnan(account.runs[0].gross.joules)
    setup = phases.get("setup")
    shared = RunPower(
        source=by.source,
        selected_because=by.selected_because,
        trace=trace,
        block_id=by.block_id,
        block_start_s=block[0],
        block_end_s=block[1],
        block_runs=len(records),
        block_training_s=trained_s(records),
        idle_w=account.idle_w,
        idle_lower_w=account.idle_lower_w,
        idle_upper_w=account.idle_upper_w,
        mean_w=account.mean_w,
        status=account.status,
        reason=account.reason,
        energy=account.runs[0],
    )
    if not refused:
        shared = replace(
            shared,
            block_gross_j=account.gross.joules,
            block_gross_lower_j=account.gross.lower,
            block_gross_upper_j=account.gross.upper,
        )
    if not refused and setup is not None and setup.duration_s > 0:
        spent = _integrate(trace, (setup.start_s, setup.end_s), power)
        if spent.coverage >= power.min_coverage:
            shared = replace(shared, setup_j=spent.joules, setup_lower_j=spent.lower, setup_upper_j=spent.upper)
    return [
        with_energy(record, shared if refused else _with_epochs(shared, record, power), energy)
        for record, energy in zip(records, account.runs, strict=True)
    ]


def epoch_windows(record: RunRecord) -> NDArray[np.float64]:
    """The windows of the epochs of a run's last training, [epochs, 2] in s; empty where they are not known.

    Epochs that were trained in one call share its time equally: their work is the same.
    """
    if record.marks is None or len(record.marks) == 0 or record.runs_at_once > 1:
        return np.empty((0, 2))
    first = record.segments[-1].last_epoch if record.segments else 0
    numbers = np.concatenate([[first], record.marks[:, 0]])
    times = np.concatenate([[record.training.start_s], record.marks[:, 1]])
    ends = np.interp(np.arange(first, int(numbers[-1]) + 1), numbers, times)
    return np.stack([ends[:-1], ends[1:]], axis=1)


def _with_epochs(shared: RunPower, record: RunRecord, power: PowerConfig) -> RunPower:
    """With the energy of every epoch, where the source updates at least once in the median one."""
    windows = epoch_windows(record)
    refresh_s = max(shared.trace.refresh_s or 0.0, power.interval_s)
    if len(windows) == 0 or float(np.median(windows[:, 1] - windows[:, 0])) < refresh_s:
        return shared
    energies = [_integrate(shared.trace, (start_s, end_s), power) for start_s, end_s in windows.tolist()]
    values = np.array(
        [
            (one.joules, one.lower, one.upper) if one.coverage >= power.min_coverage else (np.nan,) * 3
            for one in energies
        ]
    )
    return replace(shared, epoch_energy_j=values)


def _integrate(trace: Trace, window: tuple[float, float], power: PowerConfig) -> Energy:
    return integrate(trace, *window, max_gap=power.max_gap_s, plausible=power.plausible_w)
