"""RAPL counters, read from folders laid out as the kernel lays them out."""

import math
from pathlib import Path

import pytest

from tests.power.support_unprivileged import as_user, open_folder
from wattsweep.errors import PowerError
from wattsweep.power import Recorder, Status
from wattsweep.power.sources import Reading, open_source, rapl
from wattsweep.power.sources.rapl import RaplSource, zones
from wattsweep.power.sources.specs import RaplSpec

PACKAGE_RANGE_UJ = 262143328850
"""Of the usual unit, 2^-14 J, which the kernel holds as 61.035 uJ."""
DRAM_RANGE_UJ = 65712999613
"""Of the 15.3 uJ of a server's DRAM."""


class Node:
    """A node's powercap: zones in one another below devices/, and links to all of them side by side below class/."""

    def __init__(self, folder: Path, *, packages: int = 2) -> None:
        self.devices = folder / "devices" / "virtual" / "powercap"
        self.root = folder / "class" / "powercap"
        self.cpus = folder / "cpus"
        self.root.mkdir(parents=True)
        for control in ("intel-rapl", "intel-rapl-mmio"):
            self._link(control, self.devices / control, enabled=1)
        for package in range(packages):
            self.cpu(package)

    def cpu(self, package: int) -> None:
        topology = self.cpus / f"cpu{package}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")

    def zone(self, zone: str, name: str, energy_uj: object = 1000, range_uj: object = PACKAGE_RANGE_UJ) -> Path:
        control, *numbers = zone.split(":")
        folder = self.devices / control
        for depth in range(len(numbers)):
            folder /= ":".join([control, *numbers[: depth + 1]])
        self._link(zone, folder, enabled=0, name=name, max_energy_range_uj=range_uj, energy_uj=energy_uj)
        (folder / "energy_uj").chmod(0o400)
        return folder

    def source(self, zone: str) -> RaplSource:
        source = RaplSource(RaplSpec(zone=zone, root=str(self.root)))
        source.open()
        return source

    def survey(self) -> dict[str, rapl.Zone]:
        return {zone.zone: zone for zone in zones(str(self.root), str(self.cpus))}

    def _link(self, link: str, folder: Path, **files: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for file, value in files.items():
            (folder / file).write_text(f"{value}\n")
        (self.root / link).symlink_to(folder)
        (folder / "subsystem").symlink_to(self.root)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    node.zone("intel-rapl:0", "package-0", 61_035_156)
    node.zone("intel-rapl:0:0", "dram", 15_300_000, DRAM_RANGE_UJ)
    node.zone("intel-rapl:1", "package-1", 2_000_000)
    node.zone("intel-rapl:1:0", "dram", 3_000_000, DRAM_RANGE_UJ)
    return node


def test_a_package_is_read_in_joules(node: Node) -> None:
    source = node.source("intel-rapl:0")
    assert source.read() == Reading(61.035156, Status.OK, None)
    description = source.describe()
    assert (description.name, description.kind, description.origin) == ("rapl", "energy", "measured")
    assert description.scope == "CPU package"
    assert description.wrap_j == 262143.328851
    assert description.step == pytest.approx(61.035e-6)
    assert description.refresh_s == 0.001
    assert "'package-0'" in description.detail
    assert str(node.root / "intel-rapl:0") in description.detail


def test_dram_has_its_own_range_and_unit(node: Node) -> None:
    source = node.source("intel-rapl:1:0")
    assert source.read() == Reading(3.0, Status.OK)
    description = source.describe()
    assert description.scope == "DRAM"
    assert description.wrap_j == 65712.999614
    assert description.step == pytest.approx(15.3e-6)


def test_a_range_that_is_not_of_32_bits_tells_no_unit(node: Node) -> None:
    node.zone("intel-rapl:2", "package-2", 5, 2**63)
    assert node.source("intel-rapl:2").describe().step == 1e-6


@pytest.mark.parametrize(("name", "scope"), [("psys", "node"), ("package-0-die-1", "CPU package")])
def test_the_name_says_what_is_metered(node: Node, name: str, scope: str) -> None:
    node.zone("intel-rapl:2", name)
    assert node.source("intel-rapl:2").describe().scope == scope


@pytest.mark.parametrize("name", ["core", "uncore"])
def test_a_part_of_a_package_is_refused(node: Node, name: str) -> None:
    node.zone("intel-rapl:0:1", name)
    with pytest.raises(PowerError, match=rf"intel-rapl:0:1 .* named '{name}'.*: intel-rapl:0 \(package-0\), .*dram"):
        node.source("intel-rapl:0:1")


def test_a_zone_that_is_not_there_is_an_error_that_lists_the_others(node: Node) -> None:
    with pytest.raises(PowerError, match=r"no RAPL zone intel-rapl:7 below .* intel-rapl:1:0 \(dram\)"):
        node.source("intel-rapl:7")


def test_a_node_without_rapl_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match=r"intel_rapl_msr.*power\.source"):
        open_source(RaplSpec(root=str(tmp_path / "none")))
    assert zones(str(tmp_path / "none")) == []


