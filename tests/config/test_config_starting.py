"""A configuration to begin with is one that loads, wherever it is written, and editors find its schema."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from wattsweep.config import load
from wattsweep.config.checkout import MODELINE, SCHEMA_COPY, checkout, preset_text, presets, with_schema
from wattsweep.config.reference import SCHEMA_PATH, schema
from wattsweep.config.starting import Starter, checked, names, starter_text, whole_numbers, write_starter
from wattsweep.errors import ConfigError

SHIPPED = ["config.yaml", *(f"configs/{name}.yaml" for name in ("butter", "butter-e", "energy-model", "smoke"))]


def schema_beside(path: Path) -> Path:
    """The schema that the first line of a configuration names."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(MODELINE), first
    return path.parent / first.removeprefix(MODELINE)


def test_every_shipped_configuration_is_listed(repository: Path) -> None:
    there = [repository / "config.yaml", *(repository / "configs").glob("*.yaml")]
    assert sorted(str(path.relative_to(repository)) for path in there) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_names_its_schema_to_editors(name: str, repository: Path) -> None:
    assert schema_beside(repository / name).resolve() == repository / SCHEMA_PATH


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_loads_and_has_comments(name: str, repository: Path) -> None:
    path = repository / name
    assert load(path).sweeps
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("# ")]
    assert len(comments) >= 5


@pytest.mark.parametrize(
    "starter",
    [
        Starter(),
        Starter(simulated=True),
        Starter(meter="none"),
        Starter(meter="ipmi", partition="main", account="lab", qos="long", results="/scratch/my results"),
        Starter(datasets=("pmlb:529_pollen", "synthetic:classes_1000x8x5"), shapes=("rectangle", "trapezoid")),
        Starter(sizes=(64, 100), depths=(2,), epochs=3, repetitions=1),
    ],
)
def test_a_starter_loads_to_its_answers(starter: Starter, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sweep.yaml"
    write_starter(starter_text(starter, path.name), path)
    config = load(path)
    assert config == checked(starter)
    (cube,) = config.sweeps["first"]
    assert [name.split(":")[-1] for name in cube.dataset] == [name.split(":")[-1] for name in starter.datasets]
    assert cube.shape == list(starter.shapes)
    assert (cube.size, cube.depth) == (list(starter.sizes), list(starter.depths))
    assert (cube.epochs, cube.repetitions) == ([starter.epochs], starter.repetitions)
    assert config.power.source == starter.meter
    scheduling = config.scheduling
    assert [one or "" for one in (scheduling.partition, scheduling.account, scheduling.qos)] == [
        starter.partition,
        starter.account,
        starter.qos,
    ]
    assert str(config.paths.results) == starter.results
    assert "`wattsweep plan --configfile sweep.yaml`" in path.read_text(encoding="utf-8")


def test_windows_are_short_only_for_the_simulated_bmc() -> None:
    assert checked(Starter(simulated=True)).power.min_window_s == 1
    assert checked(Starter()).power.min_window_s == 60


def test_powers_of_two_are_written_as_such() -> None:
    assert "size: {powers_of_two: [6, 9]}" in starter_text(Starter(sizes=(64, 128, 256, 512)))
    assert "size: [64, 256]" in starter_text(Starter(sizes=(64, 256)))


def test_no_line_is_too_long_to_read() -> None:
    for starter in (Starter(), Starter(simulated=True, partition="main"), Starter(meter="none")):
        assert max(map(len, starter_text(starter, "a-rather-long-name.yaml").splitlines())) <= 160


def test_an_answer_that_is_no_good_is_told_as_a_mistake_is() -> None:
    with pytest.raises(ConfigError, match=r'sweeps\.first\.shape\[0\] = "square": not known'):
        checked(Starter(shapes=("square",)))
    with pytest.raises(ConfigError, match="the source csv needs"):
        checked(replace(Starter(), meter="csv"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("64", [64]),
        ("64, 256 1024", [64, 256, 1024]),
        ("2..5", [2, 3, 4, 5]),
        ("2^6..2^9", [64, 128, 256, 512]),
        ("2 ^ 6 .. 2**8, 1000", [64, 128, 256, 1000]),
        ("1_000", [1000]),
    ],
)
def test_whole_numbers_are_read_as_people_write_them(text: str, numbers: list[int]) -> None:
    assert whole_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "many", "1.5", "5..2", "2^9..2^6", "1..100000", "2..x"])
def test_what_is_no_whole_number_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 64|is no range"):
        whole_numbers(text)


def test_names_are_parted_by_commas_or_blanks() -> None:
    assert names(" wine, digits iris,") == ["wine", "digits", "iris"]


def test_outside_of_a_repository_the_schema_is_written_beside(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    write_starter(starter_text(Starter()), path)
    assert schema_beside(path) == tmp_path / SCHEMA_COPY
    assert json.loads((tmp_path / SCHEMA_COPY).read_text(encoding="utf-8")) == schema()


def test_in_a_repository_the_schema_is_the_one_there(repository: Path, tmp_path: Path) -> None:
    (tmp_path / SCHEMA_PATH).parent.mkdir(parents=True)
    shutil.copy(repository / SCHEMA_PATH, tmp_path / SCHEMA_PATH)
    path = tmp_path / "my" / "sweeps" / "sweep.yaml"
    write_starter(starter_text(Starter()), path)
    assert schema_beside(path).resolve() == tmp_path / SCHEMA_PATH
    assert [one.name for one in path.parent.iterdir()] == ["sweep.yaml"]
    assert checkout(path.parent) == tmp_path


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already, and stays as it is; name another"):
        write_starter(starter_text(Starter()), path)
    assert path.read_text(encoding="utf-8") == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["sweep.yaml"]


def test_presets_are_the_shipped_configurations(repository: Path, tmp_path: Path) -> None:
    assert list(presets()) == ["demo", "butter", "butter-e", "energy-model", "smoke"]
    for name in presets():
        path = tmp_path / f"{name}.yaml"
        write_starter(preset_text(name), path)
        shipped = repository / (f"configs/{name}.yaml" if name != "demo" else "config.yaml")
        assert load(path) == load(shipped)
        assert path.read_text(encoding="utf-8").splitlines()[1:] == shipped.read_text(encoding="utf-8").splitlines()[1:]
        assert schema_beside(path) == tmp_path / SCHEMA_COPY
    with pytest.raises(ConfigError, match="preset smok: not known; did you mean `smoke`"):
        preset_text("smok")


def test_the_first_line_is_replaced_and_never_doubled(repository: Path) -> None:
    folder = repository / "configs"
    text = with_schema(with_schema("sweeps: {}\n", repository), folder)
    assert text == f"{MODELINE}../{SCHEMA_PATH}\nsweeps: {{}}\n"


def test_the_datasets_that_it_names_are_known() -> None:
    (line,) = (line for line in starter_text(Starter()).splitlines() if "No download: " in line)
    named = line.partition("No download: ")[2].partition(". pmlb")[0]
    assert checked(Starter(datasets=tuple(names(named)))).sweeps["first"][0].dataset == [
        f"bundled:{name}" for name in ("digits", "wine", "breast_cancer", "diabetes", "iris")
    ]
