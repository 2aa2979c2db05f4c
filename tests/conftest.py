"""What tests share: the repository's folder, a deterministic Hypothesis and one TensorFlow set-up."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("wattsweep", deadline=None, derandomize=True)
settings.load_profile("wattsweep")


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks of our own, so that the tests neither wait for a sweep on this machine nor stop one."""
    os.environ["WATTSWEEP_LOCKS"] = str(tmp_path_factory.mktemp("locks"))
    yield
    del os.environ["WATTSWEEP_LOCKS"]


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """TensorFlow held to one thread; every test that trains asks for it."""
    from wattsweep.training import configure

    configure(threads=1)