def test_zones_are_found_where_no_class_lists_them(node: Node) -> None:
    nested = RaplSource(RaplSpec(zone="intel-rapl:1:0", root=str(node.devices)))
    nested.open()
    assert nested.read().value == 3.0
    assert [zone.zone for zone in zones(str(node.devices))] == list(node.survey())


@pytest.mark.parametrize("distance_uj", [1, 30_000_000, 59_999_999])
def test_the_place_of_the_wrap_does_not_matter(node: Node, distance_uj: int) -> None:
    """What is reported is the counter; two reads differ by the same joules wherever between them it wrapped."""
    folder = node.zone("intel-rapl:2", "package-0", PACKAGE_RANGE_UJ + 1 - distance_uj)
    source = node.source("intel-rapl:2")
    before = source.read()
    (folder / "energy_uj").write_text(f"{60_000_000 - distance_uj}\n")
    after = source.read()
    assert (before.status, after.status) == (Status.OK, Status.OK)
    assert after.value == (60_000_000 - distance_uj) / 1e6
    wrap_j = source.describe().wrap_j
    assert wrap_j is not None
    assert (after.value - before.value) % wrap_j == pytest.approx(60.0)


@pytest.mark.parametrize("content", ["", "\n", "N/A\n", "12.5\n"])
def test_a_failed_read_is_never_zero(node: Node, content: str) -> None:
    source = node.source("intel-rapl:0")
    (node.root / "intel-rapl:0" / "energy_uj").write_text(content)
    reading = source.read()
    assert reading.status is Status.FAILED
    assert math.isnan(reading.value)


def test_a_zone_that_goes_away_fails_and_comes_back(node: Node) -> None:
    source = node.source("intel-rapl:0")
    file = node.root / "intel-rapl:0" / "energy_uj"
    file.unlink()
    assert source.read().status is Status.FAILED
    file.write_text("62000000\n")
    assert source.read() == Reading(62.0, Status.OK)


def test_what_the_kernel_refuses_is_a_failed_read(node: Node) -> None:
    """A folder in place of the file gives a real error of the system, as an offline package does."""
    source = node.source("intel-rapl:0")
    file = node.root / "intel-rapl:0" / "energy_uj"
    file.unlink()
    file.mkdir()
    assert source.read().status is Status.FAILED


def test_more_than_the_range_is_implausible(node: Node) -> None:
    source = node.source("intel-rapl:0")
    (node.root / "intel-rapl:0" / "energy_uj").write_text(f"{PACKAGE_RANGE_UJ + 1}\n")
    assert source.read() == Reading((PACKAGE_RANGE_UJ + 1) / 1e6, Status.IMPLAUSIBLE)


