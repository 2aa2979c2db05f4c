"""TensorFlow's set-up in a process: quiet, as many threads as asked, and which device it trains on."""

import os
from dataclasses import dataclass

from wattsweep.errors import TrainingError
from wattsweep.hardware import node_name


@dataclass(frozen=True, slots=True)
class Runtime:
    """The device that TensorFlow trains on and the CPU threads that it may use."""

    device: str
    threads: int


def configure(threads: int, hardware: str = "any") -> Runtime:
    """Import TensorFlow and hold it to `threads` CPU threads and to the hardware asked for: any, cpu or gpu.

    Of several GPUs it sees the first, which allocates memory as it needs it. Raises TrainingError where there is no GPU
    and one is needed, and where TensorFlow was already used in this process with other settings.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        # A run trains on one GPU; another that TensorFlow had opened would draw power for nothing.
        gpus = [] if hardware == "cpu" else gpus[:1]
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise TrainingError(
            f"TensorFlow was used in this process before training.threads = {threads} and hardware = {hardware} could "
            "be set: run a shard in a process of its own"
        ) from error
    if hardware == "gpu" and not gpus:
        raise TrainingError(
            f"hardware = gpu: TensorFlow sees no GPU on node {node_name()}. Run this shard on a node with one, in an "
            "environment with TensorFlow for GPUs (envs/train-gpu.yml), or ask for hardware: cpu"
        )
    if not gpus:
        return Runtime("cpu", threads)
    details = tf.config.experimental.get_device_details(gpus[0])
    return Runtime(f"gpu: {details.get('device_name', gpus[0].name)}", threads)
