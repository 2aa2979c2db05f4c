"""Checkpoints on disk: where the runs in training stand, so that an attempt that is killed loses minutes, not days.

A checkpoint is written to a temporary name, flushed and renamed. It holds what the engine needs to go on, and the
segments trained so far with their energy still to be read from the trace that their attempt left. One that is damaged
or of another training is set aside and reported, and its runs start from their beginning.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py

from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError, RunFileError
from wattsweep.grid import Run
from wattsweep.power import account_block, read_trace_file
from wattsweep.runs.files import read_segments, to_disk, write_segment
from wattsweep.runs.record import Phase, Segment
from wattsweep.training import Checkpoint, TrainingPlan

FORMAT = "wattsweep-checkpoint"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who trains: what a checkpoint notes so that the energy of its segment can be read later."""

    block_id: str
    host: str
    trace_path: Path | None
    idle_before: Phase | None


class RunCheckpoints:
    """The checkpoint file of runs that are trained side by side; one run mostly."""

    def __init__(
        self,
        path: Path,
        identity: str,
        every_s: float,
        attempt: Attempt,
        power: PowerConfig,
        report: Callable[[str], None],
    ) -> None:
        self.path = path
        self.identity = identity
        self.every_s = every_s
        self.attempt = attempt
        self.segments: tuple[Segment, ...] = ()
        self._started_s = time.monotonic()
        self._kept = self._read(power, report)

    def load(self) -> Checkpoint | None:
        """The last checkpoint; its training's window begins now."""
        self._started_s = time.monotonic()
        return self._kept

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the last."""
        attempt, end_s = self.attempt, time.monotonic()
        first_epoch = self._kept.epochs + 1 if self._kept else 1
        segment = Segment(
            attempt.block_id,
            attempt.host,
            first_epoch,
            checkpoint.epochs,
            self._started_s,
            end_s,
            time.time() - end_s,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with h5py.File(temporary, "w") as file:
                self._write(file, checkpoint, segment)
            to_disk(temporary)
            temporary.rename(self.path)
            to_disk(self.path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the file: its runs are kept elsewhere now."""
        self.path.unlink(missing_ok=True)

    def _write(self, file: h5py.File, checkpoint: Checkpoint, segment: Segment) -> None:
        file.attrs.update({"format": FORMAT, "version": VERSION, "identity": self.identity})
        file.attrs.update({"epochs": checkpoint.epochs, "row_order": checkpoint.row_order})
        file.create_dataset("history", data=checkpoint.history, chunks=True, fletcher32=True)
        for number, array in enumerate(checkpoint.state):
            whole = {} if array.ndim == 0 else {"chunks": True, "fletcher32": True}
            file.create_dataset(f"state/{number}", data=array, **whole)
        for number, one in enumerate((*self.segments, segment)):
            write_segment(file.create_group(f"segments/{number}"), one)
        if self.attempt.trace_path is not None:
            file.attrs["trace_path"] = str(self.attempt.trace_path)
        if self.attempt.idle_before is not None:
            file.attrs["idle_before"] = [self.attempt.idle_before.start_s, self.attempt.idle_before.end_s]

    def _read(self, power: PowerConfig, report: Callable[[str], None]) -> Checkpoint | None:
        if not self.path.exists():
            return None
        try:
            with h5py.File(self.path, "r") as file:
                return self._read_open(file, power, report)
        except (OSError, KeyError, TypeError, ValueError, RunFileError) as error:
            aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}.damaged")
            self.path.rename(aside)
            self.segments = ()
            report(f"checkpoint set aside as {aside} ({error}); its training starts from the beginning")
            return None

    def _read_open(self, file: h5py.File, power: PowerConfig, report: Callable[[str], None]) -> Checkpoint:
        found = [file.attrs.get(name) for name in ("format", "version", "identity")]
        if found != [FORMAT, VERSION, self.identity]:
            raise RunFileError(f"it is of {found}, this training is {[FORMAT, VERSION, self.identity]}")
        checkpoint = Checkpoint(
            int(file.attrs["epochs"]),
            tuple(file["state"][str(number)][()] for number in range(len(file["state"]))),
            str(file.attrs["row_order"]),
            file["history"][()],
        )
        *earlier, last = read_segments(file)
        if last.last_epoch != checkpoint.epochs or checkpoint.history.shape[1] != checkpoint.epochs:
            raise RunFileError(f"its {checkpoint.epochs} epochs do not agree with its history or its segments")
        trace_path, idle = file.attrs.get("trace_path"), file.attrs.get("idle_before")
        if trace_path is not None:
            windows = [(float(idle[0]), float(idle[1]))] if idle is not None else []
            last = _measured(last, Path(trace_path), windows, checkpoint.history.shape[0], power)
        self.segments = (*earlier, last)
        report(f"going on from the checkpoint at epoch {checkpoint.epochs:,} ({last.block_id})")
        return checkpoint


def _measured(
    segment: Segment, trace_path: Path, idle: Sequence[tuple[float, float]], runs_at_once: int, power: PowerConfig
) -> Segment:
    """The segment with the energy of each of its runs, from the trace that its attempt left."""
    window = (segment.start_s, segment.end_s)
    try:
        _, trace = read_trace_file(trace_path)
        account = account_block(
            trace,
            block=window,
            runs=[window],
            idle=idle,
            min_coverage=power.min_coverage,
            max_gap_s=power.max_gap_s,
            runs_at_once=runs_at_once,
        )
    except PowerError as error:
        return replace(segment, reason=f"energy refused: its trace cannot be read: {error}")
    return replace(segment, energy=account.runs[0], reason=account.reason)


def identify(runs: Sequence[Run], plan: TrainingPlan, data_sha256: str) -> str:
    """What a checkpoint is for: these runs of this plan on these data."""
    text = "/".join([*(run.run_id for run in runs), repr(plan), data_sha256])
    return hashlib.sha256(text.encode()).hexdigest()


def refusal(segments: Sequence[Segment]) -> str:
    """Why the energy of a run with these segments is refused; empty where it is not."""
    return "; ".join(
        f"segment of epochs {segment.first_epoch} to {segment.last_epoch} ({segment.block_id}): "
        f"{segment.reason or 'power was not measured'}"
        for segment in segments
        if segment.reason or segment.energy is None or math.isnan(segment.energy.gross.joules)
    )
