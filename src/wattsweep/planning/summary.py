"""The plan as text, for people."""

from collections import Counter

from wattsweep.planning.costs import describe_comparison, describe_costs
from wattsweep.planning.forecast import Forecast, Learned, forecast, ways_of
from wattsweep.planning.learning import Comparison
from wattsweep.planning.plan import REASONS, Nonconformant, Plan, sweep_counts, unknown_datasets

SHOWN = 10


def describe_plan(
    plan: Plan,
    predicted: Forecast | None = None,
    learned: Learned | None = None,
    compared: Comparison | None = None,
) -> str:
    """What `wattsweep plan` prints; without a forecast, what the book predicts."""
    predicted = predicted or forecast(plan, learned)
    lines = [f"{'sweep':24}{'experiments':>12}{'runs':>12}{'left out':>10}{'unknown':>10}"]
    for sweep, counts in sweep_counts(plan).items():
        lines.append(_row(sweep, counts["experiments"], counts["runs"], counts["nonconformant"], counts["unknown"]))
    lines.append(_row("all, each once", len(plan.experiments), plan.runs, len(plan.nonconformant), len(plan.unknown)))
    lines += ["", *_unknown(plan), *_left_out(plan.nonconformant)]
    if not plan.shards:
        return "\n".join([*lines, "no experiment is ready to train"])
    lines += describe_costs(plan, predicted, learned or Learned())
    lines += _without_rates(plan, learned or Learned())
    if compared is not None:
        lines += ["", *describe_comparison(plan, compared)]
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


def _without_rates(plan: Plan, learned: Learned) -> list[str]:
    """Says which experiments were predicted at rates that were measured for others."""
    threads = plan.config.training.threads
    settings = [
        one for one in ways_of(plan.experiments)[0] if not any(fit.kind.serves(one, threads) for fit in learned.fits)
    ]
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
