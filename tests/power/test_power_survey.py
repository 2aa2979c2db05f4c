"""What a node has, on folders laid out as the kernel lays them out, on a simulated BMC, and on this machine."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.power.support_unprivileged import as_user, open_folder
from wattsweep.config.power import PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import survey as module
from wattsweep.power.survey import Finding, Places, survey
from wattsweep.simulation import SimulatedBmc

EVERY_SOURCE = {
    *("ipmi", "ipmitool", "freeipmi", "redfish", "cray", "hwmon"),
    *("rapl", "nvml", "slurm", "csv", "simulated"),
}


class Node:
    """A node's files below one folder; it has nothing until it is given something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = Places(
            device=folder / "dev" / "ipmi0",
            powercap=str(folder / "powercap"),
            hwmon=str(folder / "hwmon"),
            cray=str(folder / "pm_counters"),
            environ={"PATH": str(folder / "bin"), "CUDA_VISIBLE_DEVICES": ""},
        )

    def files(self, place: str, **contents: object) -> Path:
        folder = self.folder / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_text(f"{content}\n")
        return folder

    def find(self, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Finding]:
        found = survey(PowerConfig.model_validate(config or {}), "node7", places=self.places, **more)
        names = {one.name: one for one in found}
        assert len(names) == len(found)
        return names


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_USERNAME", "monitor")
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", "tr0ub4dor")


@pytest.fixture(scope="module")
def bmc() -> Iterator[SimulatedBmc]:
    with SimulatedBmc(idle_w=137.0, slope_w=0.0, refresh_s=0.1) as simulated:
        yield simulated


def test_a_node_without_anything_has_the_simulated_bmc(node: Node) -> None:
    found = node.find()
    assert {one.source for one in found.values()} == EVERY_SOURCE
    assert [one.name for one in found.values() if one.state == "present"] == ["simulated"]
    assert found["simulated"].simulated
    assert "no measurement" in found["simulated"].detail
    for name in ("ipmi, network", "redfish", "csv"):
        assert found[name].state == "not configured"
        assert "power." in found[name].remedy
    for name in ("ipmi, in-band", "rapl", "hwmon", "cray", "nvml", "slurm"):
        assert found[name].state == "absent"
    assert all(one.watts is None for one in found.values())
    assert all(one.remedy.endswith(".") for one in found.values() if one.state != "present" and one.name != "cray")


def test_this_machine_is_surveyed_in_time() -> None:
    began_s = time.monotonic()
    found = survey(PowerConfig(), "node7")
    assert time.monotonic() - began_s < 10.0
    assert {one.source for one in found} == EVERY_SOURCE
    assert all(one.detail for one in found)
    assert not [one for one in found if "mistake in wattsweep" in one.remedy]


def test_rapl_counters_are_read_as_watts(node: Node) -> None:
    zone = node.files("powercap/intel-rapl:0", name="package-0", energy_uj=1000, max_energy_range_uj=262143328850)
    node.files("powercap/intel-rapl:0:0", name="core", energy_uj=1000, max_energy_range_uj=262143328850)
    ended = threading.Event()

    def count() -> None:
        begin_s = time.monotonic()
        while not ended.wait(0.01):
            written = zone / "energy_uj.new"
            written.write_text(f"{1000 + int(50e6 * (time.monotonic() - begin_s))}\n")
            written.replace(zone / "energy_uj")

    counting = threading.Thread(target=count)
    counting.start()
    found = node.find(limit_s=10.0)
    ended.set()
    counting.join()
    assert found["rapl package-0"].state == "present"
    assert found["rapl package-0"].scope == "CPU package"
    assert found["rapl package-0"].watts == pytest.approx(50.0, rel=0.3)
    assert "rapl core" not in found


def test_a_counter_that_stands_has_no_watts(node: Node) -> None:
    node.files("powercap/intel-rapl:0", name="package-0", energy_uj=5_000_000, max_energy_range_uj=262143328850)
    found = node.find(limit_s=10.0)["rapl package-0"]
    assert (found.state, found.watts) == ("present", None)
    assert "the counter stood at 5 J" in found.detail


