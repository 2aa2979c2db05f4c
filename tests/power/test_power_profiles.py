import json
from pathlib import Path

import pytest

from tests.power.synthetic_meter import SyntheticMeter
from wattsweep.errors import PowerError
from wattsweep.power.calibration import Calibration, analyse
from wattsweep.power.profiles import calibrated_facts, profile_path, read_profile, write_profile


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    trace, edges_s = SyntheticMeter().trace(1)
    return analyse(trace, edges_s, load_share=0.99)


def test_calibrations_of_several_sources_are_kept_by_node(tmp_path: Path, calibration: Calibration) -> None:
    folder = tmp_path / "results" / "nodes"
    path = write_profile(folder, "node7.cluster.example.org", "ipmi bmc7:623", calibration)
    write_profile(folder, "node7", "hwmon power_meter", calibration)
    assert path == profile_path(folder, "node7") == folder / "node7.json"
    profile = read_profile(folder, "node7")
    assert set(profile) == {"ipmi bmc7:623", "hwmon power_meter"}
    assert profile["ipmi bmc7:623"].calibration == calibration
    assert profile["ipmi bmc7:623"].date.endswith("+00:00")
    assert list(folder.iterdir()) == [path]


def test_a_node_that_was_never_calibrated_has_no_facts(tmp_path: Path) -> None:
    assert read_profile(tmp_path / "none", "node7") == {}
    assert calibrated_facts(tmp_path, "node7", "ipmi bmc7:623") == {}


def test_facts_are_of_the_source_asked_for(tmp_path: Path, calibration: Calibration) -> None:
    write_profile(tmp_path, "node7", "ipmi bmc7:623", calibration)
    facts = calibrated_facts(tmp_path, "node7", "ipmi bmc7:623")
    assert facts == calibration.facts()
    assert facts["refresh_s"] == pytest.approx(1.0, rel=0.01)
    assert calibrated_facts(tmp_path, "node7", "cray") == {}


def test_the_simulator_states_its_own_facts(tmp_path: Path) -> None:
    trace, edges_s = SyntheticMeter().trace(1)
    write_profile(tmp_path, "node7", "simulated", analyse(trace, edges_s, origin="simulated"))
    assert read_profile(tmp_path, "node7")["simulated"].calibration.origin == "simulated"
    assert calibrated_facts(tmp_path, "node7", "simulated") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is no profile of a node"),
        ('{"format": "another"}', "is no profile of a node"),
        ('{"format": "wattsweep node profile", "version": 9, "sources": {}}', "is of version 9"),
        ('{"format": "wattsweep node profile", "version": 1}', "lacks what a calibration says"),
        (
            '{"format": "wattsweep node profile", "version": 1, "sources": {"ipmi": {"date": "x", "calibration": {}}}}',
            "lacks what a calibration says",
        ),
        ("\xff\xfe", "is not valid JSON"),
    ],
)
def test_a_malformed_profile_is_told_with_its_name_and_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "node7.json").write_bytes(text.encode("latin-1"))
    for use in (lambda: read_profile(tmp_path, "node7"), lambda: calibrated_facts(tmp_path, "node7", "ipmi")):
        with pytest.raises(PowerError, match=words) as error:
            use()
        assert str(tmp_path / "node7.json") in str(error.value)
        assert "wattsweep calibrate" in str(error.value)


def test_a_negative_refresh_is_refused(tmp_path: Path, calibration: Calibration) -> None:
    path = write_profile(tmp_path, "node7", "ipmi", calibration)
    document = json.loads(path.read_text())
    document["sources"]["ipmi"]["calibration"]["refresh_s"]["value"] = -1.0
    path.write_text(json.dumps(document))
    with pytest.raises(PowerError, match="says it wrongly"):
        read_profile(tmp_path, "node7")


def test_a_folder_that_cannot_be_is_told(tmp_path: Path, calibration: Calibration) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PowerError, match=r"cannot be (read|written)"):
        write_profile(tmp_path / "file", "node7", "ipmi", calibration)
