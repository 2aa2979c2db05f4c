"""The blocks `training`, `scheduling`, `analysis` and `paths`, and the whole configuration."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from wattsweep.config.power import PowerConfig
from wattsweep.config.publication import PublicationConfig
from wattsweep.config.sweeps import Hypercube, Integer, Share
from wattsweep.config.types import Block, Duration

Engine = Literal["compiled", "keras-fit"]


class TrainingConfig(Block):
    """How networks are trained. The engine is part of an experiment's identity, since its energy is its own."""

    engine: Engine = Field(
        default="compiled",
        description="`compiled` trains many epochs per call of one XLA program; `keras-fit` is Keras' own loop, the "
        "reference.",
    )
    repetitions: Literal["sequential", "vectorised"] = Field(
        default="sequential",
        description="`vectorised` trains the repetitions of an experiment side by side in one program. Part of an "
        "experiment's identity as the engine is: a run's energy is then its share of theirs. Only `compiled` can.",
    )
    checkpoint_every_s: Duration = Field(
        default=600.0,
        gt=0,
        alias="checkpoint_every",
        description="Training time between two checkpoints of a run, from which a run that was killed goes on.",
    )
    stop_on_divergence: bool = Field(
        default=True,
        description="End a run after the first epoch whose loss is not finite; its run file keeps the epochs to there.",
    )
    threads: Annotated[Integer, Field(ge=1)] = Field(
        default=1,
        description="CPU threads that TensorFlow may use; one more draws the next epochs' row orders.",
        json_schema_extra={"unit": "threads"},
    )

    @model_validator(mode="after")
    def _only_compiled_vectorises(self) -> Self:
        if self.engine == "keras-fit" and self.repetitions == "vectorised":
            raise ValueError(
                "engine keras-fit cannot train repetitions vectorised: set training.repetitions: sequential, or "
                "training.engine: compiled"
            )
        return self


class SchedulingConfig(Block):
    """How runs are packed into jobs and what a job asks for."""

    shard_wall_time_s: Duration = Field(
        default=7200.0,
        gt=0,
        alias="shard_wall_time",
        description="Predicted wall time that a shard is filled to.",
    )
    wall_time_margin: float = Field(
        default=1.5,
        ge=1,
        description="A job asks for this many times its predicted wall time, more on each retry.",
    )
    max_wall_time_s: Duration | None = Field(
        default=None,
        ge=300,
        alias="max_wall_time",
        description="The longest wall time that a job asks for, such as the limit of the partition; `null` for none. A "
        "shard that is not done by then goes on in its next job.",
    )
    memory_mb: Annotated[Integer, Field(ge=500)] = Field(
        default=4000, description="Memory that a job asks for, in MB.", json_schema_extra={"unit": "MB"}
    )
    partition: str | None = Field(default=None, description="Slurm partition.")
    gres: str | None = Field(
        default=None,
        description="Generic resources of Slurm that shards ask for, such as `gpu:v100:2`; those of `hardware: cpu` "
        "ask for none. Without it a shard of `hardware: gpu` asks for `gpu:1`, and no other for any.",
    )
    account: str | None = Field(default=None, description="Slurm account.")
    qos: str | None = Field(default=None, description="Slurm quality of service.")
    constraint: str | None = Field(
        default=None, description="Features that Slurm's nodes must have, such as `skylake` or `skylake&ssd`."
    )
    run_retries: Annotated[Integer, Field(ge=0)] = Field(
        default=2,
        description="How often a run that failed is tried again. After that its shard goes on without it, and tables "
        "and report say why it is missing. To try once more, remove its folder below `results/failures/` and its "
        "shard's marker.",
    )
    runs_per_node: Annotated[Integer, Field(ge=1)] = Field(
        default=1,
        description="Runs that a node may train at one time: jobs that share it, or shards that `profiles/local` "
        "trains side by side. Above 1 jobs ask for no node of their own, and every run is marked as trained on a "
        "shared node, since its energy holds that of the others.",
        json_schema_extra={"unit": "runs"},
    )
    lease_wait_s: Duration = Field(
        default=3600.0,
        ge=0,
        alias="lease_wait",
        description="How long a job waits while another process executes its shard, before it leaves with exit status "
        "75, which has Snakemake submit it again; `0 s` leaves at once.",
    )
    lease_heartbeat_s: Duration = Field(
        default=15.0,
        gt=0,
        alias="lease_heartbeat",
        description="How often a job renews the lease of its shard. One that was not renewed for four times as long is "
        "taken over.",
    )


class AnalysisConfig(Block):
    """How the energy model is fitted."""

    folds: Annotated[Integer, Field(ge=2)] = Field(
        default=5,
        description="Parts of the experiments that are held out in turn to measure the model's error.",
    )
    bootstrap_samples: Annotated[Integer, Field(ge=20)] = Field(
        default=500, description="Resamples behind the intervals of the coefficients."
    )
    confidence: Share = Field(default=0.95, description="Confidence of the intervals.")
    seed: Annotated[Integer, Field(ge=0)] = Field(default=0, description="Seed of folds and resamples.")
    hardware: list[str] = Field(
        default=[],
        description="Profiles of the nodes that train, for the levels of their memory: `eagle-cpu`, `eagle-gpu`, "
        "`this`, or paths of YAML files (docs/energy-model.md). A node that none describes is taken to be as the one "
        "that fits.",
    )


class PathsConfig(Block):
    """Where things are. Relative paths start at the folder that Snakemake runs in."""

    results: Path = Field(default=Path("results"), description="Everything that wattsweep writes.")
    pmlb: Path = Field(
        default=Path("data/pmlb"),
        description="Folder in PMLB's layout (NAME/NAME.tsv.gz), looked into before anything is downloaded to it.",
    )


def as_hypercubes(sweep: Any) -> Any:
    """A sweep of one hypercube may leave out the list around it."""
    return sweep if isinstance(sweep, list) else [sweep]


SweepName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Sweep = Annotated[
    list[Hypercube],
    Field(min_length=1),
    BeforeValidator(as_hypercubes, json_schema_input_type=Hypercube | list[Hypercube]),
]


class Config(Block):
    """The whole of config.yaml."""

    sweeps: Annotated[dict[SweepName, Sweep], Field(min_length=1)] = Field(
        description="The grid: named sweeps, each a hypercube of settings or a list of them. Sweeps that share an "
        "experiment share its runs."
    )
    training: TrainingConfig = Field(default_factory=TrainingConfig, description="How networks are trained.")
    power: PowerConfig = Field(default_factory=PowerConfig, description="Where watts come from.")
    scheduling: SchedulingConfig = Field(default_factory=SchedulingConfig, description="How runs become jobs.")
    analysis: AnalysisConfig = Field(default_factory=AnalysisConfig, description="How the energy model is fitted.")
    paths: PathsConfig = Field(default_factory=PathsConfig, description="Where things are.")
    publication: PublicationConfig = Field(
        default_factory=PublicationConfig,
        description="What the data card of the results (`ro-crate-metadata.json`) says of who made them.",
    )
