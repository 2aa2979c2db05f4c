"""Redfish: what is read is served by sushy-static; logins, hangs and redirects by small servers of this module."""

import base64
import datetime as dt
import ipaddress
import json
import math
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from urllib3.exceptions import InsecureRequestWarning

from wattsweep.errors import PowerError
from wattsweep.power import Recorder, Status
from wattsweep.power.sources import Reading, open_source, redfish
from wattsweep.power.sources.redfish import RedfishSource
from wattsweep.power.sources.specs import RedfishSpec

CHASSIS = "/redfish/v1/Chassis"
PASSWORD = "correct horse"


def put(folder: Path, path: str, content: Any) -> None:
    """Serve `content` at `path`, all at once."""
    place = folder / path.removeprefix("/redfish/v1").strip("/")
    place.mkdir(parents=True, exist_ok=True)
    (place / "new").write_text(content if isinstance(content, str) else json.dumps(content))
    (place / "new").rename(place / "index.json")


def put_watts(folder: Path, watts: Any, chassis: str = "1", **more: Any) -> None:
    put(folder, f"{CHASSIS}/{chassis}/Power", {"PowerControl": [{"PowerConsumedWatts": watts, **more}]})


def put_chassis(folder: Path, *names: str, links: tuple[str, ...] = ("Power",), **more: Any) -> None:
    members = [{"@odata.id": f"{CHASSIS}/{name}"} for name in names]
    put(folder, "", {"Chassis": {"@odata.id": CHASSIS}})
    put(folder, CHASSIS, {"Members": members})
    for name in names:
        linked = {link: {"@odata.id": f"{CHASSIS}/{name}/{link}"} for link in links}
        put(folder, f"{CHASSIS}/{name}", {"Id": name, **linked, **more})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def static_service(folder: Path, port: int, *options: str) -> Iterator[None]:
    """sushy-static on `port`, serving `folder`."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sushy_tools.static.main",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
            "-m",
            str(folder),
            *options,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address that serves it."""
    folder, port = tmp_path_factory.mktemp("redfish"), free_port()
    with static_service(folder, port):
        yield folder, f"http://127.0.0.1:{port}"


@contextmanager
def opened(url: str, **more: Any) -> Iterator[RedfishSource]:
    source = RedfishSource(RedfishSpec(url, **more))
    source.open()
    try:
        yield source
    finally:
        source.close()


def failure_to_open(url: str, **more: Any) -> str:
    source = RedfishSource(RedfishSpec(url, **more))
    with pytest.raises(PowerError) as refused:
        source.open()
    return str(refused.value)


def same(reading: Reading, value: float, status: Status) -> bool:
    alike = math.isnan(reading.value) if math.isnan(value) else reading.value == value
    return alike and reading.status is status


# What is read


def test_the_watts_of_the_only_chassis_are_read_as_they_change(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 344)
    source = open_source(RedfishSpec(url))
    assert source.read() == Reading(344.0, Status.OK)
    put_watts(folder, 351.5)
    assert source.read() == Reading(351.5, Status.OK)
    description = source.describe()
    assert (description.name, description.kind, description.scope, description.origin) == (
        "redfish",
        "power",
        "node",
        "measured",
    )
    assert description.detail == (
        f"PowerControl[0].PowerConsumedWatts of /redfish/v1/Chassis/1/Power at {url}, over Redfish"
    )
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("told", "value", "status"),
    [
        (None, math.nan, Status.FAILED),
        ("344", math.nan, Status.FAILED),
        (True, math.nan, Status.FAILED),
        (0, 0.0, Status.ZERO),
        (0.0, 0.0, Status.ZERO),
        (-3, -3.0, Status.IMPLAUSIBLE),
        (65535, 65535.0, Status.IMPLAUSIBLE),
        (4294967295, 4294967295.0, Status.IMPLAUSIBLE),
        (10**400, math.nan, Status.FAILED),
        (344, 344.0, Status.OK),
    ],
)
def test_what_a_value_is_worth(service: tuple[Path, str], told: Any, value: float, status: Status) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 300)
    with opened(url) as source:
        put_watts(folder, told)
        assert same(source.read(), value, status)
        put_watts(folder, 310)
        assert source.read() == Reading(310.0, Status.OK)


