"""What a configuration says is data: no shell reads it, and it names no place outside the results folder."""

import re
from pathlib import Path

import pytest
import yaml

from tests.workflow.test_workflow import Project
from wattsweep.config import parse
from wattsweep.errors import ConfigError

HOSTILE = "res ults; touch hacked; $(touch hacked) `touch hacked` 'x' & \\"


def test_every_value_in_a_rules_command_is_quoted(repository: Path) -> None:
    commands = []
    for path in [*sorted((repository / "workflow").rglob("*.smk")), repository / "workflow" / "Snakefile"]:
        commands += re.findall(r'"(.*python -m wattsweep.+)"', path.read_text(encoding="utf-8"))
    assert len(commands) >= 8
    for command in commands:
        assert re.findall(r"{[^}]*(?<!:q)}", command) == [], command


@pytest.mark.slow
def test_a_shell_in_the_name_of_the_results_folder_is_never_run(tmp_path: Path, repository: Path) -> None:
    project = Project(tmp_path, repository)
    project.configure(dataset="wine")
    document = yaml.safe_load((tmp_path / "config.yaml").read_text())
    document["paths"] = {"results": HOSTILE}
    document["publication"] = {"title": HOSTILE, "description": HOSTILE, "authors": [HOSTILE], "publisher": HOSTILE}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    project.succeed()
    assert (tmp_path / HOSTILE / "report.html").exists()
    assert list(tmp_path.rglob("hacked")) == []
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", HOSTILE, ".snakemake"}


@pytest.mark.parametrize(
    "name", ["../wine", "pmlb:../../etc/passwd", "bundled:/etc/passwd", "pmlb:a/b", "synthetic:../x", "pmlb:.."]
)
def test_a_dataset_is_a_name_and_no_path(name: str) -> None:
    cube = {"dataset": name, "shape": "rectangle", "size": 256, "depth": 2, "epochs": 1, "learning_rate": 0.001}
    with pytest.raises(ConfigError, match=r"dataset"):
        parse({"sweeps": {"demo": cube}})
