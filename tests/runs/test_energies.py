"""The energies of a block from its trace: block, setup, runs, epochs, by one source and by several."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import config, records, run
from tests.support_records import make_record
from wattsweep.config import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import Recorder, SourceDescription, Trace
from wattsweep.runs import RunRecord, read_run, run_facts, write_run
from wattsweep.runs.energies import MeasuredBy, epoch_windows, with_power
from wattsweep.runs.record import Phase
from wattsweep.simulation import SimulatedBmc
from wattsweep.tables import Emissions
from wattsweep.tables.rows import run_row, source_rows

POWER = PowerConfig.model_validate({"interval": "1 s", "stale_after": None})
SOURCE = SourceDescription("ipmi", "power", "node", "measured", "a meter", refresh_s=1.0, step=1.0)
IDLE_W, SETUP_W, TRAINING_W = 100.0, 150.0, 250.0


def staged(epochs_per_mark: int = 5) -> RunRecord:
    """A run of 20 epochs in 40 s, after idling and a setup of 10 s."""
    record = make_record(origin=None)
    phases = (
        Phase("idle_before", 0.0, 20.0),
        Phase("setup", 20.0, 30.0),
        Phase("training", 30.0, 70.0),
        Phase("idle_after", 70.0, 90.0),
    )
    ends = np.arange(epochs_per_mark, 21, epochs_per_mark)
    return replace(record, phases=phases, marks=np.stack([ends, 30.0 + 2.0 * ends], axis=1))


def trace_of(scale: float = 1.0) -> Trace:
    times = np.arange(-3.0, 93.0)
    watts = np.select([times < 20.0, times < 30.0, times < 70.0], [IDLE_W, SETUP_W, TRAINING_W], IDLE_W)
    return Trace.from_arrays(times, watts * scale, kind="power", refresh_s=1.0, step=1.0)


def measured(record: RunRecord, trace: Trace | None = None, power: PowerConfig = POWER) -> RunRecord:
    by = MeasuredBy("block-1", "a test", SOURCE, trace or trace_of())
    (result,) = with_power([record], by, power)
    return result


def test_setup_block_and_epochs_have_energies_of_their_own() -> None:
    power = measured(staged()).power
    assert power is not None
    assert power.block_gross_j == pytest.approx(TRAINING_W * 40, rel=0.01)
    assert power.block_gross_lower_j <= TRAINING_W * 40 <= power.block_gross_upper_j
    assert power.setup_j == pytest.approx(SETUP_W * 10, rel=0.05)
    assert power.setup_lower_j <= SETUP_W * 10 <= power.setup_upper_j
    assert power.epoch_energy_j is not None
    assert power.epoch_energy_j.shape == (20, 3)
    assert power.epoch_energy_j[:, 0].sum() == pytest.approx(power.block_gross_j)
    _, lower, upper = power.epoch_energy_j.T
    assert (lower <= TRAINING_W * 2).all()
    assert (upper >= TRAINING_W * 2).all()


def test_epochs_of_one_call_share_its_time() -> None:
    windows = epoch_windows(staged(epochs_per_mark=20))
    np.testing.assert_allclose(windows[:, 0], 30.0 + 2.0 * np.arange(20))
    np.testing.assert_allclose(windows[1:, 0], windows[:-1, 1])


def test_epochs_shorter_than_a_refresh_have_none() -> None:
    slow = PowerConfig.model_validate({"interval": "5 s"})
    power = measured(staged(), power=slow).power
    assert power is not None
    assert power.epoch_energy_j is None


def test_runs_side_by_side_have_no_epochs_of_their_own() -> None:
    assert len(epoch_windows(replace(staged(), runs_at_once=2))) == 0


def test_refused_energies_leave_nothing_behind() -> None:
    holed = trace_of()
    kept = (holed.times_s < 40) | (holed.times_s > 60)
    trace = Trace.from_arrays(holed.times_s[kept], holed.values[kept], kind="power", refresh_s=1.0, step=1.0)
    power = measured(staged(), trace).power
    assert power is not None
    assert power.status == "refused"
    assert power.epoch_energy_j is None
    assert math.isnan(power.block_gross_j)
    assert math.isnan(power.setup_j)


def test_a_frozen_source_is_refused_unless_it_shows_its_updates() -> None:
    frozen = Trace.from_arrays(trace_of().times_s, np.full(96, 100.0), kind="power", refresh_s=1.0, step=1.0)
    suspicious = PowerConfig.model_validate({"interval": "1 s"})
    refused = measured(staged(), frozen, suspicious).power
    assert refused is not None
    assert "it is frozen, or too coarse" in refused.reason
    by = MeasuredBy("block-1", "a test", replace(SOURCE, shows_updates=True), frozen)
    (kept,) = with_power([staged()], by, suspicious)
    assert kept.power is not None
    assert kept.power.status == "ok"


def test_several_sources_stay_apart_in_file_and_tables(tmp_path: Path) -> None:
    record = measured(staged())
    package = SourceDescription("rapl", "power", "CPU package", "measured", "package-0", refresh_s=1.0, step=1.0)
    (other,) = with_power([staged()], MeasuredBy("block-1", "also", package, trace_of(0.5)), POWER)
    assert other.power is not None
    record = replace(record, also=(other.power,))
    write_run(tmp_path / "run.h5", record)
    again = read_run(tmp_path / "run.h5")
    assert again.power is not None
    assert [power.source.scope for power in again.also] == ["CPU package"]
    assert again.also[0].energy == other.power.energy
    np.testing.assert_array_equal(again.power.epoch_energy_j, record.power.epoch_energy_j)  # type: ignore[union-attr]
    np.testing.assert_array_equal(again.marks, record.marks)
    rows = source_rows(again)
    assert [(row["first"], row["power_scope"]) for row in rows] == [(True, "node"), (False, "CPU package")]
    assert rows[1]["energy_gross_j"] == pytest.approx(rows[0]["energy_gross_j"] / 2)
    assert run_row(again, None)["energy_gross_j"] == rows[0]["energy_gross_j"]
    facts = run_facts(again)
    assert facts["also"][0]["source"]["scope"] == "CPU package"
    assert facts["power"]["setup_j"] == pytest.approx(SETUP_W * 10, rel=0.05)


def test_emissions_stand_beside_joules() -> None:
    record = measured(staged())
    emissions = Emissions.of(PowerConfig.model_validate({"carbon_intensity": 400, "pue": 1.5}))
    row = run_row(record, None, emissions)
    assert row["emissions_kgco2e"] == pytest.approx(row["energy_gross_j"] / 3.6e6 * 1.5 * 0.4)
    assert run_row(record, None)["emissions_kgco2e"] is None
    assert Emissions.of(PowerConfig()) is None


@pytest.mark.usefixtures("tensorflow")
def test_two_shards_cannot_measure_one_node_at_a_time(tmp_path: Path) -> None:
    settings = config(tmp_path / "results")
    with (
        SimulatedBmc(idle_w=100.0, slope_w=0.0, refresh_s=0.1) as bmc,
        Recorder(bmc.source_spec, tmp_path / "theirs.csv", 0.1) as theirs,
        pytest.raises(PowerError, match=rf"'simulated' of this node is being recorded by process {theirs.pid}"),
    ):
        run(settings)
    assert records(settings) == {}
