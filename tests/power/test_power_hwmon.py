"""Hardware monitors, read from folders laid out as the kernel lays them out."""

import math
from pathlib import Path

import pytest

from tests.power.support_unprivileged import as_user, open_folder
from wattsweep.errors import PowerError
from wattsweep.power import Status
from wattsweep.power.sources import Reading, open_source, spec_from_json, spec_to_json
from wattsweep.power.sources.hwmon import HwmonSource, channels
from wattsweep.power.sources.specs import HwmonSpec, identity

ACPI = {
    "power1_average": "224000000",
    "power1_accuracy": "95.0%",
    "power1_average_interval": "1000",
    "power1_average_interval_max": "10000",
    "power1_average_interval_min": "1000",
    "power1_is_battery": "0",
    "power1_model_number": "Intel(R) Node Manager",
    "power1_oem_info": "",
}


class Node:
    """A node's monitors: hwmonN folders, each with a link to its device, which is named by its bus."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "class" / "hwmon"
        self.devices = folder / "devices"
        self.root.mkdir(parents=True)

    def chip(self, number: int, name: str, device: str, files: dict[str, str], *, old: bool = False) -> Path:
        """Drivers of old have their files, `name` among them, in the device's folder."""
        below = self.devices / device
        folder = below / "hwmon" / f"hwmon{number}"
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(below)
        (self.root / f"hwmon{number}").symlink_to(folder)
        where = below if old else folder
        for file, text in {"name": name, **files}.items():
            (where / file).write_text(f"{text}\n")
        return where

    def source(self, chip: str = "power_meter", channel: int = 1, device: str | None = None) -> HwmonSource:
        source = HwmonSource(HwmonSpec(chip=chip, channel=channel, root=str(self.root), device=device))
        source.open()
        return source


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    node.chip(0, "acpitz", "thermal_zone0", {"temp1_input": "27800"})
    node.chip(1, "coretemp", "coretemp.0", {"temp1_input": "41000"})
    return node


@pytest.mark.parametrize("old", [False, True])
def test_the_acpi_meter_is_of_the_node(node: Node, old: bool) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", ACPI, old=old)
    source = node.source()
    assert source.read() == Reading(224.0, Status.OK, None)
    description = source.describe()
    assert (description.name, description.kind, description.origin) == ("hwmon", "power", "measured")
    assert description.scope == "node"
    assert description.averaging_s == 1.0
    assert description.accuracy == pytest.approx(0.05)
    assert (description.refresh_s, description.step, description.wrap_j) == (None, None, None)
    assert description.detail == "power1_average of chip power_meter (ACPI000D:00), read in-band through the kernel"


def test_it_is_found_by_its_name_wherever_it_stands(node: Node) -> None:
    node.chip(7, "power_meter", "ACPI000D:00", ACPI)
    node.chip(2, "ina219", "1-0040", {"power1_input": "5000000"})
    assert node.source().read().value == 224.0
    assert node.source("ina219").read().value == 5.0


@pytest.mark.parametrize(
    ("text", "accuracy"),
    [("95.0%", 0.05), ("80.0%", 0.2), ("97.500%", 0.025), ("95.5%", 0.04995), ("100.0%", None), ("0.0%", None)],
)
def test_the_accuracy_of_the_acpi_meter(node: Node, text: str, accuracy: float | None) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", {**ACPI, "power1_accuracy": text})
    assert node.source().describe().accuracy == (None if accuracy is None else pytest.approx(accuracy))


@pytest.mark.parametrize("interval", ["0", "4294967295", "unknown", ""])
def test_an_interval_that_is_not_known_is_none(node: Node, interval: str) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", {**ACPI, "power1_average_interval": interval})
    assert node.source().describe().averaging_s is None


def test_the_interval_of_one_chip_is_in_microseconds(node: Node) -> None:
    files = {"power1_average": "1000000", "power1_average_interval": "500", "power1_label": "system"}
    node.chip(2, "occ", "occ-hwmon.1", files)
    assert node.source("occ").describe().averaging_s == 0.0005


