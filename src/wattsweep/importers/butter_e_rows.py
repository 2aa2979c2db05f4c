"""From a joined run of BUTTER-E to its rows in our tables."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from wattsweep.grid import Settings
from wattsweep.importers.butter_e_files import MetadataRow, NodeFacts
from wattsweep.importers.facts import data_facts
from wattsweep.importers.joins import Interval, Join, Published
from wattsweep.runs.record import Network
from wattsweep.tables.columns import RUNS
from wattsweep.tables.rows import Row, facts_columns

POWER_SOURCE = "published"
CPU_MODEL = "Intel Xeon Gold 6154"
"""Of the site's nodes, two to a node (arXiv 2403.08151); the files do not say it."""
HISTORY = "history: the 2 % quantile, from the 1 % to the 5 %"


@dataclass(frozen=True, slots=True)
class ImportedExperiment:
    """What the runs of an experiment share. `losses` are columns of experiments.parquet that only the summary tells."""

    identity: str
    settings: Settings
    network: Network
    n_observations: int
    widths_from: str
    losses: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A row of the metadata, its experiment, and what the two joins made of it."""

    row: MetadataRow
    experiment: ImportedExperiment
    published: Published
    by_interval: Interval

    @property
    def run_s(self) -> float:
        """From start_time to update_time, in s."""
        return self.row.end_s - self.row.start_s


def run_row(run: ImportedRun, repetition: int, node: NodeFacts | None, join: Join) -> Row:
    """The row in runs.parquet. Net energy is gross energy less the node's idle power x the time."""
    metadata, settings, network = run.row, run.experiment.settings, run.experiment.network
    facts = data_facts(settings.dataset, run.experiment.n_observations, network.widths, test_split=settings.test_split)
    row: Row = dict.fromkeys(RUNS.schema.names)
    row |= {
        "run_id": metadata.run_id,
        "experiment_id": run.experiment.identity,
        "repetition": repetition,
        "planned": True,
    }
    row |= asdict(settings)
    row |= facts_columns(network, facts)
    row |= {
        "host": metadata.node,
        "device": (node.device if node and node.hardware_class == "gpu" else "gpu") if metadata.is_gpu else "cpu",
        "cpu_model": CPU_MODEL,
        "slurm_job_id": metadata.job,
        "slurm_node": metadata.node,
        "started_at": _instant(metadata.start_s),
        "training_s": run.run_s,
        "runs_at_once": 1,
        "n_segments": 1,
        "epochs_trained": settings.epochs,
    }
    return row | _power(run, node, join, facts.n_train)


def _power(run: ImportedRun, node: NodeFacts | None, join: Join, n_train: int) -> Row:
    joined: Published | Interval = run.published if join == "as-published" else run.by_interval
    gross, lower, upper, coverage = joined.joules, None, None, None
    samples = run.published.n_readings
    if isinstance(joined, Interval):
        lower, upper, coverage, samples = joined.lower, joined.upper, joined.coverage, joined.n_samples
    idle = (node.idle_w, node.idle_lower_w, node.idle_upper_w) if node else (None, None, None)
    net = _less(gross, idle[0], run.run_s)
    return {
        "power_source": POWER_SOURCE,
        "power_scope": "node",
        "power_origin": "measured",
        "power_detail": f"BUTTER-E (OEDI 5991): watts of {run.row.node}, a reading a minute, in butter_e_energy/"
        f"{run.row.job}.csv, joined {join}; idle power by {HISTORY}",
        "power_selected_because": f"imported with --join {join}",
        "block_id": run.row.run_id,
        "block_runs": 1,
        "block_s": run.run_s,
        "block_training_s": run.run_s,
        "energy_status": "refused" if joined.reason else "ok",
        "energy_reason": joined.reason or None,
        "energy_gross_j": gross,
        "energy_gross_lower_j": lower,
        "energy_gross_upper_j": upper,
        "energy_net_j": net,
        "energy_net_lower_j": _less(lower, idle[2], run.run_s),
        "energy_net_upper_j": _less(upper, idle[1], run.run_s),
        "block_energy_gross_j": gross,
        "block_energy_gross_lower_j": lower,
        "block_energy_gross_upper_j": upper,
        "idle_w": idle[0],
        "idle_lower_w": idle[1],
        "idle_upper_w": idle[2],
        "mean_w": None if gross is None else gross / run.run_s,
        "coverage": coverage,
        "n_samples": samples,
        "energy_per_datum_j": None if net is None else net / (run.experiment.settings.epochs * n_train),
    }


def published_row(run: ImportedRun, node: NodeFacts | None, join: Join) -> Row:
    """The row in published.parquet."""
    metadata, published, ours = run.row, run.published, run.by_interval
    return {
        "run_id": metadata.run_id,
        "experiment_id": run.experiment.identity,
        "published_experiment_id": metadata.experiment_id,
        "old_experiment_id": metadata.old_experiment_id,
        "batch": metadata.batch,
        "slurm_job_id": metadata.job,
        "node": metadata.node,
        "node_type": node.node_type if node else None,
        "is_gpu": metadata.is_gpu,
        "started_at": _instant(metadata.start_s),
        "ended_at": _instant(metadata.end_s),
        "run_s": run.run_s,
        "widths_from": run.experiment.widths_from,
        "join": join,
        "n_readings": published.n_readings,
        "as_published_reason": published.reason or None,
        "as_published_j": published.joules,
        "other_nodes_j": published.other_nodes_j,
        "interval_reason": ours.reason or None,
        "interval_j": ours.joules,
        "interval_lower_j": ours.lower,
        "interval_upper_j": ours.upper,
        "coverage": ours.coverage,
    }


def node_row(node: NodeFacts) -> Row:
    """The row in nodes.parquet."""
    return {
        "node": node.name,
        "node_type": node.node_type,
        "hardware_class": node.hardware_class,
        "idle_w": node.idle_w,
        "idle_lower_w": node.idle_lower_w,
        "idle_upper_w": node.idle_upper_w,
        "idle_basis": HISTORY,
        "n_readings": node.n_readings,
    }


def _less(gross_j: float | None, idle_w: float | None, seconds: float) -> float | None:
    return None if gross_j is None or idle_w is None else gross_j - idle_w * seconds


def _instant(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)
