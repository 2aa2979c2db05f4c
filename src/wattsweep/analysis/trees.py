"""Gradient-boosted trees: what can be predicted from the settings by a model that knows no physics, as a ceiling."""

import numpy as np

from wattsweep.analysis.terms import Floats, Sample

TREES = 60
LEARNING_RATE = 0.2
LEAF, LEAVES = 4, 12


def tree_features(sample: Sample) -> Floats:
    """What the trees choose from, [experiments, features]: settings and facts, the network's widths and its work."""
    names = ("n_parameters", "depth", "n_inputs", "n_outputs", "n_train", "n_test", "batch_size", "macs_per_epoch")
    widths = sample.experiments["widths"]
    return np.column_stack(
        [
            *(sample.column(name) for name in names),
            np.array([max(one) for one in widths], dtype=np.float64),
            np.array([min(one) for one in widths], dtype=np.float64),
            np.array([sum(one) for one in widths], dtype=np.float64),
            sample.beyond,
        ]
    )


def predict_by_trees(inputs: Floats, measured: Floats, weights: Floats, seed: int) -> Floats:
    """Predictions [weightings, experiments] by trees on the logarithm, one fit for each row of weights.

    Weights are 0 for what a fit is not to see, and 1.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    predictions = []
    # Threads that wait for each other on so little data take longer than one does.
    with threadpool_limits(1):
        for row in weights:
            kept = row > 0
            trees = HistGradientBoostingRegressor(
                max_iter=TREES,
                learning_rate=LEARNING_RATE,
                min_samples_leaf=LEAF,
                max_leaf_nodes=LEAVES,
                early_stopping=False,
                random_state=seed,
            )
            # Weights of 1 would give the same trees, and have most of the time spent on weighted quantiles.
            trees.fit(inputs[kept], np.log(measured[kept]))
            predictions.append(np.exp(trees.predict(inputs)))
    return np.array(predictions)
