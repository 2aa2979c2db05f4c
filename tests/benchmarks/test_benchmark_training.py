"""The benchmark runs, and its loop in C trains as the compiled engine does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cases import Case, read
from benchmarks.loops.fused import Fused, compiler
from benchmarks.page import tables, whole
from wattsweep.training import make_engine
from wattsweep.training.randomness import RowOrders

SEED = 7


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for entry in value.values() for number in numbers(entry)]
    if isinstance(value, list):
        return [number for entry in value for number in numbers(entry)]
    return [value] if isinstance(value, float) else []


@pytest.mark.slow
def test_the_benchmark_prints_json(repository: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.training", "--json", "--cases", "smoke", "--rounds", "1"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    found = numbers(results)
    assert np.isfinite(found).all()
    assert min(found) >= 0
    assert results["ceilings"]["sgemm_gflop_s"] > 0
    assert results["ceilings"]["copy_gb_s"] > 0
    assert [entry["depth"] for entry in results["start"]] == [2, 6, 20]
    for case in results["cases"]:
        assert {"compiled", "keras-fit"} <= set(case["epoch_s"])
        assert {*case["epoch_s"], *results["skipped"]} == {"compiled", "keras-fit", "keras2", "torch", "fused-c"}
        assert all(seconds > 0 for seconds in case["epoch_s"].values())
        assert 0 < case["host_share"] < 1
        assert case["share_of_sgemm"] > 0
    assert tables(results) in whole(results)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.skipif(compiler() is None, reason="no C compiler")
@pytest.mark.parametrize("case", [Case(700, 8, 5, 10, 4), Case(700, 10, 3, 7, 2)])
def test_the_loop_in_c_trains_as_the_compiled_engine(case: Case, tmp_path: Path) -> None:
    """From the same weights and orders; the training rows end in a partial minibatch and a partial block of rows."""
    split = read(case, tmp_path)
    plan = case.plan(len(split.train_x), len(split.test_x), epochs=10)
    engine = make_engine("compiled", plan)
    engine.prepare()
    (trained,) = engine.train([split], [SEED])
    drawn = RowOrders(plan.n_train, SEED)
    orders = np.stack([drawn.draw() for _ in range(plan.epochs)]).astype(np.int32)
    history = Fused(plan, split).train(SEED, orders)
    for column, name in enumerate(("loss", "accuracy", "val_loss", "val_accuracy")):
        # A row on the border of two classes may fall on either side.
        tolerance = 2e-5 if "loss" in name else 1.5 / plan.n_test
        np.testing.assert_allclose(history[:, column], trained.history[name], rtol=tolerance, atol=tolerance)
    assert np.float64(5e-324) * np.float64(1) > 0, "the loop in C left the process flushing denormals"
