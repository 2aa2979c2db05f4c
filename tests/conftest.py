"""What tests share: the repository's folder, a deterministic Hypothesis and one TensorFlow set-up."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("wattsweep", deadline=None, derandomize=True)
settings.load_profile("wattsweep")


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """TensorFlow held to one thread; every test that trains asks for it."""
    from wattsweep.training import configure

    configure(threads=1)
