"""Helper processes: both ends of one that is fed a JSON line and ends with its parent.

`ChildProcess` is the parent's end: it starts `python -m MODULE`, writes the spec (with its secrets) to the child's
standard input, which stays open, and waits for one JSON line that says the child is ready or why it cannot be.
`Lifeline` is the child's end: closing that standard input, SIGTERM or the death of the parent orders it to stop.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from wattsweep.errors import PowerError

STOP_TIMEOUT_S = 5.0
SECRETS_IN_ENVIRONMENT = ("WATTSWEEP_BMC_USERNAME", "WATTSWEEP_BMC_PASSWORD")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ChildProcess:
    """The parent's end of a helper process. `name` stands in error messages."""

    def __init__(self, module: str, spec: Mapping[str, Any], *, name: str, timeout_s: float) -> None:
        self._module = module
        self._spec = spec
        self._name = name
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""

    def start(self) -> dict[str, Any]:
        """Start the child and return its first message.

        Raises PowerError with the child's own words when it reports an error, and when it ends or stays silent.
        """
        if self._process is not None:
            raise PowerError(f"{self._name} was started before; make a new one instead of starting it again.")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=child_environment(),
        )
        try:
            self._feed(self._process)
            message = self._first_message(self._process)
            if "error" in message:
                raise PowerError(message["error"])
        except BaseException:
            self.stop()
            raise
        return message

    def stop(self) -> None:
        """Order the child to stop and wait for its end. Does nothing when it has ended or never started."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        for order in (None, process.terminate, process.kill):
            if order is not None:
                order()
            try:
                process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                continue
        if process.stdout is not None:
            process.stdout.close()

    def messages(self) -> list[dict[str, Any]]:
        """What the child has said since its first message and was not fetched before; does not wait."""
        process = self._process
        if process is None or process.stdout is None or process.stdout.closed:
            return []
        voice = select.poll()
        voice.register(process.stdout, select.POLLIN)
        while voice.poll(0):
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            self._heard += piece
        *lines, self._heard = self._heard.split(b"\n")
        return [json.loads(line) for line in lines if line]

    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The child's process id, None before it was started."""
        return None if self._process is None else self._process.pid

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101
        line = json.dumps({**self._spec, "parent_pid": os.getpid()}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # the child has ended; reading its message says so
            process.stdin.write(line.encode())

    def _first_message(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101
        deadline = time.monotonic() + self._timeout_s
        voice = select.poll()  # not select(), which fails beyond 1024 open files
        voice.register(process.stdout, select.POLLIN)
        while b"\n" not in self._heard:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not voice.poll(1000 * remaining):
                raise PowerError(f"{self._name} was not ready within {self._timeout_s:g} s.")
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                code = process.wait()
                raise PowerError(
                    f"{self._name} ended with exit status {code} before it was ready; "
                    "what it wrote to standard error says why."
                )
            self._heard += piece
        line, self._heard = self._heard.split(b"\n", maxsplit=1)
        message: dict[str, Any] = json.loads(line)
        return message


def child_environment() -> dict[str, str]:
    """The environment of a helper process: this one's without secrets, and one thread for numerical libraries."""
    kept = {key: value for key, value in os.environ.items() if key not in SECRETS_IN_ENVIRONMENT}
    return {**kept, **ONE_THREAD}


class Lifeline:
    """The child's end: the spec it was fed, its one voice, and the order to stop.

    Taking it moves file descriptor 1 to standard error, so that a library that prints cannot garble the messages.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.spec: dict[str, Any] = json.loads(self._read_line())
        self._parent = self.spec.pop("parent_pid")
        signal.signal(signal.SIGTERM, lambda *_: self._stopped.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which stops us in order
        threading.Thread(target=self._watch_parent, name="lifeline", daemon=True).start()

    def say(self, **message: Any) -> None:
        """Send one JSON line to the parent; a parent that is gone does not hear it."""
        try:
            print(json.dumps(message), file=self._voice, flush=True)
        except BrokenPipeError:
            self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds` or until ordered to stop; whether to stop."""
        if os.getppid() != self._parent:
            self._stopped.set()
        return self._stopped.wait(max(0.0, seconds))

    @staticmethod
    def _read_line() -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(0, 65536)
            if not piece:
                raise SystemExit("standard input ended before the JSON line that says what to do")
            line += piece
        return line

    def _watch_parent(self) -> None:
        # os.read, because a thread blocked in a buffered read aborts the interpreter's shutdown
        while os.read(0, 4096):
            pass
        self._stopped.set()
