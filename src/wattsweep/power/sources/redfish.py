"""Node power from a BMC over Redfish: PowerControl of a chassis, else its EnvironmentMetrics.

Only GET is sent, and the POST and DELETE of a session where the service takes no basic authentication. A chassis that
holds several systems is refused: its watts are those of all of them.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import Reading, SourceDescription
from wattsweep.power.sources.redfish_client import Client, RefusedError
from wattsweep.power.sources.specs import RedfishSpec
from wattsweep.power.trace import Kind, Status

SERVICE_ROOT = "/redfish/v1/"
CHASSIS_COLLECTION = "/redfish/v1/Chassis"
MOST_PAGES = 100
LONGEST_PAUSE_S = 30.0
SENTINELS_W = (0xFFFF, 0xFFFFFFFF)
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class _Means:
    """A way to read power that a chassis has: the value at `keys` in the resource `path`, times `factor`."""

    chassis: str
    path: str
    keys: tuple[str | int, ...]
    kind: Kind
    factor: float
    readable: bool

    @property
    def detail(self) -> str:
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).lstrip(".")


@dataclass(frozen=True)
class _Refusal:
    """Why a chassis that reports power cannot be taken."""

    chassis: str
    reason: str


class RedfishSource:
    """The power in W that a Redfish service reports of a chassis; where it has only EnergykWh, that counter in J."""

    def __init__(self, spec: RedfishSpec) -> None:
        self._spec = spec
        self._client: Client | None = None
        self._means: _Means | None = None
        self._failures = 0
        self._pause_until_s = -math.inf

    def open(self) -> None:
        """Log in and find the chassis to read. Raises PowerError that says where and what to do."""
        try:
            self._connect()
            self._means = self._find_means()
        except (requests.RequestException, RefusedError) as error:
            self.close()
            raise PowerError(_explain(self._spec, error)) from None
        except PowerError:
            self.close()
            raise

    def read(self) -> Reading:
        """Read the value once, in W (J of a counter); nan and `Status.FAILED` where the service does not tell it.

        After a failure the service is left alone for 1 s, then 2, 4 .. 30 s; reads in that time fail at once. What was
        chosen at `open` stays chosen: a trace never changes its meter half-way.
        """
        if time.monotonic() < self._pause_until_s:
            return Reading(math.nan, Status.FAILED)
        try:
            if self._means is None:
                self.open()
            elif self._client is None:
                self._connect()
            assert self._means is not None  # noqa: S101
            assert self._client is not None  # noqa: S101
            value = _at(self._client.get(self._means.path), self._means.keys)
        except (requests.RequestException, RefusedError, PowerError):
            self._pause_until_s = time.monotonic() + min(LONGEST_PAUSE_S, 2.0**self._failures)
            self._failures = min(self._failures + 1, 10)
            return Reading(math.nan, Status.FAILED)
        self._failures = 0
        return _reading(value, self._means)

    def describe(self) -> SourceDescription:
        """What is read, from where. Raises PowerError before `open`."""
        if self._means is None:
            raise PowerError("The Redfish service has not been opened; call open() before describe().")
        return SourceDescription(
            name="redfish",
            kind=self._means.kind,
            scope="node",
            origin="measured",
            detail=f"{self._means.detail} of {self._means.path} at {self._spec.place}, over Redfish",
        )

    def close(self) -> None:
        """Log out. Harmless when not open. A later `read` logs in again and reads the same value as before."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect(self) -> None:
        _check(self._spec)
        self._client = Client(self._spec)

    def _find_means(self) -> _Means:
        assert self._client is not None  # noqa: S101
        if self._spec.chassis is not None:
            return self._of_named_chassis(self._spec.chassis)
        found = [self._look_at(path) for path in self._chassis()]
        means = [one for one in found if isinstance(one, _Means)]
        # a chassis that says null now may have no meter at all, and a counter of kWh is the last resort
        for preferred in (
            [one for one in means if one.kind == "power" and one.readable],
            [one for one in means if one.kind == "power"],
            means,
        ):
            if len(preferred) == 1:
                return preferred[0]
            if preferred:
                names = ", ".join(one.chassis for one in preferred)
                raise PowerError(
                    f"The Redfish service at {self._spec.place} has more than one chassis with a power reading: "
                    f"{names}. Choose this node's with power.redfish.chassis."
                )
        refusals = [one.reason for one in found if isinstance(one, _Refusal)]
        if refusals:
            raise PowerError(" ".join(refusals))
        raise PowerError(
            f"The Redfish service at {self._spec.place} has no chassis with a power reading (looked at "
            f"{len(found)} chassis). This node's power cannot be read through Redfish: choose another power.source."
        )

    def _of_named_chassis(self, path: str) -> _Means:
        try:
            found = self._look_at(path)
        except RefusedError as error:
            if error.status != 404:
                raise
            names = ", ".join(self._chassis()) or "none"
            raise PowerError(
                f"The Redfish service at {self._spec.place} has no chassis {path} (it has: {names}); correct "
                "power.redfish.chassis."
            ) from None
        if isinstance(found, _Means):
            return found
        if isinstance(found, _Refusal):
            raise PowerError(found.reason)
        raise PowerError(
            f"The chassis {path} of the Redfish service at {self._spec.place} has no power reading: neither "
            "PowerControl[0].PowerConsumedWatts nor EnvironmentMetrics with PowerWatts or EnergykWh. Correct "
            "power.redfish.chassis, or choose another power.source."
        )

    def _chassis(self) -> list[str]:
        """The paths of all chassis."""
        assert self._client is not None  # noqa: S101
        page: str | None = _link(self._client.get(SERVICE_ROOT), "Chassis") or CHASSIS_COLLECTION
        paths: list[str] = []
        for _ in range(MOST_PAGES):
            if page is None:
                break
            collection = self._client.get(page)
            paths += _ids(collection.get("Members"))
            following = collection.get("Members@odata.nextLink")
            page = following if isinstance(following, str) else None
        return list(dict.fromkeys(paths))

    def _look_at(self, path: str) -> _Means | _Refusal | None:
        """How the chassis at `path` reports power, why it cannot be taken, or None where it reports none."""
        assert self._client is not None  # noqa: S101
        chassis = self._client.get(path)
        ways: list[tuple[_Means, list[str]]] = []
        for means, systems in self._ways(path, chassis):
            ways.append((means, systems))
            if means.kind == "power" and means.readable:
                break
        if not ways:
            return None
        # a value that is null now is chosen only where no other is there to be read in watts
        means, systems = ways[-1] if ways[-1][0].kind == "power" and ways[-1][0].readable else ways[0]
        several = systems or _systems(_at(chassis, ("Links", "ComputerSystems")))
        if len(several) > 1:
            return _Refusal(
                path,
                f"The power of chassis {path} at {self._spec.place} is that of {len(several)} systems "
                f"({', '.join(several)}), so it would be counted for each of them. Name a chassis of one node with "
                "power.redfish.chassis, or choose another power.source.",
            )
        return means

    def _ways(self, path: str, chassis: dict[str, Any]) -> Iterator[tuple[_Means, list[str]]]:
        """The ways to read a chassis, best first, each with the systems that it says it is of."""
        power_path, power = self._linked(chassis, "Power")
        control = _at(power, ("PowerControl", 0))
        if isinstance(control, dict) and "PowerConsumedWatts" in control:
            yield (
                self._means_at(path, power_path, power, ("PowerControl", 0, "PowerConsumedWatts"), "power"),
                _systems(control.get("RelatedItem")),
            )
        metrics_path, metrics = self._linked(chassis, "EnvironmentMetrics")
        for name, kind in (("PowerWatts", "power"), ("EnergykWh", "energy")):
            if isinstance(metrics.get(name), dict) and "Reading" in metrics[name]:
                yield self._means_at(path, metrics_path, metrics, (name, "Reading"), kind), []

    @staticmethod
    def _means_at(chassis: str, path: str, resource: dict[str, Any], keys: tuple[str | int, ...], kind: str) -> _Means:
        readable = _number(_at(resource, keys)) is not None
        if kind == "power":
            return _Means(chassis, path, keys, "power", 1.0, readable)
        return _Means(chassis, path, keys, "energy", JOULES_PER_KWH, readable)

    def _linked(self, resource: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
        """The path and content of the resource that `name` links to; empty where there is none."""
        assert self._client is not None  # noqa: S101
        path = _link(resource, name)
        if path is None:
            return "", {}
        try:
            return path, self._client.get(path)
        except RefusedError as error:
            if error.status in (404, 405, 410, 501):
                return path, {}
            raise


def _check(spec: RedfishSpec) -> None:
    """Raises PowerError for a spec that no service can be reached by."""
    try:
        parts = urlsplit(spec.url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if "@" in spec.url:
        raise PowerError(
            "power.redfish.url holds a user name or a password. Write the address alone and put both in "
            "power.redfish.credentials_file."
        )
    if not sound or parts.path.rstrip("/") not in ("", "/redfish", "/redfish/v1") or parts.query or parts.fragment:
        raise PowerError(
            f"power.redfish.url is '{spec.url}'; write scheme, host and port alone, such as https://node1-bmc.example.org."
        )
    if spec.chassis is not None and not (spec.chassis.startswith("/") and not spec.chassis.startswith("//")):
        raise PowerError(
            f"power.redfish.chassis is '{spec.chassis}'; write the path of the resource, such as /redfish/v1/Chassis/1."
        )
    if spec.ca_file is not None and not Path(spec.ca_file).is_file():
        raise PowerError(
            f"power.redfish.ca_file is '{spec.ca_file}', where there is no file; name one with the CA in PEM."
        )


def _reading(value: Any, means: _Means) -> Reading:
    number = _number(value)
    if number is None:
        return Reading(math.nan, Status.FAILED)
    amount = number * means.factor
    if amount < 0 or (means.kind == "power" and amount in SENTINELS_W):
        return Reading(amount, Status.IMPLAUSIBLE)
    return Reading(amount, Status.ZERO if amount == 0 and means.kind == "power" else Status.OK)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None


def _at(resource: Any, keys: tuple[str | int, ...]) -> Any:
    """The value at `keys` in JSON content; None where there is none."""
    for key in keys:
        if isinstance(key, int):
            if not isinstance(resource, list) or len(resource) <= key:
                return None
        elif not isinstance(resource, dict) or key not in resource:
            return None
        resource = resource[key]
    return resource


def _link(resource: dict[str, Any], name: str) -> str | None:
    path = _at(resource, (name, "@odata.id"))
    return path if isinstance(path, str) else None


def _ids(members: Any) -> list[str]:
    paths = [_link({"member": member}, "member") for member in members] if isinstance(members, list) else []
    return [path for path in paths if path is not None]


def _systems(items: Any) -> list[str]:
    """The systems among linked resources, each once; a part of a system is not one."""
    paths = [path.rstrip("/") for path in _ids(items)]
    return list(dict.fromkeys(path for path in paths if path.split("/")[-2:-1] == ["Systems"]))


def _explain(spec: RedfishSpec, error: Exception) -> str:
    """What went wrong at the service and the remedy, without credentials."""
    where = f"The Redfish service at {spec.place}"
    if isinstance(error, RefusedError):
        if error.status == 401:
            return (
                f"{where} refused the user name or the password. Correct power.redfish.credentials_file, or "
                "WATTSWEEP_BMC_USERNAME and WATTSWEEP_BMC_PASSWORD."
            )
        if error.status == 403:
            return f"{where} does not let this user read ({error}). Give the user the role ReadOnly there."
        return f"{where} cannot be read: {error}. Check power.redfish.url and that the BMC speaks Redfish."
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"{where} shows a certificate that cannot be verified, or does not speak TLS. Name its CA with "
            "power.redfish.ca_file, or set power.redfish.verify to false to accept any."
        )
    if isinstance(error, requests.Timeout):
        return f"{where} gave no answer in time. Check power.redfish.url, and that this node may reach the BMC."
    return (
        f"{where} cannot be reached. Check power.redfish.url (scheme, host, port), that Redfish is switched on there, "
        "and that this node may reach it."
    )
