"""A BMC's password is nowhere but in the file that it was given in and in the memory of those who need it."""

import base64
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import pandas as pd
import psutil
import pytest
import yaml

from tests.workflow.test_workflow import POWER, Project
from wattsweep.power.credentials import load_credentials
from wattsweep.simulation import SimulatedBmc

LOOK_EVERY_S = 0.25


@pytest.fixture(scope="module")
def bmc() -> Iterator[SimulatedBmc]:
    with SimulatedBmc(idle_w=100.0, slope_w=50.0, refresh_s=0.1) as bmc:
        yield bmc


class Watched(Project):
    """Runs Snakemake, and looks meanwhile at what everybody can see of its processes."""

    def configure_for(self, bmc: SimulatedBmc, credentials: Path) -> None:
        self.configure()
        document = yaml.safe_load((self.folder / "config.yaml").read_text())
        ipmi = {"address": bmc.address, "port": bmc.port, "credentials_file": str(credentials), "cipher_suites": [3]}
        document["power"] = {key: value for key, value in POWER.items() if key != "simulated"}
        document["power"] |= {"source": "ipmi", "ipmi": ipmi}
        (self.folder / "config.yaml").write_text(yaml.safe_dump(document))

    def run(self) -> tuple[str, set[str], set[int]]:
        """Its output, what was seen of the processes, and their soft limits on core dumps while power is read."""
        seen: set[str] = set()
        limits: set[int] = set()
        log = self.folder / "output.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=output, stderr=subprocess.STDOUT, process_group=0
            )
            try:
                while True:
                    self.look(process.pid, seen, limits)
                    try:
                        process.wait(LOOK_EVERY_S)
                        break
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        text = log.read_text()
        assert process.returncode == 0, text
        return text, seen, limits

    def look(self, pid: int, seen: set[str], limits: set[int]) -> None:
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            return
        for one in family:
            try:
                seen.update(one.cmdline())
                seen.update(f"{name}={value}" for name, value in one.environ().items())
                if "wattsweep.power.worker" in one.cmdline():
                    limits.add(one.rlimit(psutil.RLIMIT_CORE)[0])
            except psutil.Error:
                continue


def places_with(secret: str, folder: Path) -> list[str]:
    """Files that hold a secret, plain, encoded, or in compressed columns and HDF5's values; also names of files."""
    plain = secret.encode()
    # In base64 it looks different at each of three places that it may begin at.
    forms = (
        plain,
        plain.hex().encode(),
        *(base64.b64encode(before + plain)[4:-4] for before in (b"_:", b"__:", b"___:")),
    )
    found = []
    for path in sorted(folder.rglob("*")):
        if secret in path.name:
            found.append(f"the name {path}")
        if path.is_file() and any(form in path.read_bytes() for form in forms):
            found.append(str(path))
    found += [
        f"the content of {path}" for path in folder.rglob("*.parquet") if secret in pd.read_parquet(path).to_csv()
    ]
    found += [f"the content of {path}" for path in folder.rglob("*.h5") if secret in words_of(path)]
    return found


def words_of(path: Path) -> str:
    """All attributes of an HDF5 file, and the values of its datasets that are no numbers."""
    words: list[str] = []
    with h5py.File(path, "r") as file:

        def take(_name: str, item: h5py.Group | h5py.Dataset) -> None:
            words.extend(f"{key}={value}" for key, value in item.attrs.items())
            if isinstance(item, h5py.Dataset) and item.dtype.kind not in "iuf":
                words.append(str(item[()].tolist()))

        take("", file["/"])
        file.visititems(take)
    return "\n".join(words)


@pytest.mark.slow
def test_after_a_whole_run_the_password_is_nowhere(
    bmc: SimulatedBmc, tmp_path: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    credentials = tmp_path_factory.mktemp("secret") / "bmc.yaml"
    credentials.touch(mode=0o600)
    credentials.write_text(yaml.safe_dump({"username": bmc.username, "password": bmc.password}))
    project = Watched(tmp_path, repository)
    project.configure_for(bmc, credentials)
    output, seen, limits = project.run()
    assert bmc.password not in output
    assert [one for one in seen if bmc.password in one] == []
    assert places_with(bmc.password, tmp_path) == []
    assert limits == {0}
    runs = pd.read_parquet(tmp_path / "results" / "tables" / "runs.parquet")
    assert set(runs["power_source"]) == {"ipmi"}
    # That it would have been found: the address that every run file names is.
    found = places_with(f":{bmc.port}", tmp_path)
    for kind in (".h5", ".parquet", ".csv"):
        assert any(place.endswith(kind) for place in found), kind
    assert any(place.startswith("the content of") and place.endswith(".h5") for place in found)


def test_those_who_know_it_leave_no_core_dump(tmp_path: Path) -> None:
    path = tmp_path / "bmc.yaml"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"username": "reader", "password": "canary"}))
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        load_credentials(path)
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.slow
def test_the_simulated_bmc_refuses_a_wrong_password_and_listens_on_loopback_alone(bmc: SimulatedBmc) -> None:
    assert bmc.pid is not None
    sockets = psutil.Process(bmc.pid).net_connections(kind="inet")
    assert {one.laddr.ip for one in sockets} <= {"127.0.0.1", "::1"}
    assert bmc.port in {one.laddr.port for one in sockets}
