"""A recorded trace, played back in real time: to repeat an analysis, or to try a set-up without its meter."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.sources.specs import ReplaySpec
from wattsweep.power.trace import Floats, Status, Trace
from wattsweep.power.tracefile import read_trace_file

LONE_SAMPLE_S = 1.0
"""How long the sample of a recording of one lasts, where its source tells no refresh."""


class ReplaySource:
    """The samples of a trace file at the pace at which they were taken, in the recorded trace's unit (W or J)."""

    def __init__(self, spec: ReplaySpec) -> None:
        self._spec = spec
        self._recorded: SourceDescription | None = None
        self._values: Floats = np.empty(0)
        self._status: list[Status] = []
        self._due_s: Floats = np.empty(0)
        self._end_s = 0.0
        self._started_s: float | None = None

    def open(self) -> None:
        """Read the trace file. Raises PowerError where it is missing, malformed or without samples.

        The recording starts with the first `read`, and anew after another `open`.
        """
        description, trace = read_trace_file(Path(self._spec.path))
        if len(trace) == 0:
            raise PowerError(
                f"The trace file {self._spec.path} holds no samples, so there is nothing to replay. Name another with "
                "power.replay.path."
            )
        order = np.argsort(trace.times_s, kind="stable")
        times_s = trace.times_s[order]
        self._values = trace.values[order]
        self._status = [Status(code) for code in trace.status[order]]
        self._due_s = times_s - times_s[0]
        self._end_s = float(self._due_s[-1]) + _last_sample_lasts_s(trace)
        self._recorded = description
        self._started_s = None

    def read(self) -> Reading:
        """The value and status of the sample that was the newest at this time of the recording.

        The last sample lasts for as long as the others did in the median; after that, and where the file cannot be
        read, it is nan and `Status.FAILED`.
        """
        if self._recorded is None:
            try:
                self.open()
            except PowerError:
                return Reading(math.nan, Status.FAILED)
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        elapsed_s = now_s - self._started_s
        if elapsed_s >= self._end_s:
            return Reading(math.nan, Status.FAILED)
        newest = int(np.searchsorted(self._due_s, elapsed_s, side="right")) - 1
        return Reading(float(self._values[newest]), self._status[newest])

    def describe(self) -> SourceDescription:
        """The recorded source's description under the name "replay". Raises PowerError before `open`."""
        if self._recorded is None:
            raise PowerError(f"The trace file {self._spec.path} has not been opened; call open() before describe().")
        recorded = self._recorded
        return replace(
            recorded,
            name="replay",
            detail=f"replay of {self._spec.path}, recorded from {recorded.name}: {recorded.detail}",
        )

    def close(self) -> None:
        """Let the recording go. Harmless when it is not open; a later `read` plays it from its first sample."""
        self._recorded = None
        self._started_s = None


def _last_sample_lasts_s(trace: Trace) -> float:
    spacing_s = trace.spacing_s
    return spacing_s if spacing_s else trace.refresh_s or LONE_SAMPLE_S
