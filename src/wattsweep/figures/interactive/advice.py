"""The cheapest network at each test loss, for each dataset and kind of hardware, as JSON's values."""

from typing import Any

import pandas as pd

from wattsweep.analysis.advice import GROUP, cheapest, savings
from wattsweep.figures.inputs import FigureInputs
from wattsweep.figures.interactive.spec import numbers, whole
from wattsweep.figures.kinds import kinds


def advice(inputs: FigureInputs) -> list[dict[str, Any]]:
    """For each dataset and kind of hardware its levels of loss from the highest down, and the places of the steps.

    `test_loss`, `energy_j`, `epoch`, `training_s`, `n_parameters`, `depth`, `shape` and `experiment_id` are lists over
    levels; `steps` are places in them, from the lowest loss up, each of half the energy of the one before or less.
    """
    least = cheapest(inputs.iso_loss)
    if least.empty:
        return []
    names = pd.Series("", index=inputs.experiments.index, dtype=object)
    for kind in kinds(inputs, inputs.experiments):
        names[kind.experiments.index] = kind.name
    steps = savings(least)
    found = []
    for _, group in least.groupby(GROUP, sort=True):
        # Many levels in a row are reached for the same energy by the same network: the lowest of them says it all.
        ends = group[~group.duplicated(["row", "epoch"], keep="last")]
        chosen = steps.index[steps.index.isin(group.index)]
        kept = group.loc[sorted({*ends.index, *chosen})]
        places = pd.Series(range(len(kept)), index=kept.index)
        one = kept.iloc[0]
        found.append(
            {
                "dataset": str(one["dataset"]),
                "hardware": str(names[one["row"]]),
                "origin": str(one["power_origin"]),
                "test_loss": numbers(kept["test_loss"]),
                "energy_j": numbers(kept["energy_j"]),
                "epoch": numbers(kept["epoch"]),
                "training_s": numbers(kept["training_s"]),
                "n_parameters": whole(kept["n_parameters"]),
                "depth": whole(kept["depth"]),
                "shape": [str(name) for name in kept["shape"]],
                "experiment_id": [str(inputs.experiments.loc[row, "experiment_id"]) for row in kept["row"]],
                "steps": whole(places[chosen]),
            }
        )
    return found
