"""Energies joined after the fact: from a site's monitoring export, or Slurm's accounting, to runs that await them.

Run files are written once and stay as they are; the tables get what is joined. A node's readings are read once, for all
of its time, and each block is measured by those of its own node (for Slurm: of its own job).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import SourceDescription, Trace
from wattsweep.power.sources.accounting import job_energy, step_trace
from wattsweep.power.sources.export import read_export
from wattsweep.runs.energies import MeasuredBy, with_power
from wattsweep.runs.record import RunRecord


@dataclass(frozen=True, slots=True)
class Readings:
    """What a source says of a node, with the times of its trace in Unix seconds; or why it says nothing."""

    source: SourceDescription | None = None
    trace: Trace | None = None
    reason: str = ""


class Joiner:
    """Gives runs that await their power what the source of `power.source` says of their node and time."""

    def __init__(self, power: PowerConfig, readings: dict[str, Readings]) -> None:
        self._power = power
        self._readings = readings

    @classmethod
    def for_runs(cls, records: Iterable[RunRecord], power: PowerConfig) -> Self:
        """Read the readings of every node, or job, of the runs that await power.

        Raises PowerError where those of none can be had; of the others `join` says why.
        """
        spans: dict[str, tuple[float, float]] = {}
        for record in records:
            if _awaits(record, power):
                start_s, end_s = _span(record)
                key = _key(record, power)
                known = spans.get(key, (start_s, end_s))
                spans[key] = (min(known[0], start_s), max(known[1], end_s))
        readings = {key: _read(key, span, power) for key, span in spans.items()}
        if readings and all(one.trace is None for one in readings.values()):
            raise PowerError(next(iter(readings.values())).reason)
        return cls(power, readings)

    def join(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """The runs of one experiment, in their order, those that await power with it.

        Where it cannot be had a run stays without, and `power_lost` in its provenance says why.
        """
        blocks: dict[str, list[RunRecord]] = {}
        for record in records:
            if _awaits(record, self._power):
                blocks.setdefault(record.provenance["block_id"], []).append(record)
        joined = {one.run.run_id: one for block_id, block in blocks.items() for one in self._block(block_id, block)}
        return [joined.get(record.run.run_id, record) for record in records]

    def _block(self, block_id: str, block: list[RunRecord]) -> list[RunRecord]:
        block = sorted(block, key=lambda record: record.training.start_s)
        readings = self._readings[_key(block[0], self._power)]
        if readings.source is None or readings.trace is None:
            lost = {"power_lost": f"no energy for block {block_id}: {readings.reason}"}
            return [replace(record, provenance={**record.provenance, **lost}) for record in block]
        offset_s = block[0].utc_offset_s
        trace = replace(
            readings.trace, before_s=readings.trace.before_s - offset_s, after_s=readings.trace.after_s - offset_s
        )
        because = f"Energies were joined after the fact: power.source is {self._power.source}."
        return with_power(block, MeasuredBy(block_id, because, readings.source, trace), self._power)


def _awaits(record: RunRecord, power: PowerConfig) -> bool:
    return record.power is None and record.provenance.get("power_awaited") == power.source


def _key(record: RunRecord, power: PowerConfig) -> str:
    """What is read as one: the host's readings, or the Slurm job's."""
    return record.provenance.get("slurm_job_id" if power.source == "slurm" else "host", "")


def _span(record: RunRecord) -> tuple[float, float]:
    """From the first to the last of its phases, in Unix seconds."""
    starts, ends = [phase.start_s for phase in record.phases], [phase.end_s for phase in record.phases]
    return min(starts) + record.utc_offset_s, max(ends) + record.utc_offset_s


def _read(key: str, span_s: tuple[float, float], power: PowerConfig) -> Readings:
    try:
        if power.source == "slurm":
            if not key:
                raise PowerError("the run was not trained in a Slurm job, so Slurm accounts no energy to it")
            return Readings(*step_trace(job_energy(key)))
        export = read_export(
            power.csv.path or "",
            node=key,
            start_unix_s=span_s[0],
            end_unix_s=span_s[1],
            timezone=power.csv.timezone,
            columns=(power.csv.timestamp_column, power.csv.node_column, power.csv.power_column),
            ignore_offset=power.csv.ignore_offset,
            scope=power.csv.scope,
        )
    except PowerError as error:
        return Readings(reason=str(error))
    return Readings(export.description, export.trace)
