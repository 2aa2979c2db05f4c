"""Time of an epoch in both engines, and what the planner predicts: prints a table.

Run it on a quiet machine: python benchmarks/epoch_time.py
Each case is trained in turn by both engines, `ROUNDS` times; the table holds medians and the median of paired ratios.
The time of keras-fit holds the tracing of its model, spread over `KERAS_EPOCHS` epochs: a long training has less of it.
"""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from wattsweep.datasets import Dataset, Split, load, prepare, split
from wattsweep.hardware import cpu_model
from wattsweep.networks import layer_widths
from wattsweep.planning import predict_run_s
from wattsweep.training import Architecture, TrainingPlan, configure, make_engine

CASES = [
    ("synthetic", "classes_1000x8x5", 2**6, 2),
    ("synthetic", "classes_1000x8x5", 2**12, 6),
    ("bundled", "wine", 2**10, 4),
    ("bundled", "digits", 2**10, 4),
    ("bundled", "digits", 2**14, 4),
    ("synthetic", "classes_12960x8x5", 2**6, 2),
    ("synthetic", "classes_12960x8x5", 2**12, 6),
    ("synthetic", "classes_12960x8x5", 2**16, 6),
]
ROUNDS = 5
COMPILED_SECONDS = 0.5
KERAS_EPOCHS = 5
BATCH_SIZE = 256


def measure(dataset: Dataset, size: int, depth: int) -> str:
    """One row of the table."""
    parts = split(dataset, test_split=0.2, label_noise=0.0, seed=1)
    widths = layer_widths("rectangle", depth, size, dataset.n_inputs, dataset.n_outputs)
    architecture = Architecture(dataset.n_inputs, tuple(widths), dataset.head, False)
    predicted_s = {
        engine: predict_run_s(
            widths,
            dataset.n_inputs,
            n_train=len(parts.train_x),
            n_test=len(parts.test_x),
            epochs=1,
            batch_size=BATCH_SIZE,
            engine=engine,
        )
        for engine in ("compiled", "keras-fit")
    }
    epochs = {"compiled": max(10, round(COMPILED_SECONDS / predicted_s["compiled"])), "keras-fit": KERAS_EPOCHS}
    engines = {}
    for name, count in epochs.items():
        plan = TrainingPlan(architecture, len(parts.train_x), len(parts.test_x), count, BATCH_SIZE, 1e-3)
        engines[name] = make_engine(name, plan)
        engines[name].prepare()
        engines[name].train([parts], [0])
    times = {name: [epoch_ms(engines[name], parts, epochs[name], seed) for seed in range(ROUNDS)] for name in engines}
    ratios = [keras / compiled for keras, compiled in zip(times["keras-fit"], times["compiled"], strict=True)]
    compiled_ms, keras_ms = (statistics.median(times[name]) for name in ("compiled", "keras-fit"))
    return (
        f"| {dataset.source}:{dataset.name} | 2^{size.bit_length() - 1} | {depth} | {compiled_ms:.3g} | "
        f"{predicted_s['compiled'] * 1e3:.3g} | {keras_ms:.3g} | {predicted_s['keras-fit'] * 1e3:.3g} | "
        f"{statistics.median(ratios):.3g} |"
    )


def epoch_ms(engine, parts: Split, epochs: int, seed: int) -> float:  # type: ignore[no-untyped-def]
    """Time of an epoch in ms, of one training."""
    (trained,) = engine.train([parts], [seed])
    return float(1e3 * (trained.end_s - trained.start_s) / epochs)


def main() -> None:
    """Print the table."""
    configure(threads=1)
    print(f"{cpu_model()}, one thread, batch {BATCH_SIZE}, medians of {ROUNDS}\n")
    print("| dataset | size | depth | compiled, ms/epoch | predicted | keras-fit, ms/epoch | predicted | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for source, name, size, depth in CASES:
            dataset = load(prepare(source, name, Path(folder), Path(folder)))
            print(measure(dataset, size, depth), flush=True)


if __name__ == "__main__":
    main()
