# The configuration, checked before any job is planned, and where things are.

import shlex
from functools import lru_cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

import wattsweep.config as wattsweep_config
from wattsweep.errors import ConfigError
from wattsweep.planning import dataset_names, read_plan, wall_times
from wattsweep.planning.asking import STOP_S, asked_minutes

try:
    for file in workflow.configfiles:
        wattsweep_config.load(Path(file))
    CONFIG = wattsweep_config.parse(config)
except ConfigError as error:
    raise WorkflowError(str(error))

RESULTS = CONFIG.paths.results.as_posix()
RESOLVED_CONFIG = f"{RESULTS}/plan/config.json"
PLAN = f"{RESULTS}/plan/plan.json"
PREDICTION = f"{RESULTS}/plan/prediction.json"
TABLES = f"{RESULTS}/tables"
FIT = f"{RESULTS}/fit/energy_model.json"
FIGURES = f"{RESULTS}/figures"
REPORT = f"{RESULTS}/report.html"
DATA_CARD = f"{RESULTS}/ro-crate-metadata.json"

FIGURE_CATEGORIES = {
    "energy_per_datum": "Energy",
    "energy_trends": "Energy",
    "working_set_energy": "Energy",
    "energy_against_loss": "Energy for a loss",
    "iso_loss_samples": "Energy for a loss",
    "iso_loss_aggregate": "Energy for a loss",
    "iso_loss_minima": "Energy for a loss",
    "predicted_against_measured": "Energy model",
    "prediction_ratio": "Energy model",
    "quality_control": "Quality",
    "butter_zone": "Loss",
    "butter_zone_variation": "Loss",
    "minimizing_epoch": "Loss",
    "minimum_loss": "Loss",
    "descent_slope": "Loss",
}
FIGURE_FILES = expand(
    f"{FIGURES}/{{name}}.{{kind}}",
    name=FIGURE_CATEGORIES,
    kind=["svg", "pdf", "png"],
)
FINDINGS = f"{FIGURES}/findings.json"
INTERACTIVE = f"{FIGURES}/interactive.json"

DATASET_FILES = [
    f"{RESULTS}/datasets/{source}/{name}.npz" for source, name in dataset_names(CONFIG)
]


wildcard_constraints:
    shard="[0-9a-f]+",
    source="[a-z]+",
    dataset="[^/]+",


# Told only at its time limit, a shard would have as long as the site's KillWait to stop in order.
SLURM_EXTRA = f"--signal=TERM@{STOP_S}"
if CONFIG.scheduling.runs_per_node == 1:
    SLURM_EXTRA = f"--exclusive {SLURM_EXTRA}"

# What the local profile grants is one meter, in parts: so many that as many shards as may train at one time have a share.
METER_PARTS = 1_000_000

# Jobs run the package that this workflow belongs to, in whatever environment they are given. Their logs hold no bars, and
# no words on what to do next.
SOURCE = Path(workflow.basedir).parent / "src"
shell.prefix(
    f"export PYTHONPATH={shlex.quote(str(SOURCE))}:$PYTHONPATH WATTSWEEP_QUIET=1; "
)


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
    """Wall time to ask for: the predicted one with its margin, growing on each retry, and the time to stop in order."""
    seconds = asked_seconds(*map(changed_ns, (PLAN, PREDICTION)))[wildcards.shard]
    return asked_minutes(seconds, attempt, CONFIG.scheduling.max_wall_time_s)


def changed_ns(file):
    """When a file was changed last; 0 where it is not there."""
    return Path(file).stat().st_mtime_ns if Path(file).exists() else 0


@lru_cache(maxsize=1)
def asked_seconds(plan_ns, prediction_ns):
    """Seconds to ask for, by shard; from what finished shards taught, where `wattsweep plan` was given since."""
    margin = CONFIG.scheduling.wall_time_margin
    return wall_times(
        shard_summaries(plan_ns).values(), Path(PLAN).parent, margin=margin
    )


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
