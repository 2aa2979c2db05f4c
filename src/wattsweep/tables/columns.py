"""The columns of every table: their Arrow type, unit and meaning, once for all.

`RUNS`, `EPOCHS` and `EXPERIMENTS` give the Parquet schemas, with unit and description in each field's metadata;
`wattsweep.tables.reference` makes docs/tables.md of them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from wattsweep.training import METRICS

TEXT, INT, LONG, FLAG, FLOAT = pa.string(), pa.int32(), pa.int64(), pa.bool_(), pa.float64()
INTS, TEXTS, CURVE = pa.list_(pa.int32()), pa.list_(pa.string()), pa.list_(pa.float32())
INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `unit` is empty for what has none."""

    name: str
    type: Any
    unit: str
    description: str

    @property
    def field(self) -> Any:
        """The Arrow field."""
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "description": self.description})


@dataclass(frozen=True)
class Table:
    """A table: where it lies in the tables' folder, what a row is, and its columns in order."""

    path: str
    row: str
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> Any:
        """The Arrow schema."""
        return pa.schema([column.field for column in self.columns])


SETTINGS = (
    Column("dataset_source", TEXT, "", "Where the dataset comes from: pmlb, bundled or synthetic."),
    Column("dataset", TEXT, "", "Name of the dataset."),
    Column("shape", TEXT, "", "How layer widths follow from depth and size."),
    Column("size", LONG, "parameters", "Wanted number of trainable parameters."),
    Column("depth", INT, "layers", "Number of dense layers, the output layer included."),
    Column("epochs", INT, "epochs", "Passes over the training rows."),
    Column("batch_size", INT, "rows", "Rows of a minibatch."),
    Column("learning_rate", FLOAT, "", "Step size of the optimizer."),
    Column("optimizer", TEXT, "", "Rule that turns gradients into steps."),
    Column("momentum", FLOAT, "", "Share of the last step that rmsprop and sgd keep."),
    Column("kernel_l1", FLOAT, "", "Factor of the sum of |kernel weights| in the loss."),
    Column("kernel_l2", FLOAT, "", "Factor of the sum of squared kernel weights in the loss."),
    Column("label_noise", FLOAT, "", "Share of training labels replaced; for regression, noise in units of std(y)."),
    Column("precision", TEXT, "", "Number format: float32, or mixed_bfloat16 where layers computed in bfloat16."),
    Column("hardware", TEXT, "", "What was asked to train it: any, cpu or gpu; device says what did."),
    Column("test_split", FLOAT, "", "Share of the rows kept for testing."),
    Column("engine", TEXT, "", "How it was trained: compiled or keras-fit."),
    Column("vectorised", FLAG, "", "Whether its repetitions were trained side by side; its energy is then its share."),
)

FACTS = (
    Column("task", TEXT, "", "What the dataset is trained as: classification or regression."),
    Column("head", TEXT, "", "The last layer and its loss: regression, binary or softmax."),
    Column("n_inputs", INT, "columns", "Feature columns after preprocessing."),
    Column("n_outputs", INT, "columns", "Response columns."),
    Column("n_observations", LONG, "rows", "Rows of the dataset."),
    Column("n_train", LONG, "rows", "Rows trained on."),
    Column("n_test", LONG, "rows", "Rows kept for testing."),
    Column("n_parameters", LONG, "parameters", "Trainable parameters of the network."),
    Column("widths", INTS, "units", "Widths of the dense layers, the output layer last."),
)

PROVENANCE: tuple[tuple[str, str], ...] = (
    ("host", "Name of the node."),
    ("device", "What trained it: cpu, or the name of the GPU."),
    ("cpu_model", "The node's processor."),
    ("threads", "CPU threads that TensorFlow might use."),
    ("platform", "Operating system."),
    ("wattsweep_version", "Version of wattsweep."),
    ("git_commit", "Commit of wattsweep's sources."),
    ("python_version", "Version of Python."),
    ("tensorflow_version", "Version of TensorFlow."),
    ("keras_version", "Version of Keras."),
    ("numpy_version", "Version of NumPy."),
    ("slurm_job_id", "Slurm job that trained it."),
    ("slurm_node", "The node's name in Slurm."),
    ("node_shared", "Why the node was not the run's alone; null where it was."),
)
"""Keys of a run's provenance that are columns, null where a run file lacks them."""

ORIGIN = Column(
    "power_origin", TEXT, "", "Where watts come from: measured, simulated, modelled, or none where none were read."
)

PER_DATUM = (
    "energy_net_j / (epochs_trained x n_train). BUTTER-E divides by epochs x train batches x batch_size, which counts "
    "the rows that a partial last batch lacks."
)

