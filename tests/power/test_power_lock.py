import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Recorder
from wattsweep.power.lock import SourceLock, lock_folder
from wattsweep.simulation import SimulatedBmc

HOLDER = """
import sys, time
from wattsweep.power.lock import SourceLock
lock = SourceLock("ipmi 10.0.0.1:623", "trace a.csv")
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WATTSWEEP_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


def test_the_owner_is_named_and_a_dead_one_holds_nothing(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PowerError, match=rf"recorded by process {holder.pid} of .*\(trace a\.csv\).*Wait"):
            SourceLock("ipmi 10.0.0.1:623", "trace b.csv").acquire()
        with SourceLock("ipmi 10.0.0.2:623", "trace b.csv"):
            pass
        holder.kill()
    with SourceLock("ipmi 10.0.0.1:623", "trace b.csv"):
        pass
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666}


def test_releasing_twice_is_harmless_and_frees_it(folder: Path) -> None:
    lock = SourceLock("simulated", "x")
    lock.acquire()
    content = json.loads(next(folder.iterdir()).read_text())
    assert (content["pid"], content["purpose"]) == (os.getpid(), "x")
    lock.release()
    lock.release()
    with SourceLock("simulated", "y"):
        pass


def test_shared_ones_hold_it_together_and_none_beside_one_that_is_not() -> None:
    with (
        SourceLock("simulated", "a", shared=True),
        SourceLock("simulated", "b", shared=True),
        pytest.raises(PowerError, match="is being recorded by process"),
    ):
        SourceLock("simulated", "c").acquire()
    with SourceLock("simulated", "c"), pytest.raises(PowerError, match=r"recorded by process .* \(c\)"):
        SourceLock("simulated", "d", shared=True).acquire()


def test_locks_have_a_folder_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTSWEEP_LOCKS")
    assert lock_folder().name == "wattsweep-locks"


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WATTSWEEP_LOCKS", str(tmp_path / "file" / "locks"))
    with pytest.raises(PowerError, match="Set WATTSWEEP_LOCKS"):
        SourceLock("simulated", "x").acquire()


def test_a_second_recorder_of_a_source_is_refused(tmp_path: Path) -> None:
    with (
        SimulatedBmc(idle_w=100.0, slope_w=0.0, refresh_s=0.1) as bmc,
        SimulatedBmc(idle_w=100.0, slope_w=0.0, refresh_s=0.1) as other,
        Recorder(bmc.source_spec, tmp_path / "a.csv", 0.1) as first,
    ):
        for spec in (bmc.source_spec, other.source_spec):
            with pytest.raises(PowerError, match=rf"recorded by process {first.pid} .*\(trace a\.csv\)"):
                Recorder(spec, tmp_path / "b.csv", 0.1).start()
        assert not (tmp_path / "b.csv").exists()
        first.stop()
        with Recorder(bmc.source_spec, tmp_path / "b.csv", 0.1):
            pass
