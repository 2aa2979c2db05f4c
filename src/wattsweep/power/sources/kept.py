"""Programs that are started once and asked again and again, line by line, on their standard input.

`KeptProcess` is such a program, `ProgramSource` a source of power that has one. It never outlives its owner: a shell of
a few hundred kilobytes waits at its side and kills it when the owner is gone, however that came about, for
`ipmitool shell` spins at full speed once its input has ended.
"""

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from wattsweep.errors import PowerError
from wattsweep.power.credentials import PASSWORD_VARIABLE, USERNAME_VARIABLE
from wattsweep.power.sources.bmc import BmcSource
from wattsweep.power.sources.specs import IpmiSpec

SECRETS = (USERNAME_VARIABLE, PASSWORD_VARIABLE, "IPMI_PASSWORD", "IPMITOOL_PASSWORD")
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
KILL_WHEN_ORPHANED = 'read -r line; kill -KILL "$1"'
FAREWELL_S = 1.0


class EndedError(Exception):
    """The program has ended; the text is what it said last."""


def find_program(name: str, *, package: str, source: str) -> str:
    """The path of a program that a power source needs. Raises PowerError that says how to install it."""
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
    path = shutil.which(name, path=folders)
    if path is None:
        raise PowerError(
            f"The power source {source} needs the program {name}, which is not in any of {folders}. Install it (Debian "
            f"and Ubuntu: apt install {package}), or choose power.source ipmi, which needs no program."
        )
    return path


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without BMC credentials and with `more`; programs then speak the words that are looked for."""
    kept = {key: value for key, value in os.environ.items() if key not in SECRETS}
    return {**kept, "LC_ALL": "C", **more}


class KeptProcess:
    """A running program that answers lines. What it writes to its standard error is part of its answers."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()) -> None:
        """Start it. Raises OSError where that fails.

        In a session of its own, so that Ctrl-C reaches its owner alone.
        """
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=environment,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", KILL_WHEN_ORPHANED, "sh", str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=clean_environment(),
                start_new_session=True,
            )
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def ask(self, line: str | None, end: str, deadline_s: float) -> str:
        """Write `line` (nothing where it is None) and return what it says up to and with `end`.

        Raises TimeoutError where that is not there by `deadline_s` on the monotonic clock, EndedError where the program
        ends instead.
        """
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        if line is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended; reading what it said tells
                self._process.stdin.write(line.encode("ascii") + b"\n")
        voice = select.poll()  # not select(), which fails beyond 1024 open files
        voice.register(self._process.stdout, select.POLLIN)
        heard = b""
        while not heard.endswith(end.encode("ascii")):
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not voice.poll(1000 * remaining_s):
                raise TimeoutError(heard.decode("utf-8", "replace"))
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                raise EndedError(heard.decode("utf-8", "replace"))
            heard += piece
        return heard.decode("utf-8", "replace")

    def end(self, farewell: str = "") -> None:
        """Say farewell, close its input, and kill it where it has not ended within a second."""
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._process.stdin.write(farewell.encode("ascii"))
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL_S)
        self.kill()

    def kill(self) -> None:
        """End it at once. Harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        self._guard.kill()
        self._guard.wait()
        for stream in (self._process.stdin, self._process.stdout, self._guard.stdin):
            if stream is not None:
                stream.close()


class ProgramSource(BmcSource):
    """The power that a node's BMC reports, in W, through a program that is kept running."""

    farewell: ClassVar[str] = ""
    """What makes the program log out and end, beside the end of its input."""

    def __init__(self, spec: IpmiSpec) -> None:
        super().__init__(spec)
        self._process: KeptProcess | None = None

    @property
    def pid(self) -> int | None:
        """The id of the program's process, None where none runs."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Log out and end the program. Harmless when not open. A later `read` starts it again."""
        process, self._process = self._process, None
        if process is not None:
            process.end(self.farewell)

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _connected(self) -> bool:
        return self._process is not None
