"""Data sets that cannot be trained on, or are unlike any other: an error with the column and the remedy, or arrays."""

import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from tests.faults.support_fuzz import TRIES, changed_bytes, limited
from wattsweep.datasets import load, prepare
from wattsweep.datasets.pmlb_source import read
from wattsweep.errors import DatasetError

HEADER = "a\tb\ttarget\n"
GOOD = HEADER + "".join(f"{row}\t{row % 7}.5\t{row % 3}\n" for row in range(60))


def written(folder: Path, content: bytes, name: str = "adult") -> Path:
    path = folder / name / f"{name}.tsv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content))
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "adult"),
        (HEADER, "adult"),
        (HEADER + "1\t2\t0\n", "adult"),
        (HEADER + "1\t2\t0\n3\t4\t0\n", "target"),
        (HEADER + "1\t1\t0\n1\t1\t1\n", "no usable column"),
        (HEADER + "1\tnan\t0\n2\t1\t1\n", "'b'"),
        (HEADER + "1\tinf\t0\n2\t1\t1\n", "'b'"),
        ("a\ta\ttarget\n1\t2\t0\n3\t4\t1\n", "a"),
        ("a\tb\n1\t2\n", "target"),
    ],
)
def test_a_table_that_cannot_be_trained_on(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=words):
        prepare("pmlb", "adult", tmp_path / "datasets", written(tmp_path / "pmlb", text.encode()))
    assert not (tmp_path / "datasets" / "pmlb" / "adult.npz").exists()


def test_ten_thousand_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1000, (30, 10_000))
    lines = ["\t".join([*(f"c{number}" for number in range(10_000)), "target"])]
    lines += ["\t".join([*map(str, row), str(number % 2)]) for number, row in enumerate(values)]
    with limited(120.0):
        path = prepare(
            "pmlb", "adult", tmp_path / "datasets", written(tmp_path / "pmlb", "\n".join(lines).encode() + b"\n")
        )
    assert load(path).features.shape[0] == 30


def test_a_prepared_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = prepare("pmlb", "adult", tmp_path / "datasets", written(tmp_path / "pmlb", GOOD.encode()))
    content = path.read_bytes()
    refused = 0
    for seed in range(min(TRIES, 300)):
        damaged = bytearray(content)
        rng = random.Random(seed)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            with limited():
                found = load(path)
        except DatasetError:
            refused += 1
        else:
            path.write_bytes(content)
            assert found.sha256 == load(path).sha256
            np.testing.assert_array_equal(found.features, load(path).features)
    assert refused > 0


@pytest.mark.slow
def test_any_table_is_an_error_of_ours_or_good(tmp_path: Path) -> None:
    for seed in range(TRIES // 3):
        path = written(tmp_path, changed_bytes(GOOD.encode(), random.Random(seed)))
        try:
            with limited():
                read("adult", path)
        except DatasetError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
