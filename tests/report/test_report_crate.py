import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.report.support_crate import checked
from tests.report.support_report import PLAN
from tests.runs.support_runs import CUBE
from tests.support_records import make_record, make_sweep, plan_of
from wattsweep.config import PublicationConfig, parse
from wattsweep.errors import AnalysisError, ConfigError
from wattsweep.planning.files import write_json
from wattsweep.power.sources.base import Origin
from wattsweep.report.crate import make_crate, write_crate
from wattsweep.runs import write_run
from wattsweep.tables import write_tables
from wattsweep.tables.columns import EPOCHS, EXPERIMENTS, RUNS, SOURCES

TODAY = date(2026, 11, 28)
ADA = "Ada Lovelace 0000-0002-1825-0097"


def make_results(folder: Path, origin: Origin | None = "measured") -> Path:
    """Tables, a plan, a figure and run files, as a sweep leaves them."""
    records = make_sweep(origin=origin, sizes=(1024,), depths=(2, 3))
    write_tables(records, plan_of(records, 2), folder / "tables")
    (folder / "plan").mkdir()
    (folder / "figures").mkdir()
    write_json(folder / "plan" / "plan.json", PLAN)
    write_json(folder / "plan" / "config.json", PLAN["config"])
    (folder / "figures" / "energy_per_datum.svg").write_text("<svg/>", encoding="utf-8")
    (folder / "figures" / ".energy_trends.svg.0.tmp").write_text("<sv", encoding="utf-8")
    for record in records[:2]:
        write_run(folder / "runs" / "ab" / "cd" / f"{record.run.run_id}.h5", record)
    return folder


def card(folder: Path, **publication: Any) -> dict[str, dict[str, Any]]:
    write_crate(folder, PublicationConfig(**publication), TODAY)
    return checked(folder)


def data_card_of(results: Path) -> list[str]:
    """The command that writes it."""
    config = results.parent / "config.yaml"
    sweeps = {"demo": CUBE}
    config.write_text(json.dumps({"sweeps": sweeps, "paths": {"results": str(results)}}), encoding="utf-8")
    return [sys.executable, "-m", "wattsweep", "data-card", "--configfile", str(config)]


def test_the_card_names_files_folders_data_and_software(tmp_path: Path) -> None:
    found = card(make_results(tmp_path))
    root = found["./"]
    assert root["datePublished"] == "2026-11-28"
    assert "24 runs of 8 experiments" in root["description"]
    assert found["figures/energy_per_datum.svg"]["encodingFormat"] == "image/svg+xml"
    assert "What one row of training data costs" in found["figures/energy_per_datum.svg"]["description"]
    assert found["runs/"]["description"].endswith("2 files.")
    assert found["#dataset/bundled%3Adigits"]["sha256"] == "ab" * 32
    (software,) = (one for one in found.values() if one["@type"] == "SoftwareApplication")
    assert software["softwareVersion"] == "0.1.0"
    assert software["description"] == "Commit 0123456789abcdef."
    assert "tensorflow 2.21.0" in software["softwareRequirements"]
    assert found["#training"]["startTime"] < found["#training"]["endTime"]
    assert "Example CPU 2.0 GHz" in found["#training"]["description"]


def test_every_column_is_told_with_unit_and_meaning(tmp_path: Path) -> None:
    found = card(make_results(tmp_path))
    for table in (RUNS, SOURCES, EXPERIMENTS):
        for column in table.columns:
            told = found[f"#tables/{table.path}/{column.name}"]
            assert told["description"] == column.description
            assert told.get("unitText", "") == column.unit
    assert {f"#tables/epochs/{column.name}" for column in EPOCHS.columns} <= found.keys()
    curves = found["tables/epochs/dataset=wine/shape=rectangle/part-0.parquet"]
    assert {"@id": "#tables/epochs/val_loss"} in curves["variableMeasured"]


def test_measured_power_is_called_so(tmp_path: Path) -> None:
    found = card(make_results(tmp_path))
    assert found["./"]["measurementTechnique"] == "measured power: ipmi, of the node (24 runs)"
    assert "simulated" not in str(found).replace("simulated or modelled", "").replace("simulated, modelled", "")