SCOPES = (
    "What the source's watts are of: node (AC or DC where the meter says which), CPU package, DRAM, GPU or another "
    "component. Energies of two scopes are never added."
)

RUNS = Table(
    "runs.parquet",
    "one run",
    (
        Column("run_id", TEXT, "", "Hash of experiment and repetition."),
        Column("experiment_id", TEXT, "", "Hash of the settings."),
        Column("repetition", INT, "", "Number of the run within its experiment, from 0."),
        Column("planned", FLAG, "", "Whether the sweep asked for it; false for a block's further repetitions."),
        Column("seed", LONG, "", "Seed of its split, initial weights and order of rows."),
        *SETTINGS,
        *FACTS,
        *(Column(name, TEXT, "", description) for name, description in PROVENANCE),
        Column("started_at", INSTANT, "UTC", "When its training began."),
        Column("setup_s", FLOAT, "s", "Import, data, tracing and compiling before it; null where it had none."),
        Column("training_s", FLOAT, "s", "Duration of its training, over all of its segments."),
        Column("runs_at_once", INT, "runs", "Runs trained side by side in that time; each has its part of the energy."),
        Column("n_segments", INT, "", "Parts it was trained in: more than 1 where it went on from a checkpoint."),
        Column("power_source", TEXT, "", "Kind of source that was read, null where none was."),
        Column("power_scope", TEXT, "", SCOPES),
        ORIGIN,
        Column("power_detail", TEXT, "", "What was read, from where and over what."),
        Column("power_selected_because", TEXT, "", "Why this source was taken."),
        Column("block_id", TEXT, "", "The block of runs that were measured together."),
        Column("block_runs", INT, "runs", "Runs of that block."),
        Column("block_s", FLOAT, "s", "Length of the block's window of measurement."),
        Column("block_training_s", FLOAT, "s", "Time that the block's runs trained within it."),
        Column("energy_status", TEXT, "", "ok, refused, or none where no power was read."),
        Column("energy_reason", TEXT, "", "Why energy is refused or missing."),
        Column(
            "energy_gross_j",
            FLOAT,
            "J",
            "All that the node used: mean power of the block x training_s / runs_at_once, segment by segment.",
        ),
        Column("energy_gross_lower_j", FLOAT, "J", "Lower end of its interval."),
        Column("energy_gross_upper_j", FLOAT, "J", "Upper end of its interval."),
        Column("energy_net_j", FLOAT, "J", "Gross energy - idle power x duration."),
        Column("energy_net_lower_j", FLOAT, "J", "Lower end of its interval."),
        Column("energy_net_upper_j", FLOAT, "J", "Upper end of its interval."),
        Column("energy_setup_j", FLOAT, "J", "Gross energy of the setup before the block; it is in no run's energy."),
        Column("energy_setup_lower_j", FLOAT, "J", "Lower end of its interval."),
        Column("energy_setup_upper_j", FLOAT, "J", "Upper end of its interval."),
        Column("block_energy_gross_j", FLOAT, "J", "Gross energy of the whole block, its pauses included."),
        Column("block_energy_gross_lower_j", FLOAT, "J", "Lower end of its interval."),
        Column("block_energy_gross_upper_j", FLOAT, "J", "Upper end of its interval."),
        Column(
            "emissions_kgco2e",
            FLOAT,
            "kgCO2e",
            "energy_gross_j x power.pue x power.carbon_intensity; null where the configuration gives none.",
        ),
        Column("idle_w", FLOAT, "W", "Power of the idle node around the block."),
        Column("idle_lower_w", FLOAT, "W", "Lower end of its interval."),
        Column("idle_upper_w", FLOAT, "W", "Upper end of its interval."),
        Column("mean_w", FLOAT, "W", "Mean power of the block."),
        Column("coverage", FLOAT, "", "Share of the block that valid samples support, 0 to 1."),
        Column("n_samples", INT, "samples", "Valid samples in the block."),
        Column("n_refreshes", INT, "", "How often the source updated in the block, as far as it was sampled."),
        Column("refresh_s", FLOAT, "s", "Time between two updates of the source."),
        Column("energy_per_datum_j", FLOAT, "J", PER_DATUM),
        Column("epochs_trained", INT, "epochs", "Fewer than epochs where training diverged and was stopped."),
        Column("diverged_at_epoch", INT, "epochs", "First epoch, from 1, whose loss is not finite; null if none."),
        Column("train_loss", FLOAT, "", "Training loss at the last epoch."),
        Column("test_loss", FLOAT, "", "Test loss at the last epoch."),
        Column("test_loss_best", FLOAT, "", "Least test loss over the epochs."),
        Column("test_loss_best_epoch", INT, "epochs", "The epoch of that loss, from 1."),
        Column("test_accuracy", FLOAT, "", "Test accuracy at the last epoch."),
    ),
)

