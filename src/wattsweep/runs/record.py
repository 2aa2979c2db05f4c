"""What one run leaves behind: the content of a run file, as plain values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wattsweep.grid import Run, Settings
from wattsweep.power import RunEnergy, SourceDescription, Trace
from wattsweep.training import diverged_at

PhaseName = Literal["idle_before", "setup", "training", "evaluation", "idle_after"]
Provenance = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Phase:
    """What the node did in a window [start_s, end_s) of its monotonic clock."""

    name: PhaseName
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """The window's length in s."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Network:
    """The network that was trained; `widths` are those of its dense layers, the output layer last."""

    n_inputs: int
    widths: tuple[int, ...]
    n_parameters: int

    @property
    def n_outputs(self) -> int:
        """Number of response columns."""
        return self.widths[-1]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The data it was trained on; `sha256` is that of the prepared arrays."""

    task: str
    head: str
    n_observations: int
    n_train: int
    n_test: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentPower:
    """How a segment's power was measured: the source and samples of its attempt, and the energy of the run's part."""

    source: SourceDescription
    trace: Trace
    energy: RunEnergy


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a training that an earlier attempt did, from its beginning or a checkpoint to its last checkpoint.

    The windows are on the monotonic clock of that attempt's node; `utc_offset_s` added to them gives Unix time.
    `machine` is what it was trained on. `power` is None where power was not measured, or the trace is lost; `reason` is
    empty unless energy was refused.
    """

    block_id: str
    host: str
    machine: str
    first_epoch: int
    last_epoch: int
    start_s: float
    end_s: float
    utc_offset_s: float
    idle_before: Phase | None = None
    power: SegmentPower | None = None
    reason: str = ""

    @property
    def duration_s(self) -> float:
        """The window's length in s."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class RunPower:
    """How a run's power was measured and what came of it.

    The trace spans the block from its idle_before to its idle_after. `block_training_s` is the time for which the
    block's `block_runs` runs trained. `idle_w` and `mean_w` are the block's idle and mean power, `block_gross_j` its
    gross energy, `setup_j` that of the setup before it, each with its interval and nan where refused or not measured;
    `reason` is empty where `status` is "ok". The energy of a run with segments includes theirs.

    `epoch_energy_j` is the gross energy of each epoch of the last training, [epochs, 3]: joules, lower and upper end;
    None where an epoch is shorter than one refresh of the source, or runs were trained side by side.
    """

    source: SourceDescription
    selected_because: str
    trace: Trace
    block_id: str
    block_start_s: float
    block_end_s: float
    block_runs: int
    block_training_s: float
    idle_w: float
    idle_lower_w: float
    idle_upper_w: float
    mean_w: float
    status: Literal["ok", "refused"]
    reason: str
    energy: RunEnergy
    block_gross_j: float = math.nan
    block_gross_lower_j: float = math.nan
    block_gross_upper_j: float = math.nan
    setup_j: float = math.nan
    setup_lower_j: float = math.nan
    setup_upper_j: float = math.nan
    epoch_energy_j: NDArray[np.float64] | None = None


class Phased:
    """What a record and its facts say of a run's `phases`, by name."""

    __slots__ = ()
    run: Run
    phases: tuple[Phase, ...]

    def phase(self, name: PhaseName) -> Phase:
        """The run's phase of this name; KeyError where it has none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(f"run {self.run.run_id} has no phase {name}; it has {[p.name for p in self.phases]}")

    @property
    def training(self) -> Phase:
        """The window in which its network was trained, by the last attempt where there were several."""
        return self.phase("training")


@dataclass(frozen=True)
class RunRecord(Phased):
    """One run: its identity, what was trained on what, its history, its phases and its power.

    `history` maps each of the 20 metrics to a float32 array of one value per epoch. `utc_offset_s` added to a
    monotonic time gives Unix time. `power` is None where power was not measured, or not yet (a staged run).

    `runs_at_once` runs were trained side by side and share the training window: each has that part of its energy.
    `segments` are what earlier attempts trained of it; the training window is that of the last attempt. `marks` are
    moments of it, [n, 2]: an epoch's number, from 1, and when it ended (s, monotonic clock). `also` is what further
    sources said of the same block, each of its own scope; they are no part of `power`.
    """

    run: Run
    settings: Settings
    network: Network
    data: DataFacts
    provenance: Provenance
    history: Mapping[str, NDArray[np.float32]]
    phases: tuple[Phase, ...]
    utc_offset_s: float
    power: RunPower | None = None
    runs_at_once: int = 1
    segments: tuple[Segment, ...] = ()
    marks: NDArray[np.float64] | None = None
    also: tuple[RunPower, ...] = ()

    @property
    def training_s(self) -> float:
        """How long it was trained, over all of its segments."""
        return self.training.duration_s + sum(segment.duration_s for segment in self.segments)

    @property
    def measured_earlier_s(self) -> float:
        """How long it was trained by earlier attempts that measured power."""
        return sum(segment.duration_s for segment in self.segments if segment.power is not None)

    @property
    def epochs_trained(self) -> int:
        """Epochs in its history: fewer than its settings ask for where training diverged and was stopped."""
        return len(next(iter(self.history.values())))

    @property
    def diverged_at_epoch(self) -> int | None:
        """The first epoch, from 1, at which a loss was not finite; None where there is none."""
        return diverged_at(self.history["loss"], self.history["val_loss"])

    @property
    def started_at_s(self) -> float:
        """When its training began, in Unix time."""
        first = self.segments[0] if self.segments else None
        return first.start_s + first.utc_offset_s if first else self.training.start_s + self.utc_offset_s


def trained_s(records: Sequence[Phased]) -> float:
    """How long a block trained, for records of it, earlier segments apart: runs side by side share their window."""
    windows = {(record.training.start_s, record.training.end_s) for record in records}
    return math.fsum(end_s - start_s for start_s, end_s in windows)
