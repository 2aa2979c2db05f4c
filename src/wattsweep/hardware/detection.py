"""Detects how this node's memory is laid out: a CPU's caches as Linux lists them, GPUs as CUDA's driver tells."""

import ctypes
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattsweep.errors import HardwareError
from wattsweep.hardware.node import cpu_model, memory_bytes
from wattsweep.hardware.profiles import HardwareProfile, MemoryLevel

REMEDY = "write a profile by hand (docs/energy-model.md shows one) and give its path"

# Numbers of attributes in CUDA's driver API (cuDeviceGetAttribute).
MULTIPROCESSORS, L2_BYTES, SHARED_BYTES = 16, 38, 81


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver tells. `l1_bytes` is the part of an SM's L1 that may be shared memory, nearly all of it."""

    name: str
    multiprocessors: int
    l1_bytes: int
    l2_bytes: int
    ram_bytes: int


def detect(name: str) -> HardwareProfile:
    """The profile "this", "this-cpu" or "this-gpu". Raises HardwareError where the node does not tell."""
    found = [] if name == "this-cpu" else gpus()
    if found:
        return gpu_profile(found)
    if name == "this-gpu":
        raise HardwareError("no GPU that CUDA's driver shows (libcuda.so.1): ask for this-cpu, or " + REMEDY)
    return cpu_profile()


def cpu_profile(root: Path = Path("/"), cpus: Collection[int] | None = None) -> HardwareProfile:
    """The caches of these CPUs (those that this process may use), and main memory as far as it may be used.

    Raises HardwareError where Linux lists no caches.
    """
    chosen = os.sched_getaffinity(0) if cpus is None else set(cpus)
    levels = [
        MemoryLevel(f"L{number}", "core" if len(units) == len(chosen) else "share of cores", len(units), size)
        for number, (size, units) in sorted(_caches(root, chosen).items())
    ]
    if not levels:
        raise HardwareError(f"{root / 'sys/devices/system/cpu'} lists no caches of this CPU: {REMEDY}")
    ram = MemoryLevel("RAM", "node", 1, float(memory_bytes(root)))
    return HardwareProfile("this-cpu", "cpu", cpu_model(root / "proc/cpuinfo"), (*levels, ram))


def gpu_profile(found: list[Gpu]) -> HardwareProfile:
    """The profile of GPUs, taken as equal to the first."""
    first, n = found[0], len(found)
    return HardwareProfile(
        "this-gpu",
        "gpu",
        first.name,
        (
            MemoryLevel("L1", "SM", n * first.multiprocessors, first.l1_bytes),
            MemoryLevel("L2", "GPU", n, first.l2_bytes),
            MemoryLevel("RAM", "GPU", n, first.ram_bytes),
        ),
    )


def gpus(driver: Any = None) -> list[Gpu]:
    """The GPUs that CUDA's driver shows; none where there is no driver, or it does not answer."""
    try:
        cuda = driver or ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
            return []
        return [_gpu(cuda, number) for number in range(count.value)]
    except (OSError, AttributeError, HardwareError):
        return []


def _gpu(cuda: Any, number: int) -> Gpu:
    device, name, total = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    _check(cuda.cuDeviceGet(ctypes.byref(device), number))
    _check(cuda.cuDeviceGetName(name, len(name), device))
    _check(cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device))
    sizes = []
    for attribute in (MULTIPROCESSORS, SHARED_BYTES, L2_BYTES):
        value = ctypes.c_int()
        _check(cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device))
        sizes.append(value.value)
    multiprocessors, l1_bytes, l2_bytes = sizes
    return Gpu(name.value.decode(errors="replace"), multiprocessors, l1_bytes, l2_bytes, total.value)


def _check(status: int) -> None:
    if status:
        raise HardwareError(f"CUDA's driver answered with status {status}")


def _caches(root: Path, cpus: Collection[int]) -> dict[int, tuple[float, set[str]]]:
    """For each level the size of a cache for data in bytes, and the distinct caches among these CPUs."""
    sizes: dict[int, float] = {}
    units: dict[int, set[str]] = defaultdict(set)
    for folder in _cache_folders(root, cpus):
        try:
            kind, number, size, shared = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("type", "level", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if kind not in ("Data", "Unified"):
            continue
        # Cores of two kinds have caches of two sizes: the smaller is what every core can count on.
        bytes_ = _kernel_bytes(size)
        sizes[int(number)] = min(bytes_, sizes.get(int(number), bytes_))
        units[int(number)].add(shared)
    return {number: (sizes[number], units[number]) for number in sizes}


def _cache_folders(root: Path, cpus: Collection[int]) -> Iterator[Path]:
    for cpu in sorted(cpus):
        yield from sorted((root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"))


def _kernel_bytes(text: str) -> float:
    """The bytes in a size as the kernel writes it, such as 32K."""
    factor = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    return float(text.rstrip("KMG")) * factor