def test_an_input_averages_nothing_and_an_average_is_preferred(node: Node) -> None:
    files = {"power1_input": "9000000", "power2_input": "8000000", "power2_average": "7000000"}
    node.chip(2, "amdgpu", "0000:03:00.0", {**files, "power1_average_interval": "1000", "update_interval": "250"})
    first, second = node.source("amdgpu", 1), node.source("amdgpu", 2)
    assert (first.read().value, second.read().value) == (9.0, 7.0)
    assert first.describe().averaging_s is None
    assert first.describe().refresh_s == 0.25


@pytest.mark.parametrize(
    ("label", "scope"),
    [
        ("CPU package", "CPU package"),
        ("Package id 1", "CPU package"),
        ("socket 0", "CPU package"),
        ("package power", "CPU package"),
        ("VDD_CPU_CV", "component"),
        ("CPU core", "component"),
        ("PPT", "component"),
        ("pkg", "component"),
        ("System", "component"),
        ("node", "component"),
        ("", "component"),
    ],
)
def test_what_a_channel_is_of_is_never_guessed(node: Node, label: str, scope: str) -> None:
    node.chip(2, "ina3221", "1-0040", {"power3_input": "5000000", "power3_label": label})
    description = node.source("ina3221", 3).describe()
    assert description.scope == scope
    assert (f"({label!r})" in description.detail) == bool(label)


def test_a_battery_is_refused(node: Node) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", {**ACPI, "power1_is_battery": "1"})
    with pytest.raises(PowerError, match=r"power1 of chip power_meter \(ACPI000D:00\).* meters a battery"):
        node.source()


def test_several_chips_of_one_name_are_an_error_that_lists_them(node: Node) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", ACPI)
    node.chip(3, "power_meter", "ACPI000D:01", {**ACPI, "power1_average": "100000000"})
    with pytest.raises(
        PowerError, match=r"Several .*ACPI000D:00\), chip power_meter \(ACPI000D:01\)\. Name one by its"
    ):
        node.source()
    assert node.source(device="ACPI000D:01").read().value == 100.0


def test_the_only_chip_with_the_channel_is_taken(node: Node) -> None:
    node.chip(2, "ina3221", "1-0040", {"power1_input": "1000000"})
    node.chip(3, "ina3221", "1-0041", {"power1_input": "2000000", "power2_input": "3000000"})
    assert node.source("ina3221", 2).read().value == 3.0


def test_a_channel_that_is_not_there_is_an_error_that_lists_what_is(node: Node) -> None:
    with pytest.raises(PowerError, match=r"no channel power1 of a chip 'power_meter' below .* no power channel.*acpi_"):
        node.source()
    node.chip(2, "ina3221", "1-0040", {"power1_input": "1000000", "power2_input": "2000000"})
    node.chip(3, "amdgpu", "0000:03:00.0", {"power1_average": "2000000"})
    with pytest.raises(PowerError, match=r"there is power1 of chip ina3221 \(1-0040\), power2 of chip ina3221"):
        node.source("ina3221", 3)
    with pytest.raises(PowerError, match=r"on device 1-0099 below .* power1 of chip amdgpu \(0000:03:00\.0\)"):
        node.source("ina3221", 1, "1-0099")


def test_a_node_without_monitors_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match=r"there is no power channel.*power\.source"):
        open_source(HwmonSpec(root=str(tmp_path / "none")))
    assert channels(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("text", "value", "status"),
    [
        ("0", 0.0, Status.ZERO),
        ("-1000000", -1.0, Status.IMPLAUSIBLE),
        ("4294967295", 4294.967295, Status.IMPLAUSIBLE),
        ("4294967295000", 4294967.295, Status.IMPLAUSIBLE),
        ("4294967296", 4294.967296, Status.OK),
    ],
)
def test_what_a_value_is_worth(node: Node, text: str, value: float, status: Status) -> None:
    folder = node.chip(2, "power_meter", "ACPI000D:00", ACPI)
    source = node.source()
    (folder / "power1_average").write_text(f"{text}\n")
    assert source.read() == Reading(value, status)


