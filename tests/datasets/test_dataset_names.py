import json
import subprocess
import sys

import pytest

from wattsweep.datasets import DatasetName, known_names, resolve, task_of
from wattsweep.datasets.names import SOURCES, check_file_name, pmlb_tasks
from wattsweep.errors import DatasetError

BUTTER_TASKS = {
    "529_pollen": "regression",
    "connect_4": "classification",
    "537_houses": "regression",
    "mnist": "classification",
    "201_pol": "classification",
    "sleep": "classification",
    "wine_quality_white": "classification",
    "nursery": "classification",
    "adult": "classification",
    "505_tecator": "regression",
    "294_satellite_image": "regression",
    "splice": "classification",
    "banana": "regression",
}


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("digits", ("bundled", "digits")),
        ("bundled:digits", ("bundled", "digits")),
        ("529_pollen", ("pmlb", "529_pollen")),
        ("pmlb:529_pollen", ("pmlb", "529_pollen")),
        ("pmlb:iris", ("pmlb", "iris")),
        ("pmlb:parity5+5", ("pmlb", "parity5+5")),
        ("synthetic:classes_1000x8x5", ("synthetic", "classes_1000x8x5")),
        ("regression_1000x8", ("synthetic", "regression_1000x8")),
    ],
)
def test_resolve(written: str, resolved: tuple[str, str]) -> None:
    assert resolve(written) == DatasetName(*resolved)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("iris", ["'iris'", "2 sources", "bundled:iris or pmlb:iris"]),
        ("diabetes", ["bundled:diabetes or pmlb:diabetes"]),
        ("pollen", ["'pollen'", "pmlb:529_pollen", "synthetic:regression_1000x8"]),
        ("pmlb:digits", ["'pmlb:digits'", "bundled:digits"]),
        ("openml:adult", ["'openml'", "bundled, pmlb, synthetic"]),
        ("", ["''", "bundled are breast_cancer"]),
        ("../digits", ["'../digits'"]),
        ("digits\n", ["did you mean bundled:digits"]),
        ("synthetic:classes_1000x8", ["not of the form"]),
        ("synthetic:classes_0100x8x2", ["not of the form"]),
        ("synthetic:classes_8x8x2", ["8 rows", "at least 32"]),
        ("classes_100x8x1", ["1 classes", "at least 2"]),
        ("classes_100x8x101", ["101 classes", "no more than its rows"]),
        ("synthetic:regression_1000000x1000", ["1000000 x 1000", "at most"]),
    ],
)
def test_unresolvable_names(written: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        resolve(written)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("name", "task"), BUTTER_TASKS.items())
def test_tasks_are_those_of_butter(name: str, task: str) -> None:
    assert task_of("pmlb", name) == task


def test_pmlb_itself_calls_pol_a_regression() -> None:
    assert pmlb_tasks()["201_pol"] == "regression"


def test_tasks_of_other_sources() -> None:
    assert task_of("bundled", "diabetes") == "regression"
    assert task_of("bundled", "wine") == "classification"
    assert task_of("synthetic", "classes_100x2x2") == "classification"
    assert task_of("synthetic", "regression_100x2") == "regression"
    with pytest.raises(ValueError, match="pmlb:no_such"):
        task_of("pmlb", "no_such")
    with pytest.raises(ValueError, match="elsewhere:digits"):
        task_of("elsewhere", "digits")


def test_every_known_name_resolves_and_is_safe_in_a_path() -> None:
    names = known_names()
    assert len(names) > 280
    for known in names:
        assert known.source in SOURCES
        assert resolve(str(known)) == known
        assert check_file_name(known.name) == known.name
        assert task_of(*known) in {"classification", "regression"}


def test_pmlb_lists_agree_with_the_package_itself() -> None:
    program = "import pmlb, json; print(json.dumps([pmlb.classification_dataset_names, pmlb.regression_dataset_names]))"
    ours = {"classification": set[str](), "regression": set[str]()}
    for name, task in pmlb_tasks().items():
        ours[task].add(name)
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    classification, regression = json.loads(printed)
    assert ours == {"classification": set(classification), "regression": set(regression)}


def test_without_pmlb_its_datasets_are_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    pmlb_tasks.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DatasetError, match="pip install pmlb"):
        resolve("529_pollen")
    assert resolve("bundled:digits") == ("bundled", "digits")


def test_importing_and_resolving_is_cheap() -> None:
    program = (
        "import sys; from wattsweep.datasets import resolve; resolve('529_pollen'); "
        "print(sorted({'sklearn', 'pandas', 'pmlb', 'scipy', 'requests'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
