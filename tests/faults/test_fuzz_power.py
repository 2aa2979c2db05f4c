"""Meters that talk nonsense: an error of ours, a failed reading or a number; no traceback, no hang."""

import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.support_fuzz import TRIES, changed_bytes, limited
from tests.power.test_power_export import minutes, read, write
from tests.power.test_power_ipmi import dcmi_answer, opened
from wattsweep.errors import PowerError
from wattsweep.power import SourceDescription, Status, integrate
from wattsweep.power.sources.ipmi import IpmiSource
from wattsweep.power.tail import read_recent
from wattsweep.power.trace import Sample
from wattsweep.power.tracefile import TraceWriter, read_trace_file
from wattsweep.simulation import SimulatedBmc

GARBLED = 0.4
SESSIONS = max(4, TRIES // 200)
READS = 4


class Garbler:
    """Stands between a client and a BMC and changes some of what the BMC answers: cut short, too long, bits turned."""

    def __init__(self, port: int, seed: int) -> None:
        self._bmc = ("127.0.0.1", port)
        self._rng = random.Random(seed)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self._back.bind(("127.0.0.1", 0))
        for one in (self._front, self._back):
            one.settimeout(0.05)
        self._client: tuple[str, int] | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._forward, self._answer)]
        self.port = self._front.getsockname()[1]

    def __enter__(self) -> "Garbler":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._front.close()
        self._back.close()

    def _forward(self) -> None:
        while not self._stopping.is_set():
            try:
                packet, self._client = self._front.recvfrom(65536)
            except TimeoutError:
                continue
            self._back.sendto(packet, self._bmc)

    def _answer(self) -> None:
        while not self._stopping.is_set():
            try:
                packet = self._back.recv(65536)
            except TimeoutError:
                continue
            if self._rng.random() < GARBLED:
                packet = self._garbled(packet)
            if self._client is not None:
                self._front.sendto(packet, self._client)

    def _garbled(self, packet: bytes) -> bytes:
        what = self._rng.randrange(4)
        if what == 0:
            return packet[: self._rng.randrange(len(packet) + 1)]
        if what == 1:
            return packet + self._rng.randbytes(self._rng.randrange(1, 2000))
        return self._rng.randbytes(60) if what == 2 else changed_bytes(packet, self._rng)


@pytest.fixture(scope="module")
def bmc() -> Iterator[SimulatedBmc]:
    with SimulatedBmc(idle_w=100.0, slope_w=0.0, refresh_s=0.1) as bmc:
        yield bmc


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SESSIONS))
def test_a_bmc_whose_answers_are_garbled_on_the_way(seed: int, bmc: SimulatedBmc) -> None:
    with Garbler(bmc.port, seed) as garbler:
        source = IpmiSource(replace(bmc.source_spec, port=garbler.port))
        try:
            with limited(60.0):
                source.open()
        except PowerError as error:
            assert "127.0.0.1" in str(error)  # noqa: PT017
            return
        try:
            for _ in range(READS):
                with limited(20.0):
                    reading = source.read()
                # A garbled packet has no valid checksum, so a number is one that the BMC said.
                assert reading.status is not Status.OK or reading.value == pytest.approx(100.0, abs=2.0)
        finally:
            source.close()


def test_in_band_answers_of_any_length_and_content(monkeypatch: pytest.MonkeyPatch) -> None:
    source, command = opened(monkeypatch, {(0x2C, 0x02): dcmi_answer(120)})
    good = bytes(dcmi_answer(120)["data"])
    for seed in range(TRIES):
        rng = random.Random(seed)
        data = rng.randbytes(rng.randrange(40)) if seed % 2 else changed_bytes(good, rng)
        command.answers[0x2C, 0x02] = {"code": 0, "data": bytearray(data)}
        with limited():
            reading = source.read()
        assert isinstance(reading.status, Status), seed


def test_any_sensor_records_are_an_error_of_ours_or_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(TRIES // 3):
        rng = random.Random(seed)
        records = [rng.randbytes(rng.randrange(70)) for _ in range(rng.randrange(4))]
        try:
            with limited():
                source, _ = opened(monkeypatch, {(0x2C, 0x02): {"code": 0xC1, "data": b""}}, records)
                source.read()
        except PowerError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {records}") from error


def test_a_trace_file_changed_anywhere(tmp_path: Path) -> None:
    good_path, path = tmp_path / "good.csv", tmp_path / "trace.csv"
    description = SourceDescription("replay", "power", "node", "simulated", "a fuzzed trace", refresh_s=1.0)
    with TraceWriter(good_path, description, 1.0) as writer:
        for number in range(20):
            writer.append(Sample(number, number, number + 0.01, 1e9 + number, 1e9 + number, 100.0 + number, Status.OK))
            if number % 8 == 7:
                writer.note(0.1, float(number), True)
    good = good_path.read_bytes()
    for seed in range(TRIES):
        path.write_bytes(changed_bytes(good, random.Random(seed)))
        try:
            with limited():
                _, trace = read_trace_file(path)
                integrate(trace, 2.0, 18.0)
                read_recent(path, 10.0)
        except PowerError as error:
            assert str(path) in str(error), seed  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"seed {seed}: {path.read_bytes()!r:.3000}") from error


@pytest.mark.slow
def test_an_export_changed_anywhere(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", minutes(30)).read_bytes()
    path = tmp_path / "export.csv"
    for seed in range(TRIES // 2):
        path.write_bytes(changed_bytes(good, random.Random(seed)))
        try:
            with limited():
                read(path)
        except PowerError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {path.read_bytes()!r:.2000}") from error
