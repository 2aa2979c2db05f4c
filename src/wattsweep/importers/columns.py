"""The tables that an import writes beside runs.parquet and experiments.parquet: their columns, units and meanings."""

from wattsweep.tables.columns import CURVE as FLOATS
from wattsweep.tables.columns import FLAG, FLOAT, INSTANT, INT, INTS, LONG, TEXT, Column, Table

PUBLISHED = Table(
    "published.parquet",
    "one imported run, as it was published and as either join sees it",
    (
        Column("run_id", TEXT, "", "The published id, which is ours too."),
        Column("experiment_id", TEXT, "", "Hash of the settings, ours."),
        Column("published_experiment_id", TEXT, "", "The published experiment_id."),
        Column("old_experiment_id", LONG, "", "The whole number by which BUTTER names the experiment."),
        Column("batch", TEXT, "", "The batch of experiments it was published in."),
        Column("slurm_job_id", TEXT, "", "Slurm job that trained it."),
        Column("node", TEXT, "", "Name of the node."),
        Column("node_type", TEXT, "", "Its type by node_sinfo.csv; null where it is not listed."),
        Column("is_gpu", FLAG, "", "Whether GPUs trained it."),
        Column("started_at", INSTANT, "UTC", "start_time."),
        Column("ended_at", INSTANT, "UTC", "update_time."),
        Column("run_s", FLOAT, "s", "ended_at - started_at: start-up included."),
        Column("widths_from", TEXT, "", "Where widths and parameters come from: summary, or our rule for shapes."),
        Column("join", TEXT, "", "The join whose energy runs.parquet has: as-published or interval."),
        Column("n_readings", INT, "readings", "Readings of its node within the run, both ends included."),
        Column("as_published_reason", TEXT, "", "Why the published join refuses it; null where it does not."),
        Column("as_published_j", FLOAT, "J", "Energy by the published rule; null where refused."),
        Column("other_nodes_j", FLOAT, "J", "What of that is readings of other nodes that stand between its own."),
        Column("interval_reason", TEXT, "", "Why the join by intervals refuses it; null where it does not."),
        Column("interval_j", FLOAT, "J", "Energy by the join by intervals; null where refused."),
        Column("interval_lower_j", FLOAT, "J", "Lower end of its interval."),
        Column("interval_upper_j", FLOAT, "J", "Upper end of its interval."),
        Column("coverage", FLOAT, "", "Share of the run that valid readings support, 0 to 1."),
    ),
)

NODES = Table(
    "nodes.parquet",
    "one node",
    (
        Column("node", TEXT, "", "Name of the node."),
        Column("node_type", TEXT, "", "Nodes of equal CPUs, memory, disk and GPUs are of one type."),
        Column("hardware_class", TEXT, "", "cpu or gpu."),
        Column("idle_w", FLOAT, "W", "Idle power."),
        Column("idle_lower_w", FLOAT, "W", "Lower end of its interval."),
        Column("idle_upper_w", FLOAT, "W", "Upper end of its interval."),
        Column(
            "idle_basis", TEXT, "", "measured around blocks, or history: the 2 % quantile, from the 1 % to the 5 %."
        ),
        Column("n_readings", LONG, "readings", "Readings, or measured blocks, behind it."),
    ),
)

QUANTILES = ("q0", "q25", "q50", "q75", "q100")

CURVES = Table(
    "curves/dataset=.../shape=.../part-0.parquet",
    "one experiment; each curve is a list with one value per entry of epoch, a quantile over its repetitions",
    (
        Column("experiment_id", TEXT, "", "Hash of the settings."),
        Column("n_runs", INT, "runs", "Repetitions behind the quantiles."),
        Column("epoch", INTS, "epochs", "The epochs of the values, from 1."),
        *(
            Column(f"test_loss_{q}", FLOATS, "", f"{q[1:]} % quantile of the test loss at this epoch.")
            for q in QUANTILES
        ),
        *(
            Column(f"test_loss_best_{q}", FLOATS, "", f"{q[1:]} % quantile of the least test loss up to this epoch.")
            for q in QUANTILES
        ),
        Column("test_loss_cv", FLOATS, "", "Standard deviation of the test loss over its mean; null where not told."),
    ),
)
