"""Node power from a BMC through pyghmi, by network (RMCP+) or in-band: DCMI Get Power Reading, else a sensor in watts.

The simulated BMC is read by this same code. Facts about pyghmi that shape it: credentials are given as bytes (after a
lost session a login with str ones fails); its own synchronous calls may sleep up to a second after a fast answer and
wait for half a minute for a dead BMC, so requests and logins have a callback and its event loop is turned here in short
steps, up to a deadline; a lost session is dropped and opened again; in-band it would wait for ever.

It knows cipher suites 17 (SHA-256) and 3 (SHA-1); others that the spec lists are passed over. It does not look whether
the BMC agreed to what was proposed: one that means another suite seems to refuse the password.
"""

import contextlib
import select
import struct
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.private.localsession import Session as LocalSession
from pyghmi.ipmi.private.session import Session

from wattsweep.errors import PowerError
from wattsweep.power.sources.bmc import BmcSource, LinkError, Problem, by_suites
from wattsweep.power.sources.dcmi import RefusedError
from wattsweep.power.sources.specs import IpmiSpec

USER_PRIVILEGE = 2
LOGIN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 4.5
ANSWER_TIMEOUT_S = 3.0
EVENT_LOOP_STEP_S = 0.02

CREDENTIAL_WORDS = ("password", "Unauthorized", "username")
SUITE_WORDS = ("algorithm", "Cipher suite", "integrity payload")
GARBLED = (struct.error, LookupError, ValueError, TypeError, AttributeError)
"""What pyghmi raises where a packet is cut short or means nothing."""
SILENT_WORDS = ("None", "timeout", "no answer", "Session no longer connected", "Session failed to initialize")


class SuiteSession(Session):
    """A session that proposes one cipher suite, where pyghmi's falls back from SHA-256 to SHA-1 by itself."""

    proposal: ClassVar[int]

    def _initsession(self) -> None:
        super()._initsession()
        self.attemptedhash = self.proposal


class Sha256Session(SuiteSession):
    """Cipher suite 17."""

    proposal = 17  # pyghmi proposes SHA-256 for all but 1, and falls back where it is 256


class Sha1Session(SuiteSession):
    """Cipher suite 3."""

    proposal = 1


SESSIONS: dict[int, type[SuiteSession]] = {17: Sha256Session, 3: Sha1Session}


class IpmiSource(BmcSource):
    """The power that a node's BMC reports, in W, through pyghmi.

    A read takes at most 5 s, a login included, but for the time that the name service may take.
    """

    name = "ipmi"
    open_timeout_s = LOGIN_TIMEOUT_S
    read_timeout_s = READ_TIMEOUT_S

    def __init__(self, spec: IpmiSpec) -> None:
        super().__init__(spec)
        self._suites: Sequence[int] = [suite for suite in spec.cipher_suites if suite in SESSIONS]
        self._session: Any = None
        self._command: Any = None

    def close(self) -> None:
        """Log out. Harmless when not open. A later `read` logs in again and reads by the same means as before."""
        session, self._session = self._session, None
        command, self._command = self._command, None
        with contextlib.suppress(Exception):  # the session is given up either way
            if session is not None:
                session.logout()
            if command is not None:
                command.ipmi_session.ipmidev.close()

    def _drop(self) -> None:
        self.close()  # pyghmi does not wait for the answer to a logout

    def _connected(self) -> bool:
        return self._session is not None or self._command is not None

    def _connect(self, deadline_s: float | None) -> None:
        if self._spec.address is None:
            self._command = Command()
            return
        if not self._suites:
            raise PowerError(
                f"power.ipmi.cipher_suites is {', '.join(map(str, self._spec.cipher_suites))}, but power.source ipmi "
                "knows 17 and 3 only. Add one of them, or choose power.source ipmitool or freeipmi."
            )

        def log_in(suite: int) -> None:
            self._session = _log_in(self._spec, SESSIONS[suite], deadline_s or time.monotonic() + self.open_timeout_s)

        self._suites = [by_suites(self._spec, self._suites, log_in)]

    def _request(self, netfn: int, command: int, data: tuple[int, ...], lun: int = 0, *, deadline_s: float) -> bytes:
        if self._spec.address is None:
            answer = self._command.raw_command(netfn=netfn, command=command, data=data, rslun=lun)
        else:
            answer = _exchange(self._session, deadline_s, netfn=netfn, command=command, data=data, rslun=lun)
        code = answer.get("code", 0xFFFF)
        if code == 0:
            return bytes(answer["data"])
        if code <= 0xFF:
            raise RefusedError.of_code(code)
        raise _link_error(answer.get("error", "no answer"))


def _log_in(spec: IpmiSpec, kind: type[SuiteSession], deadline_s: float) -> Any:
    """An established session. Raises LinkError."""
    outcome: list[dict[str, Any]] = []
    session = None
    try:
        session = kind(
            bmc=spec.address,
            userid=spec.username.encode(),
            password=spec.password.encode(),
            port=spec.port,
            onlogon=outcome.append,
            privlevel=USER_PRIVILEGE,
        )
        while not outcome and time.monotonic() < deadline_s:
            Session.wait_for_rsp(timeout=EVENT_LOOP_STEP_S)
    except (IpmiException, OSError) as error:
        raise _link_error(str(error)) from None
    except GARBLED as error:
        if session is not None:
            session.logout(False)
        raise _garbled(error) from None
    if not outcome:
        session.logout(False)  # it would be taken for the next login's otherwise
        raise LinkError("silent", "no answer")
    if "error" in outcome[0]:
        raise _link_error(str(outcome[0]["error"]))
    return session


def _exchange(session: Any, deadline_s: float, **request: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    deadline_s = min(deadline_s, time.monotonic() + ANSWER_TIMEOUT_S)
    try:
        session.raw_command(callback=answers.append, **request)
        while not answers:
            if session.broken or time.monotonic() > deadline_s:
                raise LinkError("silent", "no answer")
            Session.wait_for_rsp(timeout=EVENT_LOOP_STEP_S)
    except (IpmiException, OSError) as error:
        raise _link_error(str(error)) from None
    except GARBLED as error:
        raise _garbled(error) from None
    finally:
        # the client leaves it to callers with a callback to free the session for the next command
        session.incommand = False
        while session.evq:
            session.evq.popleft().set()
    return answers[0]


def _garbled(error: Exception) -> LinkError:
    return LinkError("other", f"it sent what is no answer of IPMI ({type(error).__name__})")


def _link_error(words: str) -> LinkError:
    problem: Problem = "other"
    if any(word in words for word in CREDENTIAL_WORDS):
        problem = "credentials"
    elif words in SILENT_WORDS:
        problem = "silent"
    elif any(word in words for word in SUITE_WORDS):
        problem = "suite"
    return LinkError(problem, words)


def _await_reply(self: Any) -> None:
    ready, _, _ = select.select((self.ipmidev,), (), (), ANSWER_TIMEOUT_S)
    if not ready:
        raise TimeoutError(f"no answer within {ANSWER_TIMEOUT_S:g} s")


LocalSession.await_reply = _await_reply  # pyghmi's own waits for ever
