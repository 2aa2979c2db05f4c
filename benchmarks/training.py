"""How fast networks train: the engines of wattsweep beside Keras 2, PyTorch, a loop in C and the machine's ceilings.

`python -m benchmarks.training` prints tables, `--json` all numbers as JSON, `--write` writes docs/performance.md.
Run it on a quiet machine. All processes are held to one core and only one works at any time: contenders take turns,
case by case, so that what disturbs the machine disturbs all of them. A contender that is not installed is skipped.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import page, start
from benchmarks.cases import CASES, TURN_S, Case, epochs_of_a_turn
from benchmarks.loops import CONTENDERS, UnavailableError
from benchmarks.machine import machine
from benchmarks.summary import summary
from benchmarks.worker import Worker
from wattsweep.datasets import split_counts

START_DEPTHS = (2, 6, 20)
LONG_EPOCH_S = 1.5
"""An epoch this long is a turn by itself."""
LARGE = 20
"""So is one of a network of 2^20 parameters or more, but for compiled."""
FEWEST_ROUNDS = 3
CASE_S = 40.0
"""A case whose turns take longer has fewer rounds, though not fewer than `FEWEST_ROUNDS`."""


def main() -> None:
    """Measure, then print or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON and nothing else")
    parser.add_argument("--write", action="store_true", help=f"write {page.PATH}")
    parser.add_argument("--cases", choices=list(CASES), default="all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (fewer where an epoch is long)")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to hold to")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    results = measure(CASES[options.cases], options.rounds)
    if options.write:
        page.PATH.write_text(page.whole(results), encoding="utf-8")
    print(json.dumps(results, indent=1) if options.json else page.tables(results))


def measure(cases: Sequence[Case], rounds: int) -> dict[str, Any]:
    """All numbers of the benchmark."""
    results: dict[str, Any] = {"machine": machine(), "rounds": rounds}
    say("start-up")
    results["start"] = start_up(min(rounds, FEWEST_ROUNDS))
    skipped: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        say("ceilings")
        worker = Worker("ceilings", Path(folder))
        results["ceilings"] = worker.ask(
            "ceilings", [width for case in cases for width in case.architecture.widths[:-1]]
        )
        worker.end()
        workers = {name: Worker(name, Path(folder)) for name in CONTENDERS}
        found = [measured(case, workers, rounds, skipped) for case in cases]
        for worker in workers.values():
            worker.end()
    results["skipped"] = skipped
    results["cases"] = [
        described(*pair, results["ceilings"]["sgemm_gflop_s"]) for pair in zip(cases, found, strict=True)
    ]
    results["summary"] = summary(results)
    return results


def start_up(rounds: int) -> list[dict[str, Any]]:
    """Medians over fresh processes, in turns, of the parts of a start."""
    turns = [[start.measure(depth) for depth in START_DEPTHS] for _ in range(rounds)]
    return [
        {key: statistics.median(turn[key] for turn in depth) for key in depth[0]} for depth in zip(*turns, strict=True)
    ]


def measured(case: Case, workers: Mapping[str, Worker], rounds: int, skipped: dict[str, str]) -> dict[str, Any]:
    """Turns of a case, in order of rounds: seconds per epoch of each contender, and the host's share in compiled."""
    say(f"{case.dataset}, 2^{case.log2_size}, depth {case.depth}")
    epochs: dict[str, int] = {}
    round_s = 0.0
    for name, worker in workers.items():
        try:
            count = epochs_for(name, case)
            round_s += count * worker.ask("open", case, count).epoch_s
        except UnavailableError as reason:
            if name not in skipped:
                say(f"  without {name}: {reason}")
            skipped[name] = str(reason)
        else:
            epochs[name] = count
    rounds = min(rounds, max(FEWEST_ROUNDS, int(CASE_S / round_s)))
    turns: dict[str, list[float]] = {name: [] for name in epochs}
    host_shares, draw_shares = [], []
    for number in range(rounds):
        # Whoever works after another finds other data in the caches: the first changes.
        names = list(epochs)[number % len(epochs) :] + list(epochs)[: number % len(epochs)]
        for name in names:
            timed = workers[name].ask("turn", number + 1)
            turns[name].append(timed.epoch_s)
            if timed.host_share is not None:
                host_shares.append(timed.host_share)
                draw_shares.append(timed.draw_share)
    free = [workers["compiled"].ask("free turn", number + 1).host_share for number in range(rounds)]
    for name in epochs:
        workers[name].ask("close")
    return {
        "epochs": epochs,
        "turns": turns,
        "host_shares": host_shares,
        "draw_shares": draw_shares,
        "free_host_shares": free,
    }


def epochs_for(name: str, case: Case) -> int:
    """Epochs of a turn."""
    n_train, n_test = split_counts(case.rows, 0.2)
    compiled_s = case.predicted_s("compiled", n_train, n_test)
    if name == "compiled":
        return epochs_of_a_turn(compiled_s)
    if case.log2_size >= LARGE:
        return 1
    if name == "fused-c":
        return epochs_of_a_turn(case.floating_point_operations(n_train, n_test) / 4e10 + n_train * 2e-8)
    if name == "torch":
        return epochs_of_a_turn(compiled_s + n_train / 256 * (5e-4 + 1e-4 * case.depth))
    fit_s = case.predicted_s("keras-fit", n_train, n_test)
    return 1 if fit_s > LONG_EPOCH_S else 1 + max(1, round(TURN_S / fit_s))


def described(case: Case, found: Mapping[str, Any], sgemm_gflop_s: float) -> dict[str, Any]:
    """A case with what was measured and what follows from it."""
    counts = split_counts(case.rows, 0.2)
    turns: dict[str, list[float]] = found["turns"]
    epoch_s = {name: statistics.median(times) for name, times in turns.items()}
    operations = case.floating_point_operations(*counts)
    return {
        "dataset": case.dataset,
        "rows": case.rows,
        "features": case.features,
        "classes": case.classes,
        "log2_size": case.log2_size,
        "depth": case.depth,
        "widths": list(case.architecture.widths),
        "parameters": case.parameters,
        "epochs": found["epochs"],
        "turns_s": turns,
        "epoch_s": epoch_s,
        "over_compiled": {
            name: statistics.median(a / b for a, b in zip(times, turns["compiled"], strict=True))
            for name, times in turns.items()
        },
        "predicted_s": {name: case.predicted_s(name, *counts) for name in ("compiled", "keras-fit")},
        "host_share": statistics.median(found["host_shares"]),
        "draw_share": statistics.median(found["draw_shares"]),
        "free_host_share": statistics.median(found["free_host_shares"]),
        "operations": operations,
        "share_of_sgemm": operations / epoch_s["compiled"] / 1e9 / sgemm_gflop_s,
    }


def say(what: str) -> None:
    """Tell on stderr what is being done."""
    with contextlib.suppress(BrokenPipeError):
        print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
