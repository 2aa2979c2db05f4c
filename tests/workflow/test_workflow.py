"""The whole pipeline through Snakemake, as users run it: config to report."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from tests.report.support_crate import checked
from wattsweep.runs import RunRecord, read_run

pytestmark = pytest.mark.slow

GRID = {
    "dataset": ["wine", "bundled:breast_cancer"],
    "shape": ["rectangle", "exponential"],
    "size": [256, 1024],
    "depth": 2,
    "epochs": 60,
    "learning_rate": 0.001,
    "repetitions": 2,
}
POWER = {
    "source": "simulated",
    "interval": "50 ms",
    "min_window": "200 ms",
    "idle_window": "300 ms",
    "simulated": {"refresh": "100 ms"},
}


class Project:
    """A folder in which Snakemake runs this workflow."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder = folder
        self.repository = repository

    def configure(
        self,
        *,
        scheduling: Mapping[str, Any] = MappingProxyType({}),
        publication: Mapping[str, Any] = MappingProxyType({}),
        **changes: Any,
    ) -> None:
        scheduling = {"shard_wall_time": "1 min", **scheduling}
        document = {
            "sweeps": {"tiny": GRID | changes},
            "power": POWER,
            "scheduling": scheduling,
            "publication": dict(publication),
        }
        (self.folder / "config.yaml").write_text(yaml.safe_dump(document))

    def command(self, *arguments: str) -> list[str]:
        profile = self.repository / "profiles" / "local"
        workflow = self.repository / "workflow" / "Snakefile"
        main = [sys.executable, "-m", "snakemake", "--profile", str(profile), "--snakefile", str(workflow)]
        return [*main, "--directory", str(self.folder), *arguments]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment(), capture_output=True, text=True, timeout=600, check=False
        )

    def succeed(self, *arguments: str) -> str:
        done = self.snakemake(*arguments)
        logs = "".join(path.read_text() for path in self.folder.rglob("results/logs/**/*.log"))
        assert done.returncode == 0, done.stdout + done.stderr + logs
        return done.stdout + done.stderr

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with_group(process)
            process.wait()

    def runs(self) -> dict[str, RunRecord]:
        return {path.stem: read_run(path) for path in self.folder.glob("results/runs/*/*/*.h5")}


def with_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, as SIGKILL does: nobody can clean up."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Project:
    project = Project(tmp_path, repository)
    project.configure()
    return project


