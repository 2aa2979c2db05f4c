"""Packs experiments into shards by predicted wall time, so that an edit of the grid changes only the shards it touches.

Experiments are put in a fixed order and the list is cut after experiments whose own id says so, with a probability in
proportion to their time. A cut depends on one experiment alone, so adding or removing another moves no other cut.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

LONGEST_SHARD = 2.0
"""A shard is cut at this many times the wall time it is filled to (in rounded times), wherever chance cuts next."""
ID_DIGITS = 12

T = TypeVar("T")


def pack(
    items: Sequence[T], *, item_id: Callable[[T], str], item_s: Callable[[T], float], shard_s: float
) -> list[list[T]]:
    """Consecutive items in groups of about `shard_s` predicted seconds; an item longer than that ends its group.

    Times are rounded to powers of two first, so that slightly better predictions move few cuts.
    """
    return list(_groups(items, item_id, item_s, shard_s))


def shard_id(item_ids: Sequence[str]) -> str:
    """The first 48 bits of the SHA-256 of the shard's item ids, in hexadecimal: a shard is its content."""
    return hashlib.sha256("/".join(item_ids).encode()).hexdigest()[:ID_DIGITS]


def _groups(
    items: Sequence[T], item_id: Callable[[T], str], item_s: Callable[[T], float], shard_s: float
) -> Iterator[list[T]]:
    group: list[T] = []
    filled_s = 0.0
    for item in items:
        seconds = _rounded(item_s(item))
        if group and filled_s + seconds > LONGEST_SHARD * shard_s:
            yield group
            group, filled_s = [], 0.0
        group.append(item)
        filled_s += seconds
        if _chance(item_id(item)) < seconds / shard_s:
            yield group
            group, filled_s = [], 0.0
    if group:
        yield group


def _chance(item: str) -> float:
    """A number in [0, 1) that an id stands for."""
    return int.from_bytes(hashlib.sha256(f"cut/{item}".encode()).digest()[:6]) / 256.0**6


def _rounded(seconds: float) -> float:
    return float(2 ** round(math.log2(seconds)))
