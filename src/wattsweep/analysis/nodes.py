"""Which hardware profile an experiment's terms are made with."""

from collections.abc import Mapping, Sequence

import pandas as pd

from wattsweep.hardware import HardwareProfile, cpu_model, profile
from wattsweep.hardware.profiles import SHIPPED

Threads = Mapping[tuple[str, str], int]
"""CPU threads by (device, CPU model), as the tables name them."""


def threads_of(runs: pd.DataFrame) -> Threads:
    """The CPU threads that most runs of each (device, CPU model) had; those whose runs do not tell are left out."""
    known = runs[["device", "cpu_model", "threads"]].assign(threads=pd.to_numeric(runs["threads"], errors="coerce"))
    known = known[known["threads"] >= 1].fillna("")
    most = known.groupby(["device", "cpu_model"])["threads"].agg(lambda values: int(values.mode().iloc[0]))
    keys = most.index.to_frame(index=False).astype(str)
    return {(device, model): int(n) for device, model, n in zip(keys["device"], keys["cpu_model"], most, strict=True)}


def hardware_of(device: str, model: str, chosen: Sequence[str], threads: Threads) -> tuple[HardwareProfile, bool]:
    """The profile of what trained, with the caches that its threads could use, and whether it is assumed.

    The first of `chosen` (names or paths, `analysis.hardware`) and of the shipped profiles that describes the device or
    the CPU; else this node's, which is assumed where this is another CPU. A chosen profile that describes neither is
    used only where nothing else does, ahead of this node's. Raises HardwareError for a profile that is not valid.
    """
    profiles = [profile(name) for name in chosen]
    found = next((one for one in (*profiles, *map(profile, SHIPPED)) if one.describes(device, model)), None)
    assumed = found is None
    if found is None:
        kind = "cpu" if device in ("cpu", "") else "gpu"
        found = next((one for one in profiles if one.kind == kind), None)
    if found is None:
        found = profile("this-cpu")
        assumed = device not in ("cpu", "") or model != cpu_model()
    workers = threads.get((device, model))
    return (found.on(workers) if workers and found.kind == "cpu" else found), assumed
