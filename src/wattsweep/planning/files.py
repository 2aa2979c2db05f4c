"""The plan on disk: plan.json says what was planned, a small file per shard says what its job trains."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from wattsweep.disk import in_place_of
from wattsweep.errors import ConfigError
from wattsweep.grid import Experiment, Settings
from wattsweep.planning.plan import Nonconformant, Plan, PlannedExperiment, Shard, sweep_counts, unknown_datasets

PLAN_FORMAT = "wattsweep-plan"
PLAN_VERSION = 1
REMEDY = "plan again with `wattsweep plan --output FOLDER`"


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `folder`/plan.json and `folder`/shards/ID.json."""
    shards = folder / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    for shard in plan.shards:
        write_json(shards / f"{shard.shard_id}.json", shard_to_json(shard))
    with in_place_of(folder / "plan.json") as temporary:
        write_json(temporary, plan_to_json(plan))


def read_plan(path: Path) -> dict[str, Any]:
    """The content of a plan.json; raises ConfigError where it is missing or no plan of this version."""
    document = _read_json(path)
    if document.get("format") != PLAN_FORMAT or document.get("version") != PLAN_VERSION:
        raise ConfigError(f"{path}: not a plan of version {PLAN_VERSION}; {REMEDY}.")
    return document


def read_shard(path: Path) -> Shard:
    """The shard in a shard file; raises ConfigError where it is missing or none."""
    document = _read_json(path)
    try:
        return Shard(document["shard_id"], tuple(planned_from_json(one) for one in document["experiments"]))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a shard file ({error!r}); {REMEDY}.") from error


def read_shards(folder: Path) -> list[Shard]:
    """Every shard of the plan in a folder that `write_plan` wrote; raises ConfigError as the two above."""
    shards = read_plan(folder / "plan.json")["shards"]
    return [read_shard(folder / "shards" / f"{shard['shard_id']}.json") for shard in shards]


def shard_to_json(shard: Shard) -> dict[str, Any]:
    """The content of a shard file."""
    experiments = [planned_to_json(one) for one in shard.experiments]
    return {"shard_id": shard.shard_id, "hardware": shard.hardware, "experiments": experiments}


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The content of plan.json: counts, the shards' sizes, what is left out; what the shards hold stands apart."""
    return {
        "format": PLAN_FORMAT,
        "version": PLAN_VERSION,
        "config": plan.config.model_dump(mode="json"),
        "sweeps": sweep_counts(plan),
        "datasets": {f"{source}:{name}": asdict(facts) for (source, name), facts in plan.datasets.items()},
        "experiments": len(plan.experiments),
        "runs": plan.runs,
        "nonconformant": [_nonconformant_to_json(one) for one in plan.nonconformant],
        "unknown": {
            "datasets": unknown_datasets(plan),
            "experiments": len(plan.unknown),
            "runs": sum(experiment.repetitions for experiment in plan.unknown),
        },
        "shards": [_shard_summary(shard) for shard in plan.shards],
        "predicted_s": plan.predicted_s,
    }


def planned_to_json(planned: PlannedExperiment) -> dict[str, Any]:
    """Plain values that `planned_from_json` reads back."""
    return {
        "experiment_id": planned.experiment.experiment_id,
        "settings": _settings(planned.experiment),
        "repetitions": planned.experiment.repetitions,
        "sweeps": list(planned.experiment.sweeps),
        "n_inputs": planned.n_inputs,
        "widths": list(planned.widths),
        "n_parameters": planned.n_parameters,
        "predicted_s": planned.predicted_s,
    }


def planned_from_json(document: Mapping[str, Any]) -> PlannedExperiment:
    """The planned experiment that `planned_to_json` wrote."""
    experiment = Experiment(
        document["experiment_id"],
        Settings(**document["settings"]),
        document["repetitions"],
        tuple(document["sweeps"]),
    )
    return PlannedExperiment(
        experiment, document["n_inputs"], tuple(document["widths"]), document["n_parameters"], document["predicted_s"]
    )


def _nonconformant_to_json(one: Nonconformant) -> dict[str, Any]:
    return {
        "experiment_id": one.experiment.experiment_id,
        "settings": _settings(one.experiment),
        "sweeps": list(one.experiment.sweeps),
        "n_parameters": one.n_parameters,
        "relative_error": one.relative_error,
        "reason": one.reason,
    }


SETTINGS = [field.name for field in fields(Settings)]
_values = attrgetter(*SETTINGS)


def _settings(experiment: Experiment) -> dict[str, Any]:
    return dict(zip(SETTINGS, _values(experiment.settings), strict=True))


def _shard_summary(shard: Shard) -> dict[str, Any]:
    return {
        "shard_id": shard.shard_id,
        "hardware": shard.hardware,
        "experiments": len(shard.experiments),
        "runs": shard.runs,
        "predicted_s": shard.predicted_s,
    }


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file, as small as can be."""
    # Without indentation json has an encoder in C; a plan may be a hundred thousand files.
    path.write_bytes(json.dumps(document, separators=(",", ":")).encode() + b"\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {REMEDY}.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); {REMEDY}.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: not a plan or shard, but {type(document).__name__}; {REMEDY}.")
    return document
