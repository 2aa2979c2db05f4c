"""The commands `import`, `export` and `standardise`, from files to tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.importers.support_oedi import small_submission
from tests.support_records import make_sweep, plan_of
from wattsweep.cli import app
from wattsweep.errors import AnalysisError
from wattsweep.tables import write_tables

runner = CliRunner()


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_submission(tmp_path_factory.mktemp("cli") / "5991").folder


def test_import_butter_e_prints_the_published_reasons_beside_its_own(submission: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["import", "butter-e", str(submission), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    lines = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()}
    assert lines["input"][1:] == ["41,129", "35", "35"]
    assert lines["a reading of 0 W"][-3:] == ["470", "1", "0"]
    assert lines["no reading within the run"][-3:] == ["137", "2", "2"]
    assert lines["fewer readings than minutes - 1"][-3:] == ["14", "1", "0"]
    assert lines["no power file for the job"][-3:] == ["44", "1", "1"]
    assert "start-up on cpu: 12,240 J and 51.0 s (rule, over 3 runs)" in result.stdout
    assert "unusual_run_time" in result.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "runs.parquet",
        "experiments.parquet",
        "published.parquet",
        "nodes.parquet",
        "curves",
        "import.json",
    } <= names
    assert {"quality.parquet", "standardised_runs.parquet", "standardised_experiments.parquet"} <= names


def test_import_butter_e_by_intervals(submission: Path, tmp_path: Path) -> None:
    command = ["import", "butter-e", str(submission), "--output", str(tmp_path), "--join", "interval"]
    result = runner.invoke(app, [*command, "--min-coverage", "0.4", "--no-summary", "--overhead", "none"])
    assert result.exit_code == 0, result.output
    runs = {row["run_id"]: row for row in pq.read_table(tmp_path / "runs.parquet").to_pylist()}
    # 300 s of 660 s are enough now
    assert runs["gap"]["energy_status"] == "ok"
    assert "none subtracted" in result.stdout


def test_missing_files_are_an_error_without_a_traceback(tmp_path: Path) -> None:
    result = runner.invoke(app, ["import", "butter-e", str(tmp_path)])
    assert isinstance(result.exception, AnalysisError)
    assert "butter_e_metadata.csv, butter_e_energy, node_sinfo.csv" in str(result.exception)


def test_export_and_import_of_butter(tmp_path: Path) -> None:
    records = make_sweep(datasets=("digits",), shapes=("rectangle",), depths=(2,), sizes=(1024,))
    write_tables(records, plan_of(records, 3), tmp_path / "tables")
    out = str(tmp_path / "butter")
    result = runner.invoke(app, ["export", "butter", "--tables", str(tmp_path / "tables"), "--output", out])
    assert result.stdout == f"3 runs of 1 experiments in {out}\n"
    result = runner.invoke(app, ["import", "butter", out, "--output", str(tmp_path / "again")])
    assert "3 rows of runs, 1 rows of summaries, 3 runs, 1 experiments" in result.stdout


def test_standardise_our_own_tables(tmp_path: Path) -> None:
    records = make_sweep(datasets=("digits",), shapes=("rectangle",), depths=(2,), sizes=(1024,))
    write_tables(records, plan_of(records, 3), tmp_path)
    result = runner.invoke(app, ["standardise", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "idle power by type of node: Example CPU 2.0 GHz 60 W" in result.stdout
    assert pq.read_table(tmp_path / "standardised_experiments.parquet").num_rows == 1
    result = runner.invoke(app, ["standardise", str(tmp_path), "--reference", "cpu9"])
    assert result.exit_code == 2
    assert "give a class and a type" in result.output


def test_nothing_to_standardise_is_told(tmp_path: Path) -> None:
    records = make_sweep(origin=None, datasets=("digits",), shapes=("rectangle",), depths=(2,), sizes=(1024,))
    write_tables(records, plan_of(records, 3), tmp_path)
    result = runner.invoke(app, ["standardise", str(tmp_path)])
    assert result.exit_code == 1
    assert "Not standardised: None of 3 runs is kept" in result.output
    assert (tmp_path / "quality.parquet").is_file()
