"""The plan as text, for people."""

from wattsweep.planning.plan import Nonconformant, Plan, sweep_counts

SHOWN = 10


def describe_plan(plan: Plan) -> str:
    """What `wattsweep plan` prints."""
    lines = [f"{'sweep':24}{'experiments':>12}{'runs':>10}{'left out':>10}"]
    for sweep, counts in sweep_counts(plan).items():
        lines.append(f"{sweep:24}{counts['experiments']:>12,}{counts['runs']:>10,}{counts['nonconformant']:>10,}")
    left_out = len(plan.nonconformant)
    lines.append(f"{'all, each once':24}{len(plan.experiments):>12,}{plan.runs:>10,}{left_out:>10,}")
    lines += ["", *_left_out(plan.nonconformant)] if left_out else [""]
    shards = [shard.predicted_s / 3600 for shard in plan.shards]
    if shards:
        lines.append(
            f"{len(shards):,} shards, predicted {sum(shards):.2f} hours of a node in all, "
            f"{min(shards):.2f} to {max(shards):.2f} hours each"
        )
    else:
        lines.append("no experiment is left to train")
    return "\n".join(lines)


def _left_out(nonconformant: tuple[Nonconformant, ...]) -> list[str]:
    lines = [
        f"left out, since no network of that shape and depth comes within 20 % of the size ({len(nonconformant):,}):"
    ]
    worst = sorted(nonconformant, key=lambda one: abs(one.relative_error))
    for one in worst[:SHOWN]:
        settings = one.experiment.settings
        lines.append(
            f"  {settings.dataset} {settings.shape} size {settings.size} depth {settings.depth}: nearest has "
            f"{one.n_parameters:,} parameters ({one.relative_error:+.1%})"
        )
    if len(nonconformant) > SHOWN:
        lines.append(f"  and {len(nonconformant) - SHOWN:,} more; `wattsweep plan --json` lists all")
    return [*lines, ""]
