"""What every client of a BMC has in common: how power is found there, read, refused and explained.

`ipmi`, `ipmitool` and `freeipmi` each add how requests travel. Only commands that read are sent, in sessions with USER
privilege.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription, SourceName
from wattsweep.power.sources.dcmi import (
    DCMI_GET_POWER_READING,
    DCMI_NETFN,
    DCMI_STEP_W,
    DCMI_SYSTEM_POWER,
    Freshness,
    PowerReading,
    RefusedError,
    status_of,
)
from wattsweep.power.sources.sdr import GET_SENSOR_READING, SENSOR_NETFN, Sensor, watt_sensors
from wattsweep.power.sources.specs import IpmiSpec
from wattsweep.power.trace import Status

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
FIND_TIMEOUT_S = 20.0

Problem = Literal["credentials", "suite", "silent", "other"]


class LinkError(Exception):
    """There is no session with the BMC, or it was lost: the kind of `problem`, and the client's words."""

    def __init__(self, problem: Problem, words: str) -> None:
        super().__init__(words)
        self.problem = problem


class BackOff:
    """When a lost session may be opened again: at once the first time, then after 1, 2, 4 .. 30 s.

    A good reading brings the wait back to 1 s; two logins are never closer than that.
    """

    def __init__(self) -> None:
        self._not_before_s = -math.inf
        self._wait_s = FIRST_WAIT_S

    def allows(self, now_s: float) -> bool:
        """Whether a login is due at `now_s` on the monotonic clock."""
        return now_s >= self._not_before_s

    def tried(self, now_s: float) -> None:
        """A login, good or not, is over at `now_s`."""
        self._not_before_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def worked(self) -> None:
        """A reading came."""
        self._wait_s = FIRST_WAIT_S


@dataclass(frozen=True)
class Means:
    """A way to read power that a BMC has. `read` takes the moment by which it must be over."""

    detail: str
    step: float | None
    read: Callable[[float], Reading]


class BmcSource(ABC):
    """The power that a node's BMC reports, in W.

    What was chosen at `open`, DCMI or a sensor, stays chosen: a trace never changes its meter half-way. All deadlines
    are moments of the monotonic clock.
    """

    name: ClassVar[SourceName]
    open_timeout_s: ClassVar[float]
    """The most that one login may take at `open`, in s; each cipher suite may take it anew."""
    read_timeout_s: ClassVar[float]
    """The most that a `read` may take, a login included, in s."""

    def __init__(self, spec: IpmiSpec) -> None:
        self._spec = spec
        self._means: Means | None = None
        self._freshness = Freshness(spec.refresh_s)
        self._back_off = BackOff()

    def open(self) -> None:
        """Log in and find how this BMC reports power. Raises PowerError that says where and what to do."""
        try:
            self._connect(None)
            try:
                self._means = self._find_means(time.monotonic() + FIND_TIMEOUT_S)
            except LinkError as error:
                raise LinkError("other", f"after the login it went silent ({error})") from None
        except (LinkError, RefusedError, OSError) as error:
            self._drop()
            raise PowerError(explain(self._spec, error)) from None
        except BaseException:
            self._drop()
            raise

    def read(self) -> Reading:
        """Read the power once, in W; nan and `Status.FAILED` where the BMC does not answer or refuses.

        A lost session is opened again by a later read, no more often than after 1, 2, 4 .. 30 s; a read in between has
        failed at once. DCMI readings that the BMC has stopped updating are `Status.STALE` (see `Freshness`).
        """
        now_s = time.monotonic()
        deadline_s = now_s + self.read_timeout_s
        try:
            if not self._connected():
                if not self._back_off.allows(now_s):
                    return Reading(math.nan, Status.FAILED)
                try:
                    self._connect(deadline_s)
                finally:
                    self._back_off.tried(time.monotonic())
            if self._means is None:
                self._means = self._find_means(deadline_s)
            reading = self._means.read(deadline_s)
        except RefusedError:
            return Reading(math.nan, Status.FAILED)
        except Exception:  # noqa: BLE001 - clients raise many kinds; any of them is a failed reading
            self._drop()
            return Reading(math.nan, Status.FAILED)
        self._back_off.worked()
        return reading

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._means is None:
            raise PowerError(f"The BMC at {self._spec.place} has not been opened; call open() before describe().")
        over = "in-band" if self._spec.address is None else "over RMCP+"
        return SourceDescription(
            name="simulated" if self._spec.origin == "simulated" else self.name,
            kind="power",
            scope="node",
            origin=self._spec.origin,
            detail=f"{self._means.detail} of the BMC at {self._spec.place}, {over}",
            refresh_s=self._spec.refresh_s,
            step=self._means.step,
        )

    @abstractmethod
    def close(self) -> None:
        """Log out. Harmless when not open. A later `read` logs in again and reads by the same means as before."""

    @abstractmethod
    def _connect(self, deadline_s: float | None) -> None:
        """Log in by `deadline_s`, or in the time that `open` has where it is None. Raises LinkError and PowerError."""

    @abstractmethod
    def _connected(self) -> bool:
        """Whether there is a session, as far as is known."""

    @abstractmethod
    def _drop(self) -> None:
        """Give the session up at once, without waiting for the BMC."""

    @abstractmethod
    def _request(self, netfn: int, command: int, data: tuple[int, ...], lun: int = 0, *, deadline_s: float) -> bytes:
        """The data of the answer. Raises RefusedError for a completion code other than 0, LinkError for no answer."""

    def _sensors(self, deadline_s: float) -> Sequence[Sensor]:
        """The sensors in watts. Raises RefusedError where the BMC shows no records."""
        return watt_sensors(partial(self._request, deadline_s=deadline_s))

    def _find_means(self, deadline_s: float) -> Means:
        try:
            if self._power_reading(deadline_s).active:
                return Means("DCMI Get Power Reading", DCMI_STEP_W, self._read_dcmi)
            why = "says that its DCMI power measurement is not active"
        except RefusedError as error:
            why = f"does not answer DCMI Get Power Reading ({error})"
        try:
            sensors = self._sensors(deadline_s)
        except RefusedError:
            sensors = ()
        sensor = choose_sensor(self._spec, sensors, why)
        return Means(f"sensor '{sensor.name}'", sensor.step, lambda end_s: self._read_sensor(sensor, end_s))

    def _power_reading(self, deadline_s: float) -> PowerReading:
        data = self._request(DCMI_NETFN, DCMI_GET_POWER_READING, DCMI_SYSTEM_POWER, deadline_s=deadline_s)
        return PowerReading.parse(data)

    def _read_dcmi(self, deadline_s: float) -> Reading:
        answer = self._power_reading(deadline_s)
        if not answer.active:
            return Reading(answer.watts, Status.FAILED)
        fresh = self._freshness.judge(answer.timestamp_s, time.monotonic())
        return Reading(answer.watts, Status.STALE if fresh is False else status_of(answer.watts), fresh)

    def _read_sensor(self, sensor: Sensor, deadline_s: float) -> Reading:
        data = self._request(SENSOR_NETFN, GET_SENSOR_READING, (sensor.number,), sensor.lun, deadline_s=deadline_s)
        watts = sensor.watts(data)
        return Reading(math.nan, Status.FAILED) if watts is None else Reading(watts, status_of(watts))