def test_from_config_to_report_and_again(project: Project) -> None:
    output = project.succeed()
    report = project.folder / "results" / "report.html"
    assert f"The report: {report}" in output
    html = report.read_text(encoding="utf-8")
    assert "simulated" in html
    for table in ("runs.parquet", "experiments.parquet"):
        assert (project.folder / "results" / "tables" / table).exists()
    assert list(project.folder.glob("results/tables/epochs/dataset=wine/shape=rectangle/*.parquet"))
    assert json.loads((project.folder / "results/fit/energy_model.json").read_text())
    for name in ("energy_per_datum", "energy_against_loss", "predicted_against_measured"):
        assert (project.folder / f"results/figures/{name}.svg").exists()
        assert (project.folder / f"results/figures/{name}.png").exists()
    before = stamps(project)
    assert len(project.runs()) >= 8 * 2

    card = checked(project.folder / "results")
    assert "simulated power, not a measurement" in card["./"]["measurementTechnique"]
    assert {"runs/", "report.html", "fit/energy_model.json", "figures/energy_per_datum.png"} <= card.keys()
    assert "name a license in publication.license" in output

    assert "Nothing to be done" in project.succeed()
    assert stamps(project) == before

    categories, results = snakemake_report(project)
    for name, category in {"energy_per_datum": "Energy", "minimum_loss": "Loss", "quality_control": "Quality"}.items():
        path = f"results/figures/{name}.svg"
        assert path in str(categories[category])
        assert "marked where power was simulated" in results[path]["caption"]

    project.configure(publication={"license": "CC-BY-4.0"})
    output = project.succeed()
    assert "rule data_card" in output
    assert not [rule for rule in ("plan", "shard", "tables", "figures", "report") if f"rule {rule}:" in output]
    assert checked(project.folder / "results")["./"]["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}

    project.configure(dataset="wine", shape="rectangle", depth=[2, 3])
    project.succeed()
    after = stamps(project)
    assert before.items() <= after.items()
    new = {record.settings.depth for name, record in project.runs().items() if name not in before}
    assert new == {3}


def snakemake_report(project: Project) -> tuple[dict[str, Any], dict[str, Any]]:
    """The categories and results of the page that `snakemake --report` makes."""
    project.succeed("--report", str(project.folder / "workflow.html"))
    page = (project.folder / "workflow.html").read_text(encoding="utf-8")
    scripts = (page.split(f'<script id="{name}">', 1)[1] for name in ("categories", "results"))
    categories, results = (json.JSONDecoder().raw_decode(script.split("= ", 1)[1])[0] for script in scripts)
    return categories, results


def stamps(project: Project) -> dict[str, int]:
    """When each run file was written."""
    return {path.stem: path.stat().st_mtime_ns for path in project.folder.glob("results/runs/*/*/*.h5")}


def test_a_mistake_stops_before_any_job_is_planned(project: Project) -> None:
    project.configure(shape="rectangel", depth=1)
    done = project.snakemake()
    assert done.returncode != 0
    assert 'sweeps.tiny.shape = "rectangel": not known; did you mean `rectangle`?' in done.stderr
    assert "sweeps.tiny.depth = 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.folder / "results").exists()


def test_a_named_configuration_stands_alone(project: Project) -> None:
    other = project.folder / "other.yaml"
    document = yaml.safe_load((project.folder / "config.yaml").read_text())
    other.write_text(yaml.safe_dump(document | {"sweeps": {"other": GRID | {"depth": 5}}}))
    project.succeed("--configfile", str(other), "--until", "plan")
    plan = json.loads((project.folder / "results/plan/plan.json").read_text())
    assert list(plan["sweeps"]) == ["other"]


def test_braces_in_an_address_are_the_nodes_and_no_wildcard(project: Project) -> None:
    document = yaml.safe_load((project.folder / "config.yaml").read_text())
    address = "{node}-bmc.example.org"
    document["power"] = {"source": "ipmi", "ipmi": {"address": address}}
    (project.folder / "config.yaml").write_text(yaml.safe_dump(document))
    project.succeed("--until", "resolve_config")
    resolved = json.loads((project.folder / "results/plan/config.json").read_text())
    assert resolved["power"]["ipmi"]["address"] == address


def test_only_shards_for_gpus_ask_for_one(project: Project) -> None:
    project.configure(hardware=["cpu", "gpu"])
    project.succeed("--until", "plan")
    shards = json.loads((project.folder / "results/plan/plan.json").read_text())["shards"]
    listed = project.succeed("--dry-run", "--printshellcmds")
    jobs = listed.split("rule shard:")
    assert {shard["hardware"] for shard in shards} == {"cpu", "gpu"}
    for shard in shards:
        (job,) = (job for job in jobs if f"wildcards: shard={shard['shard_id']}" in job)
        assert ("gres=gpu:1" in job.split("rule tables:")[0]) == (shard["hardware"] == "gpu")


def test_a_shard_asks_slurm_for_what_the_configuration_says(project: Project) -> None:
    project.succeed("--until", "plan")
    asked = {"partition": "main", "account": "lab", "qos": "long", "constraint": "skylake&ssd"}
    plain = resources(project)
    assert not set(plain) & {"slurm_partition", "slurm_account", "qos", "constraint"}
    assert plain["slurm_extra"] == "--exclusive --signal=TERM@120"
    project.configure(
        scheduling={**asked, "wall_time_margin": 1000, "max_wall_time": "90 min", "runs_per_node": 3, "memory_mb": 3000}
    )
    project.succeed("--until", "plan")
    found = resources(project)
    assert found["slurm_partition"] == asked["partition"]
    assert found["slurm_account"] == asked["account"]
    assert found["qos"] == asked["qos"]
    assert found["constraint"] == asked["constraint"]
    assert found["mem_mb"] == "3000"
    assert int(plain["runtime"]) < 90 == int(found["runtime"])
    assert found["slurm_extra"] == "--signal=TERM@120"
    meters = yaml.safe_load((project.repository / "profiles/local/config.yaml").read_text())["resources"]
    granted = int(meters.removeprefix("meter="))
    assert granted // int(plain["meter"]) == 1
    assert granted // int(found["meter"]) == 3


def resources(project: Project) -> dict[str, str]:
    """What the first shard asks for."""
    first = project.succeed("--dry-run").split("rule shard:")[1]
    (line,) = (line for line in first.splitlines() if line.strip().startswith("resources:"))
    pairs: Iterator[list[str]] = (pair.split("=", 1) for pair in line.strip().removeprefix("resources: ").split(", "))
    return dict(pairs)


def test_both_profiles_plan_the_shipped_config(project: Project) -> None:
    shutil.copy(project.repository / "config.yaml", project.folder)
    for profile in ("local", "slurm", "slurm-gpu"):
        profile_folder = project.repository / "profiles" / profile
        done = project.snakemake("--profile", str(profile_folder), "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "checkpoint plan" in done.stdout + done.stderr