def test_zero_is_a_place_of_a_counter_but_not_to_stand_still_at(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = node.zone("intel-rapl:2", "psys", 0)
    with pytest.raises(PowerError, match=r"intel-rapl:2 \(psys\).* stands still at 0"):
        node.source("intel-rapl:2")
    monkeypatch.setattr("time.sleep", lambda _: (folder / "energy_uj").write_text("61\n"))
    source = node.source("intel-rapl:2")
    (folder / "energy_uj").write_text("0\n")
    assert source.read() == Reading(0.0, Status.OK)


@pytest.mark.parametrize("range_uj", ["0", "", "unknown"])
def test_a_counter_without_a_range_is_refused(node: Node, range_uj: str) -> None:
    node.zone("intel-rapl:2", "package-2", 5, range_uj)
    with pytest.raises(PowerError, match=r"intel-rapl:2 .*max_energy_range_uj"):
        node.source("intel-rapl:2")


def test_what_may_not_be_read_is_there_all_the_same() -> None:
    with open_folder() as folder:
        node = Node(folder)
        node.zone("intel-rapl:0", "package-0")
        (node.root / "intel-rapl:0" / "energy_uj").chmod(0)

        def look() -> list[str | bool]:
            zone = node.survey()["intel-rapl:0"]
            try:
                node.source("intel-rapl:0")
            except PowerError as error:
                return [zone.readable, zone.reason, str(error)]
            return []

        readable, reason, message = as_user(look)
    assert readable is False
    assert "energy_uj is there, but user " in reason
    assert " may not read it (mode 0000, owner " in reason
    assert reason in message
    for remedy in ("udev", "chmod g+r", "CAP_DAC_READ_SEARCH", "power.source"):
        assert remedy in message


def test_a_permission_that_is_taken_away_fails_and_is_not_zero() -> None:
    with open_folder() as folder:
        node = Node(folder)
        file = node.zone("intel-rapl:0", "package-0") / "energy_uj"
        file.chmod(0o444)
        source = node.source("intel-rapl:0")
        assert as_user(lambda: source.read().status) == Status.OK
        file.chmod(0)
        assert as_user(lambda: [math.isnan(source.read().value), source.read().status]) == [True, Status.FAILED]


def test_the_survey_lists_all_zones_and_what_to_mind(node: Node) -> None:
    node.zone("intel-rapl:0:1", "core")
    node.zone("intel-rapl:2", "psys")
    node.zone("intel-rapl-mmio:0", "package-0")
    node.zone("intel-rapl:10", "package-2")
    survey = node.survey()
    assert list(survey) == [
        "intel-rapl:0",
        "intel-rapl:0:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
        "intel-rapl:1:0",
        "intel-rapl:2",
        "intel-rapl:10",
        "intel-rapl-mmio:0",
    ]
    assert all(zone.readable and zone.reason == "" for zone in survey.values())
    assert survey["intel-rapl:0"].note == ""
    assert survey["intel-rapl:0"].path == str(node.root / "intel-rapl:0")
    assert survey["intel-rapl:0:0"].note == "beside its package, not a part of it"
    assert (survey["intel-rapl:0:1"].scope, survey["intel-rapl:0:1"].note[:9]) == (None, "a part of")
    assert (survey["intel-rapl:2"].scope, survey["intel-rapl:2"].note[:18]) == ("node", "the whole platform")
    assert survey["intel-rapl-mmio:0"].note.startswith("the same package as intel-rapl:0,")
    assert "no CPU is in package 2: it may be psys" in survey["intel-rapl:10"].note


def test_two_zones_of_one_name_are_noted(node: Node) -> None:
    node.zone("intel-rapl:2", "package-0")
    assert "may be psys" in node.survey()["intel-rapl:2"].note
    assert zones(str(node.root), str(node.cpus / "none"))[0].note.startswith("intel-rapl:2 has the same name")


def test_it_has_to_be_opened_and_closing_is_harmless(node: Node) -> None:
    source = RaplSource(RaplSpec(root=str(node.root)))
    source.close()
    assert source.read().status is Status.FAILED
    with pytest.raises(PowerError, match=r"intel-rapl:0 has not been opened; call open\(\)"):
        source.describe()
    source.open()
    source.close()
    source.close()
    assert source.read().status is Status.FAILED
    assert source.describe().scope == "CPU package"


def test_a_recorder_reads_it(node: Node, tmp_path: Path) -> None:
    with Recorder(RaplSpec(root=str(node.root)), tmp_path / "trace", 0.02) as recorder:
        assert recorder.description.wrap_j == 262143.328851
        trace = recorder.trace()
    assert trace.kind == "energy"
    assert trace.values[0] == 61.035156
