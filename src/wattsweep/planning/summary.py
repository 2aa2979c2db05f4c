"""The plan as text, for people."""

from collections import Counter

from wattsweep.planning.plan import REASONS, Nonconformant, Plan, sweep_counts, unknown_datasets

SHOWN = 10


def describe_plan(plan: Plan) -> str:
    """What `wattsweep plan` prints."""
    lines = [f"{'sweep':24}{'experiments':>12}{'runs':>12}{'left out':>10}{'unknown':>10}"]
    for sweep, counts in sweep_counts(plan).items():
        lines.append(_row(sweep, counts["experiments"], counts["runs"], counts["nonconformant"], counts["unknown"]))
    lines.append(_row("all, each once", len(plan.experiments), plan.runs, len(plan.nonconformant), len(plan.unknown)))
    lines += ["", *_unknown(plan), *_left_out(plan.nonconformant)]
    shards = [shard.predicted_s / 3600 for shard in plan.shards]
    if shards:
        lines.append(
            f"{len(shards):,} shards, predicted {sum(shards):.2f} hours of a node in all, "
            f"{min(shards):.2f} to {max(shards):.2f} hours each"
        )
        lines += _without_rates(plan)
    else:
        lines.append("no experiment is ready to train")
    return "\n".join(lines)


def _row(name: str, experiments: int, runs: int, left_out: int, unknown: int) -> str:
    return f"{name:24}{experiments:>12,}{runs:>12,}{left_out:>10,}{unknown:>10,}"


def _unknown(plan: Plan) -> list[str]:
    if not plan.unknown:
        return []
    runs = sum(experiment.repetitions for experiment in plan.unknown)
    return [
        f"unknown, since their data is not at hand ({len(plan.unknown):,} experiments, {runs:,} runs): "
        f"{', '.join(unknown_datasets(plan))}",
        "  what their columns become decides the widths: they are counted before the 20 % rule and not predicted;",
        f"  put NAME/NAME.tsv.gz below {plan.config.paths.pmlb}, or fetch one with `wattsweep prepare NAME`",
        "",
    ]


def _without_rates(plan: Plan) -> list[str]:
    """Says which experiments were predicted at rates that were measured for others."""
    settings = [planned.experiment.settings for planned in plan.experiments]
    kinds = {
        "hardware: gpu": any(one.hardware == "gpu" for one in settings),
        "precision: mixed_bfloat16": any(one.precision != "float32" for one in settings),
        "repetitions: vectorised": any(one.vectorised for one in settings),
    }
    named = ", ".join(kind for kind, present in kinds.items() if present)
    return [f"  predicted like float32 runs one by one on a CPU, for want of measured rates: {named}"] if named else []


def _left_out(nonconformant: tuple[Nonconformant, ...]) -> list[str]:
    if not nonconformant:
        return []
    lines = [
        f"left out, since no network of that shape and depth comes within 20 % of the size ({len(nonconformant):,}):"
    ]
    counts = Counter(one.reason for one in nonconformant)
    lines += [f"  {counts[reason]:>9,}  {words}" for reason, words in REASONS.items() if counts[reason]]
    # Experiments that differ in hardware or learning rate, say, ask for one network.
    networks = list(dict.fromkeys(map(_network, sorted(nonconformant, key=lambda one: abs(one.relative_error)))))
    lines += networks[:SHOWN]
    if len(networks) > SHOWN:
        lines.append(f"  and {len(networks) - SHOWN:,} more networks; `wattsweep plan --json` lists every experiment")
    return [*lines, ""]


def _network(one: Nonconformant) -> str:
    settings = one.experiment.settings
    return (
        f"  {settings.dataset} {settings.shape} size {settings.size} depth {settings.depth}: nearest has "
        f"{one.n_parameters:,} parameters ({one.relative_error:+.1%})"
    )