def test_hwmon_channels_are_read_one_by_one(node: Node) -> None:
    node.files("hwmon/hwmon3", name="power_meter", power1_average=213_000_000)
    node.files("hwmon/hwmon1", name="board", power1_input=12_500_000, power2_input="no number")
    found = node.find()
    assert found["hwmon power_meter power1"].watts == 213.0
    assert found["hwmon power_meter power1"].scope == "node"
    assert found["hwmon board power1"].watts == 12.5
    assert found["hwmon board power1"].scope == "component"
    assert found["hwmon board power2"].state == "failed"


def test_zero_watts_are_no_reading(node: Node) -> None:
    node.files("hwmon/hwmon0", name="power_meter", power1_average=0)
    found = node.find()["hwmon power_meter power1"]
    assert (found.state, found.watts) == ("failed", None)
    assert "read as 'zero'" in found.detail


def test_cray_counters(node: Node) -> None:
    node.files(
        "pm_counters", energy="123456 J 1700000000000000 us", freshness=7, generation=1, startup=1, raw_scan_hz=10
    )
    found = node.find(limit_s=10.0)["cray"]
    assert (found.state, found.scope) == ("present", "node")
    assert "the counter stood at 123456 J" in found.detail


def test_what_may_not_be_read_is_there_all_the_same() -> None:
    with open_folder() as folder:
        node = Node(folder)
        for place, files in (
            ("powercap/intel-rapl:0", {"name": "package-0", "energy_uj": 5, "max_energy_range_uj": 262143328850}),
            ("hwmon/hwmon0", {"name": "power_meter", "power1_average": 5}),
            ("pm_counters", {"energy": "5 J"}),
            ("dev", {"ipmi0": ""}),
        ):
            closed = node.files(place, **files)
            for name in ("energy_uj", "power1_average", "energy", "ipmi0"):
                if (closed / name).exists():
                    (closed / name).chmod(0o000)
        found = as_user(lambda: {name: one.to_json() for name, one in node.find().items()})
    for name in ("rapl package-0", "hwmon power_meter power1", "cray", "ipmi, in-band"):
        assert found[name]["state"] == "no permission", found[name]
        assert "may not read it" in found[name]["detail"]
        assert found[name]["remedy"].endswith(".")


