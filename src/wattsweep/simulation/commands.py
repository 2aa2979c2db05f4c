"""Measures any program: runs it between two windows of idling and says what it used."""

import json
import math
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wattsweep.config.power import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import BlockEnergy, SourceDescription, account_block, read_trace_file
from wattsweep.simulation.measuring import Measurement, measuring

GUARD_REFRESHES = 2
SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class SourceEnergy:
    """What one source says of a program: the energy of its window, and the trace that it is from."""

    source: SourceDescription
    energy: BlockEnergy
    trace_path: Path


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A program that was measured. The first source is that of `power.source`; scopes are never added."""

    command: tuple[str, ...]
    exit_status: int
    started_at_unix_s: float
    duration_s: float
    sources: tuple[SourceEnergy, ...]

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object, what is not a number as null."""
        return {
            "command": list(self.command),
            "exit_status": self.exit_status,
            "started_at_unix_s": self.started_at_unix_s,
            "duration_s": self.duration_s,
            "sources": [
                {
                    "source": one.source.to_json(),
                    "trace": one.trace_path.name,
                    "status": one.energy.status,
                    "reason": one.energy.reason,
                    "idle_w": _number(one.energy.idle_w),
                    "mean_w": _number(one.energy.mean_w),
                    "energy": {key: _number(value) for key, value in _flat(one.energy).items()},
                }
                for one in self.sources
            ],
        }

    def describe(self) -> str:
        """The record as text, a paragraph for each source."""
        lines = [f"wattsweep: exit status {self.exit_status} after {self.duration_s:.2f} s"]
        for one in self.sources:
            run, energy = one.energy.runs[0], one.energy
            mark = "" if one.source.origin == "measured" else f" ({one.source.origin}, not a measurement)"
            lines.append(f"  {one.source.scope}: {one.source.detail}{mark}")
            if math.isfinite(run.gross.joules):
                lines.append(f"    gross {_joules(run.gross.joules, run.gross.lower, run.gross.upper)}{mark}")
            if math.isfinite(run.net_j):
                lines.append(f"    net   {_joules(run.net_j, run.net_lower_j, run.net_upper_j)}{mark}")
                lines.append(f"    mean {energy.mean_w:.1f} W, idle {energy.idle_w:.1f} W")
            if energy.reason:
                lines.append(f"    {energy.reason}")
            lines.append(
                f"    {run.gross.n_samples} samples, coverage {run.gross.coverage:.3f}; trace {one.trace_path}"
            )
        return "\n".join(lines)


def record_command(
    command: Sequence[str],
    power: PowerConfig,
    node: str,
    trace_path: Path,
    *,
    idle_s: float,
    profiles: Path | None = None,
) -> CommandRecord:
    """Run `command` and measure it; the trace goes to `trace_path`, a summary beside it with the suffix .json.

    The node is left idle for `idle_s` before and after, 0 for not at all: its net energy is then refused. SIGTERM is
    passed on to the program, and Ctrl-C reaches it too; its energy to its end is measured either way. Raises PowerError
    where there is no such program, nothing is read while it runs (source none, csv or slurm), the trace exists, or as
    `measuring` does.
    """
    program = shutil.which(command[0])
    if program is None:
        raise PowerError(f"There is no program '{command[0]}' to run. Check its name and PATH.")
    summary_path = trace_path.with_suffix(".json")
    if summary_path.exists():
        raise PowerError(f"The summary {summary_path} exists; a record is never written over. Choose another --output.")
    trace_path.parent.mkdir(parents=True, exist_ok=True)
    with measuring(power, node, trace_path, profiles=profiles) as measurement:
        if measurement is None or measurement.awaited is not None:
            raise PowerError(
                f"power.source is {power.source}, of which nothing can be read while a program runs. Choose another "
                "with --source; `wattsweep meter` lists what this node has."
            )
        guard_s = GUARD_REFRESHES * max(power.interval_s, measurement.refresh_s)
        idle = [_idle(idle_s, guard_s)]
        started_at_unix_s, start_s = time.time(), time.monotonic()
        exit_status = _run(command)
        end_s = time.monotonic()
        idle.append(_idle(idle_s, guard_s))
        time.sleep(guard_s)
        sources = _energies(measurement, (start_s, end_s), [window for window in idle if window is not None], power)
    recorded = CommandRecord(tuple(command), exit_status, started_at_unix_s, end_s - start_s, sources)
    summary = json.dumps(recorded.to_json(), indent=1, allow_nan=False)
    summary_path.write_text(summary + "\n", encoding="utf-8")
    return recorded


def _energies(
    measurement: Measurement, window: tuple[float, float], idle: list[tuple[float, float]], power: PowerConfig
) -> tuple[SourceEnergy, ...]:
    energies = []
    for recording in measurement.recordings:
        source, trace = read_trace_file(recording.path)
        energy = account_block(
            trace,
            block=window,
            runs=[window],
            idle=idle,
            min_coverage=power.min_coverage,
            max_gap_s=power.max_gap_s,
            plausible_w=power.plausible_w,
            may_be_frozen=power.stale_after_s is not None and not source.shows_updates,
        )
        energies.append(SourceEnergy(source, energy, recording.path))
    return tuple(energies)


def _idle(idle_s: float, guard_s: float) -> tuple[float, float] | None:
    """Do nothing for a while; its window, away from what was done before and will be after."""
    if idle_s <= 0:
        return None
    time.sleep(guard_s)
    start_s = time.monotonic()
    time.sleep(idle_s + guard_s)
    return start_s, start_s + idle_s


def _run(command: Sequence[str]) -> int:
    """Run the program to its end; its exit status, 128 + the signal where one ended it, as shells give it."""
    process = subprocess.Popen(list(command))

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to both of us
    try:
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status if status >= 0 else SIGNALLED - status


def _flat(energy: BlockEnergy) -> dict[str, float]:
    run = energy.runs[0]
    gross = {f"gross_{name}": value for name, value in asdict(run.gross).items() if isinstance(value, int | float)}
    return gross | {"net_j": run.net_j, "net_lower_j": run.net_lower_j, "net_upper_j": run.net_upper_j}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _joules(value_j: float, lower_j: float, upper_j: float) -> str:
    return f"{value_j:,.1f} J [{lower_j:,.1f}, {upper_j:,.1f}]"