def choose_sensor(spec: IpmiSpec, sensors: Sequence[Sensor], why: str) -> Sensor:
    """The sensor that `spec` names, or the only one. Raises PowerError that lists them and says `why` one is needed."""
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


def by_suites(spec: IpmiSpec, suites: Sequence[int], log_in: Callable[[int], None]) -> int:
    """Log in with the first of the cipher suites that the BMC takes; its number.

    A refusal of the credentials is not the last word: a BMC that errs in a suite takes a right password for wrong.
    Raises the LinkError of the refusal that says most; a BMC that is silent is not asked again.
    """
    refusals: list[LinkError] = []
    for suite in suites:
        try:
            log_in(suite)
            return suite
        except LinkError as error:
            if error.problem == "silent":
                raise
            refusals.append(error)
    if not refusals:
        raise PowerError(
            f"power.ipmi.cipher_suites is empty, so the BMC at {spec.place} cannot be asked; set it to 17, 3."
        )
    worst: tuple[Problem, ...] = ("credentials", "other", "suite")
    raise min(refusals, key=lambda error: worst.index(error.problem))


def explain(spec: IpmiSpec, error: Exception) -> str:
    """What went wrong at the BMC and the remedy, without credentials."""
    if spec.address is None:
        return (
            f"The BMC cannot be read in-band through {spec.place} ({error}). Load the kernel modules ipmi_si and "
            "ipmi_devintf and give this user read and write access, or set power.ipmi.address."
        )
    problem = error.problem if isinstance(error, LinkError) else "other"
    if problem == "credentials":
        return (
            f"The BMC at {spec.place} refused the user name or the password. Correct power.ipmi.credentials_file, or "
            "WATTSWEEP_BMC_USERNAME and WATTSWEEP_BMC_PASSWORD."
        )
    if problem == "silent":
        return (
            f"No answer from a BMC at {spec.place} over UDP. Check power.ipmi.address and power.ipmi.port, that IPMI "
            "over LAN is switched on there, and that this node may reach it."
        )
    if problem == "suite":
        suites = ", ".join(str(suite) for suite in spec.cipher_suites)
        return (
            f"The BMC at {spec.place} takes none of the cipher suites {suites} ({error}). Set power.ipmi.cipher_suites "
            "to one that it has (`ipmitool channel getciphers ipmi` lists them)."
        )
    return f"The BMC at {spec.place} cannot be opened: {error}. Check power.ipmi.address and power.ipmi.port."
