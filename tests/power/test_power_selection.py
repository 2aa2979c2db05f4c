import os
from pathlib import Path
from typing import Any

import pytest

from wattsweep.config import IpmiConfig, PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import select_source, selection
from wattsweep.power.selection import select_sources
from wattsweep.power.sources.specs import (
    CraySpec,
    HwmonSpec,
    IpmiSpec,
    RaplSpec,
    RedfishSpec,
    ReplaySpec,
    identity,
    spec_from_json,
    spec_to_json,
)

SECRET = "tr0ub4dor"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_USERNAME", "monitor")
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", SECRET)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "ipmi0"
    path.touch(mode=0o600)
    return path


def power(source: str, **ipmi: Any) -> PowerConfig:
    return PowerConfig.model_validate({"source": source, "ipmi": ipmi})


def test_none_has_no_source(tmp_path: Path) -> None:
    selection = select_source(power("none"), "node7", device=tmp_path / "none")
    assert (selection.name, selection.source_spec) == ("none", None)


@pytest.mark.parametrize("source", ["auto", "ipmi"])
def test_an_address_wins(source: str, device: Path, environment: None) -> None:
    config = power(source, address="{node}-bmc.example.org", port=6230, sensor="PSU")
    selection = select_source(config, "node7.cluster.example.org", device=device)
    assert selection.name == "ipmi"
    assert selection.source_spec == IpmiSpec("node7-bmc.example.org", 6230, "monitor", SECRET, "PSU")
    assert "node7-bmc.example.org:6230" in selection.reason
    assert SECRET not in repr(selection)


@pytest.mark.parametrize("source", ["auto", "ipmi"])
def test_the_device_is_next(source: str, device: Path) -> None:
    selection = select_source(power(source), "node7", device=device)
    assert (selection.name, selection.source_spec) == ("ipmi", IpmiSpec())
    assert "in-band" in selection.reason


def test_auto_falls_back_to_the_simulator_and_says_why(tmp_path: Path) -> None:
    selection = select_source(power("auto"), "node7", device=tmp_path / "none")
    assert (selection.name, selection.source_spec) == ("simulated", None)
    assert f"there is no {tmp_path / 'none'}" in selection.reason