@pytest.mark.parametrize(
    "content", ["not json", "[]", "{}", '{"PowerControl": []}', '{"PowerControl": {}}', '{"PowerControl": [NaN]}']
)
def test_an_answer_without_the_value_is_a_failed_reading(service: tuple[Path, str], content: str) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 300)
    with opened(url) as source:
        put(folder, f"{CHASSIS}/1/Power", content)
        assert same(source.read(), math.nan, Status.FAILED)


def test_environment_metrics_are_read_where_there_is_no_power_control(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", links=("EnvironmentMetrics",))
    put(folder, f"{CHASSIS}/1/EnvironmentMetrics", {"PowerWatts": {"Reading": 412.5}, "EnergykWh": {"Reading": 7.0}})
    with opened(url) as source:
        assert source.read() == Reading(412.5, Status.OK)
        assert source.describe().detail.startswith("PowerWatts.Reading of /redfish/v1/Chassis/1/EnvironmentMetrics at")


def test_environment_metrics_are_read_where_power_control_says_null(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", links=("Power", "EnvironmentMetrics"))
    put_watts(folder, None)
    put(folder, f"{CHASSIS}/1/EnvironmentMetrics", {"PowerWatts": {"Reading": 412.5}})
    with opened(url) as source:
        assert source.read() == Reading(412.5, Status.OK)


def test_a_counter_of_kilowatt_hours_is_the_last_resort(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", links=("EnvironmentMetrics",))
    put(folder, f"{CHASSIS}/1/EnvironmentMetrics", {"EnergykWh": {"Reading": 0}})
    with opened(url) as source:
        assert source.describe().kind == "energy"
        assert source.read() == Reading(0.0, Status.OK)
        put(folder, f"{CHASSIS}/1/EnvironmentMetrics", {"EnergykWh": {"Reading": 1.5}})
        assert source.read() == Reading(5.4e6, Status.OK)


# Which chassis


def test_a_chassis_without_power_does_not_count(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", "Enclosure", "Board")
    put_watts(folder, 344)
    put_watts(folder, None, "Enclosure")
    put(folder, f"{CHASSIS}/Board/Power", {"PowerControl": []})
    with opened(url) as source:
        assert source.read().value == 344.0


def test_several_chassis_with_power_are_an_error_that_lists_them(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "A", "B")
    put_watts(folder, 300, "A")
    put_watts(folder, 400, "B")
    words = failure_to_open(url)
    assert "/redfish/v1/Chassis/A, /redfish/v1/Chassis/B" in words
    assert "power.redfish.chassis" in words
    with opened(url, chassis=f"{CHASSIS}/B") as source:
        assert source.read().value == 400.0
    assert "has no chassis /redfish/v1/Chassis/C (it has: /redfish/v1/Chassis/A, " in failure_to_open(
        url, chassis=f"{CHASSIS}/C"
    )


def test_a_service_without_power_says_so(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", links=())
    assert "no chassis with a power reading (looked at 1 chassis)" in failure_to_open(url)
    assert "has no power reading: neither" in failure_to_open(url, chassis=f"{CHASSIS}/1")


def test_the_pages_of_a_collection_are_turned(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 344)
    put(folder, CHASSIS, {"Members": [], "Members@odata.nextLink": f"{CHASSIS}/page2"})
    put(folder, f"{CHASSIS}/page2", {"Members": [{"@odata.id": f"{CHASSIS}/1"}]})
    with opened(url) as source:
        assert source.read().value == 344.0


def systems(*names: str) -> list[dict[str, str]]:
    return [{"@odata.id": f"/redfish/v1/Systems/{name}"} for name in names]


@pytest.mark.parametrize("named", [True, False])
def test_a_chassis_of_several_systems_is_refused(service: tuple[Path, str], named: bool) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 1400, RelatedItem=systems("1", "2", "3", "4"))
    words = failure_to_open(url, chassis=f"{CHASSIS}/1" if named else None)
    assert "is that of 4 systems (/redfish/v1/Systems/1, " in words
    assert "counted for each of them" in words


def test_environment_metrics_of_a_chassis_of_several_systems_are_refused(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "1", links=("EnvironmentMetrics",), Links={"ComputerSystems": systems("1", "2")})
    put(folder, f"{CHASSIS}/1/EnvironmentMetrics", {"PowerWatts": {"Reading": 900}})
    assert "is that of 2 systems" in failure_to_open(url)


def test_the_node_beside_its_enclosure_is_taken(service: tuple[Path, str]) -> None:
    folder, url = service
    put_chassis(folder, "Enclosure", "Node1")
    put_watts(folder, 1400, "Enclosure", RelatedItem=systems("1", "2", "3", "4"))
    parts = [{"@odata.id": "/redfish/v1/Systems/1/Processors/1"}, {"@odata.id": f"{CHASSIS}/Node1"}]
    put_watts(folder, 344, "Node1", RelatedItem=systems("1") + parts)
    with opened(url) as source:
        assert source.read().value == 344.0


# Faults


def test_a_closed_port_is_an_error_at_once() -> None:
    started_s = time.monotonic()
    words = failure_to_open(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in words
    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "https://root:hunter2@bmc"}, "holds a user name or a password"),
        ({"url": "bmc.example.org"}, "write scheme, host and port alone"),
        ({"url": "ftp://bmc"}, "write scheme, host and port alone"),
        ({"url": "https://bmc/redfish/v1/Chassis/1"}, "write scheme, host and port alone"),
        ({"url": "https://bmc:99999"}, "write scheme, host and port alone"),
        ({"url": "https://bmc", "chassis": "1"}, "write the path of the resource"),
        ({"url": "https://bmc", "chassis": "//evil/1"}, "write the path of the resource"),
        ({"url": "https://bmc", "ca_file": "/nowhere/ca.pem"}, "where there is no file"),
    ],
)
def test_a_spec_that_names_no_service_is_refused(more: dict[str, str], words: str) -> None:
    message = failure_to_open(**more)
    assert words in message
    assert "hunter2" not in message


def test_a_source_that_was_not_opened_has_no_description() -> None:
    with pytest.raises(PowerError, match=r"call open\(\)"):
        RedfishSource(RedfishSpec("http://127.0.0.1:1")).describe()


def test_pauses_after_failures_double_up_to_thirty_seconds(
    service: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 344)
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(redfish, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    with opened(url) as source:
        (folder / "Chassis/1/Power/index.json").rename(folder / "away")
        for pause_s in (1, 2, 4, 8, 16, 30, 30):
            assert source.read().status is Status.FAILED
            (folder / "away").rename(folder / "Chassis/1/Power/index.json")
            clock.now_s += pause_s - 0.01
            assert source.read().status is Status.FAILED
            (folder / "Chassis/1/Power/index.json").rename(folder / "away")
            clock.now_s += 0.02
        (folder / "away").rename(folder / "Chassis/1/Power/index.json")
        assert source.read() == Reading(344.0, Status.OK)
        (folder / "Chassis/1/Power/index.json").rename(folder / "away")
        assert source.read().status is Status.FAILED
        (folder / "away").rename(folder / "Chassis/1/Power/index.json")
        clock.now_s += 1.01
        assert source.read() == Reading(344.0, Status.OK)


def test_a_service_that_died_is_read_again_when_it_is_back(tmp_path: Path) -> None:
    put_chassis(tmp_path, "1")
    put_watts(tmp_path, 344)
    port = free_port()
    source = RedfishSource(RedfishSpec(f"http://127.0.0.1:{port}"))
    assert source.read().status is Status.FAILED
    with static_service(tmp_path, port):
        time.sleep(1.0)
        assert source.read() == Reading(344.0, Status.OK)
    assert source.read().status is Status.FAILED
    with static_service(tmp_path, port):
        time.sleep(1.0)
        assert source.read() == Reading(344.0, Status.OK)
    source.close()


def test_a_recorder_reads_it(service: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = service
    put_chassis(folder, "1")
    put_watts(folder, 344)
    with Recorder(RedfishSpec(url), tmp_path / "trace.csv", 0.1) as recorder:
        time.sleep(0.5)
    trace = recorder.trace()
    assert len(trace) >= 3
    assert set(trace.values) == {344.0}
    assert recorder.description.name == "redfish"


# Logins, hangs, other hosts

Answer = tuple[int, dict[str, str], Any]
Handler = Callable[["Request"], Answer]


@dataclass(frozen=True)
class Request:
    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Peer(ThreadingHTTPServer):
    """A service of one chassis whose answers a test makes; `seen` holds the methods and paths it was asked for."""

    daemon_threads = True

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), PeerRequest)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class PeerRequest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path))
        status, headers, content = self.server.answer(
            Request(len(self.server.seen), self.command, self.path, dict(self.headers), body)
        )
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def peer(answer: Handler) -> Iterator[Peer]:
    server = Peer(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


RESOURCES: dict[str, Any] = {
    "/redfish/v1/": {"Chassis": {"@odata.id": CHASSIS}},
    CHASSIS: {"Members": [{"@odata.id": f"{CHASSIS}/1"}]},
    f"{CHASSIS}/1": {"Power": {"@odata.id": f"{CHASSIS}/1/Power"}},
    f"{CHASSIS}/1/Power": {"PowerControl": [{"PowerConsumedWatts": 344}]},
}
UNAUTHORIZED: Answer = (401, {"WWW-Authenticate": "Basic"}, {"error": {}})
LOGIN = "/redfish/v1/SessionService/Sessions"


def resource(path: str) -> Answer:
    return (200, {}, RESOURCES[path]) if path in RESOURCES else (404, {}, {})


def basic(request: Request) -> Answer:
    right = "Basic " + base64.b64encode(f"root:{PASSWORD}".encode()).decode()
    known = request.headers.get("Authorization") == right or request.path == "/redfish/v1/"
    return resource(request.path) if known else UNAUTHORIZED


class Sessions:
    """A service that takes no basic authentication. `token` is the one it heeds."""

    def __init__(self) -> None:
        self.logins = 0
        self.token: str | None = None

    def __call__(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", LOGIN):
            if json.loads(request.body) != {"UserName": "root", "Password": PASSWORD}:
                return UNAUTHORIZED
            self.logins += 1
            self.token = f"token{self.logins}"
            return 201, {"X-Auth-Token": self.token, "Location": f"{LOGIN}/{self.logins}"}, {}
        if self.token is None or request.headers.get("X-Auth-Token") != self.token:
            return UNAUTHORIZED
        return (204, {}, {}) if request.method == "DELETE" else resource(request.path)


def test_basic_authentication(tmp_path: Path) -> None:
    with peer(basic) as server, opened(server.url, username="root", password=PASSWORD) as source:
        assert source.read() == Reading(344.0, Status.OK)
        assert {method for method, _ in server.seen} == {"GET"}


@pytest.mark.parametrize("service_of", [lambda: basic, Sessions])
def test_a_wrong_password_is_an_error_within_two_seconds(service_of: Callable[[], Handler]) -> None:
    with peer(service_of()) as server:
        started_s = time.monotonic()
        words = failure_to_open(server.url, username="root", password="hunter2")
        assert time.monotonic() - started_s < 2.0
        assert "refused the user name or the password" in words
        assert "power.redfish.credentials_file" in words
        assert "hunter2" not in words
        assert "root" not in words
        assert len([1 for method, _ in server.seen if method == "POST"]) == 1


def test_no_login_where_one_is_needed_is_an_error() -> None:
    with peer(basic) as server:
        assert "refused the user name or the password" in failure_to_open(server.url)


def test_a_session_is_opened_where_basic_authentication_is_refused_and_ended_at_close() -> None:
    sessions = Sessions()
    with peer(sessions) as server:
        with opened(server.url, username="root", password=PASSWORD) as source:
            assert source.read() == Reading(344.0, Status.OK)
        assert sessions.logins == 1
        assert server.seen[-1] == ("DELETE", f"{LOGIN}/1")


def test_an_expired_session_is_opened_again() -> None:
    sessions = Sessions()
    with peer(sessions) as server, opened(server.url, username="root", password=PASSWORD) as source:
        sessions.token = None
        assert source.read() == Reading(344.0, Status.OK)
        assert sessions.logins == 2


def test_a_service_that_hangs_costs_two_seconds_and_then_nothing() -> None:
    hanging = threading.Event()
    released = threading.Event()

    def answer(request: Request) -> Answer:
        if hanging.is_set():
            released.wait(20)
        return resource(request.path)

    with peer(answer) as server, opened(server.url) as source:
        hanging.set()
        started_s = time.monotonic()
        assert source.read().status is Status.FAILED
        asked_s = time.monotonic()
        assert 1.5 < asked_s - started_s < 3.5
        assert source.read().status is Status.FAILED
        assert time.monotonic() - asked_s < 0.5
        hanging.clear()
        released.set()
        time.sleep(1.0)
        assert source.read() == Reading(344.0, Status.OK)


def test_a_kept_connection_that_the_service_closed_is_no_failure() -> None:
    def closing(request: Request) -> Answer:
        if request.number == 5:  # the first reading, on the connection that was kept from open()
            raise ConnectionAbortedError
        return resource(request.path)

    class Quiet(Peer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Quiet(closing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with opened(server.url) as source:
            assert source.read() == Reading(344.0, Status.OK)
            assert len(server.seen) == 6
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("way", ["link", "member", "page", "redirect", "no host"])
def test_another_host_is_never_asked(way: str) -> None:
    with peer(basic) as other:
        elsewhere = "http://[" if way == "no host" else f"{other.url}{CHASSIS}/1/Power"
        changes: dict[str, dict[str, Any]] = {
            "link": {f"{CHASSIS}/1": {"Power": {"@odata.id": elsewhere}}},
            "no host": {f"{CHASSIS}/1": {"Power": {"@odata.id": elsewhere}}},
            "member": {CHASSIS: {"Members": [{"@odata.id": elsewhere.replace("http:", "")}]}},
            "page": {CHASSIS: {"Members": [], "Members@odata.nextLink": elsewhere}},
            "redirect": {},
        }
        changed = changes[way]

        def answer(request: Request) -> Answer:
            if way == "redirect" and request.path.endswith("Power"):
                return 302, {"Location": elsewhere}, {}
            return (200, {}, changed[request.path]) if request.path in changed else resource(request.path)

        with peer(answer) as server:
            words = failure_to_open(server.url, username="root", password=PASSWORD)
            assert "which is not followed" in words
            assert PASSWORD not in words
        assert other.seen == []


def test_proxies_of_the_environment_are_not_for_a_bmc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with peer(basic) as server, opened(server.url, username="root", password=PASSWORD) as source:
        assert source.read().value == 344.0


def test_a_user_without_the_right_to_read_is_told_so() -> None:
    with peer(lambda _: (403, {}, {})) as server:
        assert "Give the user the role ReadOnly" in failure_to_open(server.url, username="root", password=PASSWORD)


# Certificates


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a service with a certificate of its own, and that certificate."""
    folder, port = tmp_path_factory.mktemp("certified"), free_port()
    put_chassis(folder, "1")
    put_watts(folder, 344)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bmc")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "bmc.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "bmc.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with static_service(folder, port, "-c", str(folder / "bmc.pem"), "-k", str(folder / "bmc.key")):
        yield f"https://127.0.0.1:{port}", folder / "bmc.pem"


def test_an_unknown_certificate_is_refused_with_the_remedy(certified: tuple[str, Path]) -> None:
    words = failure_to_open(certified[0])
    assert "certificate that cannot be verified" in words
    assert "power.redfish.ca_file" in words


def test_a_certificate_is_verified_by_the_file_named(certified: tuple[str, Path]) -> None:
    with opened(certified[0], ca_file=str(certified[1])) as source:
        assert source.read().value == 344.0


def test_any_certificate_is_accepted_on_demand_and_only_there_in_silence(certified: tuple[str, Path]) -> None:
    with opened(certified[0], verify=False) as source, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert source.read().value == 344.0
        assert heard == []
        requests.get(f"{certified[0]}/redfish/v1/", verify=False, timeout=5)  # noqa: S501
        assert [one.category for one in heard] == [InsecureRequestWarning]
