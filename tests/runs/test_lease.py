"""Leases: one process at a time has a shard, whatever becomes of the others."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs.support_leases import INTERVAL_S, SHARD, entries, start
from wattsweep.errors import LeaseError
from wattsweep.runs import lease as lease_module
from wattsweep.runs.lease import Lease
from wattsweep.runs.leasefile import lease_path, leases_of, read_leases
from wattsweep.runs.owner import Owner, is_dead, this_process

STALE_S = 4 * INTERVAL_S
SILENT = Owner("silent", "elsewhere", "another machine", 17, 1, "", "2026-01-01T00:00:00+00:00", INTERVAL_S)
"""An owner of whom this machine cannot know whether it lives."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "leases"
    folder.mkdir()
    return folder


def lease(folder: Path, interval_s: float = INTERVAL_S, **options: object) -> Lease:
    options = {"report": lambda _line: None} | options
    return Lease(folder, SHARD, interval_s, **options)  # type: ignore[arg-type]


def leave(folder: Path, owner: Owner, *, ago_s: float = 0.0, number: int = 1) -> Path:
    """A lease as an owner left it, by the filesystem's clock so long ago."""
    path = lease_path(folder, SHARD, number)
    path.write_bytes(owner.to_bytes())
    when_ns = path.stat().st_mtime_ns - int(ago_s * 1e9)
    os.utime(path, ns=(when_ns, when_ns))
    return path


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_lease_says_who_has_it_and_is_gone_at_the_end(folder: Path) -> None:
    with lease(folder) as held:
        assert held.path == folder / f"{SHARD}.json"
        (state,) = read_leases(folder)
        assert (state.shard_id, state.owner.pid, state.owner.host) == (SHARD, os.getpid(), held.owner.host)
        assert state.fresh
        assert json.loads(held.path.read_text())["owner_id"] == held.owner.owner_id
        assert [path.name for path in folder.iterdir()] == [held.path.name]
        held.check()
    assert list(folder.iterdir()) == []
    assert read_leases(folder) == []


def test_a_second_process_leaves_and_names_the_owner(folder: Path, tmp_path: Path) -> None:
    with lease(folder):
        process = start(folder, tmp_path / "log", "hold", "0")
        _, told = process.communicate(timeout=60)
        assert process.returncode == 75
        assert f"shard {SHARD} is being executed by process {os.getpid()} on " in told
        assert str(folder / f"{SHARD}.json") in told
    assert entries(tmp_path / "log") == []
    assert list(folder.iterdir()) == []


def test_a_second_process_waits_if_it_is_to(folder: Path, tmp_path: Path) -> None:
    with lease(folder):
        process = start(folder, tmp_path / "log", "hold", "0", wait_s=60)
        wait_until(lambda: list(folder.glob(".*.tmp")) != [])
        time.sleep(6 * INTERVAL_S)
        assert process.poll() is None
        assert entries(tmp_path / "log") == []
        released_ns = time.monotonic_ns()
    process.communicate(timeout=60)
    assert process.returncode == 0
    (begun, _, _), (_, _, word) = entries(tmp_path / "log")
    assert begun > released_ns
    assert word == "end"


def test_the_heartbeat_keeps_it(folder: Path) -> None:
    with lease(folder) as held:
        before_ns = held.path.stat().st_mtime_ns
        deadline_s = time.monotonic() + 2 * STALE_S
        while time.monotonic() < deadline_s:
            time.sleep(INTERVAL_S / 4)
            with pytest.raises(LeaseError, match="being executed"):
                lease(folder).acquire()
        (state,) = read_leases(folder)
        assert held.path.stat().st_mtime_ns - before_ns > STALE_S * 1e9
        assert state.owner.beats >= 4
        held.check()


def test_where_the_owner_was_killed_its_lease_is_taken_at_once(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "log", "hold", "600")
    wait_until(lambda: len(entries(tmp_path / "log")) == 1)
    os.kill(process.pid, signal.SIGKILL)
    # A killed process that nobody has waited for is dead all the same.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    started_s = time.monotonic()
    left = folder / f".{SHARD}.{read_leases(folder)[0].owner.owner_id}.tmp"
    left.write_bytes(lease_path(folder, SHARD, 1).read_bytes())
    with lease(folder) as held:
        assert time.monotonic() - started_s < STALE_S
        assert held.path == folder / f"{SHARD}.2.json"
        assert list(folder.iterdir()) == [held.path]
    process.communicate(timeout=60)


def test_a_stale_lease_is_taken_over_after_it_was_watched(folder: Path) -> None:
    leave(folder, SILENT, ago_s=10 * STALE_S)
    started_s = time.monotonic()
    with lease(folder):
        assert INTERVAL_S < time.monotonic() - started_s < STALE_S


def test_the_local_clock_does_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    leave(folder, SILENT, ago_s=10 * STALE_S)
    lease(folder).acquire()


