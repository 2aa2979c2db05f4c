"""A shard measured through IPMI while its BMC errs: the BMC's parent, the shard, and what must hold of its blocks."""

import json
import math
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from tests.power.faulty_bmc import Answer, Fault, Orders, Pulse, Waveform
from wattsweep.config import Config, parse
from wattsweep.datasets import prepare, read_facts
from wattsweep.planning import Shard, make_plan
from wattsweep.power import Status
from wattsweep.power.child import ChildProcess
from wattsweep.runs import Layout, RunPower, RunRecord, execute_shard
from wattsweep.runs.finished import finished_runs

REPOSITORY = Path(__file__).parents[2]
MARK = "WATTSWEEP_TEST_MARK"
EPOCHS = 700
REPETITIONS = 2
INTERVAL_S = 0.2
LEVEL_W, WORK_W = 120.0, 150.0
MIN_WINDOW_S = 4.5
LONGEST_GAP_S = 1.0
"""A longer time between valid samples, taken every `INTERVAL_S` from a BMC that updates at each, is not covered."""
PULSES = ((0.2, 1.0), (2.0, 2.9))
"""When the node draws `WORK_W` more, in s from the first run's end: in the block, on both sides of most faults."""

Scene = Callable[[float], None]
"""What happens in a block, told the moment at which its first run was trained; it may sleep."""


class FaultyBmc:
    """A BMC on loopback whose watts are a known waveform and whose faults are ordered while it runs."""

    def __init__(self, folder: Path, level_w: float = LEVEL_W) -> None:
        self.username, self.password = "tester", secrets.token_hex(8)
        self.port = 0
        self._orders = Orders(Waveform(level_w))
        self._control, self._log = folder / "bmc-orders.json", folder / "bmc-answers.jsonl"
        self._child: ChildProcess | None = None

    @property
    def waveform(self) -> Waveform:
        """The truth."""
        return self._orders.waveform

    def order(self, pulses: Sequence[Pulse] = (), faults: Sequence[Fault] = ()) -> None:
        """Add pulses to the truth and faults to what is shown of it."""
        waveform = replace(self.waveform, pulses=(*self.waveform.pulses, *pulses))
        self._orders = Orders(waveform, (*self._orders.faults, *faults))
        self._orders.write(self._control)

    def start(self) -> None:
        """Start it, on the port that it had before."""
        self.order()
        spec = {name: getattr(self, name) for name in ("port", "username", "password")}
        spec |= {"control": str(self._control), "log": str(self._log)}
        self._child = ChildProcess("tests.power.faulty_bmc", spec, name="The faulty BMC", timeout_s=60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(REPOSITORY), prepend=os.pathsep)
            patch.delenv(MARK, raising=False)
            self.port = int(self._child.start()["port"])

    def vanish(self) -> None:
        """Be gone at once, as when its power is cut; `start` brings it back without its sessions."""
        assert self._child is not None
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.stop()

    def answers(self, start_s: float = -math.inf, end_s: float = math.inf) -> list[Answer]:
        """What it answered in a window."""
        lines = self._log.read_text(encoding="ascii").splitlines() if self._log.exists() else []
        given = [Answer(**json.loads(line)) for line in lines]
        return [answer for answer in given if start_s <= answer.time_s < end_s]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()


