"""Experiments of a made-up sweep as rows of experiments.parquet, whose energy follows from known coefficients."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from wattsweep.analysis.terms import Floats, ModelName, Sample, features, terms_of
from wattsweep.hardware import HardwareProfile, profile
from wattsweep.networks import CONFORMANCE_TOLERANCE, count_parameters, layer_widths, relative_error
from wattsweep.workload import split_workload

HARDWARE = profile("eagle-cpu").on(1)
NET_W = 25.0

DATASETS = {
    "a": (8, 1, 300),
    "b": (64, 10, 1800),
    "c": (13, 3, 5000),
    "d": (30, 2, 700),
    "e": (100, 5, 12000),
    "f": (5, 8, 2500),
}
"""Inputs, outputs and rows."""

COEFFICIENTS: dict[str, float] = {
    "operations": 3e-11,
    "traffic": 4e-11,
    "beyond L1": 3e-11,
    "beyond L2": 1e-10,
    "beyond L3": 5e-10,
    "outputs": 4e-8,
    "layer overhead": 4e-5,
    "batch overhead": 2e-4,
    "epoch overhead": 8e-4,
    "run overhead": 5e-2,
    "datum": 4e-7,
}


def make_experiments(
    *,
    datasets: Sequence[str] = tuple(DATASETS),
    shapes: Sequence[str] = ("rectangle", "trapezoid", "wide_first_4x"),
    depths: Sequence[int] = (2, 3, 5, 8, 12),
    log2_sizes: Sequence[int] = (6, 8, 10, 12, 14, 16, 18, 20),
    batch_sizes: Sequence[int] = (256,),
) -> pd.DataFrame:
    """The experiments of a grid that are conformant, each network once, without energies."""
    rows = []
    seen = set()
    for dataset in datasets:
        n_inputs, n_outputs, n = DATASETS[dataset]
        n_test = -(-n // 5)
        for number, (shape, depth, log2_size, batch) in enumerate(
            (shape, depth, log2_size, batch)
            for shape in shapes
            for depth in depths
            for log2_size in log2_sizes
            for batch in batch_sizes
        ):
            widths = layer_widths(shape, depth, 2**log2_size, n_inputs, n_outputs)
            n_parameters = count_parameters(n_inputs, widths)
            key = (dataset, tuple(widths), batch)
            if abs(relative_error(2**log2_size, n_parameters)) > CONFORMANCE_TOLERANCE or key in seen:
                continue
            seen.add(key)
            work = split_workload(widths, n_inputs, batch, n - n_test, n_test)
            rows.append(
                {
                    "experiment_id": f"{dataset}{number:06d}",
                    "engine": "compiled",
                    "device": "cpu",
                    "cpu_model": "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz",
                    "power_origin": "measured",
                    "dataset_source": "synthetic",
                    "dataset": dataset,
                    "shape": shape,
                    "depth": depth,
                    "size": 2**log2_size,
                    "widths": np.array(widths, dtype=np.int32),
                    "n_parameters": n_parameters,
                    "n_inputs": n_inputs,
                    "n_outputs": n_outputs,
                    "n_observations": n,
                    "n_train": n - n_test,
                    "n_test": n_test,
                    "batch_size": batch,
                    "epochs": 40 if log2_size > 12 else 400,
                    "macs_per_epoch": work.macs_per_epoch,
                    "train_batches": work.train_batches,
                    "n_refused": 0,
                    "n_diverged": 0,
                }
            )
    return pd.DataFrame(rows)


def true_energy(
    experiments: pd.DataFrame,
    coefficients: Mapping[str, float] | None = None,
    hardware: HardwareProfile = HARDWARE,
    model: ModelName = "settings",
) -> Floats:
    """Energy per datum in J by the terms of a model and known coefficients; those that are not named are 0."""
    known = COEFFICIENTS if coefficients is None else coefficients
    terms = terms_of(model, hardware)
    return np.asarray(features(terms, Sample(experiments, hardware)) @ [known.get(term.name, 0.0) for term in terms])


def with_energy(experiments: pd.DataFrame, energy: Floats | pd.Series) -> pd.DataFrame:
    """The experiments with this energy per datum, in J, drawn at a constant net power."""
    seconds = energy / NET_W * experiments["epochs"] * experiments["n_train"]
    return experiments.assign(energy_per_datum_j_median=energy, training_s_median=seconds)


def noisy(energy: Floats, share: float, seed: int) -> Floats:
    """The energies off by normal relative errors of this standard deviation."""
    return np.asarray(energy * (1 + share * np.random.default_rng(seed).standard_normal(len(energy))))
