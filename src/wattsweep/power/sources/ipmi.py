"""Node power from a BMC over IPMI, by network (RMCP+) or in-band: DCMI Get Power Reading, else a sensor in watts.

Only commands that read are sent, in a session with USER privilege. The simulated BMC is read by this same code.
Facts about the client, pyghmi, that shape it: credentials are given as bytes (after a lost session a login with str
ones fails); its own synchronous calls may sleep up to a second after a fast answer, so requests are sent with a
callback and its event loop is turned here in short steps; a lost session is dropped and opened again.
"""

import contextlib
import math
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.private.session import Session

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.sources.specs import IpmiSpec
from wattsweep.power.trace import Status

USER_PRIVILEGE = 2
ANSWER_TIMEOUT_S = 5.0
EVENT_LOOP_STEP_S = 0.02

DCMI_NETFN, DCMI_GET_POWER_READING, DCMI_GROUP = 0x2C, 0x02, 0xDC
DCMI_SYSTEM_POWER = (DCMI_GROUP, 0x01, 0x00, 0x00)
DCMI_LAYOUT = struct.Struct("<BHHHHIIB")
DCMI_ACTIVE = 0x40
DCMI_STEP_W = 1.0
SENTINEL_W = 0xFFFF

SENSOR_NETFN, GET_SENSOR_READING = 0x04, 0x2D


class RefusedError(Exception):
    """The BMC answered with a completion code other than 0; the session is sound."""


@dataclass(frozen=True)
class _Means:
    """A way to read power that this BMC has."""

    detail: str
    step: float | None
    read: Callable[[], Reading]


class IpmiSource:
    """The power that a node's BMC reports, in W."""

    def __init__(self, spec: IpmiSpec) -> None:
        self._spec = spec
        self._command: Any = None
        self._means: _Means | None = None

    def open(self) -> None:
        """Log in and find how this BMC reports power. Raises PowerError that says where and what to do."""
        try:
            self._connect()
            self._means = self._find_means()
        except (IpmiException, RefusedError, OSError) as error:
            self.close()
            raise PowerError(_explain(self._spec, error)) from None
        except PowerError:
            self.close()
            raise

    def read(self) -> Reading:
        """Read the power once, in W; nan and `Status.FAILED` where the BMC does not answer or refuses.

        After a lost session it logs in again. What was chosen at `open`, DCMI or a sensor, stays chosen: a trace never
        changes its meter half-way.
        """
        try:
            if self._means is None:
                self.open()
            elif self._command is None:
                self._connect()
            assert self._means is not None  # noqa: S101
            return self._means.read()
        except RefusedError:
            return Reading(math.nan, Status.FAILED)
        except Exception:  # noqa: BLE001 - the client raises many kinds; any of them is a failed reading
            self.close()
            return Reading(math.nan, Status.FAILED)

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._means is None:
            raise PowerError(f"The BMC at {self._spec.place} has not been opened; call open() before describe().")
        over = "in-band" if self._spec.address is None else "over RMCP+"
        return SourceDescription(
            name="simulated" if self._spec.origin == "simulated" else "ipmi",
            kind="power",
            scope="node",
            origin=self._spec.origin,
            detail=f"{self._means.detail} of the BMC at {self._spec.place}, {over}",
            refresh_s=self._spec.refresh_s,
            step=self._means.step,
        )

    def close(self) -> None:
        """Log out. Harmless when not open. A later `read` logs in again and reads by the same means as before."""
        command, self._command = self._command, None
        if command is None or self._spec.address is None:
            return
        with contextlib.suppress(Exception):  # the session is given up either way
            command.ipmi_session.logout()

    def _connect(self) -> None:
        if self._spec.address is None:
            self._command = Command()
            return
        self._command = Command(
            bmc=self._spec.address,
            userid=self._spec.username.encode(),
            password=self._spec.password.encode(),
            port=self._spec.port,
            privlevel=USER_PRIVILEGE,
        )

    def _find_means(self) -> _Means:
        try:
            if self._active(self._dcmi()):
                return _Means("DCMI Get Power Reading", DCMI_STEP_W, self._read_dcmi)
            why = "says that its DCMI power measurement is not active"
        except RefusedError as error:
            why = f"does not answer DCMI Get Power Reading ({error})"
        sensor = _choose_sensor(self._spec, self._watt_sensors(), why)
        step = abs(sensor.m * 10.0**sensor.resultexponent) if sensor.linearization == 0 else None
        return _Means(f"sensor '{sensor.name}'", step, lambda: self._read_sensor(sensor))

    def _read_dcmi(self) -> Reading:
        answer = self._dcmi()
        watts = float(answer[1])
        if not self._active(answer):
            return Reading(watts, Status.FAILED)
        return Reading(watts, _status_of(watts))

    def _dcmi(self) -> tuple[int, ...]:
        """The fields of a DCMI power reading: group, current, minimum, maximum, average (W), time, window, state."""
        data = self._request(DCMI_NETFN, DCMI_GET_POWER_READING, DCMI_SYSTEM_POWER)
        if len(data) < DCMI_LAYOUT.size or data[0] != DCMI_GROUP:
            raise RefusedError(f"{len(data)} bytes that are no DCMI answer")
        return DCMI_LAYOUT.unpack_from(data)

    @staticmethod
    def _active(answer: tuple[int, ...]) -> bool:
        return bool(answer[-1] & DCMI_ACTIVE)

    def _watt_sensors(self) -> list[Any]:
        try:
            repository = self._command.init_sdr()
        except IpmiException as error:
            if "Session no longer connected" in str(error):
                raise
            return []
        sensors = [repository.sensors[number] for number in repository.get_sensor_numbers()]
        return [s for s in sensors if s.baseunit == "W" and not s.unit_mod and not s.percent]

    def _read_sensor(self, sensor: Any) -> Reading:
        data = self._request(SENSOR_NETFN, GET_SENSOR_READING, (sensor.sensor_number,), sensor.sensor_lun)
        reading = sensor.decode_sensor_reading(self._command, bytearray(data))
        if reading.unavailable or reading.value is None:
            return Reading(math.nan, Status.FAILED)
        return Reading(float(reading.value), _status_of(reading.value))

    def _request(self, netfn: int, command: int, data: tuple[int, ...], lun: int = 0) -> bytes:
        """The data of the answer. Raises RefusedError for a completion code other than 0, IpmiException for none."""
        if self._spec.address is None:
            answer = self._command.raw_command(netfn=netfn, command=command, data=data, rslun=lun)
        else:
            answer = _exchange(self._command.ipmi_session, netfn=netfn, command=command, data=data, rslun=lun)
        if answer.get("code") == 0:
            return bytes(answer["data"])
        if answer.get("code", 0xFFFF) <= 0xFF:
            raise RefusedError(f"completion code 0x{answer['code']:02x}")
        raise IpmiException(answer.get("error", "no answer"))