@dataclass(frozen=True, repr=False)
class Block:
    """The finished runs of one experiment."""

    records: tuple[RunRecord, ...]

    @property
    def power(self) -> RunPower:
        power = self.records[0].power
        assert power is not None, self.records[0].provenance.get("power_lost")
        return power

    @property
    def window(self) -> tuple[float, float]:
        return self.power.block_start_s, self.power.block_end_s

    def statuses(self, start_s: float, end_s: float) -> list[Status]:
        """The statuses of the samples that were asked for in a window."""
        trace = self.power.trace
        inside = (trace.before_s >= start_s) & (trace.before_s < end_s)
        return [Status(code) for code in trace.status[inside].tolist()]


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a shard left: its blocks in order, its lines of progress, and when it ended."""

    blocks: tuple[Block, ...]
    lines: tuple[str, ...]
    ended_s: float


def config(results: Path, bmc: FaultyBmc, n_blocks: int = 1, **power: Any) -> Config:
    """A shard of `n_blocks` experiments that share one compiled program, read from `bmc` with its credentials."""
    results.mkdir(parents=True, exist_ok=True)
    credentials = results / "bmc.yaml"
    credentials.touch(mode=0o600)
    credentials.write_text(f'username: "{bmc.username}"\npassword: "{bmc.password}"\n', encoding="ascii")
    cube = {
        "dataset": "wine",
        "shape": "rectangle",
        "size": 16384,
        "depth": 2,
        "epochs": EPOCHS,
        "repetitions": REPETITIONS,
        "learning_rate": [1e-4 * (1 + number) for number in range(n_blocks)],
    }
    measured: dict[str, Any] = {
        "source": "ipmi",
        "interval": f"{INTERVAL_S} s",
        "min_window": f"{MIN_WINDOW_S} s",
        "idle_window": "800 ms",
        "min_coverage": 0.5,
        "plausible": [10, 3000],
        "stale_after": "1.2 s",
        "ipmi": {"address": "127.0.0.1", "port": bmc.port, "credentials_file": str(credentials)},
    }
    return parse({"sweeps": {"demo": cube}, "power": measured | power, "paths": {"results": str(results)}})


def shard_of(config: Config) -> Shard:
    """The config's experiments, by learning rate."""
    facts = read_facts(prepare("bundled", "wine", Layout(config.paths.results).datasets, config.paths.pmlb))
    planned = make_plan(config, {("bundled", "wine"): facts}).experiments
    return Shard("0123456789ab", tuple(sorted(planned, key=lambda one: one.experiment.settings.learning_rate)))


def measure(config: Config, scenes: Sequence[Scene]) -> Outcome:
    """Execute the config's shard, one scene played in each block."""
    shard, layout, lines = shard_of(config), Layout(config.paths.results), list[str]()
    with _conducted(config.paths.results, scenes):
        execute_shard(shard, config, report=lines.append)
    ended_s = time.monotonic()
    runs = [finished_runs(layout, planned.experiment.experiment_id) for planned in shard.experiments]
    blocks = tuple(Block(tuple(record for _, record in sorted(one.items()))) for one in runs)
    return Outcome(blocks, tuple(lines), ended_s)


@contextmanager
def _conducted(results: Path, scenes: Sequence[Scene]) -> Iterator[None]:
    """Play each scene, in a thread, when its block's first run is staged."""
    over = threading.Event()
    troubles: list[BaseException] = []

    def play() -> None:
        try:
            for number, scene in enumerate(scenes, start=1):
                while not any(results.glob(f"staged/*/*/*-{number}/[!.]*.h5")):
                    if over.wait(0.02):
                        return
                scene(time.monotonic())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            troubles.append(error)

    conductor = threading.Thread(target=play, name="conductor")
    conductor.start()
    try:
        yield
    finally:
        over.set()
        conductor.join()
    for trouble in troubles:
        raise trouble


def at_work(bmc: FaultyBmc, start_s: float, *faults: Fault) -> None:
    """The node works in pulses after `start_s`; the faults' times count from there too."""
    moved = [replace(fault, start_s=start_s + fault.start_s, end_s=start_s + fault.end_s) for fault in faults]
    bmc.order([Pulse(start_s + one, start_s + other, WORK_W) for one, other in PULSES], moved)


def expect_training_kept(block: Block, least_s: float = MIN_WINDOW_S) -> None:
    """Every repetition that was asked for is there, and those that filled the block, each with its whole history."""
    repetitions = [record.run.repetition for record in block.records]
    assert repetitions == list(range(max(REPETITIONS, len(repetitions)))), f"repetitions {repetitions}"
    for record in block.records:
        assert record.epochs_trained == EPOCHS, f"{record.epochs_trained} epochs are left of a run"
        assert all(np.isfinite(values).all() for values in record.history.values()), "a history is not finite"
    trained_s = sum(record.training.duration_s for record in block.records)
    assert trained_s >= least_s, f"{trained_s} s were trained"


