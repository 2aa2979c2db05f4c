from pathlib import Path
from typing import Any

import pytest

from wattsweep.config import Config, load, parse
from wattsweep.errors import ConfigError


def cube(**changes: Any) -> dict[str, Any]:
    axes = {"dataset": "digits", "shape": "rectangle", "size": 64, "depth": 2}
    return {name: value for name, value in {**axes, **changes}.items() if value is not None}


def config(**changes: Any) -> dict[str, Any]:
    return {"sweeps": {"demo": cube(**changes)}}


def mistakes(document: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(document)
    return str(caught.value)


def test_axes_take_a_value_a_list_or_powers_of_two() -> None:
    parsed = parse(config(dataset=["digits", "pmlb:529_pollen"], size={"powers_of_two": [5, 9], "step": 2}, depth=3))
    (hypercube,) = parsed.sweeps["demo"]
    assert hypercube.dataset == ["bundled:digits", "pmlb:529_pollen"]
    assert hypercube.size == [32, 128, 512]
    assert hypercube.depth == [3]
    assert hypercube.learning_rate == [1e-4]


def test_no_message_shows_a_password() -> None:
    said = mistakes(config() | {"power": {"redfish": {"url": "https://me:hunter2@bmc"}}})
    assert 'power.redfish.url = "https://***@bmc"' in said
    assert "hunter2" not in said


def test_a_sweep_takes_a_list_of_hypercubes() -> None:
    parsed = parse({"sweeps": {"two": [cube(depth=2), cube(depth=3, repetitions=4)]}})
    assert [hypercube.repetitions for hypercube in parsed.sweeps["two"]] == [1, 4]


@pytest.mark.parametrize(("text", "seconds"), [("500 ms", 0.5), ("90 s", 90), ("1.5 h", 5400), ("2min", 120)])
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    parsed = parse(config() | {"power": {"min_window": text}})
    assert parsed.power.min_window_s == seconds


def test_a_dumped_config_parses_to_itself() -> None:
    parsed = parse(config() | {"power": {"interval": "0.1 ms", "max_gap": "3 s"}})
    assert parse(parsed.model_dump(mode="json", by_alias=True)) == parsed


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (config(shpae="rectangle"), ['sweeps.demo.shpae = "rectangle": unknown key; did you mean `shape`?']),
        (config(dataset=["digitz"]), ['sweeps.demo.dataset[0] = "digitz"', "digits", "synthetic:"]),
        (config(dataset="diabetes"), ['sweeps.demo.dataset = "diabetes"', "bundled:diabetes", "pmlb:diabetes"]),
        (config(shape="rectangel"), ['sweeps.demo.shape = "rectangel"', "did you mean `rectangle`?", "wide_first_16x"]),
        (config(depth=[2, 1]), ["sweeps.demo.depth[1] = 1", "it must be at least 2"]),
        (config(depth=21), ["sweeps.demo.depth = 21", "it must be at most 20"]),
        (config(size=16), ["sweeps.demo.size = 16", "it must be at least 32"]),
        (config(size="64"), ['sweeps.demo.size = "64"', "a whole number is wanted: write 64"]),
        (config(size={"powers_of_two": [9, 5]}), ["sweeps.demo.size", "[9, 5]", "increasing"]),
        (config(size=[]), ["sweeps.demo.size = []", "at least one value"]),
        (config(learning_rate=-0.1), ["sweeps.demo.learning_rate = -0.1", "it must be more than 0"]),
        (config(learning_rate=True), ["sweeps.demo.learning_rate = true", "truth value"]),
        (config(label_noise=1.0), ["sweeps.demo.label_noise = 1.0", "it must be less than 1"]),
        (config(repetitions=[3]), ["sweeps.demo.repetitions = [3]", "one whole number is wanted here, not a list"]),
        (config(optimizer="adan"), ['sweeps.demo.optimizer = "adan"', "did you mean `adam`?", "adam, rmsprop, sgd"]),
        (config(momentum=0.9), ["sweeps.demo", "optimizer adam has no momentum to set"]),
        (config(kernel_l1=-1), ["sweeps.demo.kernel_l1 = -1", "it must be at least 0"]),
        (config(hardware="gpus"), ['sweeps.demo.hardware = "gpus"', "did you mean `gpu`?", "any, cpu, gpu"]),
        (config(precision="bfloat16"), ['sweeps.demo.precision = "bfloat16"', "did you mean `mixed_bfloat16`?"]),
        (
            config() | {"training": {"engine": "keras-fit", "repetitions": "vectorised"}},
            ["training = {", '"repetitions": "vectorised"', "training.repetitions: sequential", "engine: compiled"],
        ),
        (
            config() | {"training": {"checkpoint_every": "0 s"}},
            ["training.checkpoint_every", "it must be more than 0 s"],
        ),
        (config() | {"training": {"checkpoint_every": 600}}, ["training.checkpoint_every", "a number and a unit"]),
        (config(depth=None), ["sweeps.demo.depth: missing"]),
        (config() | {"power": {"sauce": "auto"}}, ['power.sauce = "auto": unknown key; did you mean `source`?']),
        (config() | {"power": {"source": "ipmo"}}, ['power.source = "ipmo"', "did you mean `ipmi`?"]),
        (config() | {"power": {"min_window": 60}}, ["power.min_window = 60", "a number and a unit"]),
        (config() | {"power": {"ipmi": {"password": "x"}}}, ["power.ipmi.password: unknown key", "credentials_file"]),
        (config() | {"trainin": {}}, ["trainin = {}: unknown key; did you mean `training`?"]),
        ({"sweeps": {}}, ["sweeps = {}"]),
        ({"sweeps": {"a b": cube()}}, ["sweeps.a b", "`a_b`"]),
        ({}, ["sweeps: missing"]),
        ([1], ["a mapping with the key `sweeps` is wanted, this is list"]),
    ],
)
def test_a_mistake_is_named_with_its_value_and_the_remedy(document: Any, expected: list[str]) -> None:
    message = mistakes(document)
    for part in expected:
        assert part in message


def test_all_mistakes_are_told_at_once() -> None:
    message = mistakes(config(depth=1, shape="square") | {"extra": 1})
    assert message.startswith("config: 3 mistakes\n")


def test_a_repeated_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("sweeps:\n  a: 1\n  a: 2\n")
    with pytest.raises(ConfigError, match="the key `a` stands twice"):
        load(path)


@pytest.mark.parametrize("text", ["sweeps: [", "!!python/object/apply:os.getcwd []"])
def test_yaml_that_is_broken_or_unsafe_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--configfile"):
        load(tmp_path / "none.yaml")


def test_the_shipped_config_is_valid(repository: Path) -> None:
    assert isinstance(load(repository / "config.yaml"), Config)
