"""The costs of a plan as text: node-hours and kWh with their ranges, by size, and predicted against actual."""

import math
from collections.abc import Sequence

from wattsweep.planning.forecast import Forecast, Learned, Range, SizeCost, three_quarters
from wattsweep.planning.learning import Comparison
from wattsweep.planning.plan import Plan
from wattsweep.planning.prediction import BOOK_RANGE

SMALL_SHARE = 0.01
"""The smallest sizes are shown together as long as they take no more than this share."""
SHORT_S = 600.0
MOSTLY = 0.5
FAR_OFF = 1.5


def describe_costs(plan: Plan, predicted: Forecast, learned: Learned) -> list[str]:
    """Shards, node-hours, kWh and where they go."""
    further = predicted.runs - plan.runs
    runs = f"{plan.runs:,}" + (f", and about {_count(further)} further ones to fill blocks" if further >= 1 else "")
    lines = [
        f"runs        {runs}",
        f"shards      {len(plan.shards):,}, predicted {_wall_times(predicted)} each",
        *_long_ones(plan),
        f"node-hours  {_with_range(predicted.hours)}",
        f"kWh         {_kwh(plan, predicted)}",
        f"basis       {_basis(predicted, learned)}",
        "",
        f"{'size':14}{'experiments':>12}{'runs':>12}{'node-hours':>14}{'share':>8}{'kWh':>12}",
    ]
    total = predicted.hours.mid
    for first, last, costs in _rows(predicted.sizes, total):
        hours = math.fsum(one.hours.mid for one in costs)
        kwh = None if any(one.kwh is None for one in costs) else math.fsum(one.kwh.mid for one in costs if one.kwh)
        name = f"2^{first}" if first == last else f"2^{first} to 2^{last}"
        lines.append(
            f"{name:14}{sum(one.experiments for one in costs):>12,}{sum(one.runs for one in costs):>12,}"
            f"{_count(hours):>14}{hours / total:>8.1%}{'?' if kwh is None else _count(kwh):>12}"
        )
    starting_h = total - _on_sizes_h(predicted)
    if starting_h > SMALL_SHARE * total:
        lines.append(f"{'starting jobs':38}{_count(starting_h):>14}{starting_h / total:>8.1%}")
    return [*lines, *_where(predicted)]


def _wall_times(predicted: Forecast) -> str:
    shortest_s, longest_s = predicted.shard_s[1].min(), predicted.shard_s[1].max()
    per, unit = (1, "seconds") if longest_s < SHORT_S else (3600, "hours")
    ends = dict.fromkeys((_count(shortest_s / per), _count(longest_s / per)))
    return f"{' to '.join(ends)} {unit}"


def _on_sizes_h(predicted: Forecast) -> float:
    """Node-hours without those of starting jobs."""
    return math.fsum(one.hours.mid for one in predicted.sizes)


def _long_ones(plan: Plan) -> list[str]:
    """Says how many shards are one experiment that takes longer than a shard is filled to."""
    wall_s = plan.config.scheduling.shard_wall_time_s
    alone = sum(len(shard.experiments) == 1 and shard.predicted_s > wall_s for shard in plan.shards)
    if not alone:
        return []
    return [f"            {alone:,} of them are one experiment that takes longer than scheduling.shard_wall_time"]


def _where(predicted: Forecast) -> list[str]:
    found = three_quarters(predicted.sizes)
    if found is None:
        return []
    above = found[1] * _on_sizes_h(predicted) / predicted.hours.mid
    line = f"{above:.0%} of the node-hours lie above 2^{found[0]} parameters"
    if predicted.arithmetic < MOSTLY:
        return [line]
    return [
        f"{line}; {predicted.arithmetic:.0%} of all are matrix products,",
        "which only a GPU or a shorter list of sizes makes cheaper",
    ]


def _rows(sizes: Sequence[SizeCost], total: float) -> list[tuple[int, int, list[SizeCost]]]:
    """The rows of the table: the smallest sizes, which cost next to nothing, together, then each size."""
    small: list[SizeCost] = []
    for one in sizes:
        if math.fsum(cost.hours.mid for cost in (*small, one)) > SMALL_SHARE * total:
            break
        small.append(one)
    rows = [(small[0].log2_size, small[-1].log2_size, small)] if small else []
    return rows + [(one.log2_size, one.log2_size, [one]) for one in sizes[len(small) :]]


def _kwh(plan: Plan, predicted: Forecast) -> str:
    if predicted.kwh is not None:
        return f"{_with_range(predicted.kwh)}, from {predicted.kwh_basis}"
    source = plan.config.power.source
    if source == "none":
        return "not known: power.source is none, and no finished run has the power of such a node"
    return f"not known: power.source is {source}, so the first shards measure what a node draws; plan again after them"


def _basis(predicted: Forecast, learned: Learned) -> str:
    if predicted.fitted == 0:
        low, high = BOOK_RANGE
        return (
            f"operations and the book's rates; cores differ, so ranges are {low:g} to {high:g} times, until runs are "
            "finished"
        )
    fits = [one for one in learned.fits if one.experiments]
    runs = sum(one.runs for one in fits)
    text = f"{runs:,} finished runs of {sum(one.experiments for one in fits):,} experiments"
    if predicted.fitted < 1:
        text += f", for {predicted.fitted:.0%} of the hours; the rest by the book"
    if predicted.beyond > 0:
        text += (
            f"; {predicted.beyond:.0%} of the hours lie on networks much larger than any of those, where the range is "
            "the book's"
        )
    return text


def describe_comparison(plan: Plan, compared: Comparison) -> list[str]:
    """Predicted against actual, of whole shards and by size."""
    lines = []
    if compared.shards and compared.book_h > 0 and compared.fitted_h > 0:
        book, fitted = compared.actual_h / compared.book_h, compared.actual_h / compared.fitted_h
        lines.append(
            f"finished: {compared.shards:,} of {len(plan.shards):,} shards in one go, {_count(compared.actual_h)} "
            f"node-hours; predicted by the book {_count(compared.book_h)} (actual : predicted {book:.2f}), by the fit "
            f"{_count(compared.fitted_h)} ({fitted:.2f})"
        )
        if not 1 / FAR_OFF < book < FAR_OFF:
            wall_h = _count(plan.config.scheduling.shard_wall_time_s / 3600)
            lines += [
                f"  shards last {book:.2g} times scheduling.shard_wall_time ({wall_h} h): they stay as they are,",
                "  and jobs ask for the time that the fit predicts; another shard_wall_time makes other shards,",
                "  and nothing that is trained is trained again",
            ]
    if compared.sizes:
        lines.append(f"{'parameters':14}{'finished runs':>14}{'actual : book':>16}{'actual : fit':>16}")
        lines += [
            f"{f'about 2^{one.log2_size}':14}{one.runs:>14,}{one.book:>16.2f}{one.fitted:>16.2f}"
            for one in compared.sizes
        ]
    return lines


def _with_range(value: Range) -> str:
    return f"{_count(value.mid)} ({_count(value.low)} to {_count(value.high)})"


def _count(value: float) -> str:
    """Three digits, or all whole ones."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
