"""What the measurements come to, each with its goal."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

SMALL, MIDDLE, LARGE = 12, 16, 20
"""Sizes, as powers of two, that goals are set for."""


def summary(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of (what, goal, at_least, value, reached); value and reached are None where nothing was measured."""
    cases = results["cases"]
    small = [case for case in cases if case["log2_size"] <= SMALL]
    middle = [case for case in cases if case["log2_size"] == MIDDLE]
    large = [case for case in cases if case["log2_size"] >= LARGE]
    start = {entry["depth"]: entry for entry in results["start"]}
    growth = start[20]["prepare_s"] / start[6]["prepare_s"]
    best_other = [
        1 / min(value for name, value in case["over_compiled"].items() if name != "compiled") for case in cases
    ]
    mean, least, most = statistics.geometric_mean, min, max
    return [
        row("keras-fit : compiled, to 2^12, geometric mean", 60, mean, over(small, "keras-fit")),
        row("Keras 2 : compiled, to 2^12, geometric mean", 25, mean, over(small, "keras2")),
        row("keras-fit : compiled, at 2^16, geometric mean", 4.5, mean, over(middle, "keras-fit")),
        row("Keras 2 : compiled, at 2^16, geometric mean", 2, mean, over(middle, "keras2")),
        row("keras-fit : compiled, from 2^20 on, least", 1, least, over(large, "keras-fit")),
        row("Keras 2 : compiled, from 2^20 on, least", 1, least, over(large, "keras2")),
        row("compiled : fused C, worst case", 2, most, [1 / ratio for ratio in over(cases, "fused-c")], at_least=False),
        row("compiled : best other loop, worst case", 2, most, best_other, at_least=False),
        row("share of the sgemm ceiling, from 2^20 on, least", 0.6, least, [case["share_of_sgemm"] for case in large]),
        row("the same, deeper than 2", 0.6, least, [case["share_of_sgemm"] for case in large if case["depth"] > 2]),
        row("process start to end of first epoch, depth 6, s", 8, most, [start[6]["total_s"]], at_least=False),
        row("trace and compile, depth 20 : depth 6", 1.25, most, [growth], at_least=False),
        row(
            "row orders drawn, on one core, worst case",
            0.05,
            most,
            [case["draw_share"] for case in cases],
            at_least=False,
        ),
        row(
            "host's share, on one core, worst case", 0.05, most, [case["host_share"] for case in cases], at_least=False
        ),
        row(
            "host's share, other cores free, worst case",
            0.05,
            most,
            [case["free_host_share"] for case in cases],
            at_least=False,
        ),
    ]


def over(cases: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    """A contender's time over that of compiled, in the cases that have it."""
    return [case["over_compiled"][name] for case in cases if name in case["over_compiled"]]


def row(
    what: str, goal: float, fold: Callable[[list[float]], float], values: list[float], *, at_least: bool = True
) -> dict[str, Any]:
    """A row of the summary."""
    value = fold(values) if values else None
    reached = None if value is None else (value >= goal if at_least else value <= goal)
    return {"what": what, "goal": goal, "at_least": at_least, "value": value, "reached": reached}
