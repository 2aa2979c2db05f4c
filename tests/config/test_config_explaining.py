"""Keys explained from the models, settings found in their file, and configurations compared."""

from pathlib import Path
from typing import Any

import pytest

from wattsweep.config import Config, load, parse
from wattsweep.config.comparing import ABSENT, Difference, differences, flat, value_words
from wattsweep.config.explaining import find_keys, keys, settings_of
from wattsweep.config.locating import Place, Places
from wattsweep.config.messages import fields_of, format_path
from wattsweep.errors import ConfigError

TEXT = """\
sweeps:
  one: &one
    dataset: digits
    shape: rectangle
    size: &sizes {powers_of_two: [6, 8]}
    depth: 2
  two:
    - <<: *one
      depth: [3, 4]
    - dataset: wine
      shape: [rectangle, trapezoid]
      size: *sizes
      depth: 2
power:
  interval: 50 ms
"""
CUBE = {"dataset": "digits", "shape": "rectangle", "size": 64, "depth": 2}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def config(**blocks: Any) -> Config:
    return parse({"sweeps": {"demo": CUBE}} | blocks)


def test_every_key_of_every_block_is_known() -> None:
    for block, field in fields_of(Config).items():
        assert any(name.startswith(f"{block}.") for name in keys()), field
    assert len(keys()) > 70
    assert all(key.meaning and key.type for key in keys().values())


@pytest.mark.parametrize(
    ("name", "type_", "unit", "allowed", "default"),
    [
        ("sweeps.*.size", "axis of integer", "parameters", ("≥ 32", "≤ 134217728"), None),
        ("sweeps.*.optimizer", "axis of string", "", ("adam", "rmsprop", "sgd"), ["adam"]),
        ("sweeps.*.label_noise", "axis of number", "", ("≥ 0", "< 1"), [0.0]),
        ("sweeps.*.learning_rate", "axis of number", "", ("> 0",), [1e-4]),
        ("power.min_window", "duration", "ms, s, min, h, d", ("> 0 s",), "60 s"),
        ("power.stale_after", "duration or nothing", "ms, s, min, h, d", ("> 0 s",), "120 s"),
        ("power.plausible", "[number, number]", "W", (), [0.0, 20000.0]),
        ("power.simulated.slope_w", "number", "W", ("≥ 0",), 150.0),
        ("power.carbon_intensity", "number or nothing", "gCO2e/kWh", ("≥ 0",), None),
        ("scheduling.max_wall_time", "duration or nothing", "ms, s, min, h, d", ("≥ 300 s",), None),
        ("scheduling.memory_mb", "integer", "MB", ("≥ 500",), 4000),
        ("training.stop_on_divergence", "boolean", "", (), True),
        ("analysis.hardware", "list of string", "", (), []),
        ("paths.results", "path", "", (), "results"),
    ],
)
def test_a_key_is_explained_from_its_model(
    name: str, type_: str, unit: str, allowed: tuple[str, ...], default: Any
) -> None:
    key = keys()[name]
    assert (key.type, key.unit, key.allowed, key.default) == (type_, unit, allowed, default)
    assert key.required == (name == "sweeps.*.size")


@pytest.mark.parametrize("text", ["sweeps.depth", "sweeps.*.depth", "sweeps.one.depth", "sweeps.two[1].depth", "depth"])
def test_a_key_of_a_sweep_is_found_by_any_of_its_names(text: str) -> None:
    assert [key.name for key in find_keys(text)] == ["sweeps.*.depth"]


def test_a_block_gives_its_keys() -> None:
    assert [key.name for key in find_keys("power.simulated")] == [
        "power.simulated.idle_w",
        "power.simulated.slope_w",
        "power.simulated.refresh",
    ]
    assert find_keys("simulated") == find_keys("power.simulated")
    assert len(find_keys("sweeps")) == len(find_keys("sweeps.one")) == 16


def test_an_unknown_key_and_one_of_several_are_errors_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="dpeth: unknown key; did you mean `depth`"):
        find_keys("dpeth")
    with pytest.raises(
        ConfigError, match=r"2 keys end so; write one of them in full: sweeps\.\*\.repetitions, training"
    ):
        find_keys("repetitions")


def test_settings_are_found_where_they_stand(file: Path) -> None:
    places = Places(file.read_text(encoding="utf-8"))
    (depth,) = find_keys("sweeps.depth")
    found = settings_of(load(file), depth, places)
    assert [(one.key, one.value, one.line) for one in found] == [
        ("sweeps.one.depth", [2], 6),
        ("sweeps.two[0].depth", [3, 4], 9),
        ("sweeps.two[1].depth", [2], 13),
    ]
    (shape,) = find_keys("sweeps.shape")
    merged = settings_of(load(file), shape, places)[1]
    assert (merged.key, merged.line, merged.merged) == ("sweeps.two[0].shape", 4, True)
    assert merged.describe("config.yaml") == "sweeps.two[0].shape: [rectangle] (config.yaml, line 4, merged by <<)"
    (window,) = find_keys("min_window")
    assert settings_of(load(file), window, places)[0].describe("config.yaml") == "power.min_window: 60 s (the default)"
    (size,) = find_keys("sweeps.size")
    assert [one.line for one in settings_of(load(file), size, places)] == [5, 5, 12]


def test_a_place_that_is_not_there_is_none(file: Path) -> None:
    places = Places(TEXT)
    assert places.find(["power", "source"]) is None
    assert places.find(["power", "interval"]) == Place(15)
    assert places.line(["power", "source"]) == 14
    assert places.line(["paths", "results"]) is None


def test_every_setting_has_a_key() -> None:
    for path in flat(config()):
        assert find_keys(format_path(path))


def test_differences_are_those_of_resolved_settings() -> None:
    before = config(power={"interval": "1 s"})
    after = parse({"sweeps": {"demo": CUBE | {"depth": [2, 3]}, "more": CUBE}, "power": {"interval": "50 ms"}})
    found = {one.key: one for one in differences(before, after)}
    assert found["sweeps.demo.depth"] == Difference("sweeps.demo.depth", [2], [2, 3])
    assert found["power.interval"] == Difference("power.interval", "1.0 s", "0.05 s")
    assert found["sweeps.more.size"].before is ABSENT
    assert "before" not in found["sweeps.more.size"].to_json()
    assert {key for key in found if not key.startswith("sweeps.more.")} == {"sweeps.demo.depth", "power.interval"}
    assert differences(before, before) == []
    assert differences(before, config(power={"interval": "1000 ms"})) == []
    assert [one.after for one in differences(after, before) if one.key == "sweeps.more.size"] == [ABSENT]


def test_values_are_written_as_a_configuration_has_them() -> None:
    assert [value_words(one) for one in ("60.0 s", "0.05 s", [1, 2], ["wine"], None, True, 0.5, ABSENT)] == [
        *("60 s", "0.05 s", "[1, 2]", "[wine]", "null", "true", "0.5", "-"),
    ]
