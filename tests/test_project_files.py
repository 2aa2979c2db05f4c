"""What stands beside the code for people, catalogs and editors is whole."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

import wattsweep

CFF_REQUIRED = {"cff-version", "message", "title", "authors"}
CFF_KNOWN = {
    *CFF_REQUIRED,
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url"),
    *("preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url"),
    "version",
}
REFERENCE_REQUIRED = {"authors", "title", "type"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_is_one_of_format_1_2_0(repository: Path) -> None:
    citation = load(repository / "CITATION.cff")
    assert citation.keys() >= CFF_REQUIRED
    assert citation.keys() <= CFF_KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == wattsweep.__version__
    assert citation["type"] == "software"
    for work in citation["references"]:
        assert work.keys() >= REFERENCE_REQUIRED
        assert all({"name"} == author.keys() or "family-names" in author for author in work["authors"])
    for author in citation["authors"]:
        assert {"name", "family-names"} & author.keys()
    assert citation["license"] == "MIT"
    assert (repository / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_hooks_are_local_and_their_programs_are_those_of_the_environment(repository: Path) -> None:
    (repo,) = load(repository / ".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    entries = {hook["id"]: hook["entry"].split() for hook in repo["hooks"]}
    assert entries.keys() == {"ruff", "ruff-format", "snakefmt", "mypy"}
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for program, *options in entries.values():
        found = shutil.which(program, path=here)
        assert found, program
        told = subprocess.run([found, *options[:1], "--help"], capture_output=True, text=True, check=True).stdout
        for option in options[1:]:
            assert option in told


def test_the_hook_of_snakefmt_takes_every_file_of_the_workflow(repository: Path) -> None:
    (repo,) = load(repository / ".pre-commit-config.yaml")["repos"]
    (pattern,) = (hook["files"] for hook in repo["hooks"] if hook["id"] == "snakefmt")
    workflow = [repository / "workflow" / "Snakefile", *(repository / "workflow" / "rules").iterdir()]
    for path in workflow:
        assert re.search(pattern, path.relative_to(repository).as_posix())


def test_the_workflow_catalog_finds_what_it_wants(repository: Path) -> None:
    usage = load(repository / ".snakemake-workflow-catalog.yml")["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["report"] is True
    assert usage["mandatory-flags"]["desc"]
    meter = load(repository / "profiles" / "local" / "config.yaml")["resources"]
    assert usage["mandatory-flags"]["flags"] == f"--resources {meter}"
    assert (repository / "workflow" / "Snakefile").exists()
    assert (repository / "config" / "README.md").exists()
    for rules in (repository / "workflow" / "rules").iterdir():
        assert rules.suffix == ".smk"
