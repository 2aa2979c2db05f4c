"""Power: from a source to the energy of a run.

Which function to use when:

- to measure around some work, choose sources with `select_sources` and hand their specs to a `Recorder` each; or use
  `wattsweep.simulation.measuring.measuring`, which does both and starts the simulated BMC where that is the choice.
- to measure a program: `wattsweep.simulation.commands.record_command`.
- to see what a node has: `wattsweep.power.survey.survey`; what a source is really like: `wattsweep.power.calibration`.
- to read what a recorder wrote, also while it writes or after it was killed: `read_trace_file`.
- to build a trace from numbers at hand: `Trace.from_arrays`; from a site's export:
  `wattsweep.power.sources.export.read_export`.
- the energy of one window of a trace: `integrate`.
- the energy of the runs of a block, gross and net of idle power: `account_block`; of one that was interrupted, from
  that of its segments: `add_energies`.

Times are seconds on the node's monotonic clock, power is W, energy is J. Samples are kept as read; what a sample is
worth is its `Status`, and energies are computed from the `OK` ones, with an interval and a coverage.
"""

from wattsweep.power.accounting import BlockEnergy, RunEnergy, account_block, add_energies, refused_energy
from wattsweep.power.integration import Energy, integrate
from wattsweep.power.recorder import Recorder
from wattsweep.power.selection import Selection, select_source, select_sources
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Sample, Status, Trace
from wattsweep.power.tracefile import read_trace_file

__all__ = [
    "BlockEnergy",
    "Energy",
    "Recorder",
    "RunEnergy",
    "Sample",
    "Selection",
    "SourceDescription",
    "Status",
    "Trace",
    "account_block",
    "add_energies",
    "integrate",
    "read_trace_file",
    "refused_energy",
    "select_source",
    "select_sources",
]
