"""Blocks whose energy is not known yet: trained runs wait on disk until their block has been idled after.

A staged run is a run file without power. When its block ends, `finish_block` computes the block's energy, writes the
finished run files and removes the staged ones. What a killed attempt left staged, `recover` finishes in the same way
from the trace that its recorder left, so nothing that was trained is trained again.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import read_trace_file
from wattsweep.runs.energies import MeasuredBy, with_power
from wattsweep.runs.files import read_run, write_run
from wattsweep.runs.layout import Layout
from wattsweep.runs.record import Phase, RunRecord
from wattsweep.simulation.measuring import Measurement

MEASUREMENT_FILE = "measurement.json"


@dataclass(frozen=True, slots=True)
class RecordedTrace:
    """Where a source's trace is being written, and why that source was chosen."""

    path: Path
    selected_because: str


@dataclass(frozen=True, slots=True)
class Metering:
    """How a block is measured: the trace of its source, then those of further ones.

    There is none where energies are joined after the fact from the source `awaited`.
    """

    traces: tuple[RecordedTrace, ...]
    awaited: str | None = None

    @classmethod
    def of(cls, measurement: Measurement) -> "Metering":
        """What a measurement in progress writes."""
        traces = tuple(RecordedTrace(one.path, one.reason) for one in measurement.recordings)
        return cls(traces, measurement.awaited)

    @property
    def trace_path(self) -> Path | None:
        """The trace of the block's source, if one is being written."""
        return self.traces[0].path if self.traces else None


class StagedBlock:
    """The folder of a block that is being trained, or was when its process ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, metering: Metering | None) -> "StagedBlock":
        """An empty block; `metering` is None where power is not measured."""
        folder.mkdir(parents=True)
        if metering is not None:
            traces = [{"path": str(one.path), "selected_because": one.selected_because} for one in metering.traces]
            document = {"traces": traces, "awaited": metering.awaited}
            (folder / MEASUREMENT_FILE).write_text(json.dumps(document), encoding="utf-8")
        return cls(folder)

    @property
    def block_id(self) -> str:
        """The block's id: the name of its folder."""
        return self.folder.name

    def metering(self) -> Metering | None:
        """How the block is measured, if it is."""
        path = self.folder / MEASUREMENT_FILE
        if not path.exists():
            return None
        document = json.loads(path.read_text(encoding="utf-8"))
        traces = tuple(RecordedTrace(Path(one["path"]), one["selected_because"]) for one in document["traces"])
        return Metering(traces, document["awaited"])

    def add(self, record: RunRecord) -> None:
        """Keep a trained run."""
        write_run(self.folder / f"{record.run.run_id}.h5", record)

    def records(self) -> list[RunRecord]:
        """The runs trained so far, in the order of their training."""
        records = [read_run(path) for path in self.folder.glob("[!.]*.h5")]
        return sorted(records, key=lambda record: record.training.start_s)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)


def finish_block(
    block: StagedBlock,
    layout: Layout,
    power: PowerConfig,
    idle_after: Phase | None,
    troubles: Sequence[str] = (),
) -> list[RunRecord]:
    """Write the finished run files of a block and remove it; the block's records.

    Files that an interrupted call wrote stay as they are, and tell the idling after the block where `idle_after` is
    None. A block that ended without is charged the idle power of idle_before alone. Where a trace cannot be read the
    runs are kept without its power, and `power_lost` in their provenance says why. Runs whose power is joined after the
    fact have `power_awaited` and their block's `block_id` there. `troubles` say for each
    source what kept it from being recorded; they stand with the reasons of energies that are refused.
    """
    records = block.records()
    written = [read_run(path) for record in records if (path := layout.run(record.run)).exists()]
    idle_after = idle_after or _idle_after(written)
    if idle_after is not None:
        records = [replace(record, phases=(*record.phases, idle_after)) for record in records]
    metering = block.metering() if records else None
    if metering is not None:
        records = _measured(records, block.block_id, metering, power, troubles)
    done = {record.run.run_id for record in written}
    for record in records:
        if record.run.run_id not in done:
            write_run(layout.run(record.run), record)
    block.remove()
    return records


def _idle_after(records: Sequence[RunRecord]) -> Phase | None:
    return next((phase for record in records for phase in record.phases if phase.name == "idle_after"), None)


def recover(layout: Layout, experiment_id: str, power: PowerConfig) -> list[RunRecord]:
    """Finish every block of an experiment that an earlier attempt left; the records written."""
    folder = layout.staged(experiment_id)
    blocks = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.exists() else []
    return [record for path in blocks for record in finish_block(StagedBlock(path), layout, power, None)]


def _troubled(record: RunRecord, trouble: str) -> RunRecord:
    """The record with what kept its power from being recorded, where its energy is refused."""
    if record.power is None or record.power.status == "ok" or not trouble:
        return record
    return replace(record, power=replace(record.power, reason=f"{record.power.reason}; {trouble}"))


def _measured(
    records: Sequence[RunRecord], block_id: str, metering: Metering, power: PowerConfig, troubles: Sequence[str]
) -> list[RunRecord]:
    """The records with what each of the block's traces says of them."""
    notes: dict[str, str] = {}
    if metering.awaited is not None:
        notes = {"power_awaited": metering.awaited, "block_id": block_id}
    lost = []
    measured = list(records)
    for number, recorded in enumerate(metering.traces):
        trouble = troubles[number] if number < len(troubles) else ""
        try:
            description, trace = read_trace_file(recorded.path)
        except PowerError as error:
            lost.append(f"a trace of block {block_id} cannot be read: {error}")
            continue
        source = MeasuredBy(block_id, recorded.selected_because, description, trace)
        if number == 0:
            measured = [_troubled(record, trouble) for record in with_power(measured, source, power)]
        else:
            bare = [replace(record, power=None, also=()) for record in records]
            others = [_troubled(record, trouble) for record in with_power(bare, source, power)]
            measured = [
                replace(record, also=(*record.also, other.power)) if other.power else record
                for record, other in zip(measured, others, strict=True)
            ]
    if lost:
        notes["power_lost"] = "; ".join(lost)
    return [replace(record, provenance={**record.provenance, **notes}) for record in measured] if notes else measured
