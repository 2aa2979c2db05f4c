"""Node power from a BMC through a kept `ipmitool shell`, by network (RMCP+) or in-band.

The password travels in the program's environment, never in its arguments. The program is asked with raw commands, so
that completion codes are seen and DCMI and sensors mean the same as with the other clients.
"""

import re
import time

from wattsweep.power.sources.bmc import LinkError, Problem, by_suites
from wattsweep.power.sources.dcmi import RefusedError
from wattsweep.power.sources.kept import EndedError, KeptProcess, ProgramSource, clean_environment, find_program
from wattsweep.power.sources.specs import IpmiSpec

LOGIN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 2.0
PROMPT = "ipmitool> "

CREDENTIAL_WORDS = ("HMAC is invalid", "unauthorized name", "unauthorized role", "invalid integrity check")
SUITE_WORDS = ("open session response", "cipher suite")
SILENT_WORDS = ("Get Auth Capabilities error",)
CHATTER = ("Loading IANA", "Error: Unable to establish")
COMPLETION_CODE = re.compile(r"rsp=0x([0-9a-f]{2})\b")
ANSWER = re.compile(r"^RAW RSP \((\d+) bytes\)$((?:\n(?: [0-9a-f]{2})*)*)", re.MULTILINE)


class IpmitoolSource(ProgramSource):
    """The power that a node's BMC reports, in W, through ipmitool.

    A read takes at most 2 s, after which it has failed and the program is replaced at a later one.
    """

    name = "ipmitool"
    open_timeout_s = LOGIN_TIMEOUT_S
    read_timeout_s = READ_TIMEOUT_S
    farewell = "exit\n"

    def __init__(self, spec: IpmiSpec) -> None:
        super().__init__(spec)
        self._suites = spec.cipher_suites
        self._lun = 0

    def _connect(self, deadline_s: float | None) -> None:
        if self._spec.address is None:
            self._start(["-I", "open"], deadline_s)
            return

        def log_in(suite: int) -> None:
            self._start(_network_arguments(self._spec, suite), deadline_s)

        self._suites = (by_suites(self._spec, self._suites, log_in),)

    def _start(self, arguments: list[str], deadline_s: float | None) -> None:
        """Start the program and wait for its first prompt, which comes when it has logged in. Raises LinkError."""
        stdbuf = find_program("stdbuf", package="coreutils", source=self.name)
        program = find_program("ipmitool", package="ipmitool", source=self.name)
        # -v, because without it a wrong password and a silent BMC have the same words
        command = [stdbuf, "-oL", program, "-v", "-l", str(self._lun), *arguments, "shell"]
        environment = clean_environment(IPMI_PASSWORD=self._spec.password)
        self._process = KeptProcess(command, environment)
        try:
            self._process.ask(None, PROMPT, deadline_s or time.monotonic() + self.open_timeout_s)
        except (EndedError, TimeoutError) as error:
            self._drop()
            raise _link_error(str(error), silent=isinstance(error, TimeoutError)) from None

    def _request(self, netfn: int, command: int, data: tuple[int, ...], lun: int = 0, *, deadline_s: float) -> bytes:
        if lun != self._lun:
            # the shell has its LUN from its arguments
            self.close()
            self._lun = lun
            self._connect(deadline_s)
        assert self._process is not None  # noqa: S101
        line = " ".join(["raw", *(f"0x{byte:02x}" for byte in (netfn, command, *data))])
        try:
            said = self._process.ask(line, PROMPT, deadline_s)
        except TimeoutError:
            raise LinkError("silent", "no answer") from None
        except EndedError as error:
            raise _link_error(str(error)) from None
        return parse_answer(said)


def parse_answer(said: str) -> bytes:
    """The data in what `ipmitool -v` says to a raw command.

    Raises RefusedError for a completion code other than 0, LinkError where there is no answer.
    """
    refusal = COMPLETION_CODE.search(said)
    if refusal is not None:
        raise RefusedError.of_code(int(refusal[1], 16))
    answer = ANSWER.search(said)
    data = b"" if answer is None else bytes.fromhex(answer[2])
    if answer is None or len(data) != int(answer[1]):
        raise _link_error(said, silent=True)
    return data


def _network_arguments(spec: IpmiSpec, suite: int) -> list[str]:
    # -N 1 -R 2: a lost packet is sent again after a second, once
    access = ["-I", "lanplus", "-C", str(suite), "-L", "USER", "-N", "1", "-R", "2"]
    return [*access, "-H", str(spec.address), "-p", str(spec.port), "-U", spec.username, "-E"]


def _link_error(said: str, *, silent: bool = False) -> LinkError:
    """The error in what the program said; `silent` is what it is where that tells nothing."""
    lines = [line.strip("> \t") for line in said.splitlines()]
    words = "; ".join(line for line in lines if line and not line.startswith(CHATTER))
    problem: Problem = "silent" if silent else "other"
    if any(word in said for word in CREDENTIAL_WORDS):
        problem = "credentials"
    elif any(word in said for word in SUITE_WORDS):
        problem = "suite"
    elif any(word in said for word in SILENT_WORDS):
        problem = "silent"
    return LinkError(problem, words or "ipmitool gives no reason")