_OF_A_SOURCE = (
    "power_source",
    "power_scope",
    "power_origin",
    "power_detail",
    "power_selected_because",
    "block_id",
    "energy_status",
    "energy_reason",
    "energy_gross_j",
    "energy_gross_lower_j",
    "energy_gross_upper_j",
    "energy_net_j",
    "energy_net_lower_j",
    "energy_net_upper_j",
    "energy_setup_j",
    "energy_setup_lower_j",
    "energy_setup_upper_j",
    "idle_w",
    "idle_lower_w",
    "idle_upper_w",
    "mean_w",
    "coverage",
    "n_samples",
    "n_refreshes",
    "refresh_s",
)

SOURCES = Table(
    "sources.parquet",
    "one run by one of the sources that were read",
    (
        *(column for column in RUNS.columns if column.name in ("run_id", "experiment_id", "repetition")),
        Column("first", FLAG, "", "Whether it is the source of power.source, whose energy runs.parquet has."),
        *(column for column in RUNS.columns if column.name in _OF_A_SOURCE),
    ),
)

EPOCHS = Table(
    "epochs/dataset=.../shape=.../part-0.parquet",
    "one run; each metric is a list with one value per epoch",
    (
        Column("run_id", TEXT, "", "Hash of experiment and repetition."),
        Column("experiment_id", TEXT, "", "Hash of the settings."),
        Column("repetition", INT, "", "Number of the run within its experiment, from 0."),
        *(
            Column(prefix + metric, CURVE, "", f"{metric.replace('_', ' ')} on the {rows} rows at each epoch.")
            for prefix, rows in (("", "training"), ("val_", "test"))
            for metric in METRICS
        ),
    ),
)

QUANTITIES: tuple[tuple[str, str, str], ...] = (
    ("energy_net_j", "J", "net energy of a run"),
    ("energy_gross_j", "J", "gross energy of a run"),
    ("energy_per_datum_j", "J", "net energy / (epochs_trained x n_train)"),
    ("training_s", "s", "duration of training"),
    ("test_loss", "", "test loss at the last epoch"),
    ("test_loss_best", "", "least test loss over the epochs"),
    ("test_accuracy", "", "test accuracy at the last epoch"),
)
"""What an experiment's row has quartiles of, over the runs that have a value."""

INTERVALS: tuple[tuple[str, str], ...] = (
    ("energy_net_j", "net energy of a run"),
    ("energy_per_datum_j", "net energy / (epochs_trained x n_train)"),
)
"""What an experiment's row has the interval of measurement of."""

QUARTILES: tuple[tuple[str, str], ...] = (("q1", "Lower quartile"), ("median", "Median"), ("q3", "Upper quartile"))

HARDWARE = tuple(column for column in RUNS.columns if column.name in ("device", "cpu_model"))

EXPERIMENTS = Table(
    "experiments.parquet",
    "the runs of one experiment on one kind of hardware with power of one origin",
    (
        Column("experiment_id", TEXT, "", "Hash of the settings."),
        *HARDWARE,
        ORIGIN,
        *SETTINGS,
        *FACTS,
        Column("sweeps", TEXTS, "", "The sweeps that hold it; empty where the plan no longer does."),
        Column("n_planned", INT, "runs", "Runs that the sweeps ask for, on whatever hardware."),
        Column("n_runs", INT, "runs", "Runs of this row, further repetitions included."),
        Column("n_measured", INT, "runs", "Of those, runs whose energy is ok."),
        Column("n_refused", INT, "runs", "Of those, runs whose energy was refused."),
        Column("n_diverged", INT, "runs", "Of those, runs whose loss was not finite at some epoch."),
        Column("n_blocks", INT, "blocks", "Blocks they were measured in; runs of a block share its mean power."),
        Column("macs_per_epoch", LONG, "operations", "Operations of an epoch by BUTTER-E's rule."),
        Column("train_batches", LONG, "batches", "Minibatches of an epoch of training."),
        *(
            Column(f"{name}_{quartile}", FLOAT, unit, f"{words} over the runs: {description}.")
            for name, unit, description in QUANTITIES
            for quartile, words in QUARTILES
        ),
        *(
            Column(
                f"{name}_{end}",
                FLOAT,
                "J",
                f"{end.capitalize()} end of the measurement's interval, median over the runs: {description}.",
            )
            for name, description in INTERVALS
            for end in ("lower", "upper")
        ),
    ),
)

TABLES: tuple[Table, ...] = (RUNS, SOURCES, EPOCHS, EXPERIMENTS)
