"""What tests share: the repository's folder, a deterministic Hypothesis and one TensorFlow set-up."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

LONGEST = (
    "tests/slurm/",
    "test_workflow.py",
    "test_tutorial.py",
    "test_drain.py",
    "test_resuming.py",
    "test_training_memory.py",
)
"""Where most of the time goes: begun first, so that no process is left with them at the end."""

settings.register_profile("wattsweep", deadline=None, derandomize=True)
settings.load_profile("wattsweep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, name in enumerate(LONGEST) if name in str(item.path)), len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A module's tests are for one process, since they share its fixtures; all of those on Slurm, its one cluster."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", 1)[0]
            return "tests/slurm" if module.startswith("tests/slurm/") else module

    return ByModule(config, log)


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
