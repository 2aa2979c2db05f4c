"""Cray's counters, read from folders that hold what the files of a node hold."""

import math
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power import Status
from wattsweep.power.sources import Reading, cray, open_source
from wattsweep.power.sources.cray import MOST_ATTEMPTS, CraySource
from wattsweep.power.sources.specs import CraySpec
from wattsweep.power.sources.sysfs import read_text

START_US = 1748550741232124


class Node:
    """The counters of a node, updated together by `tick`; the others stay."""

    def __init__(self, folder: Path, energy_j: int = 2178501771) -> None:
        self.folder = folder
        self.energy_j, self.freshness = energy_j, 5311
        folder.mkdir()
        self.write(power_cap="0 W", raw_scan_hz="10", version="2", startup="1748550741232124", generation="42")
        self.tick(0)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(f"{text}\n")

    def tick(self, joules: int) -> None:
        self.energy_j, self.freshness = self.energy_j + joules, self.freshness + 1
        time = f"{START_US + 100_000 * self.freshness} us"
        self.write(
            energy=f"{self.energy_j} J {time}",
            power=f"{10 * joules} W {time}",
            accel_energy=f"0 J {time}",
            freshness=str(self.freshness),
        )

    def source(self) -> CraySource:
        source = CraySource(CraySpec(root=str(self.folder)))
        source.open()
        return source


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "pm_counters")


def between_reads(monkeypatch: pytest.MonkeyPatch, happens: Callable[[str], None]) -> None:
    """Let something happen on the node after each file that is read, before the next is."""

    def reading(path: Path) -> str:
        text = read_text(path)
        happens(path.name)
        return text

    monkeypatch.setattr(cray, "read_text", reading)


def test_the_energy_is_that_of_the_node(node: Node) -> None:
    source = node.source()
    assert source.read() == Reading(2178501771.0, Status.OK, None)
    description = source.describe()
    assert (description.name, description.kind, description.origin) == ("cray", "energy", "measured")
    assert (description.scope, description.refresh_s, description.step) == ("node", 0.1, 1.0)
    assert description.wrap_j is None
    assert description.detail == f"energy counter of the node in {node.folder}, accelerators included, read in-band"


def test_fresh_or_not_is_what_freshness_says(node: Node) -> None:
    source = node.source()
    source.read()
    assert source.read().fresh is False
    node.tick(0)
    assert source.read() == Reading(2178501771.0, Status.OK, True)
    node.tick(30)
    assert source.read() == Reading(2178501801.0, Status.OK, True)
    assert source.read().fresh is False


def test_an_update_during_a_read_is_read_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    source = node.source()
    seen: list[str] = []

    def once(name: str) -> None:
        seen.append(name)
        if seen.count("energy") == 1 and name == "energy":
            node.tick(25)

    between_reads(monkeypatch, once)
    assert source.read() == Reading(2178501796.0, Status.OK, None)
    assert seen.count("energy") == 2


