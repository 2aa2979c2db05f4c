"""The energy of runs that were trained in segments: each is read from the trace that its own attempt left, and added.

An attempt that is killed leaves a checkpoint, and with it a segment: from where its training began to that checkpoint.
What it trained after its last checkpoint is trained again, and belongs to no run.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import RunEnergy, Trace, account_block, add_energies, read_trace_file, refused_energy
from wattsweep.runs.record import Provenance, RunPower, RunRecord, Segment, SegmentPower

TRACE_MARGIN_REFRESHES = 3

Window = tuple[float, float]


def machine(provenance: Provenance) -> str:
    """What a training's energy depends on beside its settings: its device, its CPU, its threads."""
    return ", ".join(provenance.get(name, "") for name in ("device", "cpu_model", "threads"))


def trace_around(trace: Trace, windows: Sequence[Window], interval_s: float) -> Trace:
    """The samples from the first window to the last, with their neighbours, read every `interval_s`."""
    margin_s = TRACE_MARGIN_REFRESHES * max(trace.refresh_s or 0.0, interval_s)
    return trace.window(min(start for start, _ in windows), max(end for _, end in windows), margin_s)


def measured(segment: Segment, trace_path: Path, runs_at_once: int, power: PowerConfig) -> Segment:
    """The segment with the energy of each of its runs, from the trace that its attempt left.

    It is refused where the trace cannot be read or does not cover the segment.
    """
    window = (segment.start_s, segment.end_s)
    idle = [(phase.start_s, phase.end_s) for phase in [segment.idle_before] if phase is not None]
    try:
        source, trace = read_trace_file(trace_path)
        trace = trace_around(trace, [window, *idle], power.interval_s)
        account = account_block(
            trace,
            block=window,
            runs=[window],
            idle=idle,
            min_coverage=power.min_coverage,
            max_gap_s=power.max_gap_s,
            plausible_w=power.plausible_w,
            may_be_frozen=power.stale_after_s is not None and not source.shows_updates,
            runs_at_once=runs_at_once,
        )
    except PowerError as error:
        return replace(segment, reason=f"energy refused: its trace cannot be read: {error}")
    return replace(segment, power=SegmentPower(source, trace, account.runs[0]), reason=account.reason)


def with_energy(record: RunRecord, block: RunPower, energy: RunEnergy) -> RunRecord:
    """The record with its block's power and its energy: that of its last training, and of its earlier segments."""
    if not record.segments:
        return replace(record, power=replace(block, energy=energy))
    parts = [
        segment.power.energy if segment.power else refused_energy(segment.duration_s / record.runs_at_once)
        for segment in record.segments
    ]
    mixed = [_mixed(segment, record, block) for segment in record.segments]
    whole = add_energies([*parts, energy])
    refusals = [
        f"segment of epochs {segment.first_epoch} to {segment.last_epoch} ({segment.block_id}): {reason}"
        for segment, other in zip(record.segments, mixed, strict=True)
        if (reason := segment.reason or other)
    ]
    power = replace(block, energy=refused_energy(whole.duration_s) if any(mixed) else whole)
    if refusals:
        power = replace(power, status="refused", reason="; ".join(filter(None, [block.reason, *refusals])))
    return replace(record, power=power)


def _mixed(segment: Segment, record: RunRecord, block: RunPower) -> str:
    """Why the segment's energy cannot be added to that of the last training; empty where it can."""
    if segment.machine != machine(record.provenance):
        return f"energy refused: it was trained on {segment.machine}, the last on {machine(record.provenance)}"
    if segment.power is None:
        return "" if segment.reason else "energy refused: its power was not measured"
    ours, theirs = segment.power.source, block.source
    if (ours.name, ours.scope, ours.origin) != (theirs.name, theirs.scope, theirs.origin):
        return f"energy refused: its watts are {ours.origin} ({ours.name}), the last's {theirs.origin} ({theirs.name})"
    return ""
