"""Energy or power of NVIDIA GPUs, from the driver through NVML.

`visible_gpus` says which GPUs a job may use; `NvmlSource` reads the sum over some of them. GPUs from Volta on count
their energy, which is read where all of them do; otherwise the power of all is. The sensors are the boards' own: on
A100 and H100 they look at the power for a quarter of the time only.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.sources.specs import NvmlSpec
from wattsweep.power.trace import Kind, Status

STEP = 0.001
"""Energy comes in mJ, power in mW."""

AVERAGING_S = 1.0
"""What the power is averaged over from Ampere on; older GPUs give that of the moment."""

SENTINELS = {"energy": 2**64 - 1, "power": 2**32 - 1}
UUID_PREFIX, MIG_PREFIX = "GPU-", "MIG-"


@dataclass(frozen=True, slots=True)
class _Gpu:
    index: int
    uuid: str
    name: str
    handle: Any

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name}, {self.uuid})"


@dataclass(frozen=True, slots=True)
class _Means:
    """A way to read every GPU: the kind of its values and the function that gives them, in mJ or mW."""

    kind: Kind
    read: Callable[[Any], int]


class NvmlSource:
    """The summed energy (J) or power (W) of GPUs, by the same means for all of them."""

    def __init__(self, spec: NvmlSpec) -> None:
        self._spec = spec
        self._nvml: Any = None
        self._gpus: list[_Gpu] = []
        self._means: _Means | None = None
        self._last: list[int] = []
        self._restarted = False
        self._description: SourceDescription | None = None

    def open(self) -> None:
        """Start NVML, find the GPUs and read each once. Raises PowerError that says which cannot be read and why."""
        self.close()
        nvml = _started()
        self._nvml = nvml
        try:
            self._gpus = _chosen(nvml, self._spec.gpus)
            self._means, self._last = _means_for(nvml, self._gpus)
            self._description = self._describe(nvml, self._means)
        except PowerError:
            self.close()
            raise
        except nvml.NVMLError as error:
            self.close()
            raise PowerError(
                f"{self._spec.place} cannot be opened through NVML: {error}. See what nvidia-smi says of it, or choose "
                "another power.source."
            ) from None
        self._restarted = False

    def read(self) -> Reading:
        """The sum over the GPUs, in J or W; nan and `Status.FAILED` where one of them does not answer.

        When the counter of one has fallen, which a reload of the driver does, its joules are lost in a sum that may
        still grow: this and all later reads fail until the source is opened again.
        """
        if self._nvml is None or self._means is None or self._restarted:
            return Reading(math.nan, Status.FAILED)
        try:
            values = [self._means.read(gpu.handle) for gpu in self._gpus]
        except self._nvml.NVMLError:
            return Reading(math.nan, Status.FAILED)
        total = sum(values) * STEP
        if SENTINELS[self._means.kind] in values:
            return Reading(total, Status.IMPLAUSIBLE)
        if self._means.kind == "power":
            return Reading(total, Status.OK if total > 0 else Status.ZERO)
        self._restarted = any(now < before for now, before in zip(values, self._last, strict=True))
        self._last = values
        return Reading(math.nan, Status.FAILED) if self._restarted else Reading(total, Status.OK)

    def describe(self) -> SourceDescription:
        """What is read, of which GPUs. Raises PowerError before `open`."""
        if self._description is None:
            raise PowerError(f"{self._spec.place} has not been opened; call open() before describe().")
        return self._description

    def close(self) -> None:
        """Leave NVML. Harmless when not open."""
        nvml, self._nvml = self._nvml, None
        self._gpus, self._last = [], []
        if nvml is not None:
            _stop(nvml)

    def _describe(self, nvml: Any, means: _Means) -> SourceDescription:
        what = "energy counters" if means.kind == "energy" else "power"
        names = ", ".join(f"{gpu}{' with all its MIG instances' if _divided(nvml, gpu) else ''}" for gpu in self._gpus)
        averages = means.kind == "power" and any(_averages(nvml, gpu) for gpu in self._gpus)
        return SourceDescription(
            name="nvml",
            kind=means.kind,
            scope="GPU",
            origin="measured",
            detail=f"{what} of {names}, read in-band through NVML",
            step=STEP,
            averaging_s=AVERAGING_S if averages else None,
        )


def visible_gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that a job with this environment may use, by index or UUID as CUDA_VISIBLE_DEVICES names them.

    Without that variable they are all GPUs of the node; an entry that is neither, such as -1, ends the list, as it does
    for CUDA. Raises PowerError where indices are ambiguous: CUDA numbers GPUs of several models from the fastest on,
    NVML by their place on the bus, unless CUDA_DEVICE_ORDER is PCI_BUS_ID. Also where NVML is needed and not there.
    """
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return tuple(str(gpu.index) for gpu in _all_gpus())
    named: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        if not (entry.isdecimal() or entry.startswith((UUID_PREFIX, MIG_PREFIX))):
            break
        named.append(entry)
    if any(entry.isdecimal() for entry in named) and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        models = {gpu.name for gpu in _all_gpus()}
        if len(models) > 1:
            raise PowerError(
                f"CUDA_VISIBLE_DEVICES is '{text}' on a node with {', '.join(sorted(models))}, where CUDA may number "
                "the GPUs otherwise than NVML. Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name them by UUID (nvidia-smi -L)."
            )
    return tuple(named)


