"""The energy of runs that were trained in segments, from traces written by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support_records import PROVENANCE, SETTINGS, make_record
from wattsweep.config import PowerConfig
from wattsweep.grid import Experiment, experiment_id
from wattsweep.planning import PlannedExperiment
from wattsweep.power import Sample, SourceDescription, Status, Trace
from wattsweep.power.tracefile import TraceWriter
from wattsweep.runs import RunRecord, describe_run, run_facts
from wattsweep.runs.blocks import BlockTarget, is_done
from wattsweep.runs.record import Phase, Segment
from wattsweep.runs.segments import machine, measured, trace_around, with_energy

SOURCE = SourceDescription("ipmi", "power", "node", "measured", "a BMC", refresh_s=1.0, step=1.0)
SEGMENT = Segment(
    block_id="attempt-1",
    host="node-a",
    machine=machine(PROVENANCE),
    first_epoch=1,
    last_epoch=12,
    start_s=520.0,
    end_s=560.0,
    utc_offset_s=1e9,
    idle_before=Phase("idle_before", 505.0, 515.0),
)
RECORD = make_record()


def write_trace(path: Path, source: SourceDescription = SOURCE, first_s: float = 500.0, last_s: float = 570.0) -> Path:
    """1 Hz samples: 100 W to 518 s, 250 W from there."""
    with TraceWriter(path, source, 1.0) as writer:
        for number, time_s in enumerate(np.arange(first_s, last_s)):
            watts = 100.0 if time_s < 518 else 250.0
            writer.append(Sample(number, time_s, time_s, 1e9 + time_s, 1e9 + time_s, watts, Status.OK))
    return path


def resumed(*segments: Segment, runs_at_once: int = 1) -> RunRecord:
    """The record of a run whose last training used 1,000 J gross, 400 J net in 10 s."""
    assert RECORD.power is not None
    energy = RECORD.power.energy
    gross = replace(energy.gross, joules=1000.0, lower=900.0, upper=1100.0, coverage=0.95)
    energy = replace(energy, gross=gross, net_j=400.0, net_lower_j=300.0, net_upper_j=500.0, duration_s=10.0)
    return with_energy(replace(RECORD, segments=segments, runs_at_once=runs_at_once), RECORD.power, energy)


def test_a_segment_is_measured_by_the_trace_of_its_attempt(tmp_path: Path) -> None:
    segment = measured(SEGMENT, write_trace(tmp_path / "trace.csv"), 1, PowerConfig())
    assert segment.reason == ""
    assert segment.power is not None
    assert segment.power.source == SOURCE
    energy = segment.power.energy
    assert energy.duration_s == 40.0
    assert energy.gross.joules == pytest.approx(250 * 40)
    assert energy.net_j == pytest.approx((250 - 100) * 40)
    assert energy.net_lower_j < energy.net_j < energy.net_upper_j
    # The samples kept are those from idling to the segment's end, and three neighbours.
    times = segment.power.trace.times_s
    assert (times.min(), times.max()) == (502.0, 563.0)


def test_the_runs_of_a_segment_share_it(tmp_path: Path) -> None:
    segment = measured(SEGMENT, write_trace(tmp_path / "trace.csv"), 4, PowerConfig())
    assert segment.power is not None
    assert segment.power.energy.duration_s == 10.0
    assert segment.power.energy.net_j == pytest.approx((250 - 100) * 10)


def test_the_energy_of_a_run_is_the_sum_of_its_segments(tmp_path: Path) -> None:
    segment = measured(SEGMENT, write_trace(tmp_path / "trace.csv"), 1, PowerConfig())
    record = resumed(segment, replace(segment, first_epoch=13, last_epoch=15))
    assert record.power is not None
    assert (record.power.status, record.power.reason) == ("ok", "")
    energy = record.power.energy
    assert energy.duration_s == 90.0
    assert energy.gross.joules == pytest.approx(1000 + 2 * 250 * 40)
    assert energy.net_j == pytest.approx(400 + 2 * 150 * 40)
    assert energy.gross.coverage == pytest.approx((0.95 * 10 + 1.0 * 80) / 90)
    assert energy.gross.method == "sum of segments"
    assert record.training_s == RECORD.training.duration_s + 80
    assert record.started_at_s == 1e9 + 520
    text = describe_run(record)
    assert "segments    3: its energy is the sum of theirs" in text
    assert "epochs 1 to 12 on node-a in 40.000 s (attempt-1): gross 1e+04 J" in text
    facts = run_facts(record)["segments"][0]
    assert facts["power"]["energy"]["gross"]["joules"] == pytest.approx(10_000)
    assert facts["power"]["source"]["origin"] == "measured"


def test_a_run_in_one_piece_has_the_energy_of_its_block() -> None:
    record = resumed()
    assert record.power is not None
    assert record.power.energy.gross.method == "share of block"
    assert "segments" not in describe_run(record)


def assert_refused(record: RunRecord, reason: str) -> None:
    assert record.power is not None
    assert record.power.status == "refused"
    assert record.power.reason.startswith("segment of epochs 1 to 12 (attempt-1): energy refused: ")
    assert reason in record.power.reason
    energy = record.power.energy
    assert math.isnan(energy.gross.joules)
    assert math.isnan(energy.net_j)
    assert energy.duration_s == 50.0


def test_without_its_trace_the_energy_of_the_run_is_refused(tmp_path: Path) -> None:
    segment = measured(SEGMENT, tmp_path / "none.csv", 1, PowerConfig())
    assert_refused(resumed(segment), "its trace cannot be read")
    (tmp_path / "torn.csv").write_text("half a li", encoding="ascii")
    assert_refused(resumed(measured(SEGMENT, tmp_path / "torn.csv", 1, PowerConfig())), "its trace cannot be read")


def test_with_a_trace_that_ends_early_the_energy_of_the_run_is_refused(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "trace.csv", last_s=540.0)
    assert_refused(resumed(measured(SEGMENT, trace, 1, PowerConfig())), "less than power.min_coverage = 0.9")


def test_without_idling_only_net_energy_is_refused(tmp_path: Path) -> None:
    segment = measured(replace(SEGMENT, idle_before=None), write_trace(tmp_path / "trace.csv"), 1, PowerConfig())
    record = resumed(segment)
    assert record.power is not None
    assert "(attempt-1): net energy refused: none of 0 idle windows" in record.power.reason
    assert record.power.energy.gross.joules == pytest.approx(11_000)
    assert math.isnan(record.power.energy.net_j)


def test_where_a_segment_was_not_measured_the_energy_of_the_run_is_refused() -> None:
    assert_refused(resumed(SEGMENT), "its power was not measured")


def test_simulated_and_measured_watts_are_not_added(tmp_path: Path) -> None:
    simulated = replace(SOURCE, name="simulated", origin="simulated")
    segment = measured(SEGMENT, write_trace(tmp_path / "trace.csv", simulated), 1, PowerConfig())
    assert_refused(resumed(segment), "its watts are simulated (simulated), the last's measured (ipmi)")
    assert "simulated" in describe_run(resumed(segment))


def test_the_joules_of_unlike_machines_are_not_added(tmp_path: Path) -> None:
    segment = replace(SEGMENT, machine="gpu: Example, Other CPU, 1")
    segment = measured(segment, write_trace(tmp_path / "trace.csv"), 1, PowerConfig())
    assert_refused(resumed(segment), "it was trained on gpu: Example, Other CPU, 1, the last on cpu, Example CPU")


def test_a_trace_is_kept_with_its_neighbours_on_both_sides() -> None:
    """Those of three refreshes or sampling intervals, and the nearest ones however far they are."""
    trace = Trace.from_arrays(np.arange(11.0), np.full(11, 80.0), kind="power", refresh_s=0.1, step=1.0)
    assert trace_around(trace, [(4.9, 5.0), (5.0, 5.1)], 0.05).times_s.tolist() == [4.0, 5.0, 6.0]
    assert trace_around(trace, [(4.9, 5.1)], 0.7).times_s.tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]


def test_what_earlier_segments_measured_counts_towards_the_block(tmp_path: Path) -> None:
    segment = measured(SEGMENT, write_trace(tmp_path / "trace.csv"), 1, PowerConfig())
    record = resumed(segment)
    assert record.power is not None
    planned = PlannedExperiment(
        Experiment(experiment_id(SETTINGS), SETTINGS, 1, ("main",)), 64, RECORD.network.widths, 1, 1.0
    )
    long_enough = BlockTarget(record.power.block_training_s + 40.0, 10)
    assert is_done(planned, {0: record}, long_enough)
    assert not is_done(planned, {0: replace(record, segments=(SEGMENT,))}, long_enough)
    assert not is_done(planned, {0: record}, replace(long_enough, min_training_s=long_enough.min_training_s + 1))