def test_what_beats_while_it_is_watched_is_not_stale(folder: Path) -> None:
    """As where the clocks of two Lustre clients differ: the time of the file is hours old, and still it changes."""
    path = leave(folder, SILENT, ago_s=3600)

    def beat(seconds: float) -> None:
        time.sleep(seconds)
        leave(folder, replace(SILENT, beats=beat.beats), ago_s=3600)  # type: ignore[attr-defined]
        beat.beats += 1  # type: ignore[attr-defined]

    beat.beats = 1  # type: ignore[attr-defined]
    with pytest.raises(LeaseError, match="process 17 on elsewhere since 2026"):
        lease(folder, sleep=beat).acquire()
    assert path.exists()


def test_a_file_from_the_future_is_stale_once_it_was_watched_for_long(folder: Path) -> None:
    leave(folder, SILENT, ago_s=-3600)
    with pytest.raises(LeaseError, match="being executed"):
        lease(folder).acquire()
    started_s = time.monotonic()
    with lease(folder, wait_s=60):
        assert time.monotonic() - started_s >= STALE_S


def test_a_lease_that_cannot_be_read_is_waited_for_as_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattsweep.runs.owner.UNKNOWN_INTERVAL_S", INTERVAL_S)
    (folder / f"{SHARD}.json").write_bytes(b"{half")
    with pytest.raises(LeaseError, match="being executed by another process"):
        lease(folder).acquire()
    with lease(folder, wait_s=60):
        pass


