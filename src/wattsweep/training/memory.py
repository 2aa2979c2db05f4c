"""The memory that a training needs, foreseen from its plan, so that one that cannot fit is refused before it starts."""

from wattsweep.errors import OutOfMemoryError
from wattsweep.training.types import TrainingPlan

PROCESS_BYTES = 800 * 2**20
"""What a process with TensorFlow holds before it trains."""
ORDER_BYTES = 2 * 2**25
"""Row orders of the call that runs and of the next."""
STATE_COPIES = 3


def needed_bytes(plan: TrainingPlan) -> int:
    """Main memory of a training in bytes, TensorFlow's process included.

    Counted at 4 bytes each: weights and the optimizer's slots thrice (the state that goes into a call is there until
    the one that comes out is, and a checkpoint is a copy) and gradients; the rows four times (as loaded, split, side by
    side and as tensors); thrice the outputs on all training rows, of which the metrics of an epoch are computed; and
    what is more, twice the outputs of every hidden layer for a minibatch, or twice the widest layer for the whole test
    set. Peaks measured with both engines, from 10^3 to 7 x 10^7 parameters, lie within 25 % of it.
    """
    architecture = plan.architecture
    state = architecture.n_parameters * (STATE_COPIES * (1 + plan.objective.n_slots) + 1)
    columns = architecture.n_inputs + architecture.widths[-1]
    data = 4 * (plan.n_train + plan.n_test) * columns
    batch = plan.batch_size * (architecture.n_inputs + 2 * sum(architecture.widths))
    evaluation = 2 * plan.n_test * max(architecture.n_inputs, *architecture.widths)
    outputs = 3 * plan.n_train * architecture.widths[-1]
    return PROCESS_BYTES + ORDER_BYTES + 4 * plan.runs_at_once * (state + data + max(batch, evaluation) + outputs)


def check_memory(plan: TrainingPlan, available_bytes: int) -> None:
    """Raise OutOfMemoryError where a plan that is trained on the CPU needs more main memory than there is."""
    needed = needed_bytes(plan)
    if needed > available_bytes:
        more = "ask for more (scheduling.memory_mb, a node with more)"
        raise OutOfMemoryError(_refusal(plan, needed, f"this process may use {available_bytes / 1e9:.2f} GB", more))


def check_gpu_memory(plan: TrainingPlan, gpu_bytes: int) -> None:
    """Raise OutOfMemoryError where a plan needs more than a GPU has: all but TensorFlow's process is counted as its."""
    needed = needed_bytes(plan) - PROCESS_BYTES
    if needed > gpu_bytes:
        more = "ask for a GPU with more, or hardware: cpu"
        raise OutOfMemoryError(_refusal(plan, needed, f"the GPU has {gpu_bytes / 1e9:.2f} GB", more))


def _refusal(plan: TrainingPlan, needed: int, available: str, more: str) -> str:
    at_once = f", {plan.runs_at_once} runs at once" if plan.runs_at_once > 1 else ""
    return (
        f"training {plan.architecture.n_parameters:,} parameters at batch_size {plan.batch_size}{at_once} needs about "
        f"{needed / 1e9:.2f} GB and {available}: {more}, or for a smaller size or batch_size"
        + (", or set training.repetitions: sequential" if at_once else "")
    )
