"""Blocks whose energy is not known yet: trained runs wait on disk until their block has been idled after.

A staged run is a run file without power. When its block ends, `finish_block` computes the block's energy, writes the
finished run files and removes the staged ones. What a killed attempt left staged, `recover` finishes in the same way
from the trace that its recorder left, so nothing that was trained is trained again.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError, RunFileError
from wattsweep.power import SourceDescription, Trace, account_block, read_trace_file
from wattsweep.runs.files import read_run, write_run
from wattsweep.runs.layout import Layout
from wattsweep.runs.record import Phase, RunPower, RunRecord
from wattsweep.runs.segments import trace_around, with_energy

MEASUREMENT_FILE = "measurement.json"


@dataclass(frozen=True, slots=True)
class Metering:
    """How a block is measured: where its trace is being written, and why that source was chosen."""

    trace_path: Path
    selected_because: str


class StagedBlock:
    """The folder of a block that is being trained, or was when its process ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, metering: Metering | None) -> "StagedBlock":
        """An empty block; `metering` is None where power is not measured."""
        folder.mkdir(parents=True)
        if metering is not None:
            document = asdict(metering) | {"trace_path": str(metering.trace_path)}
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
        return Metering(Path(document["trace_path"]), document["selected_because"])

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


def finish_block(block: StagedBlock, layout: Layout, power: PowerConfig, idle_after: Phase | None) -> list[RunRecord]:
    """Write the finished run files of a block and remove it; the block's records.

    Files that an interrupted call wrote stay as they are, and tell the idling after the block where `idle_after` is
    None. A block that ended without is charged the idle power of idle_before alone. Where the trace cannot be read the
    runs are kept without power, and `power_lost` in their provenance says why.
    """
    records = block.records()
    written = [read_run(path) for record in records if (path := layout.run(record.run)).exists()]
    idle_after = idle_after or _idle_after(written)
    if idle_after is not None:
        records = [replace(record, phases=(*record.phases, idle_after)) for record in records]
    metering = block.metering() if records else None
    if metering is not None:
        try:
            description, trace = read_trace_file(metering.trace_path)
        except PowerError as error:
            lost = {"power_lost": f"the trace of block {block.block_id} cannot be read: {error}"}
            records = [replace(record, provenance={**record.provenance, **lost}) for record in records]
        else:
            records = _with_power(records, block.block_id, metering.selected_because, description, trace, power)
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


def finished_runs(layout: Layout, experiment_id: str) -> dict[int, RunRecord]:
    """The finished runs of an experiment by repetition; raises RunFileError for a file that is none."""
    records = [read_run(path) for path in sorted(layout.experiment(experiment_id).glob("[!.]*.h5"))]
    for record in records:
        if record.run.experiment_id != experiment_id:
            where = layout.experiment(experiment_id)
            raise RunFileError(f"{where}: holds a run of experiment {record.run.experiment_id}; move it away.")
    return {record.run.repetition: record for record in records}


def _with_power(
    records: Sequence[RunRecord],
    block_id: str,
    selected_because: str,
    description: SourceDescription,
    trace: Trace,
    power: PowerConfig,
) -> list[RunRecord]:
    windows = [(record.training.start_s, record.training.end_s) for record in records]
    block = (windows[0][0], windows[-1][1])
    phases = [phase for phase in records[0].phases if phase.name in ("idle_before", "idle_after")]
    idle = [(phase.start_s, phase.end_s) for phase in phases]
    trace = trace_around(trace, [block, *idle], power.interval_s)
    account = account_block(
        trace,
        block=block,
        runs=windows,
        idle=idle,
        min_coverage=power.min_coverage,
        max_gap_s=power.max_gap_s,
        runs_at_once=records[0].runs_at_once,
    )
    shared = RunPower(
        source=description,
        selected_because=selected_because,
        trace=trace,
        block_id=block_id,
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
    return [with_energy(record, shared, energy) for record, energy in zip(records, account.runs, strict=True)]


def trained_s(records: Sequence[RunRecord]) -> float:
    """How long a block trained, for records of it, earlier segments apart: runs side by side share their window."""
    windows = {(record.training.start_s, record.training.end_s) for record in records}
    return math.fsum(end_s - start_s for start_s, end_s in windows)