@pytest.mark.parametrize("answer", ["slurm_load_jobs error: Invalid job id specified", "NODE_FAIL", "PENDING"])
def test_where_slurm_says_that_the_job_is_gone_watching_is_enough(
    answer: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue(tmp_path, answer, monkeypatch)
    leave(folder, replace(SILENT, slurm_job_id="17", interval_s=0.5))
    started_s = time.monotonic()
    with lease(folder, wait_s=60):
        assert 0.75 <= time.monotonic() - started_s < 2.0
    assert (tmp_path / "calls").read_text().splitlines() == ["--noheader --jobs=17 --states=all --format=%T"]


def test_slurms_word_does_not_count_against_a_heartbeat(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a node failed its processes may go on."""
    squeue(tmp_path, "NODE_FAIL", monkeypatch)
    with lease(folder) as held:
        held.owner = replace(held.owner, slurm_job_id="17")
        wait_until(lambda: read_leases(folder)[0].owner.slurm_job_id == "17")
        with pytest.raises(LeaseError, match=r"\(Slurm job 17\)"):
            lease(folder, wait_s=STALE_S).acquire()
        held.check()


def test_a_job_that_runs_is_waited_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue(tmp_path, "RUNNING", monkeypatch)
    leave(folder, replace(SILENT, slurm_job_id="17"))
    started_s = time.monotonic()
    with lease(folder, wait_s=60):
        assert time.monotonic() - started_s >= STALE_S
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def squeue(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A squeue that gives one answer, on standard error with status 1 where it is an error."""
    program = folder / "bin" / "squeue"
    program.parent.mkdir()
    ends = f"echo '{answer}' >&2; exit 1" if "error" in answer else f"echo '{answer}'"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{ends}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_whose_lease_was_taken_stops(folder: Path, tmp_path: Path) -> None:
    process = start(folder, tmp_path / "log", "hold", "600")
    wait_until(lambda: len(entries(tmp_path / "log")) == 1)
    os.kill(process.pid, signal.SIGSTOP)
    with lease(folder, wait_s=60) as taken:
        assert taken.path == folder / f"{SHARD}.2.json"
        os.kill(process.pid, signal.SIGCONT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 75
        assert f"the lease of shard {SHARD} is lost: it was taken over by process {os.getpid()}" in told
        assert [word for _, _, word in entries(tmp_path / "log")] == ["begin"]
        taken.check()
        assert list(folder.iterdir()) == [taken.path]


def test_who_was_held_up_looks_before_it_writes(folder: Path) -> None:
    """The heartbeat's thread may not have run yet when the other threads of a process that was stopped go on."""
    held = lease(folder, interval_s=0.3)
    held.acquire()
    held._released.set()
    held.path.unlink()
    held.check()
    time.sleep(0.5)
    with pytest.raises(LeaseError, match="it was removed"):
        held.check()
    held.release()


def test_a_lease_that_cannot_be_renewed_for_long_counts_as_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = lease(folder)
    with held:

        def stall(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(held, "_write", stall)
        held.check()
        wait_until(lambda: time.monotonic() - held._beaten_s > STALE_S)
        with pytest.raises(LeaseError, match=r"could not be renewed \(Input/output error\)"):
            held.check()
        assert held.lost


def test_without_hard_links_the_name_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with lease(folder) as held:
        wait_until(lambda: read_leases(folder)[0].owner.beats >= 2)
        held.check()
        with pytest.raises(LeaseError, match="being executed"):
            lease(folder).acquire()
    assert list(folder.iterdir()) == []


def test_a_link_that_was_made_though_it_is_said_to_have_failed_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over NFS, where the answer was lost and the request was sent again."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    with lease(folder) as held:
        held.check()


def test_who_took_a_lease_and_sees_another_steps_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of the folder that came too late shows no lease where there is one of a higher number."""
    other = leave(folder, SILENT, number=2)
    real, calls = leases_of, iter(range(100))
    monkeypatch.setattr(lease_module, "leases_of", lambda *asked: {} if next(calls) == 0 else real(*asked))
    with pytest.raises(LeaseError, match="on elsewhere"):
        lease(folder).acquire()
    assert list(folder.iterdir()) == [other]


def test_a_process_is_known_from_one_that_had_its_number() -> None:
    ours = this_process("me", 1.0)
    assert not is_dead(ours)
    assert is_dead(replace(ours, started=ours.started - 1))
    assert not is_dead(replace(ours, started=ours.started - 1, machine="another"))
    assert not is_dead(replace(ours, started=0))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        theirs = replace(ours, pid=process.pid, started=int(stat[19]))
        assert not is_dead(theirs)
        process.kill()
        wait_until(lambda: is_dead(theirs))
    assert is_dead(theirs)


def race(folder: str, barrier: object, result: object, steps: int) -> None:
    """Take the lease as often as it can be had; note whether anyone else had it meanwhile."""
    claimed = Path(folder) / "claimed"
    won = crossed = 0
    for _ in range(steps):
        barrier.wait()  # type: ignore[attr-defined]
        held = Lease(Path(folder), SHARD, 5.0, report=lambda _line: None)
        try:
            held.acquire()
        except LeaseError:
            barrier.wait()  # type: ignore[attr-defined]
            continue
        won += 1
        try:
            os.close(os.open(claimed, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            crossed += 1
        held.check()
        barrier.wait()  # type: ignore[attr-defined]
        claimed.unlink(missing_ok=True)
        held.release()
    result.put((won, crossed))  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("stale", [False, True], ids=["free", "stale"])
def test_of_many_that_try_at_once_one_wins(stale: bool, folder: Path) -> None:
    """Sixteen processes at a barrier, sixty times; the owner that they find is dead, or there is none."""
    workers, steps = 16, 60
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(workers + 1), context.Queue()
    started = [
        context.Process(target=race, args=(str(folder), barrier, results, steps), daemon=True) for _ in range(workers)
    ]
    for process in started:
        process.start()
    dead = replace(this_process("dead", 5.0), started=1)
    for step in range(steps):
        if stale:
            leave(folder, replace(dead, owner_id=f"dead {step}"), number=1 + step % 3)
        barrier.wait(120)
        barrier.wait(120)
        wait_until(lambda: not list(folder.glob("*.json")))
    outcomes = [results.get(timeout=60) for _ in started]
    for process in started:
        process.join(60)
    assert sum(won for won, _ in outcomes) == steps
    assert sum(crossed for _, crossed in outcomes) == 0


@pytest.mark.slow
def test_many_processes_that_are_killed_and_stopped_never_overlap(folder: Path, tmp_path: Path) -> None:
    """Twelve processes want one shard; some are killed with the lease, one is stopped until it is taken over."""
    log = tmp_path / "log"
    processes = [start(folder, log, "hold", "0.4", wait_s=120) for _ in range(12)]
    signals = {process.pid: process.send_signal for process in processes}
    stopped: list[int] = []
    killed: list[int] = []
    deadline_s = time.monotonic() + 240
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline_s:
        (owner,) = [state.owner.pid for state in read_leases(folder)] or [0]
        if owner and len(killed) < 3 and owner not in (*killed, *stopped):
            signals[owner](signal.SIGKILL)
            killed.append(owner)
        elif owner and not stopped and owner not in killed:
            signals[owner](signal.SIGSTOP)
            stopped.append(owner)
        elif stopped and owner not in (0, stopped[0]):
            signals[stopped[0]](signal.SIGCONT)
        time.sleep(0.05)
    for process in processes:
        process.communicate(timeout=60)
    ended = {process.pid: process.returncode for process in processes}
    assert 0 < len([pid for pid, status in ended.items() if status == -signal.SIGKILL]) <= len(killed)
    assert set(ended.values()) <= {0, 75, -signal.SIGKILL}
    assert {pid for pid, status in ended.items() if status == 75} <= set(stopped)
    assert list(folder.iterdir()) == []
    for pid in stopped:
        # It was stopped while it held the lease, so it did no more than it had done.
        assert [word for _, one, word in entries(log) if one == pid] in (["begin"], ["begin", "end"])
    assert_one_at_a_time(log, lost={*killed, *stopped})


def assert_one_at_a_time(log: Path, lost: set[int]) -> None:
    holder = 0
    for _, pid, word in entries(log):
        if pid in lost:
            continue
        if word == "begin":
            assert holder == 0
            holder = pid
        else:
            assert holder == pid
            holder = 0
    assert holder == 0


@pytest.fixture(autouse=True)
def outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
