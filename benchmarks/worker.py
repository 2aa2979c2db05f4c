"""One process per contender, which works only when it is asked; the others sleep meanwhile."""

import multiprocessing
import os
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, read
from benchmarks.ceilings import ceilings
from benchmarks.loops import CONTENDERS, Contender, UnavailableError, make


class Worker:
    """A contender's process: open a case (and take a first turn that does not count), take turns, close
    the case. Raises UnavailableError for what it cannot do.
    """

    def __init__(self, name: str, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=work, args=(other, name, folder), daemon=True)
        self._process.start()
        other.close()

    def ask(self, *request: Any) -> Any:
        """The answer to a request."""
        try:
            self._pipe.send(request)
            kind, answer = self._pipe.recv()
        except (EOFError, BrokenPipeError):
            raise UnavailableError("its process ended (out of memory?)") from None
        if kind == "unavailable":
            raise UnavailableError(answer)
        if kind == "failed":
            raise RuntimeError(answer)
        return answer

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def work(pipe: Connection, name: str, folder: Path) -> None:
    """Answer requests until the pipe is closed. The process has the affinity of the one that started it."""
    if name not in CONTENDERS or CONTENDERS[name].tensorflow:
        from wattsweep.training import configure

        configure(threads=1, hardware="cpu")
    contender: Contender | None = None
    while True:
        try:
            kind, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            if kind == "open":
                contender = None
                contender = opened(name, folder, *arguments)
                answer: Any = contender.turn(0)
            elif kind == "turn":
                assert contender is not None
                answer = contender.turn(*arguments)
            elif kind == "free turn":
                assert contender is not None
                answer = free_turn(contender, *arguments)
            elif kind == "ceilings":
                answer = ceilings(*arguments)
            else:
                contender = answer = None
        except UnavailableError as reason:
            pipe.send(("unavailable", str(reason)))
        except Exception:  # noqa: BLE001
            pipe.send(("failed", traceback.format_exc()))
        else:
            pipe.send(("done", answer))


def free_turn(contender: Contender, seed: int) -> Any:
    """A turn in which threads that it starts may use the other cores too, as in a shard that has its node."""
    held = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        return contender.turn(seed)
    finally:
        os.sched_setaffinity(0, held)


def opened(name: str, folder: Path, case: Case, epochs: int) -> Contender:
    """The contender for a case, `epochs` a turn."""
    split = read(case, folder)
    return make(name, case.plan(len(split.train_x), len(split.test_x), epochs), split)
