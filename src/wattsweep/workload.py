"""How much work an epoch of training a dense network is, by BUTTER-E's rule (arXiv 2403.08151).

Use `workload` for a network and a dataset at hand, `split_workload` where the training and test rows are known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from wattsweep.networks import count_parameters

BYTES_PER_FLOAT = 4
FLOPS_PER_MAC = 2


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of one epoch. An operation is one multiply-accumulate, or one addition of a bias.

    Batches are counted whole, the last, partial one too, as BUTTER-E does.
    """

    n_train: int
    n_test: int
    train_batches: int
    test_batches: int
    forward_macs_per_batch: int
    backward_macs_per_batch: int
    bytes_per_datum: int
    """Bytes of a row: its float32 features and responses."""

    @property
    def flops_per_epoch(self) -> int:
        """Floating-point operations of an epoch: two, a multiplication and an addition, for each of `macs_per_epoch`.

        A bias counts as a weight whose input is 1. Activations, the loss, metrics and the optimizer are not counted, as
        in the papers, though P (1 + B) of a backward pass stands for its sums of gradients and its steps of weights.
        """
        return FLOPS_PER_MAC * self.macs_per_epoch

    @property
    def macs_per_epoch(self) -> int:
        """Operations of an epoch: train batches x (forward + backward) + test batches x forward."""
        trained = self.train_batches * (self.forward_macs_per_batch + self.backward_macs_per_batch)
        return trained + self.test_batches * self.forward_macs_per_batch


def workload(
    widths: Sequence[int], n_inputs: int, batch_size: int, n_observations: int, test_split: float = 0.2
) -> Workload:
    """The work of an epoch on a dataset of which ceil(test_split x n_observations) rows are kept for the test.

    `widths` are those of the dense layers, the output layer last. Raises ValueError where nothing is left to train
    on or a number is not positive.
    """
    n_test = math.ceil(Fraction(repr(float(test_split))) * n_observations)
    return split_workload(widths, n_inputs, batch_size, n_observations - n_test, n_test)


def split_workload(widths: Sequence[int], n_inputs: int, batch_size: int, n_train: int, n_test: int) -> Workload:
    """The work of an epoch on these numbers of training and test rows.

    With B the batch size, layers of `in` inputs and `out` outputs, and P trainable parameters:

    - forward operations of a batch = B x sum(in x out + out)
    - backward operations of a batch = B x sum(2 out + in x out + (in x out, but not in the first layer)) + P (1 + B)
    - train batches = ceil(n_train / B), test batches = ceil(n_test / B)
    """
    if not widths or min(widths) < 1 or n_inputs < 1:
        raise ValueError(f"widths = {list(widths)} after {n_inputs} inputs: every layer needs at least one unit")
    if batch_size < 1 or n_train < 1 or n_test < 0:
        raise ValueError(
            f"batch_size = {batch_size}, n_train = {n_train}, n_test = {n_test}: "
            "give a batch and a training set of at least one row"
        )
    layers = list(zip([n_inputs, *widths[:-1]], widths, strict=True))
    kernels = sum(inputs * outputs for inputs, outputs in layers)
    units = sum(widths)
    past_first = kernels - n_inputs * widths[0]
    parameters = count_parameters(n_inputs, widths)
    return Workload(
        n_train=n_train,
        n_test=n_test,
        train_batches=math.ceil(n_train / batch_size),
        test_batches=math.ceil(n_test / batch_size),
        forward_macs_per_batch=batch_size * (kernels + units),
        backward_macs_per_batch=batch_size * (2 * units + kernels + past_first) + parameters * (1 + batch_size),
        bytes_per_datum=BYTES_PER_FLOAT * (n_inputs + widths[-1]),
    )
