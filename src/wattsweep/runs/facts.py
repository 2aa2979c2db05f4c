"""The facts of finished runs without their curves and traces: what planning, progress and `is_done` ask for.

- `read_facts(path)` reads those of a run file, `facts_from_group(group, where)` those of a packed run.
- `facts_of(record)` takes them from a record at hand.
- `to_json` and `from_json` keep them in a packed file, where those of a whole shard are read at once.

Facts have the names of a `RunRecord`, so what asks for no curve and no sample takes either. Reading them checks that
the file is a run file and holds the run that it claims; that its curves are whole is for `read_run` to say.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import h5py

from wattsweep.errors import RunFileError
from wattsweep.grid import Run, Settings, experiment_id, make_run
from wattsweep.power import Energy, RunEnergy, SourceDescription
from wattsweep.runs.attributes import Node
from wattsweep.runs.files import UNREADABLE, check_format, invalid, read_energy, read_phases
from wattsweep.runs.record import DataFacts, Network, Phase, Phased, Provenance, RunPower, RunRecord
from wattsweep.runs.sealed import open_sealed


@dataclass(frozen=True, slots=True)
class PowerFacts:
    """What a `RunPower` says of a run's energy and of its block, under the same names."""

    source: SourceDescription
    energy: RunEnergy
    block_id: str
    block_runs: int
    block_training_s: float
    idle_w: float
    mean_w: float
    status: Literal["ok", "refused"]
    reason: str


BLOCK = tuple(field.name for field in fields(PowerFacts) if field.name not in ("source", "energy"))


@dataclass(frozen=True, slots=True)
class RunFacts(Phased):
    """A run without its curves and traces; see `RunRecord`. `earlier_s` is what earlier segments trained, in s."""

    run: Run
    settings: Settings
    network: Network
    data: DataFacts
    provenance: Provenance
    phases: tuple[Phase, ...]
    utc_offset_s: float
    epochs_trained: int
    runs_at_once: int = 1
    earlier_s: float = 0.0
    measured_earlier_s: float = 0.0
    power: PowerFacts | None = None

    @property
    def training_s(self) -> float:
        """How long it was trained, over all of its segments."""
        return self.training.duration_s + self.earlier_s

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RunFacts":
        """The facts that `to_json` made; raises KeyError or TypeError for anything else."""
        network, power = document["network"], document["power"]
        values = {
            **document,
            "run": Run(**document["run"]),
            "settings": Settings(**document["settings"]),
            "network": Network(network["n_inputs"], tuple(network["widths"]), network["n_parameters"]),
            "data": DataFacts(**document["data"]),
            "phases": tuple(Phase(**phase) for phase in document["phases"]),
            "power": None if power is None else _power_from_json(power),
        }
        return cls(**values)


def read_facts(path: Path) -> RunFacts:
    """The facts in a run file.

    Raises RunFileError where the file is missing, damaged, foreign or of another version.
    """
    try:
        with open_sealed(path) as file:
            return facts_from_group(file, str(path))
    except FileNotFoundError:
        raise RunFileError(f"{path}: there is no such run file.") from None
    except UNREADABLE as error:
        raise invalid(str(path), error) from error


def facts_from_group(group: h5py.Group, where: str) -> RunFacts:
    """The facts in an HDF5 group of a run file's content, called `where` in errors; raises as `read_facts` does."""
    try:
        check_format(group)
        facts = _read(Node(group))
    except UNREADABLE as error:
        raise invalid(where, error) from error
    run = facts.run
    if run.experiment_id != experiment_id(facts.settings) or run != make_run(run.experiment_id, run.repetition):
        raise RunFileError(f"{where}: its run is {run}, its settings say otherwise; move it away.")
    return facts


def facts_of(record: RunRecord) -> RunFacts:
    """The facts of a record."""
    return RunFacts(
        run=record.run,
        settings=record.settings,
        network=record.network,
        data=record.data,
        provenance=dict(record.provenance),
        phases=record.phases,
        utc_offset_s=record.utc_offset_s,
        epochs_trained=record.epochs_trained,
        runs_at_once=record.runs_at_once,
        earlier_s=math.fsum(segment.duration_s for segment in record.segments),
        measured_earlier_s=float(record.measured_earlier_s),
        power=None if record.power is None else _power_of(record.power),
    )


def _power_of(power: RunPower) -> PowerFacts:
    return PowerFacts(power.source, power.energy, **{name: getattr(power, name) for name in BLOCK})


def _power_from_json(document: Mapping[str, Any]) -> PowerFacts:
    energy = {**document["energy"], "gross": Energy(**document["energy"]["gross"])}
    source = SourceDescription.from_json(document["source"])
    return PowerFacts(**{**document, "source": source, "energy": RunEnergy(**energy)})


def _read(node: Node) -> RunFacts:
    root, network = node.attributes, node["network"].attributes
    earlier = [(one.attributes, "energy" in one) for one in node.numbered("segments")]
    trained = [(one["end_s"] - one["start_s"], measured) for one, measured in earlier]
    return RunFacts(
        run=Run(**node["run"].attributes),
        settings=Settings(**node["settings"].attributes),
        network=Network(network["n_inputs"], tuple(int(w) for w in network["widths"]), network["n_parameters"]),
        data=DataFacts(**node["data"].attributes),
        provenance={name: str(value) for name, value in node["provenance"].attributes.items()},
        phases=read_phases(node["phases"]),
        utc_offset_s=float(root["utc_offset_s"]),
        epochs_trained=node["epochs"].shape[0],
        runs_at_once=int(root.get("runs_at_once", 1)),
        earlier_s=math.fsum(seconds for seconds, _ in trained),
        measured_earlier_s=math.fsum(seconds for seconds, measured in trained if measured),
        power=_read_power(node["power"]) if "power" in node else None,
    )


def _read_power(node: Node) -> PowerFacts:
    block = node["block"].attributes
    return PowerFacts(
        source=SourceDescription.from_json(node["source"].attributes),
        energy=read_energy(node["energy"]),
        **{name: block[name] for name in BLOCK},
    )
