"""Node power from a BMC through FreeIPMI's `ipmi-raw`, kept and fed on its standard input, by network or in-band.

User and password travel through a pipe that the program reads as its configuration file: they stand in no arguments, no
environment and no file. Where a BMC takes the privilege of the session's opening into its hashes, which FreeIPMI knows
as a fault of several, the login is tried once more with its workaround for that.
"""

import os
import time

from wattsweep.errors import PowerError
from wattsweep.power.sources.bmc import LinkError, Problem, by_suites
from wattsweep.power.sources.dcmi import RefusedError
from wattsweep.power.sources.kept import EndedError, KeptProcess, ProgramSource, clean_environment, find_program
from wattsweep.power.sources.specs import IpmiSpec

LOGIN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 2.0
SESSION_TIMEOUT_MS, RETRANSMISSION_TIMEOUT_MS = 2000, 500
NO_WORKAROUND, PRIVILEGE_WORKAROUND = "none", "opensesspriv"
GET_DEVICE_ID = (0x06, 0x01)
ANSWERED = "rcvd:"

WORKAROUND_WORDS = ("password invalid", "k_g invalid", "privilege level cannot be obtained")
CREDENTIAL_WORDS = ("password invalid", "username invalid", "k_g invalid", "password verification timeout")
SUITE_WORDS = ("bad rmcpplus status code", "internal IPMI error", "cipher suite")
SILENT_WORDS = ("connection timeout", "session timeout", "message timeout")


class FreeipmiSource(ProgramSource):
    """The power that a node's BMC reports, in W, through FreeIPMI.

    A read takes at most 2 s, after which it has failed and the program is replaced at a later one.
    """

    name = "freeipmi"
    open_timeout_s = LOGIN_TIMEOUT_S
    read_timeout_s = READ_TIMEOUT_S

    def __init__(self, spec: IpmiSpec) -> None:
        super().__init__(spec)
        self._suites = spec.cipher_suites
        self._workarounds: tuple[str, ...] = (NO_WORKAROUND, PRIVILEGE_WORKAROUND)

    def _connect(self, deadline_s: float | None) -> None:
        if self._spec.address is None:
            self._start(["-D", "OPENIPMI"], deadline_s)
            return

        def log_in(suite: int) -> None:
            for workaround in self._workarounds:
                try:
                    self._start(_network_arguments(self._spec, suite, workaround), deadline_s)
                except LinkError as error:
                    if workaround == self._workarounds[-1] or not any(word in str(error) for word in WORKAROUND_WORDS):
                        raise
                else:
                    self._workarounds = (workaround,)
                    return

        self._suites = (by_suites(self._spec, self._suites, log_in),)

    def _start(self, arguments: list[str], deadline_s: float | None) -> None:
        """Start the program and have it log in. Raises LinkError."""
        stdbuf = find_program("stdbuf", package="coreutils", source=self.name)
        program = find_program("ipmi-raw", package="freeipmi-tools", source=self.name)
        command = [stdbuf, "-oL", program, *arguments]
        if self._spec.address is None:
            self._process = KeptProcess(command, clean_environment())
        else:
            with _Configuration(self._spec) as configuration:
                command.append(f"--config-file=/dev/fd/{configuration}")
                self._process = KeptProcess(command, clean_environment(), pass_fds=[configuration])
        try:
            self._request(*GET_DEVICE_ID, (), deadline_s=deadline_s or time.monotonic() + self.open_timeout_s)
        except RefusedError:
            pass  # an answer all the same
        except LinkError:
            self._drop()
            raise

    def _request(self, netfn: int, command: int, data: tuple[int, ...], lun: int = 0, *, deadline_s: float) -> bytes:
        assert self._process is not None  # noqa: S101
        line = " ".join(f"{byte:02x}" for byte in (lun, netfn, command, *data))
        try:
            said = self._process.ask(line, "\n", deadline_s)
        except TimeoutError:
            raise LinkError("silent", "no answer") from None
        except EndedError as error:
            raise _link_error(str(error)) from None
        return parse_answer(said, command)


def parse_answer(said: str, command: int) -> bytes:
    """The data in what `ipmi-raw` says to a command.

    Raises RefusedError for a completion code other than 0, LinkError where there is no answer to this command.
    """
    if not said.startswith(ANSWERED):
        raise _link_error(said)
    answer = bytes.fromhex(said.removeprefix(ANSWERED))
    if len(answer) < 2 or answer[0] != command:
        raise LinkError("other", f"an answer to another command: {said.strip()}")
    if answer[1] != 0:
        raise RefusedError.of_code(answer[1])
    return answer[2:]


class _Configuration:
    """The read end of a pipe that holds a configuration file with user and password; closed at the end."""

    def __init__(self, spec: IpmiSpec) -> None:
        if any(character in spec.username + spec.password for character in "\n\r"):
            raise PowerError(
                f"The user name or the password for the BMC at {spec.place} holds a line break, which FreeIPMI cannot "
                "be told. Change it, or choose power.source ipmi or ipmitool."
            )
        text = f"username {_quoted(spec.username)}\npassword {_quoted(spec.password)}\n"
        self._reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)

    def __enter__(self) -> int:
        return self._reading

    def __exit__(self, *_: object) -> None:
        os.close(self._reading)


def _quoted(text: str) -> str:
    """As FreeIPMI reads it back: a # begins a comment inside quotes too, unless it is escaped."""
    return '"' + "".join(f"\\{character}" if character in '\\"#' else character for character in text) + '"'


def _network_arguments(spec: IpmiSpec, suite: int, workaround: str) -> list[str]:
    host = f"[{spec.address}]" if ":" in str(spec.address) else spec.address
    return [
        *("-D", "LAN_2_0", "-h", f"{host}:{spec.port}", "-I", str(suite), "-l", "USER", "-W", workaround),
        *(f"--session-timeout={SESSION_TIMEOUT_MS}", f"--retransmission-timeout={RETRANSMISSION_TIMEOUT_MS}"),
    ]


def _link_error(said: str) -> LinkError:
    words = "; ".join(line.strip().removeprefix("ipmi-raw: ") for line in said.splitlines() if line.strip())
    problem: Problem = "other"
    if any(word in words for word in CREDENTIAL_WORDS):
        problem = "credentials"
    elif any(word in words for word in SUITE_WORDS):
        problem = "suite"
    elif any(word in words for word in SILENT_WORDS):
        problem = "silent"
    return LinkError(problem, words or "ipmi-raw gives no reason")
