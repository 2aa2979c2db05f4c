"""A sweep as large as BUTTER-E's in small: tables of experiments and curves from known physics, without any training.

Energy per datum is a floor, a part for each layer, and a joule for each operation that grows with the cache level that
the parameters have outgrown; test loss follows BUTTER's three equations.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wattsweep.analysis.curves import COLUMNS
from wattsweep.networks import count_parameters, layer_widths, relative_error
from wattsweep.tables.columns import EXPERIMENTS, RUNS
from wattsweep.workload import workload

DATASETS = {
    "mnist": (784, 10, 70000, "classification", "softmax"),
    "201_pol": (48, 11, 15000, "classification", "softmax"),
    "529_pollen": (4, 1, 3848, "regression", "regression"),
    "537_houses": (8, 1, 20640, "regression", "regression"),
}
SIZES = tuple(2**power for power in range(5, 25))
DEPTHS = (2, 3, 4, 6, 10)
SHAPES = ("rectangle", "trapezoid", "exponential", "wide_first_2x")

EPOCH_M, EPOCH_B = 0.016, 0.072
LOSS_C, LOSS_S0, LOSS_P, LOSS_PHI = 1.2, 0.4, 1.6, -1.5
SLOPE_L, SLOPE_S1, SLOPE_A0 = 0.02, 4.0, -0.25
SHAPE_SHIFT = 0.15
"""A shape learns like the one before it with so much more log10 of parameters."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Energy of a kind of node: `floor_j` and `layer_j` per datum, `operation_j` within the caches, `caches` in bytes.

    Past each of `caches` an operation costs `growth` times as much.
    """

    device: str
    cpu_model: str
    floor_j: float
    layer_j: float
    operation_j: float
    growth: float
    caches: tuple[float, ...]
    power_w: float


CPU = Machine(
    "cpu", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz", 2e-5, 6e-6, 2e-11, 2.2, (36 * 2**15, 36 * 2**20, 5e7), 130.0
)
GPU = Machine(
    "Tesla V100-PCIE-16GB", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz", 1.6e-4, 6e-5, 4e-12, 1.6, (1.2e7, 2e7), 220.0
)


@dataclass(frozen=True, eq=False)
class Published:
    """The tables."""

    runs: pd.DataFrame
    experiments: pd.DataFrame
    curves: pd.DataFrame


def joules_per_datum(machine: Machine, n_parameters: int, macs: int, n_train: int, depth: int) -> float:
    """Net energy per datum, J."""
    outgrown = sum(1 / (1 + (cache / (8 * n_parameters)) ** 2) for cache in machine.caches)
    return machine.floor_j + machine.layer_j * depth + machine.operation_j * machine.growth**outgrown * macs / n_train


def minimizing_epoch(x: float) -> float:
    return float((EPOCH_M * x + EPOCH_B) ** -3)


def minimum_log_loss(x: float) -> float:
    return float(LOSS_C * (x - LOSS_S0) ** -LOSS_P + LOSS_PHI)


def slope(x: float) -> float:
    return -SLOPE_L * (x - SLOPE_S1) ** 2 + SLOPE_A0


def test_loss(x: float, epochs: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The curve of a network of 10^x parameters: a straight fall in log-log to the minimum, then a rise."""
    past = np.log10(np.arange(1, epochs + 1)) - math.log10(minimizing_epoch(x))
    fall = np.where(past < 0, slope(x) * past, 0.0)
    return np.asarray(10 ** (minimum_log_loss(x) + fall + np.where(past > 0, 0.2 * past + 0.3 * past**2, 0.0)))