def expect_right_or_refused(block: Block, lines: Sequence[str], waveform: Waveform, because: str) -> None:
    """Energies hold the truth in their intervals, or are refused for a reason that matches `because` and is told."""
    power, (start_s, end_s) = block.power, block.window
    energy, duration_s = power.energy, end_s - start_s
    refused = {"gross": math.isnan(energy.gross.joules), "net": math.isnan(energy.net_j)}
    assert any(refused.values()) == (power.status == "refused") == (power.reason != ""), (power.status, refused)
    # A run has its share of the block's energy, so its interval speaks of the whole block.
    blocks_per_run = duration_s / energy.duration_s
    truth_j = waveform.joules(start_s, end_s)
    claims = {
        "gross": (energy.gross.lower, truth_j, energy.gross.upper),
        "net": (energy.net_lower_j, truth_j - waveform.level_w * duration_s, energy.net_upper_j),
    }
    for name, (lower_j, true_j, upper_j) in claims.items():
        lower_j, upper_j = blocks_per_run * lower_j, blocks_per_run * upper_j
        assert refused[name] or lower_j <= true_j <= upper_j, (
            f"{name} energy is said to be {lower_j:.1f} to {upper_j:.1f} J, at a coverage of "
            f"{energy.gross.coverage:.3f}; the truth is {true_j:.1f} J"
        )
    if power.status == "refused":
        assert re.search(because, power.reason), f"the reason does not say what happened ({because}): {power.reason}"
        assert any(power.reason in line for line in lines), f"not told: {power.reason}"


def expect_faults_on_record(block: Block, bmc: FaultyBmc, kind: str, status: Status) -> None:
    """Each wrong answer of this kind stands in the run's trace with this status, and is counted as excluded."""
    power, (start_s, end_s) = block.power, block.window
    trace = power.trace
    wrong = [answer for answer in bmc.answers(start_s, end_s) if answer.kind == kind]
    assert wrong, f"the BMC never was {kind}"
    for answer in wrong:
        around = np.flatnonzero((trace.before_s <= answer.time_s) & (answer.time_s <= trace.after_s))
        found = [(float(trace.values[index]), Status(trace.status[index]).word) for index in around]
        assert [word for _, word in found] == [status.word], f"{kind} {answer.watts:g} W is in the trace as {found}"
    excluded = power.energy.gross.n_excluded
    assert excluded >= len(wrong), f"{excluded} samples are said to be excluded, {len(wrong)} were wrong"


def expect_excluded_counted(block: Block) -> None:
    """The samples of a block that are not valid are those that its energy excludes, and time without is not covered."""
    trace, (start_s, end_s) = block.power.trace, block.window
    inside = (trace.times_s >= start_s) & (trace.times_s < end_s)
    invalid, excluded = int(np.count_nonzero(inside & ~trace.valid)), block.power.energy.gross.n_excluded
    assert excluded == invalid, f"{excluded} samples are said to be excluded, {invalid} are not valid"
    times = np.clip(trace.times_s[trace.valid], start_s, end_s)
    gaps = np.diff([start_s, *times, end_s])
    most = 1.0 - float(gaps[gaps > LONGEST_GAP_S].sum()) / (end_s - start_s)
    coverage = block.power.energy.gross.coverage
    assert coverage <= most + 0.01, f"coverage is said to be {coverage:.3f}; valid samples support {most:.3f}"


def processes_of(mark: str) -> list[str]:
    """The command lines of the other processes that were started below one with this mark in its environment."""
    found = []
    for process in Path("/proc").glob("[1-9]*"):
        try:
            marked = f"{MARK}={mark}".encode() in (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if marked and command and int(process.name) != os.getpid():
            found.append(f"{process.name} {command}")
    return found


def recorder_pid() -> int:
    """The id of this process's recorder."""
    for process in Path("/proc").glob("[1-9]*"):
        try:
            stat = (process / "stat").read_text().rsplit(")", 1)[1].split()
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if int(stat[1]) == os.getpid() and b"wattsweep.power.recording" in command:
            return int(process.name)
    raise AssertionError("no recorder runs")