def test_a_device_that_may_not_be_opened_is_told_from_none(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    selection = select_source(power("auto"), "node7", device=device)
    assert selection.name == "simulated"
    assert "is there but user" in selection.reason
    assert "mode 0600, owner" in selection.reason


def test_ipmi_without_means_is_an_error_with_remedies(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match=r"there is no .* set power\.ipmi\.address"):
        select_source(power("ipmi"), "node7", device=tmp_path / "none")


def test_an_address_without_credentials_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTSWEEP_BMC_USERNAME", raising=False)
    monkeypatch.delenv("WATTSWEEP_BMC_PASSWORD", raising=False)
    with pytest.raises(PowerError, match="No credentials"):
        select_source(PowerConfig(source="auto", ipmi=IpmiConfig(address="10.0.0.1")), "node7")


def test_a_spec_survives_its_journey_to_another_process() -> None:
    spec = IpmiSpec(
        address="10.0.0.1",
        port=6230,
        username="monitor",
        password=SECRET,
        sensor="PSU",
        client="ipmitool",
        cipher_suites=(3,),
        origin="simulated",
        refresh_s=0.5,
    )
    assert spec_from_json(spec_to_json(spec)) == spec
    assert SECRET not in repr(spec)
    with pytest.raises(ValueError, match="unknown source"):
        spec_from_json({"source": "oracle"})


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /sys for the sources of the kernel."""
    for name in ("POWERCAP", "HWMON", "CRAY"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(selection, name, str(tmp_path / name))
    return tmp_path


def add_zone(kernel: Path, zone: str, name: str) -> None:
    folder = kernel / "POWERCAP" / zone
    folder.mkdir()
    for file, content in (("name", name), ("energy_uj", "1000000"), ("max_energy_range_uj", "262143328850")):
        (folder / file).write_text(content + "\n")


def test_rapl_beside_a_bmc_is_one_source_per_package(kernel: Path, device: Path) -> None:
    add_zone(kernel, "intel-rapl:0", "package-0")
    add_zone(kernel, "intel-rapl:1", "package-1")
    add_zone(kernel, "intel-rapl:0:0", "core")
    config = PowerConfig.model_validate({"source": "ipmi", "also": ["rapl"]})
    first, *further = select_sources(config, "node7", device=device)
    assert first.name == "ipmi"
    assert [(one.name, one.source_spec) for one in further] == [
        ("rapl", RaplSpec(zone="intel-rapl:0", root=str(kernel / "POWERCAP"))),
        ("rapl", RaplSpec(zone="intel-rapl:1", root=str(kernel / "POWERCAP"))),
    ]
    assert all("power.also names it" in one.reason for one in further)
    with pytest.raises(PowerError, match=r"has 2 parts on this node .* power\.also: \[rapl\]"):
        select_source(PowerConfig(source="rapl"), "node7")


def test_rapl_on_a_node_without_it_is_an_error(kernel: Path) -> None:
    with pytest.raises(PowerError, match="no RAPL zones in"):
        select_source(PowerConfig(source="rapl"), "node7")


def test_auto_takes_counters_of_the_whole_node_before_it_simulates(kernel: Path, tmp_path: Path) -> None:
    add_zone(kernel, "intel-rapl:0", "package-0")
    auto = PowerConfig(source="auto")
    assert select_source(auto, "node7", device=tmp_path / "none").name == "simulated"
    chip = kernel / "HWMON" / "hwmon3"
    chip.mkdir()
    for file, content in (("name", "power_meter"), ("power1_average", "215000000")):
        (chip / file).write_text(content + "\n")
    chosen = select_source(auto, "node7", device=tmp_path / "none")
    assert (chosen.name, chosen.source_spec) == ("hwmon", HwmonSpec(root=str(kernel / "HWMON")))
    (kernel / "CRAY" / "energy").write_text("1 J\n")
    chosen = select_source(auto, "node7", device=tmp_path / "none")
    assert (chosen.name, chosen.source_spec) == ("cray", CraySpec(root=str(kernel / "CRAY")))


def test_a_file_maps_nodes_to_their_bmcs(tmp_path: Path, environment: None) -> None:
    path = tmp_path / "bmcs.yaml"
    path.write_text("node7: 10.0.0.7\nnode8.example.org: 10.0.0.8\n")
    for name in ("ipmi", "ipmitool", "freeipmi"):
        chosen = select_source(power(name, address_file=path, cipher_suites=[3]), "node8.cluster")
        assert isinstance(chosen.source_spec, IpmiSpec)
        assert (chosen.source_spec.address, chosen.source_spec.client) == ("10.0.0.8", name)
        assert chosen.source_spec.cipher_suites == (3,)
    with pytest.raises(PowerError, match="has no address for node node9; add a line 'node9: ADDRESS'"):
        select_source(power("auto", address_file=path), "node9")
    path.write_text("- 10.0.0.7\n")
    with pytest.raises(PowerError, match="must be YAML that maps host names"):
        select_source(power("auto", address_file=path), "node7")
    with pytest.raises(PowerError, match="cannot be read"):
        select_source(power("auto", address_file=tmp_path / "none.yaml"), "node7")


def test_redfish_and_replay_are_what_the_config_says(environment: None, tmp_path: Path) -> None:
    config = PowerConfig.model_validate(
        {"source": "redfish", "redfish": {"url": "https://{node}-bmc", "verify": False}}
    )
    spec = select_source(config, "node7.cluster").source_spec
    assert isinstance(spec, RedfishSpec)
    assert (spec.url, spec.username, spec.verify) == ("https://node7-bmc", "monitor", False)
    assert SECRET not in repr(spec)
    config = PowerConfig.model_validate({"source": "replay", "replay": {"path": str(tmp_path / "t.csv")}})
    assert select_source(config, "node7").source_spec == ReplaySpec(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("name", ["csv", "slurm"])
def test_what_is_joined_later_reads_nothing_now(name: str) -> None:
    config = PowerConfig.model_validate({"source": name, "csv": {"path": "export.csv"}})
    (chosen,) = select_sources(config, "node7")
    assert (chosen.name, chosen.source_spec, chosen.after_the_fact) == (name, None, True)


@pytest.mark.parametrize("spec", [RaplSpec("intel-rapl:1"), HwmonSpec(), CraySpec(), ReplaySpec("a"), RedfishSpec("b")])
def test_every_spec_travels_and_has_an_identity_of_its_own(spec: Any) -> None:
    assert spec_from_json(spec_to_json(spec)) == spec
    assert identity(spec) == f"{spec.source} {spec.place}"


def test_clients_of_one_bmc_share_its_identity() -> None:
    assert identity(IpmiSpec("10.0.0.1")) == identity(IpmiSpec("10.0.0.1", client="freeipmi"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"source": "csv"}, "needs csv.path"),
        ({"source": "ipmi", "also": ["redfish"]}, "needs redfish.url"),
        ({"source": "rapl", "also": ["rapl"]}, "named twice"),
        ({"source": "none", "also": ["rapl"]}, "also needs a source"),
        ({"ipmi": {"address": "a", "address_file": "b"}}, "both set"),
        ({"plausible": [200, 100]}, "the lower one first"),
        ({"csv": {"timezone": "Mars/Olympus"}}, "there is no time zone 'Mars/Olympus'"),
        ({"redfish": {"url": "https://me:secret@bmc"}}, "credentials file"),
        ({"redfish": {"url": "bmc"}}, "must begin with https"),
        ({"ipmi": {"cipher_suites": [0]}}, "3 or 17"),
    ],
)
def test_contradictions_in_the_config_are_said(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PowerConfig.model_validate(document)
