"""What pyproject.toml, environment.yml, envs/ and the lock files say of dependencies agrees."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

CONDA_NAMES = {"matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}


def declared(repository: Path) -> list[str]:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def conda(path: Path) -> list[str]:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    listed = [entry for entry in entries if isinstance(entry, str)]
    listed += [entry for block in entries if isinstance(block, dict) for entry in block["pip"]]
    return [entry for entry in listed if not re.match(r"(python|pip)\b", entry)]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[]", requirement)[0]


def renamed(requirement: str) -> str:
    name = name_of(requirement)
    return CONDA_NAMES.get(name, name) + requirement[len(name) :]


def test_environment_yml_lists_what_pyproject_lists(repository: Path) -> None:
    assert sorted(conda(repository / "environment.yml")) == sorted(map(renamed, declared(repository)))


@pytest.mark.parametrize("name", ["train-cpu", "train-gpu", "analysis"])
def test_the_environments_of_stages_take_versions_from_pyproject(repository: Path, name: str) -> None:
    allowed = {*map(renamed, declared(repository)), *declared(repository), "tensorflow[and-cuda]>=2.21"}
    assert set(conda(repository / "envs" / f"{name}.yml")) <= allowed


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_every_dependency_with_hashes_and_name_no_host(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    assert "://" not in text
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    pinned = {name_of(block) for block in blocks}
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+ \\\n    --hash=sha256:", block) for block in blocks)
    assert {name_of(requirement) for requirement in declared(repository)} <= pinned


def test_both_lock_files_agree(repository: Path) -> None:
    pins = [
        set(re.findall(r"^[a-z0-9._-]+==\S+", (repository / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert pins[0] <= pins[1]