def make_published(
    *,
    machines: tuple[Machine, ...] = (CPU, GPU),
    datasets: tuple[str, ...] = tuple(DATASETS),
    shapes: tuple[str, ...] = SHAPES,
    depths: tuple[int, ...] = DEPTHS,
    sizes: tuple[int, ...] = SIZES,
    epochs: int = 3000,
    repetitions: int = 3,
    noise: float = 0.06,
    origin: str = "measured",
    seed: int = 0,
) -> Published:
    """The tables of such a sweep; `noise` is the relative error of an experiment's energy."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    runs: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    for dataset in datasets:
        n_inputs, n_outputs, n, task, head = DATASETS[dataset]
        for shape in shapes:
            for depth in depths:
                for size in sizes:
                    widths = layer_widths(shape, depth, size, n_inputs, n_outputs)
                    n_parameters = count_parameters(n_inputs, widths)
                    if abs(relative_error(size, n_parameters)) > 0.2:
                        continue
                    work = workload(widths, n_inputs, 256, n)
                    name = f"{len(curves):016x}"
                    settings = {
                        "experiment_id": name,
                        "dataset_source": "pmlb",
                        "dataset": dataset,
                        "shape": shape,
                        "size": size,
                        "depth": depth,
                        "epochs": epochs,
                        "batch_size": 256,
                        "learning_rate": 1e-4,
                        "optimizer": "adam",
                        "momentum": 0.0,
                        "kernel_l1": 0.0,
                        "kernel_l2": 0.0,
                        "label_noise": 0.0,
                        "precision": "float32",
                        "hardware": "any",
                        "test_split": 0.2,
                        "engine": "keras-fit",
                        "vectorised": False,
                        "task": task,
                        "head": head,
                        "n_inputs": n_inputs,
                        "n_outputs": n_outputs,
                        "n_observations": n,
                        "n_train": work.n_train,
                        "n_test": work.n_test,
                        "n_parameters": n_parameters,
                        "widths": widths,
                    }
                    curve = test_loss(math.log10(n_parameters) + SHAPE_SHIFT * shapes.index(shape), epochs)
                    curves.append(_curve(name, curve, dataset, repetitions, rng))
                    for machine in machines:
                        joules = joules_per_datum(machine, n_parameters, work.macs_per_epoch, work.n_train, depth)
                        joules *= math.exp(noise * rng.normal())
                        found, row = _measured(machine, settings, joules, origin, repetitions, rng)
                        runs += found
                        rows.append(row | {"macs_per_epoch": work.macs_per_epoch, "train_batches": work.train_batches})
    return Published(
        pd.DataFrame(runs, columns=[column.name for column in RUNS.columns]),
        pd.DataFrame(rows, columns=[column.name for column in EXPERIMENTS.columns]),
        pd.DataFrame(curves, columns=list(COLUMNS)),
    )


def _curve(
    name: str,
    curve: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    dataset: str,
    repetitions: int,
    rng: np.random.Generator,
) -> dict[str, object]:
    noisy = curve * (1 + len(dataset) / 20) * np.exp(0.002 * rng.normal(size=len(curve)))
    epochs = np.arange(1, len(curve) + 1)
    past = np.maximum(0, np.log10(epochs / (1 + np.argmin(curve))))
    return {
        "experiment_id": name,
        "n_runs": repetitions,
        "test_loss_median": noisy.astype(np.float32),
        "test_loss_best_median": np.minimum.accumulate(noisy).astype(np.float32),
        "test_loss_cv": (0.012 + 0.2 * past + 0.1 / np.sqrt(epochs)).astype(np.float32),
    }


def _measured(
    machine: Machine,
    settings: dict[str, object],
    per_datum_j: float,
    origin: str,
    repetitions: int,
    rng: np.random.Generator,
) -> tuple[list[dict[str, object]], dict[str, object]]:
    """The rows of an experiment's runs and its own row, on one machine."""
    data = float(str(settings["n_train"])) * float(str(settings["epochs"]))
    net_j = per_datum_j * data
    hardware = {"device": machine.device, "cpu_model": machine.cpu_model, "power_origin": origin}
    joules = np.sort(net_j * np.exp(0.05 * rng.normal(size=repetitions)))
    runs = [
        settings
        | hardware
        | {
            "run_id": f"{settings['experiment_id']}-{repetition}",
            "repetition": repetition,
            "planned": True,
            "energy_status": "ok",
            "energy_reason": "",
            "power_source": "ipmi",
            "power_scope": "node",
            "training_s": one / machine.power_w,
            "runs_at_once": 1,
            "energy_net_j": one,
            "energy_gross_j": 3 * one,
            "energy_per_datum_j": one / data,
            "epochs_trained": settings["epochs"],
        }
        for repetition, one in enumerate(joules)
    ]
    row = settings | hardware | {"n_runs": repetitions, "n_measured": repetitions, "n_refused": 0, "n_diverged": 0}
    low, middle, high = (float(np.quantile(joules, share)) for share in (0.25, 0.5, 0.75))
    for quantity, unit in (("energy_net_j", 1.0), ("energy_per_datum_j", data), ("training_s", machine.power_w)):
        row |= {f"{quantity}_q1": low / unit, f"{quantity}_median": middle / unit, f"{quantity}_q3": high / unit}
    for quantity, unit in (("energy_net_j", 1.0), ("energy_per_datum_j", data)):
        row |= {f"{quantity}_lower": 0.97 * middle / unit, f"{quantity}_upper": 1.03 * middle / unit}
    return runs, row | {"test_loss_median": 0.1, "test_loss_q1": 0.09, "test_loss_q3": 0.11}
