"""How a dataset is written in config.yaml, and what it is trained as.

Use `resolve` for whatever a user wrote, `task_of` for a resolved name. Neither reads a dataset or imports the
libraries that do: names must be cheap, for every parse of the configuration checks them.
"""

import csv
import difflib
import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

from wattsweep.datasets import synthetic
from wattsweep.datasets.types import Task
from wattsweep.errors import DatasetError

SOURCES = ("bundled", "pmlb", "synthetic")

BUNDLED: dict[str, Task] = {
    "breast_cancer": "classification",
    "diabetes": "regression",
    "digits": "classification",
    "iris": "classification",
    "wine": "classification",
}
"""The datasets that come with scikit-learn, and what they are trained as."""

TASK_OVERRIDES: dict[str, Task] = {"201_pol": "classification"}
"""Where BUTTER (arXiv 2207.12547) trains a PMLB dataset as something other than PMLB says."""

_SYNTHETIC_HINT = (
    "a synthetic one is written synthetic:classes_ROWSxFEATURESxCLASSES, such as synthetic:classes_1000x8x5, "
    "or synthetic:regression_ROWSxFEATURES, such as synthetic:regression_1000x8"
)


class DatasetName(NamedTuple):
    """A dataset's full name: `source` is one of `SOURCES`, `name` is its name there."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"


def resolve(name: str) -> DatasetName:
    """The source and name of a dataset written as `source:name`, or as a bare name that only one source
    knows.

    Raises ValueError for a name that no source knows, saying which known names are near, and for a bare name
    that two sources know, saying how to write either.
    """
    prefix, colon, rest = name.partition(":")
    if colon and prefix not in SOURCES:
        raise ValueError(f"dataset {name!r}: source {prefix!r} is unknown, known sources are {', '.join(SOURCES)}")
    sources = (prefix,) if colon else SOURCES
    bare = rest if colon else name

    knowing = [DatasetName(source, bare) for source in sources if _knows(source, bare)]
    if len(knowing) == 1:
        return knowing[0]
    if knowing:
        spellings = " or ".join(str(known) for known in knowing)
        raise ValueError(f"dataset {name!r} is known to {len(knowing)} sources: write {spellings}")
    raise ValueError(_unknown(name, bare, sources))


def task_of(source: str, name: str) -> Task:
    """What a dataset is trained as: BUTTER's override where there is one, else what its source says.

    Raises ValueError for a name that its source does not know.
    """
    if not _knows(source, name):
        raise ValueError(_unknown(f"{source}:{name}", name, (source,)))
    if source == "bundled":
        return BUNDLED[name]
    if source == "pmlb":
        return TASK_OVERRIDES.get(name, pmlb_tasks()[name])
    return synthetic.parse(name).task


@lru_cache(maxsize=1)
def pmlb_tasks() -> dict[str, Task]:
    """Every dataset of the installed `pmlb` package, with the task PMLB gives it.

    The package's table is read in place, since importing `pmlb` imports pandas. Raises DatasetError when the
    package or its table is missing.
    """
    spec = importlib.util.find_spec("pmlb")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("package pmlb is not installed, so its datasets are unknown: run `pip install pmlb`")
    table = Path(spec.submodule_search_locations[0]) / "all_summary_stats.tsv"
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        return {row["dataset"]: cast(Task, row["task"]) for row in rows}
    except (OSError, KeyError) as error:
        raise DatasetError(
            f"package pmlb has no usable list of its datasets in {table} ({error!r}): "
            "run `pip install --force-reinstall 'pmlb>=1.0.1'`"
        ) from error


def known_names() -> list[DatasetName]:
    """All datasets that have a fixed name, which is all but the synthetic ones."""
    bundled = [DatasetName("bundled", name) for name in sorted(BUNDLED)]
    return bundled + [DatasetName("pmlb", name) for name in sorted(pmlb_tasks())]


def check_file_name(name: str) -> str:
    """`name` itself when it is safe as part of a file's name; else ValueError, so that no path leaves its
    folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}", name):
        raise ValueError(
            f"dataset name {name!r} cannot be part of a file's name: use letters, digits and _ . + -, "
            "the first a letter or a digit, 128 at most"
        )
    return name


def _knows(source: str, name: str) -> bool:
    if source == "bundled":
        return name in BUNDLED
    if source == "pmlb":
        return name in pmlb_tasks()
    return source == "synthetic" and synthetic.is_name(name)


def _unknown(written: str, bare: str, sources: tuple[str, ...]) -> str:
    if sources == ("synthetic",) or bare.startswith(("classes_", "regression_")):
        return f"dataset {written!r} is unknown: {synthetic.why_not(bare)}; {_SYNTHETIC_HINT}"
    near = difflib.get_close_matches(bare, {known.name for known in known_names()}, n=3)
    spellings = [str(known) for close in near for known in known_names() if known.name == close]
    hint = f"did you mean {' or '.join(spellings)}? " if spellings else ""
    return f"dataset {written!r} is unknown: {hint}bundled are {', '.join(sorted(BUNDLED))}; {_SYNTHETIC_HINT}"
