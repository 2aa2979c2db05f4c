"""A BMC that errs on order, in a process of its own: `python -m tests.power.faulty_bmc`, started by `FaultyBmc`.

It stands for a node whose watts at every moment are a known `Waveform`, so the energy of any window is known exactly.
What it shows instead, and when, stands in a control file of `Orders` that is replaced by rename and read again at each
request. It keeps a log, one JSON line for each `Answer`. Times are on the monotonic clock, which processes share.
"""

import heapq
import itertools
import json
import math
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pyghmi.ipmi.private import session as ipmi_session

from wattsweep.errors import PowerError
from wattsweep.power.child import Lifeline
from wattsweep.simulation.bmc import EVENT_LOOP_STEP_S, SimulatedServer
from wattsweep.simulation.meter import Meter, MeterState

Kind = Literal["true", "zero", "sentinel", "jump", "inactive", "frozen", "slow", "silent"]

SENTINEL_W, JUMP_W = 0xFFFF, 30_000
HIGHEST_W = 1000.0
ACTIVE_BIT = 0x40
WINDOW_MS = 60_000
OF_THE_REPLY = ("seqlun", "clientaddr", "clientnetfn", "rqlun", "clientcommand")
"""What a session needs to know of a request to answer it after it has heard others."""


@dataclass(frozen=True)
class Pulse:
    """Watts that the node draws beyond its level from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    watts: float


@dataclass(frozen=True)
class Waveform:
    """What the node draws: a level and pulses on top of it."""

    level_w: float
    pulses: tuple[Pulse, ...] = ()

    def watts(self, time_s: float) -> float:
        return self.level_w + sum(pulse.watts for pulse in self.pulses if pulse.start_s <= time_s < pulse.end_s)

    def joules(self, start_s: float, end_s: float) -> float:
        """The integral of the watts from `start_s` to `end_s`."""
        overlaps = [(min(end_s, pulse.end_s) - max(start_s, pulse.start_s), pulse.watts) for pulse in self.pulses]
        return self.level_w * (end_s - start_s) + sum(max(0.0, seconds) * watts for seconds, watts in overlaps)


@dataclass(frozen=True)
class Fault:
    """What is wrong from `start_s` to `end_s`, or with so many `answers` from then on."""

    kind: Kind
    start_s: float
    end_s: float = math.inf
    answers: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class Orders:
    """The content of the control file."""

    waveform: Waveform
    faults: tuple[Fault, ...] = ()

    def write(self, path: Path) -> None:
        """Replace the file."""
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self)), encoding="ascii")
        temporary.rename(path)

    @classmethod
    def read(cls, path: Path) -> "Orders":
        data = json.loads(path.read_text(encoding="ascii"))
        pulses = tuple(Pulse(**pulse) for pulse in data["waveform"]["pulses"])
        faults = tuple(Fault(**fault) for fault in data["faults"])
        return cls(Waveform(data["waveform"]["level_w"], pulses), faults)


@dataclass(frozen=True)
class Answer:
    """One power reading as the BMC gave it (before any delay), or one request to open a session ("open")."""

    time_s: float
    kind: Kind | Literal["open", "sensor"]
    watts: float = math.nan


@dataclass(order=True)
class _Late:
    """An answer to send at `due_s`."""

    due_s: float
    number: int
    session: Any = field(compare=False)
    reply: dict[str, Any] = field(compare=False)
    content: tuple[int, bytes] = field(compare=False)


class TrueMeter(Meter):
    """Shows the waveform at the moment of reading, in whole watts; stands still while `frozen` is true."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._shown: MeterState | None = None
        self.frozen = False

    @property
    def state(self) -> MeterState:
        if self._shown is None or not self.frozen:
            watts = round(Orders.read(self._control).waveform.watts(time.monotonic()))
            self._shown = MeterState(watts, watts, watts, watts, int(time.time()), WINDOW_MS)
        return self._shown


