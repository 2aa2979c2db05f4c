"""What a node is: its name, processor and memory, and how its memory is laid out.

Which function to use when:

- the levels of memory of a node, fastest first: `profile("this")` for the one this runs on (its GPUs where it has
  some, else its caches), `profile("eagle-cpu")` or `profile("eagle-gpu")` for those of BUTTER-E, and `profile` with the
  path of a YAML file for any other, or to correct what was detected; `write_profile` makes such a file to start from.
- single facts about this node: `node_name`, `cpu_model`, `cpu_features`, `memory_bytes`, `gpu_memory_bytes`.
"""

from wattsweep.hardware.node import cpu_features, cpu_model, gpu_memory_bytes, memory_bytes, node_name
from wattsweep.hardware.profiles import HardwareProfile, MemoryLevel, profile, read_profile, write_profile

__all__ = [
    "HardwareProfile",
    "MemoryLevel",
    "cpu_features",
    "cpu_model",
    "gpu_memory_bytes",
    "memory_bytes",
    "node_name",
    "profile",
    "read_profile",
    "write_profile",
]
