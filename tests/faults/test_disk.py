"""Disks that are full, read-only, or without locks: an error with the remedy; with room again all is completed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.runs.support_runs import CUBE, config, records, run
from tests.runs.support_shard_process import ShardProcess
from tests.support_preload import preloadable
from tests.support_records import make_record
from wattsweep.config import Config
from wattsweep.runs import RunRecord, write_run
from wattsweep.training import HISTORY_NAMES

GRID = CUBE | {"epochs": 2000}
NO_LOCKS = """
#include <errno.h>
#include <fcntl.h>
int flock(int file, int what) { errno = ENOSYS; return -1; }
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty filesystem of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def prepared(results: Path) -> Config:
    """The configuration, its dataset at hand."""
    return config(results, GRID)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunRecord]:
    settings = config(tmp_path_factory.mktemp("undisturbed"), GRID, source="none")
    run(settings)
    return {record.run.run_id: record for record in records(settings).values()}


def assert_completed(settings: Config, undisturbed: dict[str, RunRecord]) -> None:
    found = {record.run.run_id: record for record in records(settings).values()}
    assert undisturbed.keys() <= found.keys()
    for run_id, record in undisturbed.items():
        for name in HISTORY_NAMES:
            np.testing.assert_array_equal(found[run_id].history[name], record.history[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("room_kb", [4, 900])
def test_a_disk_that_fills_up(
    room_kb: int, small_disk: Path, tmp_path: Path, undisturbed: dict[str, RunRecord]
) -> None:
    settings = prepared(small_disk / "results")
    job = ShardProcess(settings, tmp_path / "job")
    job.kill()
    used_kb = sum(path.stat().st_blocks for path in small_disk.rglob("*")) // 2
    remount(small_disk, f"size={used_kb + room_kb}k")
    job = ShardProcess(settings, tmp_path / "job")
    status = job.wait()
    assert status != 0, "there was room enough: choose less"
    assert "the disk is full: free some space" in job.log or "No space left on device" in job.log
    assert "Traceback" not in job.log
    remount(small_disk, "size=64m")
    again = ShardProcess(settings, tmp_path / "again")
    assert again.wait() == 0, again.log
    assert_completed(settings, undisturbed)
    assert not (small_disk / "results" / "quarantine").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_results_that_cannot_be_written(small_disk: Path, tmp_path: Path, undisturbed: dict[str, RunRecord]) -> None:
    settings = prepared(small_disk / "results")
    job = ShardProcess(settings, tmp_path / "job")
    job.kill()
    remount(small_disk, "ro")
    job = ShardProcess(settings, tmp_path / "job")
    assert job.wait() == 1
    assert "the filesystem is read-only: name results that can be written (`paths.results`)" in job.log
    assert "Traceback" not in job.log
    remount(small_disk, "rw")
    again = ShardProcess(settings, tmp_path / "again")
    assert again.wait() == 0, again.log
    assert_completed(settings, undisturbed)


@pytest.mark.slow
def test_a_filesystem_without_locks(tmp_path: Path) -> None:
    source = tmp_path / "flock.c"
    source.write_text(NO_LOCKS)
    library = preloadable(source, tmp_path)
    write_run(tmp_path / "run.h5", make_record())
    program = (
        "import fcntl, sys\n"
        "try:\n"
        "    fcntl.flock(open(sys.argv[1]), fcntl.LOCK_SH)\n"
        "except OSError as error:\n"
        "    print('no locks:', error.errno)\n"
        "from pathlib import Path\n"
        "from wattsweep.runs import read_run, write_run\n"
        "record = read_run(Path(sys.argv[1]))\n"
        "write_run(Path(sys.argv[2]), record)\n"
        "print(read_run(Path(sys.argv[2])).run.run_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run.h5"), str(tmp_path / "copy.h5")],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["no", "locks:", "38", make_record().run.run_id]
