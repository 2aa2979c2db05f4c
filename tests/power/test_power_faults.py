"""Faults of a power measurement on its whole path: a shard trained for real, read through IPMI from a BMC that errs.

Whatever is wrong with the meter, the training is kept; the energy holds the truth in its interval or is refused for a
reason that names what happened; and no wrong sample goes unrecorded.
"""

import itertools
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.power.faulty_bmc import Fault
from tests.power.support_faults import (
    MARK,
    Block,
    FaultyBmc,
    Outcome,
    Scene,
    at_work,
    config,
    expect_excluded_counted,
    expect_faults_on_record,
    expect_right_or_refused,
    expect_training_kept,
    measure,
    processes_of,
    recorder_pid,
)
from wattsweep.errors import PowerError
from wattsweep.power import Recorder, Status, read_trace_file
from wattsweep.power.sources.specs import IpmiSpec

pytestmark = [pytest.mark.usefixtures("tensorflow", "own_locks"), pytest.mark.slow]

FAILED_WORDS = r"\d+ failed"
STEP_S = 3600.0


@pytest.fixture(scope="module")
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Locks and a mark of this module's own; nothing that a shard started may be left when the module ends."""
    mark = secrets.token_hex(8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WATTSWEEP_LOCKS", str(tmp_path_factory.mktemp("locks")))
        patch.setenv(MARK, mark)
        yield mark


@pytest.fixture(autouse=True)
def nothing_outlives_a_test(own_locks: str) -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while left := processes_of(own_locks):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[FaultyBmc]:
    with FaultyBmc(tmp_path) as started:
        yield started


# One shard, one recorder and a BMC that lies in another way in each block.

LIES = {
    "no watts": [Fault("zero", 0.5, 1.5), Fault("sentinel", 1.5, 2.3)],
    "jumps": [Fault("jump", 0.5, 1.0, answers=1), Fault("jump", 1.3, 3.0, answers=5)],
    "inactive": [Fault("inactive", 0.2, 3.2)],
    "frozen": [Fault("frozen", 0.9, 2.9)],
}


@pytest.fixture(scope="module")
def lying(own_locks: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyBmc, Outcome]]:
    """After the lies, in one more block, the recorder is killed."""
    folder = tmp_path_factory.mktemp("lying")
    with FaultyBmc(folder) as bmc:

        def lie(faults: Sequence[Fault]) -> Scene:
            return lambda start_s: at_work(bmc, start_s, *faults)

        def kill(start_s: float) -> None:
            at_work(bmc, start_s)
            time.sleep(1.0)
            os.kill(recorder_pid(), signal.SIGKILL)

        scenes = [*(lie(faults) for faults in LIES.values()), kill]
        yield bmc, measure(config(folder / "results", bmc, len(scenes)), scenes)


def checked(shard: tuple[FaultyBmc, Outcome], number: int, because: str) -> tuple[FaultyBmc, Block]:
    """A block of a shard, after the checks that every block has to stand."""
    bmc, outcome = shard
    block = outcome.blocks[number]
    expect_training_kept(block)
    expect_right_or_refused(block, outcome.lines, bmc.waveform, because)
    expect_excluded_counted(block)
    return bmc, block


def lied(lying: tuple[FaultyBmc, Outcome], name: str, because: str) -> tuple[FaultyBmc, Block]:
    return checked(lying, list(LIES).index(name), because)


def test_zero_and_the_value_for_unknown_are_no_power(lying: tuple[FaultyBmc, Outcome]) -> None:
    bmc, block = lied(lying, "no watts", r"\d+ zero.*\d+ implausible")
    expect_faults_on_record(block, bmc, "zero", Status.ZERO)
    expect_faults_on_record(block, bmc, "sentinel", Status.IMPLAUSIBLE)
    assert Status.STALE not in block.statuses(*block.window), "the BMC never stood still"


def test_jumps_to_30_kw_are_no_power(lying: tuple[FaultyBmc, Outcome]) -> None:
    bmc, block = lied(lying, "jumps", r"\d+ implausible")
    expect_faults_on_record(block, bmc, "jump", Status.IMPLAUSIBLE)


def test_dcmi_that_is_switched_off_is_no_power(lying: tuple[FaultyBmc, Outcome]) -> None:
    bmc, block = lied(lying, "inactive", FAILED_WORDS)
    expect_faults_on_record(block, bmc, "inactive", Status.FAILED)
    assert not [answer for answer in bmc.answers(*block.window) if answer.kind == "sensor"]
    assert "DCMI" in block.power.source.detail


