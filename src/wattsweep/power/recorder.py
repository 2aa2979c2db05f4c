"""The parent's end of the recorder: it starts, watches and stops the process that samples a source."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from wattsweep.errors import PowerError
from wattsweep.power.child import ChildProcess
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.sources.specs import SourceSpec, spec_to_json
from wattsweep.power.trace import Trace
from wattsweep.power.tracefile import read_trace_file

LONGEST_INTERVAL_S = 30.0
READY_TIMEOUT_S = 30.0
START_MARGIN_S = 30.0


class Recorder:
    """Samples a source into a trace file, in a process of its own, from `start` to `stop`.

    `path` must not exist: a record is never written over. `interval_s` is the time between two readings, at most 30 s,
    beyond which a BMC may close the session. A value that the source repeats for more than `stale_after_s` without
    showing that it is fresh is `STALE`, a power outside `plausible_w` `IMPLAUSIBLE`. `known` are fields of the
    source's description that a calibration found, such as `refresh_s` and `lag_s`. `shared` ones may record a source
    side by side: each counts all of its energy. As a context manager it starts on entry and stops on exit. When its
    process dies `alive` says so and the file keeps every sample taken until then.
    """

    def __init__(
        self,
        spec: SourceSpec,
        path: Path,
        interval_s: float,
        *,
        stale_after_s: float | None = None,
        plausible_w: tuple[float, float] | None = None,
        known: Mapping[str, float] | None = None,
        shared: bool = False,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        if not 0 < interval_s <= LONGEST_INTERVAL_S:
            raise PowerError(
                f"power.interval is {interval_s:g} s; choose one above 0 s and up to {LONGEST_INTERVAL_S:g} s."
            )
        self.path = path
        self._description: SourceDescription | None = None
        self._trouble = ""
        self._child = ChildProcess(
            "wattsweep.power.recording",
            {
                "spec": spec_to_json(spec),
                "path": str(path),
                "interval_s": interval_s,
                "ready_timeout_s": ready_timeout_s,
                "stale_after_s": stale_after_s,
                "plausible_w": plausible_w,
                "known": dict(known or {}),
                "shared": shared,
            },
            name=f"The recorder of {spec.place}",
            timeout_s=2 * ready_timeout_s + START_MARGIN_S,
        )

    def start(self) -> None:
        """Start sampling and return after the first good sample.

        Raises PowerError when the source cannot be opened, gives no good sample in time, or the file exists, and when
        another recorder of this source, with which it is not shared, runs on this node.
        """
        self._description = SourceDescription.from_json(self._child.start()["ready"])

    def stop(self) -> None:
        """Stop sampling. Harmless when stopped before, never started or dead."""
        self._child.stop()

    def trouble(self) -> str:
        """What keeps it from recording now, as part of a sentence; empty where nothing does."""
        for message in self._child.messages():
            self._trouble = message.get("trouble", self._trouble)
        if not self.alive():
            return f"the recorder ended before its time{f', having said: {self._trouble}' if self._trouble else ''}"
        return self._trouble

    def alive(self) -> bool:
        """Whether the recorder's process runs."""
        return self._child.alive()

    @property
    def pid(self) -> int | None:
        """The id of the recorder's process, None before `start`."""
        return self._child.pid

    @property
    def description(self) -> SourceDescription:
        """What is being read. Raises PowerError before `start`."""
        if self._description is None:
            raise PowerError("The recorder has not been started; call start() before asking for its description.")
        return self._description

    def trace(self) -> Trace:
        """The samples taken so far, read from the file."""
        return read_trace_file(self.path)[1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