def test_a_bmc_on_the_network_is_read(node: Node, bmc: SimulatedBmc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_USERNAME", bmc.username)
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", bmc.password)
    found = node.find({"ipmi": {"address": bmc.address, "port": bmc.port}}, limit_s=10.0)
    assert found["ipmi, network"].state == "present", found["ipmi, network"]
    assert found["ipmi, network"].watts == 137.0
    assert f"{bmc.address}:{bmc.port}" in found["ipmi, network"].detail


def test_a_bmc_that_refuses_is_told_without_its_password(node: Node, bmc: SimulatedBmc, credentials: None) -> None:
    found = node.find({"ipmi": {"address": bmc.address, "port": bmc.port}}, limit_s=10.0)["ipmi, network"]
    assert found.state == "failed"
    assert "refused" in found.detail
    assert "credentials" in found.remedy
    assert "tr0ub4dor" not in repr(found)


def test_a_bmc_that_is_silent_ends_in_time(node: Node, credentials: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        began_s = time.monotonic()
        found = node.find({"ipmi": {"address": "127.0.0.1", "port": silent.getsockname()[1]}}, limit_s=0.5)
    assert time.monotonic() - began_s < 5.0
    assert (found["ipmi, network"].state, found["ipmi, network"].detail) == ("failed", "no answer within 1 s")
    assert found["simulated"].state == "present"


def test_missing_credentials_are_a_setting_that_is_missing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATTSWEEP_BMC_USERNAME", "WATTSWEEP_BMC_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    found = node.find({"ipmi": {"address": "bmc7"}, "redfish": {"url": "https://bmc7"}})
    for name in ("ipmi, network", "redfish"):
        assert found[name].state == "not configured"
        assert "No credentials" in found[name].detail


def test_programs_are_looked_for(node: Node, monkeypatch: pytest.MonkeyPatch, credentials: None) -> None:
    monkeypatch.setattr("wattsweep.power.sources.kept.SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(node.folder / "bin"))
    found = node.find()
    assert (found["ipmitool"].state, found["freeipmi"].state) == ("absent", "absent")
    assert "apt install ipmitool" in found["ipmitool"].remedy
    assert "apt install freeipmi-tools" in found["freeipmi"].remedy
    program = node.files("bin", ipmitool="#!/bin/sh") / "ipmitool"
    program.chmod(0o755)
    assert node.find()["ipmitool"].state == "not configured"
    node.files("dev", ipmi0="")
    through_device = node.find()["ipmitool"]
    assert (through_device.state, str(program) in through_device.detail) == ("present", True)
    over_network = node.find({"ipmi": {"address": "127.0.0.1", "port": 9}}, limit_s=0.5)["ipmitool"]
    assert (over_network.state, "over the network" in over_network.detail) == ("present", True)


@pytest.mark.parametrize(
    ("plugin", "state", "scope"),
    [
        ("acct_gather_energy/ipmi", "present", "node"),
        ("acct_gather_energy/rapl", "present", "CPU package"),
        ("(null)", "not configured", "node"),
    ],
)
def test_slurm_has_energy_where_a_plugin_gathers_it(
    plugin: str, state: str, scope: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = node.files(
        "bin", sacct="#!/bin/sh", scontrol=f"#!/bin/sh\necho 'AcctGatherEnergyType    = {plugin}'", dummy=""
    )
    for program in ("sacct", "scontrol"):
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    found = node.find()["slurm"]
    assert (found.state, found.scope) == (state, scope)


def test_a_slurm_that_does_not_answer_has_failed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = node.files("bin", sacct="#!/bin/sh", scontrol="#!/bin/sh\nexit 1")
    for program in ("sacct", "scontrol"):
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert node.find()["slurm"].state == "failed"


def test_an_export_is_looked_for(node: Node) -> None:
    path = node.files("site", **{"export.csv": "timestamp,node,watts"}) / "export.csv"
    found = node.find({"csv": {"path": str(path), "scope": "node AC"}})["csv"]
    assert (found.state, found.scope) == ("present", "node AC")
    assert node.find({"csv": {"path": "/nowhere/export.csv"}})["csv"].state == "absent"


def test_gpus_are_read_one_by_one(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(name: str, spec: Any, note: str, scope: Any) -> Finding:
        return Finding(name, spec.source, "present", ",".join(spec.gpus), scope=scope, watts=61.0)

    monkeypatch.setattr("wattsweep.power.sources.nvml.visible_gpus", lambda _: ("0", "GPU-4711"))
    monkeypatch.setattr(module, "_tried", tried)
    found = node.find()
    assert found["nvml GPU 0"].watts == 61.0
    assert found["nvml GPU GPU-4711"].detail == "GPU-4711"


@pytest.mark.parametrize(
    ("error", "words"), [(PowerError("It is broken. Mend it."), "It is broken."), (KeyError("x"), "KeyError: 'x'")]
)
def test_a_source_that_errs_hides_no_other(
    error: Exception, words: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: str) -> list[Finding]:
        raise error

    monkeypatch.setattr(module, "_rapl", fail)
    found = node.find()
    assert (found["rapl"].state, found["rapl"].detail) == ("failed", words)
    assert found["rapl"].remedy
    assert {one.source for one in found.values()} == EVERY_SOURCE


def test_a_source_that_hangs_hides_no_other(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(root: str) -> list[Finding]:
        released.wait(20.0)
        return []

    monkeypatch.setattr(module, "_hwmon", hang)
    began_s = time.monotonic()
    found = node.find(limit_s=0.5)
    assert time.monotonic() - began_s < 5.0
    assert (found["hwmon"].state, found["hwmon"].detail) == ("failed", "no answer within 0.5 s")
    assert found["simulated"].state == "present"
    released.set()
