"""Inputs that nobody would write, made from good ones by a seeded generator, and limits on what each may take."""

import os
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

TRIES = int(os.environ.get("WATTSWEEP_FUZZ", "400"))
"""Inputs of each kind; docs/reliability.md says how many were tried for a release."""
LIMIT_S = 10.0
LIMIT_KB = 200_000

WORDS = (
    "",
    " ",
    "wine",
    "a" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "$(touch hacked)",
    "`id`",
    "; rm x",
    "\x00",
    "\ud83d",
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 1e308, 1e-320, float("inf"), float("-inf"), float("nan"))
LENGTHS = ("1 s", "-1 s", "1e999 s", "0 ms", "5 parsecs", "1 TiB", "100 %", "1e5 kW")
NESTED: tuple[Any, ...] = (
    [],
    [[]],
    {},
    {"a": 1},
    [None],
    {"powers_of_two": [5, 70]},
    {"powers_of_two": [0, 10**9]},
    [1] * 2000,
)
VALUES: tuple[Any, ...] = (None, True, False, *WORDS, *NUMBERS, *LENGTHS, *NESTED)


class TookTooLongError(AssertionError):
    """An input was worked on for longer than `LIMIT_S`."""


class TookTooMuchError(AssertionError):
    """An input was worked on with more than `LIMIT_KB` of memory beside what was there."""


def largest_kb() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def limited(seconds: float = LIMIT_S) -> Iterator[None]:
    """Raise TookTooLongError in the context after so many seconds, TookTooMuchError after it where memory grew."""

    def stop(_signal: int, _frame: object) -> None:
        raise TookTooLongError(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    begun_kb = largest_kb()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if largest_kb() - begun_kb > LIMIT_KB:
            raise TookTooMuchError(f"more than {LIMIT_KB:,} kB")


def changed_document(document: Any, rng: random.Random) -> Any:
    """The document with one to three of its values or keys replaced, removed, doubled or moved."""
    found = deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(found))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        what = rng.randrange(5)
        if what == 0:
            holder[key] = deepcopy(rng.choice(VALUES))
        elif what == 1:
            del holder[key]
        elif what == 2:
            holder[key] = [holder[key], deepcopy(rng.choice(VALUES))]
        elif what == 3 and isinstance(holder, dict):
            holder[rng.choice([*WORDS, 7, None, f"{key}x"])] = holder.pop(key)
        else:
            other, name = rng.choice(places)
            holder[key] = deepcopy(
                other.get(name) if isinstance(other, dict) else (other[name] if name < len(other) else None)
            )
    return found


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """The bytes with up to eight changes: bits turned, stretches cut, doubled or overwritten."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if not found:
            break
        at = rng.randrange(len(found))
        length = min(len(found) - at, rng.choice((1, 1, 2, 4, 16, 200)))
        what = rng.randrange(6)
        if what == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del found[at : at + length]
        elif what == 2:
            found[at:at] = found[at : at + length]
        elif what == 3:
            found[at : at + length] = rng.randbytes(length)
        elif what == 4:
            found[at:at] = rng.choice(
                (b"[", b"{", b": ", b"&a ", b"*a", b"!!python/object:os.system ", b"\t", b"\x00", b"\xff", b"- ")
            )
        else:
            del found[at:]
    return bytes(found)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _places(inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value[:50]):
            yield value, place
            yield from _places(inner)
