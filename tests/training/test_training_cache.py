"""Programs that outlive a process, each process a real one: TensorFlow reads its flags once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattsweep.training.cache import LEFT_S, STORE_BYTES, compilation_cache

TRAIN = """
import json, sys, time
from pathlib import Path
from wattsweep.training import Architecture, TrainingPlan, compilation_cache, configure, make_engine

with compilation_cache(Path(sys.argv[1]), "this machine") as programs:
    configure(1)
    import numpy as np
    from wattsweep.datasets import Split

    rng = np.random.default_rng(0)
    x, y = rng.random((50, 4), np.float32), rng.random((50, 1), np.float32)
    engine = make_engine("compiled", TrainingPlan(Architecture(4, (5, 1), "regression", False), 40, 10, 30, 16, 1e-3))
    engine.prepare()
    (trained,) = engine.train([Split(x[:40], y[:40], x[40:], y[40:])], [1])
    print(json.dumps([programs, *(values.tobytes().hex() for values in trained.history.values())]))
"""


def train(store: Path, script: str = TRAIN) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", script, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    programs, *histories = json.loads(done.stdout.splitlines()[-1])
    return programs, histories


@pytest.mark.slow
def test_a_program_from_the_store_trains_to_the_same_bits_and_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    none, compiled = train(tmp_path)
    one, loaded = train(tmp_path)
    assert (none, one) == (0, 1)
    assert loaded == compiled

    (program,) = tmp_path.glob("*/*/*.pb")
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    left, again = train(tmp_path)
    assert left == 0
    assert again == compiled
    assert not list(tmp_path.glob("*/.in-use-*"))


def test_the_programs_not_used_for_longest_leave_a_full_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert STORE_BYTES > 2**20
    monkeypatch.setattr("wattsweep.training.cache.STORE_BYTES", 2500)
    for name in ("first", "second", "third"):
        with compilation_cache(tmp_path, "this machine"):
            (folder,) = tmp_path.glob("*/.in-use-*")
            (folder / f"{name}.pb").write_bytes(name.encode() * 200)
    kept = {path.stem for path in tmp_path.glob("*/*/*.pb")}
    assert kept == {"second", "third"}


def test_the_folder_of_a_process_at_work_is_left_alone(tmp_path: Path) -> None:
    with compilation_cache(tmp_path, "this machine"):
        (folder,) = tmp_path.glob("*/.in-use-*")
        (folder / "program.pb").write_text("being written")
        with compilation_cache(tmp_path, "this machine") as programs:
            assert programs == 0
        assert (folder / "program.pb").exists()


def test_what_a_killed_process_left_is_removed_by_the_next_at_its_work(tmp_path: Path) -> None:
    left = [tmp_path / machine / ".in-use-shard1-x" for machine in ("here", "elsewhere")]
    others = [tmp_path / "here" / name for name in (".in-use-shard10-x", ".in-use-shard2-y")]
    old = tmp_path / "elsewhere" / ".in-use-shard3-z"
    for folder in (*left, *others, old):
        folder.mkdir(parents=True)
        (folder / "program.pb").write_text("half of it")
    os.utime(old, (time.time() - 2 * LEFT_S,) * 2)
    with compilation_cache(tmp_path, "this machine", "shard1") as programs:
        assert programs == 0
        assert not any(folder.exists() for folder in (*left, old))
        assert all((folder / "program.pb").exists() for folder in others)
        assert len(list(tmp_path.glob("*/.in-use-shard1-*"))) == 1
    assert not list(tmp_path.glob("*/.in-use-shard1-*"))


@pytest.mark.slow
def test_a_process_whose_folder_was_removed_trains_on(tmp_path: Path) -> None:
    removal = "    import shutil; shutil.rmtree(next(Path(sys.argv[1]).glob('*/.in-use-*')))\n"
    where = "    engine.prepare()\n"
    assert where in TRAIN
    removed = train(tmp_path / "removed", TRAIN.replace(where, removal + where))
    assert removed == train(tmp_path / "kept")
    assert not list(tmp_path.glob("*/*/.in-use-*"))


def test_other_machines_have_stores_of_their_own(tmp_path: Path) -> None:
    for machine in ("one", "other"):
        with compilation_cache(tmp_path, machine) as programs:
            assert programs == 0
            (folder,) = tmp_path.glob("*/.in-use-*")
            (folder / "program.pb").write_text(machine)
    assert len(list(tmp_path.glob("*/*/program.pb"))) == 2