def _exchange(session: Any, **request: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    session.raw_command(callback=answers.append, **request)
    try:
        while not answers:
            if session.broken or time.monotonic() > deadline:
                raise IpmiException("no answer")
            Session.wait_for_rsp(timeout=EVENT_LOOP_STEP_S)
    finally:
        # the client leaves it to callers with a callback to free the session for the next command
        session.incommand = False
        while session.evq:
            session.evq.popleft().set()
    return answers[0]


def _choose_sensor(spec: IpmiSpec, sensors: list[Any], why: str) -> Any:
    named = [sensor for sensor in sensors if spec.sensor in (None, sensor.name)]
    if len(named) == 1:
        return named[0]
    names = ", ".join(f"'{sensor.name}'" for sensor in sensors) or "none"
    if spec.sensor is not None:
        problem = f"has no sensor '{spec.sensor}' in watts (it has: {names}); correct power.ipmi.sensor"
    elif sensors:
        problem = f"has more than one sensor in watts: {names}; choose one with power.ipmi.sensor"
    else:
        problem = "has no sensor in watts; this node's power cannot be read through IPMI: choose another power.source"
    raise PowerError(f"The BMC at {spec.place} {why} and {problem}.")


def _status_of(watts: float) -> Status:
    if watts == 0:
        return Status.ZERO
    return Status.IMPLAUSIBLE if watts < 0 or watts == SENTINEL_W else Status.OK


def _explain(spec: IpmiSpec, error: Exception) -> str:
    """What went wrong at the BMC and the remedy, without credentials."""
    if spec.address is None:
        return (
            f"The BMC cannot be read in-band through {spec.place} ({error}). Load the kernel modules ipmi_si and "
            "ipmi_devintf and give this user read and write access, or set power.ipmi.address."
        )
    words = str(error)
    if "password" in words or "Unauthorized" in words or "username" in words:
        return (
            f"The BMC at {spec.place} refused the user name or the password. Correct power.ipmi.credentials_file, or "
            "WATTSWEEP_BMC_USERNAME and WATTSWEEP_BMC_PASSWORD."
        )
    if words in ("None", "timeout", "no answer", "Session no longer connected"):
        return (
            f"No answer from a BMC at {spec.place} over UDP. Check power.ipmi.address and power.ipmi.port, that IPMI "
            "over LAN is switched on there, and that this node may reach it."
        )
    return f"The BMC at {spec.place} cannot be opened: {words}. Check power.ipmi.address and power.ipmi.port."
