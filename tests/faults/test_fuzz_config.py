"""Configurations that nobody would write: refused by an error of ours, or good; no traceback, no hang, no flood."""

import random
from pathlib import Path

import pytest

from tests.faults.support_fuzz import TRIES, changed_bytes, changed_document, limited
from wattsweep.config import load, parse
from wattsweep.config.loading import read_yaml
from wattsweep.datasets import dataset_path
from wattsweep.errors import ConfigError
from wattsweep.planning import dataset_names

DATASETS = Path("/results/datasets")


@pytest.fixture(scope="module")
def shipped(repository: Path) -> list[Path]:
    return [repository / "config.yaml", *sorted((repository / "configs").glob("*.yaml"))]


@pytest.mark.slow
def test_changed_documents(shipped: list[Path]) -> None:
    documents = [read_yaml(path) for path in shipped]
    good = 0
    for seed in range(TRIES):
        rng = random.Random(seed)
        document = changed_document(rng.choice(documents), rng)
        try:
            with limited():
                config = parse(document)
                good += 1
            for source, name in dataset_names(config):
                assert dataset_path(DATASETS, source, name).resolve().is_relative_to(DATASETS), document
        except ConfigError as error:
            assert len(str(error)) < 100_000, seed  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"seed {seed}: {document!r:.2000}") from error
    assert 0 < good < TRIES


@pytest.mark.slow
def test_changed_text(shipped: list[Path], tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in shipped]
    path = tmp_path / "config.yaml"
    for seed in range(TRIES // 5):
        rng = random.Random(seed)
        path.write_bytes(changed_bytes(rng.choice(contents), rng))
        try:
            with limited():
                load(path)
        except ConfigError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {path.read_bytes()!r:.2000}") from error


@pytest.mark.parametrize(
    "text",
    [
        "[" * 2_000,
        "a: &a [*a]",
        "sweeps: &a {x: *a}",
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(
            f"{now}: &{now} [{','.join([f'*{before}'] * 9)}]"
            for before, now in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "when: 2021-99-99",
        "number: " + "9" * 10_000,
        "!!python/object/apply:os.system ['touch hacked']",
        "!!python/name:os.system",
        "? [a, b]\n: 1",
        "? {a: 1}\n: 1",
        "\x00",
        "---\na: 1\n---\nb: 2",
        "%YAML 9.9\n---\na: 1",
    ],
)
def test_what_yaml_could_be_abused_for(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with limited(), pytest.raises(ConfigError, match=r"config\.yaml"):
        load(path)
    assert not (tmp_path / "hacked").exists()