def test_an_update_between_freshness_and_energy_gives_no_mixed_reading(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joules of an update must not be taken for those of the update before: the next read would find none new."""
    source = node.source()
    source.read()
    seen: list[str] = []

    def once(name: str) -> None:
        seen.append(name)
        if seen == ["freshness"]:
            node.tick(25)

    between_reads(monkeypatch, once)
    assert source.read() == Reading(2178501796.0, Status.OK, True)
    assert seen.count("energy") == 2
    assert source.read() == Reading(2178501796.0, Status.OK, False)


def test_updates_during_every_attempt_are_a_failed_read(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    source = node.source()
    energies: list[str] = []

    def always(name: str) -> None:
        if name == "energy":
            energies.append(name)
            node.tick(1)

    between_reads(monkeypatch, always)
    reading = source.read()
    assert reading.status is Status.FAILED
    assert math.isnan(reading.value)
    assert len(energies) == MOST_ATTEMPTS
    with pytest.raises(PowerError, match=r"updated during each of 5 attempts"):
        node.source()
    monkeypatch.undo()
    assert source.read().status is Status.OK


def test_readings_beside_a_busy_writer_are_never_mixed(tmp_path: Path) -> None:
    """All files change at once, by a link from one folder to the next; an equal freshness must mean equal joules."""
    nodes = [Node(tmp_path / f"update{number}") for number in range(2)]
    link = tmp_path / "pm_counters"
    link.symlink_to(nodes[0].folder)
    done = threading.Event()

    def update() -> None:
        number = 0
        while not done.wait(0.0005):
            number += 1
            node = nodes[number % 2]
            node.energy_j, node.freshness = 1000 * number, number - 1
            node.tick(0)
            (tmp_path / "next").symlink_to(node.folder)
            (tmp_path / "next").replace(link)

    source = CraySource(CraySpec(root=str(link)))
    source.open()
    writer = threading.Thread(target=update)
    writer.start()
    try:
        readings = [source.read() for _ in range(1000)]
    finally:
        done.set()
        writer.join()
    good = [reading for reading in readings if reading.status is Status.OK]
    assert len(good) > 10
    for before, after in pairwise(good):
        assert after.fresh is (after.value != before.value)


@pytest.mark.parametrize(("name", "words"), [("startup", "restarted"), ("generation", "restarted, or a power cap was")])
def test_a_restart_never_looks_like_energy(
    node: Node, name: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = node.source()
    source.read()
    node.energy_j = 0
    node.write(**{name: "77"})
    node.tick(40)
    reading = source.read()
    assert reading.status is Status.FAILED
    assert math.isnan(reading.value)
    assert f"{node.folder}: the counters were {words}" in capfd.readouterr().err
    assert source.read() == Reading(40.0, Status.OK, None)
    assert capfd.readouterr().err == ""


def test_a_node_that_counts_no_startups_is_read(node: Node) -> None:
    (node.folder / "startup").unlink()
    source = node.source()
    assert source.read().status is Status.OK
    node.write(startup="1")
    assert source.read().status is Status.FAILED


@pytest.mark.parametrize("text", ["", "0", "many"])
def test_the_rate_of_updates_is_10_hz_unless_told(node: Node, text: str) -> None:
    node.write(raw_scan_hz=text)
    assert node.source().describe().refresh_s == 0.1
    node.write(raw_scan_hz="1")
    assert node.source().describe().refresh_s == 1.0
    (node.folder / "raw_scan_hz").unlink()
    assert node.source().describe().refresh_s == 0.1


@pytest.mark.parametrize("text", ["", "J", "12.5 J", "5 W 1748550741232124 us", "not available"])
def test_a_failed_read_is_never_zero(node: Node, text: str) -> None:
    source = node.source()
    node.write(energy=text)
    reading = source.read()
    assert reading.status is Status.FAILED
    assert math.isnan(reading.value)
    with pytest.raises(PowerError, match=r"energy holds '.*not of|not of the form expected: energy holds"):
        node.source()


def test_energy_without_a_unit_is_joules(node: Node) -> None:
    node.write(energy="12345")
    assert node.source().read().value == 12345.0


def test_less_than_nothing_is_implausible(node: Node) -> None:
    source = node.source()
    node.write(energy="-5 J 1748550741232124 us")
    assert source.read() == Reading(-5.0, Status.IMPLAUSIBLE, None)


def test_files_that_go_away_fail(node: Node) -> None:
    source = node.source()
    node.folder.rename(node.folder.with_name("away"))
    assert source.read().status is Status.FAILED


def test_a_node_without_counters_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match=r"there is no .*none/freshness\. Cray EX and XC nodes .*power\.source"):
        open_source(CraySpec(root=str(tmp_path / "none")))


def test_it_has_to_be_opened_and_closing_is_harmless(node: Node) -> None:
    source = CraySource(CraySpec(root=str(node.folder)))
    source.close()
    assert source.read().status is Status.FAILED
    with pytest.raises(PowerError, match=r"pm_counters have not been opened; call open\(\)"):
        source.describe()
    source.open()
    source.close()
    source.close()
    assert source.read().status is Status.FAILED
