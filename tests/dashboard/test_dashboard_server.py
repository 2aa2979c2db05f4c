import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.dashboard.support_dashboard import N_SAMPLES, START_S, running_sweep, write_trace
from wattsweep.dashboard import Dashboard, snapshot
from wattsweep.errors import PowerError, WattsweepError
from wattsweep.power.tail import read_recent
from wattsweep.power.trace import Status
from wattsweep.runs import Layout


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, str]:
    return running_sweep(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def served(sweep: tuple[Layout, str]) -> Iterator[Dashboard]:
    dashboard = Dashboard(sweep[0])
    thread = threading.Thread(target=dashboard.serve)
    thread.start()
    yield dashboard
    dashboard.stop()
    thread.join()


def ask(served: Dashboard, path: str, *, method: str = "GET", host: str | None = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{served.port}"})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body, answer.headers.get("Content-Security-Policy", "")


def test_a_snapshot_tells_of_shards_power_and_failures(sweep: tuple[Layout, str]) -> None:
    layout, shard_id = sweep
    found = snapshot(layout)
    assert [one["shard_id"] for one in found["status"]["running_shards"]] == [shard_id]
    (trace,) = found["traces"]
    assert (trace["node"], trace["origin"], trace["one_in"]) == ("node-c", "simulated", 1)
    # The last 300 s, the sample that failed as a gap.
    assert trace["wall_s"] == [START_S + at for at in range(N_SAMPLES - 301, N_SAMPLES)]
    assert trace["power_w"][-10] is None
    assert trace["power_w"][-1] == 100.0 + (N_SAMPLES - 1) % 7
    (failure,) = found["failures"]
    assert (failure["kind"], failure["message"]) == ("ValueError", "loss is <nan>")
    assert "ValueError: loss is <nan>" in failure["traceback"]
    assert json.dumps(found, allow_nan=False)


def test_without_a_plan_it_waits(tmp_path: Path) -> None:
    assert "plan" in snapshot(Layout(tmp_path))["waiting"]


def test_a_counter_is_shown_as_power(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    joules = [0.0, 50.0, 150.0, 7.0, 107.0, 0.0]
    statuses = [Status.OK] * 5 + [Status.FAILED]
    write_trace(path, joules, statuses, kind="energy")
    # It wrapped at the fourth sample, and the last one failed.
    assert read_recent(path, 100.0).power_w == [None, 50.0, 100.0, None, 100.0, None]


def test_only_the_end_of_a_long_trace_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    write_trace(path, [float(number) for number in range(5000)], [Status.OK] * 5000)
    with path.open("a") as file:
        file.write("5000,1.0,torn")
    recent = read_recent(path, 10.0, n_bytes=5000)
    assert recent.power_w == [float(number) for number in range(4989, 5000)]
    with pytest.raises(PowerError, match="cannot be read"):
        read_recent(tmp_path / "missing.csv", 1.0)


def test_a_trace_that_is_none_says_why(tmp_path: Path) -> None:
    layout, shard_id = running_sweep(tmp_path)
    (path,) = (layout.results / "traces").glob("*.csv")
    path.write_text("watts\n1\n")
    (trace,) = snapshot(layout)["traces"]
    assert "is no trace file" in trace["why"]
    assert trace["shard_id"] == shard_id


def test_pages_are_served_under_the_secret_alone(served: Dashboard, sweep: tuple[Layout, str]) -> None:
    secret = urlsplit(served.address).path
    assert len(secret) > 20
    for name, expected in (
        ("", "<!doctype html>"),
        ("dashboard.js", "snapshot.json"),
        ("dashboard.css", ":root"),
        ("snapshot.json", "running_shards"),
        (f"log/{sweep[1]}", "<b>not markup</b>"),
    ):
        status, body, policy = ask(served, secret + name)
        assert status == 200
        assert expected in body
        assert "default-src 'none'" in policy
        for wrong in (f"/{name}", f"/{'x' * (len(secret) - 2)}/{name}"):
            assert ask(served, wrong)[:2] == (404, "not found\n")


@pytest.mark.parametrize(
    "name", ["nothing", "log/", "log/none", "log/../../plan/plan.json", "log/%2e%2e%2fplan", "../config.yaml"]
)
def test_nothing_else_is_served(served: Dashboard, name: str) -> None:
    status, body, _ = ask(served, urlsplit(served.address).path + name)
    assert status == 404
    assert body in ("not found\n", "this shard has no log yet\n")


def test_requests_for_another_host_are_refused(served: Dashboard) -> None:
    path = urlsplit(served.address).path
    assert ask(served, path, host=f"localhost:{served.port}")[0] == 200
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", ""):
        assert ask(served, path, host=host or "x")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(served: Dashboard, method: str) -> None:
    assert ask(served, urlsplit(served.address).path, method=method)[0] == 501


def test_it_listens_on_loopback_and_a_taken_port_is_named(served: Dashboard, sweep: tuple[Layout, str]) -> None:
    assert served.address.startswith(f"http://127.0.0.1:{served.port}/")
    with pytest.raises(WattsweepError, match=f"port {served.port} of 127.0.0.1 cannot be used .*: give another --port"):
        Dashboard(sweep[0], served.port)
