"""A package imports from its left, never from its right (docs/architecture.md)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ORDER = [
    "errors",
    "disk",
    "hardware",
    "networks",
    "workload",
    "datasets",
    "config",
    "grid",
    "planning",
    "training",
    "power",
    "simulation",
    "runs",
    "tables",
    "importers",
    "analysis",
    "figures",
    "report",
    "dashboard",
    "cli",
    "__main__",
]
LONGEST_MODULE = 400


def modules(repository: Path) -> list[Path]:
    return sorted((repository / "src" / "wattsweep").rglob("*.py"))


def room(path: Path, repository: Path) -> str:
    first = path.relative_to(repository / "src" / "wattsweep").parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "wattsweep" and len(parts) > 1 and parts[1] in ORDER:
                yield parts[1]


def test_imports_point_left(repository: Path) -> None:
    wrong = [
        f"{path.relative_to(repository)} imports {imported}"
        for path in modules(repository)
        if room(path, repository) != "__init__"
        for imported in imported_rooms(path)
        if ORDER.index(imported) > ORDER.index(room(path, repository))
    ]
    assert wrong == []


def test_every_room_has_its_place(repository: Path) -> None:
    assert {room(path, repository) for path in modules(repository)} - {"__init__"} == set(ORDER)


def test_modules_stay_small(repository: Path) -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(repository)}
    assert [name for name, length in lengths.items() if length > LONGEST_MODULE] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("wattsweep.config", ["tensorflow", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow"]),
        ("wattsweep.planning", ["tensorflow", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow"]),
        ("wattsweep.cli", ["tensorflow", "pandas", "numpy", "pydantic"]),
        ("wattsweep.runs", ["tensorflow", "pandas", "sklearn", "matplotlib"]),
    ],
)
def test_importing_stays_light(module: str, heavy: list[str]) -> None:
    """The workflow imports config and planning again in every job."""
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