def test_a_frozen_value_is_no_power(lying: tuple[FaultyBmc, Outcome]) -> None:
    """It froze while the node worked, and is known to be frozen only after `power.stale_after`."""
    _, block = lied(lying, "frozen", r"\d+ stale")
    assert Status.STALE in block.statuses(*block.window)


def test_a_killed_recorder_costs_energy_not_training(lying: tuple[FaultyBmc, Outcome]) -> None:
    _, block = checked(lying, len(LIES), r"recorder.*(ended|killed|died)")
    # Until then it had measured, in spite of all that the BMC had said before.
    assert set(block.statuses(*block.window)) == {Status.OK}


# One shard, one recorder and a BMC that answers late, not at all, or is gone for a while.


OUTAGES = ("half a second late", "3 s late", "8 s late", "silent", "gone and back", "gone for good")


@pytest.fixture(scope="module")
def failing(own_locks: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultyBmc, Outcome]]:
    folder = tmp_path_factory.mktemp("failing")
    with FaultyBmc(folder) as bmc:

        def away_for(seconds: float) -> Scene:
            def scene(start_s: float) -> None:
                at_work(bmc, start_s)
                time.sleep(0.7)
                bmc.vanish()
                if seconds:
                    time.sleep(seconds)
                    bmc.start()

            return scene

        def faulty(fault: Fault) -> Scene:
            return lambda start_s: at_work(bmc, start_s, fault)

        scenes = [
            faulty(Fault("slow", 0.4, 3.0, delay_s=0.5)),
            faulty(Fault("slow", 0.4, 2.6, delay_s=3.0)),
            faulty(Fault("slow", 0.4, 2.6, delay_s=8.0)),
            faulty(Fault("silent", 0.4, 2.2)),
            away_for(0.8),
            away_for(0.0),
        ]
        yield bmc, measure(config(folder / "results", bmc, len(scenes)), scenes)


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_costs_samples_never_the_truth(failing: tuple[FaultyBmc, Outcome], name: str) -> None:
    _, block = checked(failing, OUTAGES.index(name), FAILED_WORDS)
    statuses = block.statuses(*block.window)
    assert Status.STALE not in statuses, "the BMC never stood still"
    if name == "half a second late":
        assert set(statuses) == {Status.OK}
        assert block.power.status == "ok", block.power.reason
    else:
        assert statuses.count(Status.FAILED) >= 1
    if name == "gone for good":
        # It had come back from its first absence, whole.
        assert Status.OK in statuses
        assert statuses[-1] is Status.FAILED


def test_training_does_not_wait_for_a_bmc(failing: tuple[FaultyBmc, Outcome]) -> None:
    _, outcome = failing
    for block in outcome.blocks:
        trained = sorted((record.training.start_s, record.training.end_s) for record in block.records)
        assert all(following[0] - run[1] < 2.0 for run, following in itertools.pairwise(trained))
    assert outcome.ended_s - outcome.blocks[-1].window[1] < 20.0


def test_a_meter_that_never_moves_is_no_meter(bmc: FaultyBmc, tmp_path: Path) -> None:
    """A value and a timestamp that stood still before the shard began: by time alone it could be a steady node."""
    bmc.order(faults=[Fault("frozen", 0.0)])
    settings = config(tmp_path / "results", bmc, stale_after="120 s", idle_window="2.5 s", min_window="3 s")
    outcome = measure(settings, [lambda start_s: at_work(bmc, start_s)])
    (block,) = outcome.blocks
    expect_training_kept(block, least_s=3.0)
    expect_right_or_refused(block, outcome.lines, bmc.waveform, "frozen")


# What is wrong before anything is trained.


