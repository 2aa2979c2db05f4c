"""The shipped presets ask for what the papers did: counts worked out by hand."""

from pathlib import Path

import pytest

from wattsweep.config import load
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
