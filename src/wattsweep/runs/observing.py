"""What finished shards tell the predictor, from their markers and a sample of their runs' facts.

A few hundred experiments are enough for a fit, and reading every run of a sweep would take longer than planning it.
"""

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from wattsweep.errors import RunFileError
from wattsweep.planning import FinishedRun, FinishedShard, Kind
from wattsweep.runs.facts import RunFacts, read_facts
from wattsweep.runs.layout import Layout
from wattsweep.runs.packed import packed_facts

EXPERIMENTS = 400
REPETITIONS = 2

Marker = dict[str, Any]


def observe(layout: Layout, known: Collection[str] = ()) -> tuple[list[FinishedRun], list[FinishedShard]]:
    """Some runs of finished shards, of experiments that are not among the `known`, and how long those shards took.

    What is no marker, and runs whose files cannot be read, are left out.
    """
    names: dict[str, list[str]] = {}
    shards = []
    for marker in _markers(layout):
        progress = marker.get("progress") or {}
        elapsed_s, booked_s = progress.get("elapsed_s", 0.0), progress.get("predicted_done_s", 0.0)
        if elapsed_s > 0 and booked_s > 0:
            shards.append(FinishedShard(marker["shard_id"], elapsed_s, booked_s))
        for run in marker["runs"]:
            if run["experiment_id"] not in known:
                names.setdefault(run["experiment_id"], []).append(run["run_id"])
        if len(names) > 2 * EXPERIMENTS:
            names = _some(names)
    runs: list[FinishedRun] = []
    for experiment_id, run_ids in _some(names).items():
        runs += map(finished_run, _facts(layout, experiment_id, run_ids))
    return runs, shards


def _markers(layout: Layout) -> Iterator[Marker]:
    for path in sorted(layout.marker("x").parent.glob("[!.]*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "shard_id" in document and "runs" in document:
            yield document


def _some(names: dict[str, list[str]]) -> dict[str, list[str]]:
    """The first experiments by id: ids are hashes, so those are a random choice, and the same one every time."""
    return {name: names[name] for name in sorted(names)[:EXPERIMENTS]}


def _facts(layout: Layout, experiment_id: str, run_ids: Iterable[str]) -> list[RunFacts]:
    paths = (layout.experiment(experiment_id) / f"{run_id}.h5" for run_id in run_ids)
    loose = itertools.islice((path for path in paths if path.exists()), REPETITIONS)
    try:
        return [read_facts(path) for path in loose] or packed_facts(layout, experiment_id)[:REPETITIONS]
    except RunFileError:
        return []


def finished_run(facts: RunFacts) -> FinishedRun:
    """What the predictor takes of a run's facts."""
    settings, provenance = facts.settings, facts.provenance
    setup = [phase.duration_s for phase in facts.phases if phase.name == "setup"]
    power = facts.power if facts.power is not None and facts.power.status == "ok" else None
    return FinishedRun(
        experiment_id=facts.run.experiment_id,
        kind=Kind(
            engine=settings.engine,
            precision=settings.precision,
            vectorised=settings.vectorised,
            device=provenance.get("device", "cpu"),
            cpu_model=provenance.get("cpu_model", ""),
            threads=int(provenance.get("threads", 1)),
        ),
        widths=facts.network.widths,
        n_inputs=facts.network.n_inputs,
        n_parameters=facts.network.n_parameters,
        n_train=facts.data.n_train,
        n_test=facts.data.n_test,
        batch_size=settings.batch_size,
        epochs=facts.epochs_trained,
        run_s=facts.training_s / facts.runs_at_once,
        setup_s=math.fsum(setup) if setup else None,
        block_id=power.block_id if power else "",
        origin=power.source.origin if power else "none",
        mean_w=power.mean_w if power else None,
        idle_w=power.idle_w if power else None,
    )
