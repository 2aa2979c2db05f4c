"""Measure around some work: choose sources, start the simulated BMC where that is the choice, and record.

`measuring` is what an executor calls; it stands here because it needs both `power` and `simulation`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wattsweep.config.power import PowerConfig, SourceName
from wattsweep.power.profiles import calibrated_facts
from wattsweep.power.recorder import Recorder
from wattsweep.power.selection import Selection, select_sources
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.sources.specs import identity
from wattsweep.power.trace import Trace
from wattsweep.simulation.simulated import SimulatedBmc


@dataclass(frozen=True, slots=True)
class Recording:
    """A source being recorded, and the sentence that says why it was chosen."""

    recorder: Recorder
    reason: str

    @property
    def description(self) -> SourceDescription:
        """What is being read."""
        return self.recorder.description

    @property
    def path(self) -> Path:
        """The trace file."""
        return self.recorder.path

    def trace(self) -> Trace:
        """The samples taken so far, read from the trace file; also after the recording has ended."""
        return self.recorder.trace()

    def alive(self) -> bool:
        """Whether the recorder's process runs. It never restarts; what it took until its death stays in the file."""
        return self.recorder.alive()


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is being recorded: first the source of `power.source`, then those of `power.also`.

    None is recorded where energies are joined after the fact; `awaited` is then the source they will come from.
    """

    recordings: tuple[Recording, ...]
    selection_reason: str
    awaited: SourceName | None = None

    def troubles(self) -> tuple[str, ...]:
        """What keeps each source from being recorded now, as part of a sentence; empty where nothing does."""
        return tuple(recording.recorder.trouble() for recording in self.recordings)

    @property
    def refresh_s(self) -> float:
        """The longest known refresh interval of the sources in s; 0 where none is known."""
        return max((recording.description.refresh_s or 0.0 for recording in self.recordings), default=0.0)


@contextmanager
def measuring(
    power: PowerConfig, node: str, trace_path: Path, *, profiles: Path | None = None, shared: bool = False
) -> Iterator[Measurement | None]:
    """Record the power of this `node` into `trace_path` (a new file) while the body runs; None for source "none".

    Further sources are recorded beside it, into names that end with theirs. What a calibration in the folder `profiles`
    says of a source's refresh, step and lag goes into its description. Any number of `shared` measurements may go on at
    one time on a node. The body begins after the first good sample of
    every source. Raises PowerError as `select_sources` and `Recorder.start` do.
    """
    first, *further = select_sources(power, node)
    if first.name == "none":
        yield None
        return
    if first.after_the_fact:
        yield Measurement((), first.reason, first.name)
        return
    with ExitStack() as running:
        recordings = []
        for number, selection in enumerate([first, *further]):
            path = trace_path if number == 0 else trace_path.with_stem(f"{trace_path.stem}-{number}-{selection.name}")
            known_from = None if profiles is None else (profiles, node)
            recorder = _recorder(selection, power, path, running, known_from, shared)
            recordings.append(Recording(running.enter_context(recorder), selection.reason))
        yield Measurement(tuple(recordings), first.reason)


def _recorder(
    selection: Selection,
    power: PowerConfig,
    path: Path,
    running: ExitStack,
    profile: tuple[Path, str] | None,
    shared: bool,
) -> Recorder:
    spec = selection.source_spec
    if spec is None:
        simulated = power.simulated
        bmc = SimulatedBmc(idle_w=simulated.idle_w, slope_w=simulated.slope_w, refresh_s=simulated.refresh_s)
        spec = running.enter_context(bmc).source_spec
    known = None if profile is None else calibrated_facts(*profile, identity(spec))
    return Recorder(
        spec,
        path,
        power.interval_s,
        stale_after_s=power.stale_after_s,
        plausible_w=power.plausible_w,
        known=known,
        shared=shared,
    )
