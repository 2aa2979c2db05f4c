"""Where the working sets of training live in a node's memory, by BUTTER-E's rule (arXiv 2403.08151).

Use `working_sets` for one network on one kind of node. The published rule assumes that a minibatch is spread over all
units (cores, SMs) of the node; for training on fewer threads give it `profile.on(threads)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wattsweep.hardware import HardwareProfile, profile
from wattsweep.networks import count_parameters
from wattsweep.workload import BYTES_PER_FLOAT


@dataclass(frozen=True, slots=True)
class WorkingSet:
    """Where one working set lives. Bytes are those in one unit (core, SM, socket, GPU) of its level.

    `level` counts from 1, the fastest; `level_name` is the hardware's word for it. `cached_bytes` is what the set takes
    there: its replicated bytes, and its distributed bytes / units. `occupied_bytes` adds what was there before it: the
    sets of higher priority, and the faster levels, taken as full, where it did not fit.
    `total_bytes` is the set's own size, each byte counted once.
    """

    level: int
    level_name: str
    cached_bytes: float
    occupied_bytes: float
    total_bytes: int


@dataclass(frozen=True, slots=True)
class WorkingSets:
    """The four working sets of training, in order of priority."""

    inter_layer: WorkingSet
    forward: WorkingSet
    backward: WorkingSet
    dataset: WorkingSet


def working_sets(
    widths: Sequence[int],
    n_inputs: int,
    batch_size: int,
    n_observations: int,
    n_responses: int,
    hardware: HardwareProfile | str,
) -> WorkingSets:
    """The working sets of training dense layers of `widths` on `n_observations` rows, on a kind of node.

    With P parameters, B rows in a batch, 4-byte floats, "replicated" needed by each unit and "distributed" over them:

    1. inter-layer: distributed 4 B (in + out), of the layer for which that is most;
    2. forward pass, on top of 1: replicated 4 P;
    3. backward pass, on top of 1: replicated 8 P, and distributed 4 B x (all units, inputs included) - that of 1;
    4. dataset, on top of 3: distributed 4 x rows x (features + responses).

    Levels are walked from the fastest up, their capacities per unit added up. A set takes replicated + distributed /
    units of the level on top of what is occupied already; where that is more than the capacity so far, the levels so
    far are taken as full and the next is tried. What fits nowhere is given to the last level. BUTTER-E's published
    tables drop fractions of a byte at each step, so theirs may be up to 4 bytes less.

    `hardware` is a profile, or a name or path that `wattsweep.hardware.profile` takes. Raises ValueError for a number
    that is not positive, HardwareError for an unknown profile.
    """
    known = profile(hardware) if isinstance(hardware, str) else hardware
    widths = [int(width) for width in widths]
    if not widths or min(*widths, n_inputs, batch_size, n_observations, n_responses) < 1:
        raise ValueError(
            f"widths = {widths}, n_inputs = {n_inputs}, batch_size = {batch_size}, n_observations = "
            f"{n_observations}, n_responses = {n_responses}: give at least one layer, and numbers of at least 1"
        )
    in_and_out = [n_inputs, *widths]
    parameters = BYTES_PER_FLOAT * count_parameters(n_inputs, widths)
    per_unit = BYTES_PER_FLOAT * batch_size
    between_layers = per_unit * max(one + other for one, other in zip(in_and_out, widths, strict=False))
    activations = per_unit * sum(in_and_out)
    rows = BYTES_PER_FLOAT * n_observations * (n_inputs + n_responses)

    inter_layer = _place(known, 0.0, 0, between_layers)
    forward = _place(known, inter_layer.occupied_bytes, parameters, 0)
    backward = _place(known, inter_layer.occupied_bytes, 2 * parameters, activations - between_layers)
    dataset = _place(known, backward.occupied_bytes, 0, rows)
    return WorkingSets(inter_layer, forward, backward, dataset)


def _place(hardware: HardwareProfile, occupied: float, replicated: int, distributed: int) -> WorkingSet:
    """Walk the levels for one set, with `occupied` bytes of a unit taken by the sets before it."""
    capacity = 0.0
    last = len(hardware.levels)
    for number, level in enumerate(hardware.levels, start=1):
        capacity += level.bytes_per_unit
        if capacity <= occupied and number < last:
            continue
        cached = replicated + distributed / level.units
        if occupied + cached <= capacity or number == last:
            return WorkingSet(number, level.name, cached, occupied + cached, replicated + distributed)
        occupied = capacity
    raise AssertionError("a profile has at least one level")
