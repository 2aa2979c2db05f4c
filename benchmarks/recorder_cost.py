"""What recording costs: CPU time of the recorder, and by how much it delays training.

`python -m benchmarks.recorder_cost` records a BMC on loopback at 1 Hz and trains one network again and again, with and
without the recorder in turn. It prints the table of docs/measurement.md; `--write` puts it there. The BMC runs in both
cases, since a real one is another machine.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from benchmarks.page import write_between
from wattsweep.datasets import Split
from wattsweep.power import Recorder
from wattsweep.power.tracefile import recorder_cost
from wattsweep.simulation import SimulatedBmc
from wattsweep.training import Architecture, TrainingPlan, configure, make_engine

PAGE = Path(__file__).parents[1] / "docs" / "measurement.md"
BEGIN, END = "<!-- begin recorder_cost -->", "<!-- end recorder_cost -->"
INTERVAL_S = 1.0
N_INPUTS, N_ROWS = 16, 2000


def cost_of_recording(bmc: SimulatedBmc, seconds: float) -> float:
    """The share of one core that a recorder and its worker use, their start left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        with Recorder(bmc.source_spec, path, INTERVAL_S):
            time.sleep(seconds)
        cost = recorder_cost(path)
    assert cost is not None
    return cost


def delays(bmc: SimulatedBmc, pairs: int, epochs: int) -> tuple[list[float], float]:
    """Time with the recorder over time without, for each pair, and the median time without in s."""
    plan = TrainingPlan(
        Architecture(N_INPUTS, (64, 64, 1), "regression", residual=False), N_ROWS, N_ROWS // 4, epochs, 64, 1e-3
    )
    random = np.random.default_rng(1)
    rows = [random.normal(size=(n, N_INPUTS)).astype(np.float32) for n in (plan.n_train, plan.n_test)]
    split = Split(rows[0], rows[0][:, :1], rows[1], rows[1][:, :1])
    engine = make_engine("compiled", plan)
    engine.prepare()

    def train() -> float:
        trained = engine.train([split], [1])[0]
        return trained.end_s - trained.start_s

    train()
    ratios, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(pairs):
            times: dict[bool, float] = {}
            for recorded in (True, False) if pair % 2 else (False, True):
                if recorded:
                    with Recorder(bmc.source_spec, Path(folder) / f"{pair}.csv", INTERVAL_S):
                        times[True] = train()
                else:
                    times[False] = train()
            ratios.append(times[True] / times[False])
            alone.append(times[False])
    return ratios, statistics.median(alone)


def main() -> None:
    """Measure and print, or write into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--seconds", type=float, default=300.0, help="how long to record")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of trainings")
    parser.add_argument("--epochs", type=int, default=1000, help="epochs of a training")
    arguments = parser.parse_args()
    configure(threads=1)
    with SimulatedBmc(idle_w=100.0, slope_w=150.0, refresh_s=1.0) as bmc:
        cost = cost_of_recording(bmc, arguments.seconds)
        ratios, alone_s = delays(bmc, arguments.pairs, arguments.epochs)
    low, middle, high = statistics.quantiles(ratios, n=4)
    facts = machine()
    text = "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| recorder and its worker at 1 Hz, of one core, over {arguments.seconds:g} s | {cost:.2%} |",
            f"| training of {alone_s:.1f} s with the recorder : without, median of {arguments.pairs} pairs "
            f"(quartiles) | {middle:.4f} ({low:.4f} to {high:.4f}) |",
            f"| machine | {facts['CPU']}, {facts['cores']} cores, {facts['system']}, {facts['date']} |",
        ]
    )
    print(text)
    if arguments.write:
        write_between(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
