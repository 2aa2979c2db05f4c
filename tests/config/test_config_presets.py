"""The shipped presets ask for what the papers did: counts worked out by hand."""

from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import pytest

from wattsweep.config import load
from wattsweep.datasets import DatasetFacts
from wattsweep.grid import expand
from wattsweep.planning import describe_plan, make_plan, plan_to_json, sweep_counts

# datasets x shapes x sizes x depths, then what else the sweep varies
BUTTER = {
    "primary": 13 * 8 * 21 * 14,
    "epochs_300": 7 * 4 * 3 * 14,
    "epochs_30k": 7 * 4 * 14 * 14,
    "learning_rate": 9 * 4 * 20 * 13 * 4,
    # noise 0 and 0.05 at 1e-3; 0, 0.05, 0.1, 0.15 and 0.2 at 1e-4
    "label_noise": 7 * 4 * 20 * 13 * (2 + 5),
    "batch_size": 9 * 1 * 20 * 8 * 6,
    # thirteen factors of an L1, thirteen of an L2
    "regularization": 9 * 1 * 21 * 8 * (13 + 13),
    # rates x batch sizes x (adam; rmsprop and sgd, each with momentum 0 and 0.9)
    "optimizer": 13 * 1 * 20 * 5 * 4 * 4 * (1 + 2 * 2),
}

# datasets x shapes x sizes x depths x (CPU and GPU)
BUTTER_E = 13 * 8 * 20 * 14 * 2


@pytest.mark.slow
def test_butter_counts(repository: Path) -> None:
    config = load(repository / "configs" / "butter.yaml")
    plan = make_plan(config, {})
    assert {sweep: counts["unknown"] for sweep, counts in sweep_counts(plan).items()} == BUTTER
    document = plan_to_json(plan)
    assert document["unknown"]["experiments"] == len(expand(config)) < sum(BUTTER.values())
    assert len(document["unknown"]["datasets"]) == 13
    assert document["shards"] == []
    text = describe_plan(plan)
    assert "30,576" in text
    assert "their data is not at hand" in text


def test_the_penalties_are_halved_twelve_times(repository: Path) -> None:
    l1, l2 = load(repository / "configs" / "butter.yaml").sweeps["regularization"]
    assert l1.kernel_l1 == l2.kernel_l2 == pytest.approx([0.32 / 2**halvings for halvings in range(13)])
    assert (l1.kernel_l2, l2.kernel_l1) == ([0.0], [0.0])


@pytest.mark.slow
def test_butter_e_counts(repository: Path) -> None:
    """Two regressions whose every column is scaled are taken as at hand: their widths need no encoding."""
    config = load(repository / "configs" / "butter-e.yaml")
    inputs = {"529_pollen": 4, "537_houses": 8}
    facts = {
        ("pmlb", name): DatasetFacts("pmlb", name, "regression", "regression", 5000, n_inputs, 1, n_inputs, "ab" * 32)
        for name, n_inputs in inputs.items()
    }
    plan = make_plan(config, facts)
    counts = sweep_counts(plan)["energy"]
    assert counts["unknown"] == BUTTER_E * 11 // 13
    assert counts["experiments"] + counts["nonconformant"] == BUTTER_E * 2 // 13
    # Both kinds of hardware hold the same networks.
    expected = {reason: 2 * count for reason, count in nonconformant_by_hand(inputs.values()).items()}
    assert Counter(one.reason for one in plan.nonconformant) == expected
    text = describe_plan(plan)
    assert all(f"{count:>9,}  " in text for count in expected.values())
    assert all(len({one.experiment.settings.hardware for one in shard.experiments}) == 1 for shard in plan.shards)
    assert {shard.hardware for shard in plan.shards} == {"cpu", "gpu"}


def nonconformant_by_hand(inputs: Iterable[int]) -> Counter[str]:
    """BUTTER's rules for one response column, written out once more, with every scale tried from 1 on."""
    shapes: list[Callable[[int, int], list[int]]] = [
        *(lambda w, d: [w] * (d - 1) + [1],) * 2,  # rectangle, with and without residuals
        lambda w, d: [round(Fraction(w * (d - 1) - k * (w - 1), d - 1)) for k in range(d)],
        lambda w, d: [max(1, round(w * (1 / w) ** (k / (d - 1)))) for k in range(d - 1)] + [1],
        *(partial(wide_first, n) for n in (2, 4, 8, 16)),
    ]
    found: Counter[str] = Counter()
    for n_inputs, rule, depth in product(inputs, shapes, (*range(2, 11), 12, 14, 16, 18, 20)):
        sizes = [parameters(n_inputs, rule(w, depth)) for w in range(1, 1700)]
        # At these scales all networks to 2^13 are there; past it neighbouring widths differ by less than 20 %.
        for size in (2**k for k in range(5, 14)):
            if not any(0.8 * size <= one <= 1.2 * size for one in sizes):
                found["too small" if sizes[0] > size else "between widths"] += 1
    return found


def wide_first(n: int, w: int, d: int) -> list[int]:
    return [w] + [max(1, round(Fraction(w, n)))] * (d - 2) + [1]


def parameters(n_inputs: int, widths: list[int]) -> int:
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise([n_inputs, *widths]))