class FaultyServer(SimulatedServer):
    """The simulated BMC, with faults as the control file orders them."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._control, self._log = Path(spec["control"]), Path(spec["log"])
        self._given: dict[Fault, int] = {}
        self._late: list[_Late] = []
        self._numbers = itertools.count()
        self._shown = TrueMeter(self._control)
        users = {spec["username"]: spec["password"]}
        super().__init__(self._shown, HIGHEST_W, users=users, port=spec["port"], dcmi=True)

    def fault(self) -> Fault | None:
        """What is wrong now."""
        now_s = time.monotonic()
        for fault in Orders.read(self._control).faults:
            spent = fault.answers is not None and self._given.get(fault, 0) >= fault.answers
            if fault.start_s <= now_s < fault.end_s and not spent:
                return fault
        return None

    def sessionless_data(self, data: bytes, sockaddr: Any) -> None:
        self._note(Answer(time.monotonic(), "open"))
        super().sessionless_data(data, sockaddr)

    def handle_raw_request(self, request: dict[str, Any], session: Any) -> None:
        fault = self.fault()
        answer = self._answers.get((request["netfn"], request["command"]))
        content = (0xC1, b"") if answer is None else answer(bytes(request["data"]))
        if fault is None or fault.kind != "slow":
            session.send_ipmi_response(code=content[0], data=content[1])
            return
        reply = {name: getattr(session, name) for name in OF_THE_REPLY}
        due_s = time.monotonic() + fault.delay_s
        heapq.heappush(self._late, _Late(due_s, next(self._numbers), session, reply, content))

    def send_what_is_due(self) -> None:
        """Send the answers whose delay is over."""
        while self._late and self._late[0].due_s <= time.monotonic():
            late = heapq.heappop(self._late)
            for name, value in late.reply.items():
                setattr(late.session, name, value)
            late.session.send_ipmi_response(code=late.content[0], data=late.content[1])

    @staticmethod
    def drop_what_came() -> None:
        """Forget every packet that waits to be handled."""
        while ipmi_session.sessionqueue:
            ipmi_session.sessionqueue.popleft().pktqueue.clear()

    def _power_reading(self, data: bytes) -> tuple[int, bytes]:
        fault = self.fault()
        kind: Kind = "true" if fault is None else fault.kind
        if fault is not None:
            self._given[fault] = self._given.get(fault, 0) + 1
        self._shown.frozen = kind == "frozen"
        code, whole = super()._power_reading(data)
        answer = bytearray(whole)
        wrong_w = {"zero": 0, "sentinel": SENTINEL_W, "jump": JUMP_W}.get(kind)
        if wrong_w is not None:
            answer[1:3] = wrong_w.to_bytes(2, "little")
        if kind == "inactive":
            answer[-1] &= ~ACTIVE_BIT
        self._note(Answer(time.monotonic(), kind, int.from_bytes(answer[1:3], "little")))
        return code, bytes(answer)

    def _sensor_reading(self, data: bytes) -> tuple[int, bytes]:
        self._note(Answer(time.monotonic(), "sensor"))
        return super()._sensor_reading(data)

    def _note(self, answer: Answer) -> None:
        with self._log.open("a", encoding="ascii") as log:
            log.write(json.dumps(asdict(answer)) + "\n")


def serve(lifeline: Lifeline) -> None:
    """Serve until ordered to stop."""
    try:
        server = FaultyServer(lifeline.spec)
    except OSError as error:
        raise PowerError(f"The faulty BMC cannot listen on port {lifeline.spec['port']}: {error.strerror}.") from None
    lifeline.say(port=server.port)
    while not lifeline.wait(0.0):
        server.send_what_is_due()
        fault = server.fault()
        if fault is not None and fault.kind == "silent":
            lifeline.wait(EVENT_LOOP_STEP_S)
            server.drop_what_came()
            continue
        try:
            ipmi_session.Session.wait_for_rsp(EVENT_LOOP_STEP_S)
        except Exception:  # noqa: BLE001 - as in the simulated BMC: whatever a packet does to the server class
            traceback.print_exc()


def main() -> None:
    lifeline = Lifeline()
    try:
        serve(lifeline)
    except PowerError as error:
        lifeline.say(error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
