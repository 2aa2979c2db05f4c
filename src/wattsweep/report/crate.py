"""The data card of a results folder: an RO-Crate 1.1, which tells people and repositories what each file is.

`wattsweep data-card` writes RESULTS/ro-crate-metadata.json; the workflow does so after the report.
Files are named with their size and checksum, columns of tables with unit and meaning, and every energy with the origin
of its power. Run files, traces and datasets are told of as folders: there may be very many, and run files hold
checksums of their own.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

import wattsweep
from wattsweep.config import PublicationConfig
from wattsweep.config.publication import split_author
from wattsweep.disk import write_text
from wattsweep.figures import power_mark
from wattsweep.planning import read_plan
from wattsweep.report.crate_files import (
    Entity,
    column_entities,
    counted,
    file_entities,
    folder_entities,
    reference,
    several,
)
from wattsweep.tables import read_runs

FILE_NAME = "ro-crate-metadata.json"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "http://schema.org/sha256"}]
KEYWORDS = ("energy", "power measurement", "neural networks", "training cost")
REQUIREMENTS = ("python_version", "tensorflow_version", "keras_version", "numpy_version")

NO_LICENSE = {
    "@id": "#no-license",
    "@type": "CreativeWork",
    "name": "No license named",
    "description": "The configuration of these results names no license: ask those who made them.",
}
REMEDY = (
    "publication.license is not set, so the data card says that no license was named. Name one, such as CC-BY-4.0, "
    "before you publish these results; only the data card is then written again."
)


def write_crate(results: Path, publication: PublicationConfig, published: date) -> Path:
    """Write the data card of a results folder into it, and give its path. Raises as `make_crate` does."""
    path = results / FILE_NAME
    text = json.dumps(make_crate(results, publication, published), indent=1, ensure_ascii=False)
    write_text(path, text + "\n")
    return path


def make_crate(results: Path, publication: PublicationConfig, published: date) -> dict[str, Any]:
    """The data card of a results folder, as JSON-LD; `published` is its date of publication.

    Raises ConfigError where the folder has no plan, AnalysisError where it has no tables.
    """
    plan = read_plan(results / "plan" / "plan.json")
    runs = read_runs(results / "tables")
    power = several(power_words(runs))
    files = file_entities(results, power)
    columns = column_entities(results, files)
    folders = folder_entities(results, power)
    datasets = _datasets(plan["datasets"])
    software = _software(runs)
    authors = [_author(author) for author in publication.authors]
    publishers = [_publisher(publication.publisher)] if publication.publisher else []
    terms = _license(publication.license)
    training = _training(runs, software, datasets)
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": _title(publication, plan, runs),
        "description": _description(publication, plan, runs),
        "datePublished": published.isoformat(),
        "license": reference(terms),
        "keywords": ", ".join([*KEYWORDS, *_unreal(runs)]),
        "measurementTechnique": power,
        "hasPart": [reference(part) for part in (*files, *folders)],
        "mentions": reference(training),
    }
    if authors:
        root["author"] = several([reference(author) for author in authors])
    if publishers:
        root["publisher"] = several([reference(publisher) for publisher in publishers])
    if publication.doi:
        root["identifier"] = f"https://doi.org/{publication.doi}"
    descriptor = {
        "@id": FILE_NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    context = [*authors, *publishers, terms, training, *software, *datasets]
    return {"@context": CONTEXT, "@graph": [descriptor, root, *files, *folders, *context, *columns]}


def power_words(runs: pd.DataFrame) -> list[str]:
    """Where the watts of these runs come from, a line for each origin, source and scope."""
    lines = []
    known = runs[["power_origin", "power_source", "power_scope"]].fillna("").astype(str)
    for (origin, source, scope), group in known.groupby(["power_origin", "power_source", "power_scope"]):
        count = counted(len(group), "run")
        if origin == "none":
            lines.append(f"no power was read ({count})")
        else:
            warning = "" if origin == "measured" else ", not a measurement"
            lines.append(f"{origin} power{warning}: {source}, of the {scope} ({count})")
    return lines or ["no power was read"]


def _unreal(runs: pd.DataFrame) -> list[str]:
    return [f"{origin} power" for origin in sorted(set(runs["power_origin"]) - {"measured", "none"})]


def _title(publication: PublicationConfig, plan: Mapping[str, Any], runs: pd.DataFrame) -> str:
    """The title, which says so where power was not measured."""
    title = publication.title or f"Energy of training neural networks: {', '.join(plan['sweeps'])}"
    unreal = [words for words in _unreal(runs) if words not in title.lower()]
    return f"{title} ({', '.join(unreal)})" if unreal else title


def _description(publication: PublicationConfig, plan: Mapping[str, Any], runs: pd.DataFrame) -> str:
    experiments = runs["experiment_id"].nunique()
    parts = [
        power_mark(runs["power_origin"].unique()),
        publication.description or "",
        f"{counted(len(runs), 'run')} of {counted(experiments, 'experiment')}: fully connected networks trained on "
        f"{', '.join(plan['datasets']) or 'no dataset'}, with 20 metrics at every epoch and the energy of each run.",
        "Energies are in joules, gross (all that the node used) and net (less idle power x duration), with intervals.",
    ]
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)


def _datasets(datasets: Mapping[str, Mapping[str, Any]]) -> list[Entity]:
    return [
        {
            "@id": f"#{quote(f'dataset/{name}')}",
            "@type": "CreativeWork",
            "name": name,
            "description": f"Trained as {facts['task']}: {facts['n_observations']:,} rows, {facts['n_inputs']:,} "
            "feature columns after encoding. The checksum is that of the arrays.",
            "sha256": facts["sha256"],
        }
        for name, facts in datasets.items()
    ]


def _software(runs: pd.DataFrame) -> list[Entity]:
    """Wattsweep in every version and commit that trained, with the versions of what it stands on."""
    entities = []
    columns = ["wattsweep_version", "git_commit", *REQUIREMENTS]
    for (version, commit), group in runs[columns].fillna("").groupby(["wattsweep_version", "git_commit"]):
        needs = {
            f"{column.removesuffix('_version')} {value}"
            for column in REQUIREMENTS
            for value in group[column].unique()
            if value
        }
        entity = {
            "@id": f"#{quote('-'.join(filter(None, ['wattsweep', str(version), str(commit)])))}",
            "@type": "SoftwareApplication",
            "name": "wattsweep",
            "softwareVersion": str(version),
        }
        if needs:
            entity["softwareRequirements"] = several(sorted(needs))
        if commit:
            changed = " with local changes" if str(commit).endswith("+") else ""
            entity["description"] = f"Commit {str(commit).removesuffix('+')}{changed}."
        entities.append(entity)
    name, version = "wattsweep", wattsweep.__version__
    return entities or [
        {"@id": f"#{name}-{version}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
    ]


def _training(runs: pd.DataFrame, software: list[Entity], datasets: list[Entity]) -> Entity:
    """What made the results: the training of the runs, on which nodes and when."""
    machines = runs[["device", "cpu_model"]].fillna("").astype(str).drop_duplicates()
    kinds = ", ".join(sorted(f"{row.device} ({row.cpu_model})" for row in machines.itertuples()))
    action: Entity = {
        "@id": "#training",
        "@type": "CreateAction",
        "name": "Training of the networks while the power of their nodes was read",
        "description": f"On {counted(runs['host'].nunique(), 'node')}: {kinds or 'none'}.",
        "instrument": several([reference(one) for one in software]),
        "object": several([{"@id": "plan/config.json"}, *(reference(one) for one in datasets)]),
        "result": {"@id": "./"},
    }
    if not runs.empty:
        action["startTime"] = runs["started_at"].min().isoformat()
        action["endTime"] = (runs["started_at"] + pd.to_timedelta(runs["training_s"], unit="s")).max().isoformat()
    return action


def _author(author: str) -> Entity:
    name, orcid = split_author(author)
    identity = f"https://orcid.org/{orcid}" if orcid else f"#{quote(f'author/{name}')}"
    return {"@id": identity, "@type": "Person", "name": name}


def _publisher(name: str) -> Entity:
    return {"@id": f"#{quote(f'publisher/{name}')}", "@type": "Organization", "name": name}


def _license(name: str | None) -> Entity:
    if name is None:
        return dict(NO_LICENSE)
    url = name if "://" in name else f"https://spdx.org/licenses/{name}"
    return {
        "@id": url,
        "@type": "CreativeWork",
        "name": name,
        "description": f"The results are under {name}.",
    }
