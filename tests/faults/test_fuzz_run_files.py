"""Run files that were damaged anywhere: refused with a reason, or read as what was written."""

import random
from pathlib import Path

import h5py
import pytest

from tests.faults.support_fuzz import TRIES, changed_bytes, limited
from tests.runs.test_run_files import assert_same
from tests.support_records import make_record
from wattsweep.errors import RunFileError
from wattsweep.runs import read_run, write_run
from wattsweep.runs.facts import facts_of, read_facts


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "run.h5"
    write_run(path, make_record())
    return path.read_bytes()


@pytest.mark.slow
def test_one_bit_turned_is_found_or_without_meaning(content: bytes, tmp_path: Path) -> None:
    record = make_record()
    path = tmp_path / "run.h5"
    read = 0
    for seed in range(TRIES):
        rng = random.Random(seed)
        damaged = bytearray(content)
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            with limited():
                assert_same(read_run(path), record)
                assert facts_of(read_run(path, traces=False)) == facts_of(record)
                read += 1
        except RunFileError as error:
            assert str(path) in str(error)  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"byte {place}, bit {bit}") from error
    # What is read is what has its bit in the rest of the block that holds the seal.
    assert 0 < read < TRIES


@pytest.mark.slow
def test_any_damage_is_an_error_of_ours(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    for seed in range(TRIES // 3):
        path.write_bytes(changed_bytes(content, random.Random(seed)))
        for read in (read_run, read_facts):
            try:
                with limited():
                    read(path)
            except RunFileError:
                continue
            except Exception as error:
                raise AssertionError(f"seed {seed}, {read.__name__}") from error


@pytest.mark.parametrize("kind", ["empty", "text", "other", "folder", "link"])
def test_foreign_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(path)
    elif kind == "other":
        with h5py.File(path, "w") as file:
            file["epochs"] = [1, 2, 3]
    else:
        path.write_text("" if kind == "empty" else "no HDF5 at all\n" * 1000)
    with pytest.raises(RunFileError, match=r"run\.h5"):
        read_run(path)
