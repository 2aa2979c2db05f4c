"""How many bytes training moves, and how many of them a level of memory cannot hold.

BUTTER-E places four working sets, each whole at one level (`wattsweep.analysis.working_sets`). Here a set larger than
a level is held by it in part, the part that fits, so that what a network costs does not jump where a set outgrows a
cache by a byte, and bytes are counted by who moves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wattsweep.hardware import HardwareProfile
from wattsweep.networks import count_parameters
from wattsweep.workload import BYTES_PER_FLOAT

PARAMETER_PASSES = 10
"""How often each parameter's 4 bytes, or 4 that belong to it, are moved for a minibatch: weights read by the forward
and the backward pass, gradients written and read, weights and both moments of Adam read and written."""

PARAMETER_SETS = 4
"""Arrays of the parameters' size that training keeps: weights, gradients, two moments."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes moved in an epoch, to and from a set of memory that each unit needs whole, or a share of."""

    name: str
    moved_bytes: float
    replicated_bytes: float
    distributed_bytes: float


def streams(
    widths: Sequence[int], n_inputs: int, n_outputs: int, batch_size: int, n_train: int, n_test: int
) -> tuple[Stream, ...]:
    """What an epoch moves, for dense layers of `widths`, minibatches padded to `batch_size` rows.

    - inter-layer: each layer's inputs read and outputs written, and backward their slopes, but not towards the data;
      the set is that of the largest layer, 4 B (in + out).
    - kept: each layer's inputs and outputs read again by the backward pass, from all that is kept for it.
    - parameters: `PARAMETER_PASSES` for each minibatch, and once for each of the test.
    - dataset: the rows of each minibatch, from the whole dataset on top of all that training keeps.
    """
    layers = list(zip([n_inputs, *widths[:-1]], widths, strict=True))
    parameters = BYTES_PER_FLOAT * count_parameters(n_inputs, widths)
    train_batches, test_batches = -(-n_train // batch_size), -(-n_test // batch_size)
    per_unit = BYTES_PER_FLOAT * batch_size
    through = per_unit * sum(inputs + outputs for inputs, outputs in layers)
    slopes = through - per_unit * n_inputs
    largest = per_unit * max(inputs + outputs for inputs, outputs in layers)
    kept = per_unit * (n_inputs + sum(widths))
    row = BYTES_PER_FLOAT * (n_inputs + n_outputs)
    return (
        Stream("inter-layer", train_batches * (through + slopes) + test_batches * through, 0, largest),
        Stream("kept", train_batches * through, PARAMETER_SETS * parameters, kept),
        Stream(
            "parameters",
            parameters * (PARAMETER_PASSES * train_batches + test_batches),
            PARAMETER_SETS * parameters,
            kept,
        ),
        Stream(
            "dataset",
            row * batch_size * (train_batches + test_batches),
            PARAMETER_SETS * parameters,
            kept + row * (n_train + n_test),
        ),
    )


def beyond_levels(moved: Sequence[Stream], hardware: HardwareProfile) -> tuple[float, ...]:
    """Bytes of an epoch, then those of them that come from beyond the first level, beyond the second, and so on.

    A level of capacity c, those before it included, holds the share min(1, c / s) of a set that takes s bytes of one
    of its units: replicated + distributed / units. One number for each level; the last level holds everything.
    """
    beyond = [0.0] * len(hardware.levels)
    for stream in moved:
        beyond[0] += stream.moved_bytes
        capacity = 0.0
        for number, level in enumerate(hardware.levels[:-1], start=1):
            capacity += level.bytes_per_unit
            taken = stream.replicated_bytes + stream.distributed_bytes / level.units
            beyond[number] += stream.moved_bytes * max(0.0, 1.0 - capacity / taken)
    return tuple(beyond)
