"""Common mistakes, as people make them in the file: each message names the key, the value and the remedy."""

from pathlib import Path

import pytest

from wattsweep.config import load
from wattsweep.errors import ConfigError

GOOD = """\
sweeps:
  demo:
    dataset: digits
    shape: rectangle
    size: {powers_of_two: [6, 10]}
    depth: [2, 3]
    epochs: 100
power:
  interval: 1 s
"""


def said_of(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value)


def changed(before: str, after: str) -> str:
    assert GOOD.count(before) == 1
    return GOOD.replace(before, after)


MISTAKES = {
    "a misspelled key": (
        changed("depth: [2, 3]", "dpeth: [2, 3]"),
        ["line 6: sweeps.demo.dpeth = [2, 3]: unknown key", "did you mean `depth`?"],
    ),
    "a key in the wrong block": (
        GOOD + "  epochs: 5\n",
        ["line 10: power.epochs = 5: unknown key", "it stands in another block: sweeps.NAME.epochs"],
    ),
    "a key that is left out": (
        changed("    depth: [2, 3]\n", ""),
        ["sweeps.demo.depth: missing", "give it a value", "Number of dense layers"],
    ),
    "a unit that is not known": (
        changed("interval: 1 s", "interval: 5 sec"),
        ['line 9: power.interval = "5 sec"', "a number and a unit (ms, s, min, h, d)", "'5 s'"],
    ),
    "no unit": (
        changed("interval: 1 s", "interval: 60"),
        ["line 9: power.interval = 60:", "a number and a unit", "'60 s' or '60 min'"],
    ),
    "a duration in words": (
        changed("interval: 1 s", "interval: ten minutes"),
        ['power.interval = "ten minutes"', "'90 s' or '10 min'"],
    ),
    "a duration of nothing": (
        changed("interval: 1 s", "interval: 0 s"),
        ['power.interval = "0 s"', "it must be more than 0 s"],
    ),
    "a negative size": (
        changed("{powers_of_two: [6, 10]}", "-64"),
        ["line 5: sweeps.demo.size = -64", "it must be at least 32"],
    ),
    "sizes as text": (
        changed("{powers_of_two: [6, 10]}", "64, 128"),
        ['line 5: sweeps.demo.size = "64, 128"', "a whole number is wanted; several are a list: [64, 128]"],
    ),
    "a size as a power": (
        changed("{powers_of_two: [6, 10]}", "2^10"),
        ['sweeps.demo.size = "2^10"', "a whole number is wanted: write 1024"],
    ),
    "a size in quotes": (
        changed("{powers_of_two: [6, 10]}", '"1e3"'),
        ['sweeps.demo.size = "1e3"', "a whole number is wanted: write 1000"],
    ),
    "exponents in the wrong order": (
        changed("[6, 10]}", "[10, 6]}"),
        ['line 5: sweeps.demo.size = {"powers_of_two": [10, 6]}', "not an increasing pair", "write [6, 10]"],
    ),
    "sizes in place of exponents": (
        changed("[6, 10]}", "[64, 1024]}"),
        ['{"powers_of_two": [64, 1024]}', "64 is 2^6, so write [6, 10]"],
    ),
    "a misspelled form of an axis": (
        changed("{powers_of_two: [6, 10]}", "{power_of_two: [6, 10]}"),
        ['sweeps.demo.size = {"power_of_two": [6, 10]}', "`powers_of_two: [6, 14]`"],
    ),
    "an unknown shape": (
        changed("shape: rectangle", "shape: [rectangle, trapeze]"),
        ['line 4: sweeps.demo.shape[1] = "trapeze"', "did you mean `trapezoid`?", "Allowed: rectangle"],
    ),
    "an unknown dataset": (
        changed("dataset: digits", "dataset: digit"),
        ['line 3: sweeps.demo.dataset = "digit"', "did you mean bundled:digits", "synthetic:"],
    ),
    "a depth of 1": (changed("[2, 3]", "1"), ["line 6: sweeps.demo.depth = 1", "it must be at least 2"]),
    "an empty list": (
        changed("[2, 3]", "[]"),
        ["line 6: sweeps.demo.depth = []", "an axis needs at least one value; give one"],
    ),
    "no epochs": (changed("epochs: 100", "epochs: 0"), ["line 7: sweeps.demo.epochs = 0", "it must be at least 1"]),
    "a learning rate in words": (
        changed("epochs: 100", "learning_rate: fast"),
        ['line 7: sweeps.demo.learning_rate = "fast"', "a number is wanted, such as 0.001"],
    ),
    "a batch of nothing": (
        changed("epochs: 100", "batch_size: 0"),
        ["sweeps.demo.batch_size = 0", "it must be at least 1"],
    ),
    "too much label noise": (
        changed("epochs: 100", "label_noise: 2"),
        ["sweeps.demo.label_noise = 2", "it must be less than 1"],
    ),
    "more than all rows for testing": (
        changed("epochs: 100", "test_split: 1.5"),
        ["sweeps.demo.test_split = 1.5", "it must be less than 1"],
    ),
    "a list in place of a number": (
        changed("epochs: 100", "repetitions: [1, 2]"),
        ["sweeps.demo.repetitions = [1, 2]", "one whole number is wanted here, not a list"],
    ),
    "momentum for adam": (
        changed("epochs: 100", "momentum: 0.9"),
        ["line 2: sweeps.demo = {", "optimizer adam has no momentum to set", "a hypercube of its own"],
    ),
    "an unknown source": (
        changed("interval: 1 s", "source: impi"),
        ['line 9: power.source = "impi"', "did you mean `ipmi`?", "Allowed: auto, ipmi"],
    ),
    "a source without what it needs": (
        changed("interval: 1 s", "source: csv"),
        ["line 8: power = {", "the source csv needs csv.path; set it"],
    ),
    "a block without keys": (
        changed("power:\n  interval: 1 s\n", "power: simulated\n"),
        ['line 8: power = "simulated"', "a block of keys is wanted", "source, also, interval"],
    ),
    "a name of a sweep with a blank": (
        changed("demo:", "my sweep:"),
        ["line 2: sweeps.my sweep = {", "a letter first", "`my_sweep`"],
    ),
    "a key that stands twice": (
        changed("    epochs: 100\n", "    epochs: 100\n    epochs: 200\n"),
        ["line 8: the key `epochs` stands twice (line 7 as 100, line 8 as 200); keep one"],
    ),
    "a tab": (
        changed("    depth: [2, 3]", "\tdepth: [2, 3]"),
        ["line 6: a tab indents it", "write two spaces for each level"],
    ),
    "a misspelled anchor": (
        changed("[2, 3]", "&depths [2, 3]").replace("epochs: 100", "epochs: *dephts"),
        ["line 7: `*dephts` stands for a value that is marked `&dephts`", "did you mean `depths`?"],
    ),
    "a list that is not closed": (
        changed("[2, 3]", "[2, 3"),
        ["not valid YAML, line 7", "close the list with ]"],
    ),
    "a colon without a blank": (
        changed("shape: rectangle", "shape:rectangle"),
        ["not valid YAML, line", "write a key as `key: value`, with a colon and a space"],
    ),
    "a key out of its column": (
        changed("    epochs: 100", "     epochs: 100"),
        ["not valid YAML, line 7", "begin the keys of one block in the same column"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_line_its_value_and_the_remedy(name: str, tmp_path: Path) -> None:
    text, parts = MISTAKES[name]
    said = said_of(tmp_path, text)
    for part in parts:
        assert part in said, said
    assert said.startswith(f"{tmp_path / 'config.yaml'}: ")


def test_the_text_that_is_changed_is_right(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert list(load(path).sweeps) == ["demo"]


@pytest.mark.parametrize("block", ["ipmi", "redfish"])
@pytest.mark.parametrize("key", ["password", "username", "passwd", "token"])
def test_credentials_are_sent_elsewhere_and_shown_to_nobody(block: str, key: str, tmp_path: Path) -> None:
    said = said_of(tmp_path, GOOD + f"  {block}:\n    {key}: hunter2\n")
    assert f"line 11: power.{block}.{key}: unknown key: credentials never stand in a configuration" in said
    assert "`credentials_file`" in said
    assert "WATTSWEEP_BMC_PASSWORD" in said
    assert "hunter2" not in said


def test_what_stands_beside_a_meters_address_is_shown_to_nobody(tmp_path: Path) -> None:
    said = said_of(tmp_path, GOOD + "  ipmi:\n    hostpw: hunter2\n")
    assert "power.ipmi.hostpw: unknown key" in said
    assert "hunter2" not in said


def test_a_missing_file_names_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "confg.yaml")
    said = str(caught.value)
    assert "confg.yaml: cannot be read (No such file or directory); did you mean `config.yaml`?" in said
    assert "--configfile" in said
    assert "`wattsweep new`" in said


def test_every_mistake_is_told_with_its_line_and_where_to_read_on(tmp_path: Path) -> None:
    text = changed("shape: rectangle", "shape: square").replace("[2, 3]", "[2, 30]").replace("epochs: 100", "epoch: 1")
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == ["line 4", "line 6", "line 7"]
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 3 mistakes"
    assert lines[-1].strip() == "`wattsweep config explain KEY` says what a key means and takes."


def test_the_line_is_that_of_what_was_merged(tmp_path: Path) -> None:
    text = changed("power:\n", "  other:\n    <<: *demo\n    depth: 4\npower:\n").replace("demo:\n", "demo: &demo\n")
    merged = text.replace("shape: rectangle", "shape: square")
    assert "line 4: sweeps.other.shape" in said_of(tmp_path, merged)