def _started() -> Any:
    """NVML's client, with NVML started. Raises PowerError with the remedy."""
    try:
        nvml: Any = import_module("pynvml")
    except ImportError:
        raise PowerError(
            "GPUs cannot be read: the Python package nvidia-ml-py is not installed. Install it, or choose another "
            "power.source."
        ) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_LibraryNotFound:
        raise PowerError(
            "GPUs cannot be read: there is no libnvidia-ml.so.1 on this node. It comes with NVIDIA's driver; in a "
            "container it has to be mounted (apptainer --nv, docker --gpus). Or choose another power.source."
        ) from None
    except nvml.NVMLError as error:
        raise PowerError(
            f"GPUs cannot be read: NVML does not start ({error}). See what nvidia-smi says on this node, or choose "
            "another power.source."
        ) from None
    return nvml


def _stop(nvml: Any) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return  # the driver has gone, and NVML with it


def _all_gpus() -> list[_Gpu]:
    nvml = _started()
    try:
        return _reachable(nvml)
    except nvml.NVMLError as error:
        raise PowerError(f"The GPUs of this node cannot be listed through NVML: {error}. See nvidia-smi -L.") from None
    finally:
        _stop(nvml)


def _reachable(nvml: Any) -> list[_Gpu]:
    """Every GPU that answers; one that is lost or another's is left out."""
    gpus = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            gpus.append(_gpu(nvml, index))
        except nvml.NVMLError:
            continue
    return gpus


def _gpu(nvml: Any, index: int) -> _Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return _Gpu(index, nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), handle)


def _chosen(nvml: Any, named: tuple[str, ...]) -> list[_Gpu]:
    """The GPUs named, each once. Raises PowerError for what names none, or several, and NVMLError."""
    if not named:
        raise PowerError("No GPU is named. Name at least one by index or UUID (nvidia-smi -L).")
    chosen: dict[str, _Gpu] = {}
    for entry in named:
        gpu = _named(nvml, entry)
        if gpu.uuid in chosen:
            raise PowerError(f"{gpu} is named twice, in '{', '.join(named)}', and would count twice. Name it once.")
        chosen[gpu.uuid] = gpu
    return list(chosen.values())


def _named(nvml: Any, entry: str) -> _Gpu:
    if entry.startswith(MIG_PREFIX):
        raise PowerError(
            f"'{entry}' is a MIG instance, and NVIDIA's driver meters only whole GPUs. Name the GPU that it is part of "
            "by its UUID (nvidia-smi -L) while no other job uses it, or choose another power.source."
        )
    if entry.isdecimal() and int(entry) < nvml.nvmlDeviceGetCount():
        return _gpu(nvml, int(entry))
    gpus = _reachable(nvml)
    found = [gpu for gpu in gpus if entry.startswith(UUID_PREFIX) and gpu.uuid.startswith(entry)]
    if len(found) == 1:
        return found[0]
    problem = "names several GPUs" if found else "names no GPU"
    there = ", ".join(str(gpu) for gpu in found or gpus) or "none"
    raise PowerError(f"'{entry}' {problem} of this node; there is {there}. Name each by index or whole UUID.")


def _means_for(nvml: Any, gpus: list[_Gpu]) -> tuple[_Means, list[int]]:
    """How all of the GPUs can be read, and their first values. Raises PowerError where there is no way, NVMLError."""
    energy = _Means("energy", nvml.nvmlDeviceGetTotalEnergyConsumption)
    power = _Means("power", nvml.nvmlDeviceGetPowerUsage)
    for means in (energy, power):
        try:
            return means, [means.read(gpu.handle) for gpu in gpus]
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            continue
    listed = ", ".join(str(gpu) for gpu in gpus)
    raise PowerError(f"Neither energy nor power can be read of all of {listed}. Choose another power.source.")


def _averages(nvml: Any, gpu: _Gpu) -> bool:
    try:
        architecture = nvml.nvmlDeviceGetArchitecture(gpu.handle)
    except nvml.NVMLError:
        return False
    return bool(nvml.NVML_DEVICE_ARCH_AMPERE <= architecture < nvml.NVML_DEVICE_ARCH_UNKNOWN)


def _divided(nvml: Any, gpu: _Gpu) -> bool:
    """Whether the GPU is divided into MIG instances."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(gpu.handle)[0])
    except nvml.NVMLError:
        return False
