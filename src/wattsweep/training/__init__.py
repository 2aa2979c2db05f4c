"""Training of fully connected networks, with 20 metrics at every epoch.

- `configure(threads, hardware)` sets TensorFlow up; call it once, before anything else here touches TensorFlow, and
  within `compilation_cache(store, machine)` if compiled programs are to outlive the process.
- `make_engine(name, plan)` gives the engine "compiled" (many epochs per call of one XLA program) or "keras-fit" (the
  reference, Keras' own loop); `prepare` it, then `train` any number of runs, from a `CheckpointStore` if need be.
- `check_memory(plan, available_bytes)` refuses a training that would not fit.

Importing this package does not import TensorFlow.
"""

from wattsweep.errors import TrainingError
from wattsweep.training.cache import compilation_cache
from wattsweep.training.memory import check_gpu_memory, check_memory, needed_bytes
from wattsweep.training.runtime import Runtime, configure
from wattsweep.training.types import (
    HISTORY_NAMES,
    METRICS,
    Architecture,
    Checkpoint,
    CheckpointStore,
    Engine,
    Objective,
    Precision,
    Trained,
    TrainingPlan,
    diverged_at,
)

__all__ = [
    "HISTORY_NAMES",
    "METRICS",
    "Architecture",
    "Checkpoint",
    "CheckpointStore",
    "Engine",
    "Objective",
    "Precision",
    "Runtime",
    "Trained",
    "TrainingPlan",
    "check_gpu_memory",
    "check_memory",
    "compilation_cache",
    "configure",
    "diverged_at",
    "make_engine",
    "needed_bytes",
]


def make_engine(name: str, plan: TrainingPlan) -> Engine:
    """The engine of this name for a plan; raises TrainingError for an unknown name."""
    if name == "compiled":
        from wattsweep.training.compiled import CompiledEngine

        return CompiledEngine(plan)
    if name == "keras-fit":
        from wattsweep.training.keras_fit import KerasFitEngine

        return KerasFitEngine(plan)
    raise TrainingError(f"training.engine = {name!r}: not known. Allowed: compiled, keras-fit.")