@pytest.mark.parametrize("title", [None, "What digits cost"])
def test_simulated_power_is_marked_wherever_there_are_joules(tmp_path: Path, title: str | None) -> None:
    found = card(make_results(tmp_path, "simulated"), title=title, description="A trial.")
    root = found["./"]
    assert root["name"].endswith("(simulated power)")
    assert root["description"].startswith("SIMULATED POWER - not a measurement.")
    assert "A trial." in root["description"]
    assert "simulated power" in root["keywords"]
    for part in ("./", "runs/", "tables/runs.parquet", "tables/experiments.parquet", "figures/energy_per_datum.svg"):
        assert "simulated power, not a measurement" in found[part]["measurementTechnique"]


def test_power_of_several_origins_is_told_apart(tmp_path: Path) -> None:
    make_results(tmp_path)
    records = [make_record(origin="measured"), make_record(repetition=1, origin="simulated")]
    records += [make_record(repetition=2, origin=None)]
    write_tables(records, plan_of(records, 2), tmp_path / "tables")
    found = card(tmp_path)
    assert found["./"]["measurementTechnique"] == [
        "measured power: ipmi, of the node (1 run)",
        "no power was read (1 run)",
        "simulated power, not a measurement: simulated, of the node (1 run)",
    ]
    assert found["./"]["description"].startswith("PARTLY SIMULATED POWER")


def test_authors_license_and_doi_stand_in_the_card(tmp_path: Path) -> None:
    found = card(
        make_results(tmp_path),
        authors=[ADA, "Charles Babbage"],
        publisher="A Laboratory",
        license="CC-BY-4.0",
        doi="10.5281/zenodo.1234567",
    )
    root = found["./"]
    assert root["author"] == [{"@id": "https://orcid.org/0000-0002-1825-0097"}, {"@id": "#author/Charles%20Babbage"}]
    assert found["https://orcid.org/0000-0002-1825-0097"]["name"] == "Ada Lovelace"
    assert root["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    assert found[root["publisher"]["@id"]]["name"] == "A Laboratory"
    assert root["identifier"] == "https://doi.org/10.5281/zenodo.1234567"


def test_a_license_may_be_a_url(tmp_path: Path) -> None:
    assert card(make_results(tmp_path), license="https://example.org/terms")["./"]["license"] == {
        "@id": "https://example.org/terms"
    }


def test_without_a_license_the_card_says_so_and_the_command_what_to_do(tmp_path: Path) -> None:
    make_results(tmp_path)
    command = data_card_of(tmp_path)
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == f"{tmp_path}/ro-crate-metadata.json\n"
    assert "publication.license is not set" in said.stderr
    assert checked(tmp_path)["./"]["license"] == {"@id": "#no-license"}
    named = subprocess.run(
        [*command, "--publication", '{"license": "MIT"}'], capture_output=True, text=True, check=True
    )
    assert "publication.license" not in named.stderr
    assert checked(tmp_path)["./"]["license"] == {"@id": "https://spdx.org/licenses/MIT"}


def test_a_folder_without_tables_is_refused_in_words(tmp_path: Path) -> None:
    make_results(tmp_path)
    (tmp_path / "tables" / "runs.parquet").unlink()
    with pytest.raises(AnalysisError, match="make it with `wattsweep tables`"):
        make_crate(tmp_path, PublicationConfig(), TODAY)
    said = subprocess.run(data_card_of(tmp_path), capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("error: ")
    assert not (tmp_path / "ro-crate-metadata.json").exists()


def test_the_same_folder_gives_the_same_card(tmp_path: Path) -> None:
    make_results(tmp_path)
    first = write_crate(tmp_path, PublicationConfig(), TODAY).read_bytes()
    assert write_crate(tmp_path, PublicationConfig(), TODAY).read_bytes() == first


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("license", "CC BY 4.0", "an SPDX identifier such as CC-BY-4.0, or a URL"),
        ("doi", "https://doi.org/10.5281/zenodo.1", "a DOI is written without its resolver"),
        ("authors", ["0000-0002-1825-0097"], "it has no name"),
        ("authors", ["Ada Lovelace 0000-0002-1825-0079"], "the ORCID 0000-0002-1825-0079 is mistyped"),
    ],
)
def test_mistakes_in_the_block_are_named(key: str, value: Any, remedy: str) -> None:
    sweep = {"dataset": "wine", "shape": "rectangle", "size": 64, "depth": 2}
    with pytest.raises(ConfigError) as caught:
        parse({"sweeps": {"demo": sweep}, "publication": {key: value}})
    assert f"publication.{key}" in str(caught.value)
    assert remedy in str(caught.value)