def test_a_failed_read_is_nan_and_the_next_may_be_good(node: Node) -> None:
    folder = node.chip(2, "power_meter", "ACPI000D:00", ACPI)
    source = node.source()
    for text in ("", "unknown\n"):
        (folder / "power1_average").write_text(text)
        reading = source.read()
        assert reading.status is Status.FAILED
        assert math.isnan(reading.value)
    (folder / "power1_average").unlink()
    assert source.read().status is Status.FAILED
    (folder / "power1_average").write_text("225000000\n")
    assert source.read() == Reading(225.0, Status.OK)


def test_a_folder_that_became_another_chip_fails(node: Node) -> None:
    folder = node.chip(2, "power_meter", "ACPI000D:00", ACPI)
    source = node.source()
    (folder / "name").write_text("ina219\n")
    assert source.read().status is Status.FAILED


def test_what_does_not_hold_a_number_cannot_be_opened(node: Node) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", {**ACPI, "power1_average": "unknown"})
    with pytest.raises(PowerError, match=r"power_meter \(ACPI000D:00\) cannot be read: .*unknown"):
        node.source()
    assert [(channel.readable, "'unknown'" in channel.reason) for channel in channels(str(node.root))] == [
        (False, True)
    ]


def test_what_may_not_be_read_is_there_all_the_same() -> None:
    with open_folder() as folder:
        node = Node(folder)
        (node.chip(0, "power_meter", "ACPI000D:00", ACPI) / "power1_average").chmod(0)

        def look() -> list[str]:
            try:
                node.source()
            except PowerError as error:
                return [str(error), channels(str(node.root))[0].reason]
            return []

        message, reason = as_user(look)
    assert "power1_average is there, but user " in reason
    assert "(mode 0000, owner " in reason
    assert f"{reason}. Give this user read access" in message


def test_the_survey_lists_all_channels(node: Node) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", ACPI, old=True)
    node.chip(3, "ina3221", "1-0040", {"power2_input": "2000000", "power1_input": "1000000", "power1_label": "VDD_IN"})
    found = {(channel.chip, channel.channel): channel for channel in channels(str(node.root))}
    assert list(found) == [("ina3221", 1), ("ina3221", 2), ("power_meter", 1)]
    assert all(channel.readable for channel in found.values())
    rail = found["ina3221", 1]
    assert (rail.label, rail.scope, rail.device) == ("VDD_IN", "component", "1-0040")
    assert rail.path == str(node.root / "hwmon3" / "power1_input")
    assert found["power_meter", 1].scope == "node"


def test_a_chip_without_a_device_is_named_by_its_folder(node: Node) -> None:
    folder = node.root / "hwmon9"
    folder.mkdir()
    (folder / "name").write_text("virtual\n")
    (folder / "power1_input").write_text("3000000\n")
    source = node.source("virtual")
    assert "chip virtual (hwmon9)" in source.describe().detail
    assert source.read().value == 3.0


def test_it_has_to_be_opened_and_closing_is_harmless(node: Node) -> None:
    node.chip(2, "power_meter", "ACPI000D:00", ACPI)
    source = HwmonSource(HwmonSpec(root=str(node.root)))
    source.close()
    assert source.read().status is Status.FAILED
    with pytest.raises(PowerError, match=r"chip power_meter, power1 has not been opened; call open\(\)"):
        source.describe()
    source.open()
    source.close()
    source.close()
    assert source.read().status is Status.FAILED


def test_the_device_belongs_to_the_identity_and_travels() -> None:
    spec = HwmonSpec(device="ACPI000D:01")
    assert identity(spec) != identity(HwmonSpec())
    assert spec_from_json(spec_to_json(spec)) == spec
