"""Measure around some work: choose a source, start the simulated BMC where that is the choice, and record.

`measuring` is what an executor calls; it stands here because it needs both `power` and `simulation`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wattsweep.config.power import PowerConfig
from wattsweep.power.recorder import Recorder
from wattsweep.power.selection import select_source
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Trace
from wattsweep.simulation.simulated import SimulatedBmc


class Measurement:
    """A recording in progress. `selection_reason` is the sentence that says which source was chosen and why."""

    def __init__(self, recorder: Recorder, selection_reason: str) -> None:
        self._recorder = recorder
        self.selection_reason = selection_reason

    @property
    def description(self) -> SourceDescription:
        """What is being read."""
        return self._recorder.description

    @property
    def path(self) -> Path:
        """The trace file."""
        return self._recorder.path

    def trace(self) -> Trace:
        """The samples taken so far, read from the trace file; also after the recording has ended."""
        return self._recorder.trace()

    def alive(self) -> bool:
        """Whether the recorder's process runs. It never restarts; what it took until its death stays in the file."""
        return self._recorder.alive()


@contextmanager
def measuring(power: PowerConfig, node: str, trace_path: Path) -> Iterator[Measurement | None]:
    """Record the power of this `node` into `trace_path` (a new file) while the body runs; None for source "none".

    The body begins after the first good sample. Raises PowerError as `select_source` and `Recorder.start` do.
    """
    selection = select_source(power, node)
    if selection.name == "none":
        yield None
        return
    with ExitStack() as running:
        spec = selection.source_spec
        if spec is None:
            simulated = power.simulated
            bmc = SimulatedBmc(idle_w=simulated.idle_w, slope_w=simulated.slope_w, refresh_s=simulated.refresh_s)
            spec = running.enter_context(bmc).source_spec
        recorder = running.enter_context(Recorder(spec, trace_path, power.interval_s))
        yield Measurement(recorder, selection.reason)
