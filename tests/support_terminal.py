"""Runs a command as a person does: its standard input and error are a terminal, its standard output is kept apart."""

import os
import pty
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Session:
    """How a command ended, what it wrote to standard output, and what the terminal showed."""

    status: int
    stdout: str
    screen: str


def in_terminal(
    command: Sequence[str], *, typed: str = "", environment: Mapping[str, str] = MappingProxyType({})
) -> Session:
    """Run a command to its end; `typed` is what is typed meanwhile."""
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    controller, terminal = pty.openpty()
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen(
            command, stdin=terminal, stdout=kept, stderr=terminal, env=variables, start_new_session=True
        )
        os.close(terminal)
        os.write(controller, typed.encode())
        screen = b"".join(iter(lambda: _read(controller), b""))
        status = process.wait(timeout=60)
        os.close(controller)
        kept.seek(0)
        return Session(status, kept.read().decode(), screen.decode(errors="replace"))


def _read(controller: int) -> bytes:
    """What came next; nothing where the command has closed the terminal, which Linux tells as an error."""
    try:
        return os.read(controller, 65536)
    except OSError:
        return b""
