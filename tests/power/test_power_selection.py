import os
from pathlib import Path
from typing import Any

import pytest

from wattsweep.config import IpmiConfig, PowerConfig
from wattsweep.errors import PowerError
from wattsweep.power import select_source
from wattsweep.power.sources.specs import IpmiSpec, spec_from_json, spec_to_json

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
