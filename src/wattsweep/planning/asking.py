"""How much wall time a shard's job asks for."""

import math

STOP_S = 120
"""So long before its time limit Slurm tells a shard to stop, so that its run keeps what it has come to."""
SIGNAL_EARLY_S = 60
"""Slurm may send a signal by so much earlier."""
LEAST_MIN = 5


def asked_minutes(seconds: float, attempt: int, most_s: float | None) -> int:
    """Minutes to ask for where a shard is to take `seconds`, margin included; more on each retry, `most_s` at most.

    The time to stop in order is added. Without `most_s` there is no limit.
    """
    minutes = max(LEAST_MIN, math.ceil((seconds * attempt + STOP_S + SIGNAL_EARLY_S) / 60))
    return minutes if most_s is None else min(minutes, math.floor(most_s / 60))
