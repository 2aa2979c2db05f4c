# The configuration, checked before any job is planned, and where things are.

import shlex
from functools import lru_cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

import wattsweep.config as wattsweep_config
from wattsweep.errors import ConfigError
from wattsweep.planning import dataset_names, read_plan

try:
    for file in workflow.configfiles:
        wattsweep_config.load(Path(file))
    CONFIG = wattsweep_config.parse(config)
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = CONFIG.paths.results.as_posix()
RESOLVED_CONFIG = f"{RESULTS}/plan/config.json"
PLAN = f"{RESULTS}/plan/plan.json"
TABLES = f"{RESULTS}/tables"
FIT = f"{RESULTS}/fit/energy_model.json"
FIGURES = f"{RESULTS}/figures"
REPORT = f"{RESULTS}/report.html"

FIGURE_NAMES = ["energy_per_datum", "energy_against_loss", "predicted_against_measured"]
FIGURE_FILES = expand(
    f"{FIGURES}/{{name}}.{{kind}}", name=FIGURE_NAMES, kind=["svg", "png"]
)

DATASET_FILES = [
    f"{RESULTS}/datasets/{source}/{name}.npz" for source, name in dataset_names(CONFIG)
]


wildcard_constraints:
    shard="[0-9a-f]+",
    source="[a-z]+",
    dataset="[^/]+",


# Jobs run the package that this workflow belongs to, in whatever environment they are given.
SOURCE = Path(workflow.basedir).parent / "src"
shell.prefix(f"export PYTHONPATH={shlex.quote(str(SOURCE))}:$PYTHONPATH; ")


def planned_shards(wildcards):
    """The marker of every shard of the plan, once there is one."""
    plan = read_plan(Path(checkpoints.plan.get().output.plan))
    return [f"{RESULTS}/shards/{shard['shard_id']}.json" for shard in plan["shards"]]


@lru_cache(maxsize=1)
def shard_summaries(changed_ns):
    """What the plan says of each shard, by id; read once for every time that the plan was changed."""
    return {shard["shard_id"]: shard for shard in read_plan(Path(PLAN))["shards"]}


def shard_summary(wildcards):
    """What the plan says of a shard."""
    return shard_summaries(Path(PLAN).stat().st_mtime_ns)[wildcards.shard]


def shard_minutes(wildcards, attempt):
    """Wall time to ask for: the predicted one with its margin, growing on each retry."""
    predicted_s = shard_summary(wildcards)["predicted_s"]
    seconds = predicted_s * CONFIG.scheduling.wall_time_margin * attempt
    return max(5, round(seconds / 60))


def shard_hardware(wildcards):
    """What the shard trains on: any, cpu or gpu; any in plans made before there was a choice."""
    return shard_summary(wildcards).get("hardware", "any")


def shard_gres(wildcards):
    """Generic resources to ask for: none for a CPU, those of the config, else a GPU where the shard needs one."""
    hardware = shard_hardware(wildcards)
    if hardware == "cpu":
        return None
    return CONFIG.scheduling.gres or ("gpu:1" if hardware == "gpu" else None)


def shard_environment(wildcards):
    """The conda environment of what the shard trains on."""
    needs_gpu = shard_hardware(wildcards) == "gpu"
    name = "train-gpu.yml" if needs_gpu else "train-cpu.yml"
    return str(Path(workflow.basedir).parent / "envs" / name)