@pytest.mark.parametrize("given", ["file", "environment"])
def test_a_wrong_password_is_said_at_once(
    bmc: FaultyBmc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    settings = config(tmp_path, bmc)
    if given == "file":
        (tmp_path / "bmc.yaml").write_text(f"username: {bmc.username}\npassword: not-it\n", encoding="ascii")
    else:
        monkeypatch.setenv("WATTSWEEP_BMC_USERNAME", bmc.username)
        monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", "not-it")
        ipmi = settings.power.ipmi.model_copy(update={"credentials_file": None})
        settings = settings.model_copy(update={"power": settings.power.model_copy(update={"ipmi": ipmi})})
    with pytest.raises(PowerError, match=r"password.*credentials_file.*WATTSWEEP_BMC_PASSWORD") as caught:
        measure(settings, [])
    raised_s = time.monotonic()
    assert f"127.0.0.1:{bmc.port}" in str(caught.value)
    assert "not-it" not in str(caught.value)
    assert not list(tmp_path.rglob("*.h5"))
    assert raised_s - bmc.answers()[0].time_s < 2.0


def test_where_no_bmc_is_nothing_is_trained(bmc: FaultyBmc, tmp_path: Path) -> None:
    bmc.vanish()
    started_s = time.monotonic()
    settings = config(tmp_path, bmc)
    with pytest.raises(PowerError, match=rf"No answer .*127\.0\.0\.1:{bmc.port}.*power\.ipmi\.address"):
        measure(settings, [])
    assert time.monotonic() - started_s < 30.0
    assert not list(tmp_path.rglob("*.h5"))


# What is wrong with the node and its disk.

STEPPED_CLOCK = f"""
import os, time
_time = time.time
time.time = lambda: _time() + ({STEP_S} if os.path.exists(os.environ["WATTSWEEP_TEST_STEP"]) else 0.0)
"""


def test_a_stepped_clock_leaves_energies_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, true_time = tmp_path / "step", time.time

    def step_after_a_while(_: float) -> None:
        time.sleep(0.5)
        step.touch()

    (tmp_path / "sitecustomize.py").write_text(STEPPED_CLOCK, encoding="ascii")
    with FaultyBmc(tmp_path, level_w=137.0) as bmc:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setenv("WATTSWEEP_TEST_STEP", str(step))
        monkeypatch.setattr(time, "time", lambda: true_time() + (STEP_S if step.exists() else 0.0))
        settings = config(tmp_path / "results", bmc, idle_window="2.5 s", min_window="3 s")
        outcome = measure(settings, [step_after_a_while])
        (block,) = outcome.blocks
        expect_training_kept(block, least_s=3.0)
        expect_right_or_refused(block, outcome.lines, bmc.waveform, "never")
    power = block.power
    assert power.status == "ok", power.reason
    # Constant power that the BMC goes on updating is not stale, and its energy is watts x seconds.
    assert set(block.statuses(-np.inf, np.inf)) == {Status.OK}
    assert power.energy.gross.joules == pytest.approx(137.0 * power.energy.duration_s, rel=1e-9)
    offsets_s = power.trace.wall_s - power.trace.times_s
    assert np.ptp(offsets_s) == pytest.approx(STEP_S, abs=1.0)
    assert np.count_nonzero(np.abs(np.diff(offsets_s)) > 1.0) <= 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 64 KiB."""
    folder = tmp_path / "results" / "traces"
    folder.mkdir(parents=True)
    if os.getuid() != 0:
        pytest.skip("only root can mount a small filesystem to fill")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small filesystem cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 512):
                pass
        except OSError:
            pass
    return filler


def test_a_full_disk_under_the_trace_costs_energy_not_training(
    small_disk: Path, bmc: FaultyBmc, tmp_path: Path
) -> None:
    def scene(start_s: float) -> None:
        at_work(bmc, start_s)
        fill(small_disk)

    # The recorder has the rest of its file's last 4 KiB already: at 20 ms a line they are full within a second.
    settings = config(tmp_path / "results", bmc, interval="20 ms", min_window="6 s", min_coverage=0.9)
    outcome = measure(settings, [scene])
    (block,) = outcome.blocks
    expect_training_kept(block)
    expect_right_or_refused(block, outcome.lines, bmc.waveform, "No space left on device")
    assert block.power.status == "refused"


def test_a_trace_is_readable_after_its_disk_was_full_for_a_while(small_disk: Path, bmc: FaultyBmc) -> None:
    spec = IpmiSpec("127.0.0.1", bmc.port, bmc.username, bmc.password)
    with Recorder(spec, small_disk / "trace.csv", 0.02) as recorder:
        filler = fill(small_disk)
        time.sleep(2.0)
        filler.unlink()
        time.sleep(1.0)
    _, trace = read_trace_file(recorder.path)
    assert len(trace) > 50
    assert (np.diff(trace.sequence) == 1).all(), "samples were lost"
