"""A real Slurm of four nodes on this machine: munge, MariaDB, slurmdbd, slurmctld and a slurmd for each node.

Every node is a set of namespaces of its own: host name, processes, monotonic clock, /etc/slurm and a folder for
temporary files. Killing its first process is pulling its plug. Nothing outside the cluster's folder is written, and
all that runs ends with the process that started it, even where that one is killed.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

NODES = ("n1", "n2", "n3", "n4")
ACCOUNT = "lab"
PROGRAMS = (
    "munged",
    "mariadbd",
    "mariadb-install-db",
    "slurmdbd",
    "slurmctld",
    "slurmd",
    "sbatch",
    "unshare",
    "setpriv",
)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COUNTED = ("sbatch", "squeue", "sacct", "scontrol", "sacctmgr", "scancel")
CALLS_VARIABLE = "WATTSWEEP_TEST_CALLS"
START_TIMEOUT_S = 300.0
CALL_TIMEOUT_S = 120.0

NODE = """
set -e
hostname "$1"
mount --bind "$2/etc" /etc/slurm
mount -t tmpfs none "$2/local"
slurmd -D -N "$1" &
wait
"""
"""The first process of a node, given its name and the cluster's folder."""

COUNTING = """#!/bin/sh
[ -z "${variable}" ] || echo "$(date +%s.%N) $(hostname) {program}" >> "${variable}"
exec {path} "$@"
"""


class ClusterError(Exception):
    """The cluster did not do what it was asked for."""


def obstacle() -> str | None:
    """Why no cluster can be started here; None where one can."""
    if os.geteuid() != 0:
        return "a Slurm cluster is started as root only"
    if missing := [program for program in PROGRAMS if shutil.which(program, path=SYSTEM_PATH) is None]:
        return f"not installed: {', '.join(missing)} (tests/install-programs installs them)"
    tried = subprocess.run(
        _isolated("mount", "--bind", "/tmp", "/etc/slurm", node=True),  # noqa: S108 - any folder
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        return f"namespaces cannot be made here: {tried.stderr.strip()}"
    return None


def _isolated(*command: str, node: bool = False, uptime_s: int = 0) -> list[str]:
    """A command whose processes all end with it, and it with the thread that starts it.

    A `node` has a host name, mounts and a clock of its own.
    """
    clock = [f"--monotonic={uptime_s}", f"--boottime={uptime_s}"]
    apart = ["--mount-proc", "--uts", "--time", *clock] if node else []
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", *apart, *command]


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.1) -> None:
    """Return once the condition holds; ClusterError, which says what did not come, after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(every_s)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Cluster:
    """The cluster in a folder of its own. As a context manager it starts on entry and is gone on exit."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *ended: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell has on this cluster; its calls of Slurm are logged where CALLS_VARIABLE says."""
        inherited = {name: value for name, value in os.environ.items() if name != "WATTSWEEP_LOCKS"}
        return inherited | {
            "SLURM_CONF": f"{self.base}/etc/slurm.conf",
            # on a node this is its own disk: locks below it are the node's own
            "TMPDIR": f"{self.base}/local",
            "PATH": f"{self.base}/bin:{inherited['PATH']}",
        }

    def call(self, *command: str) -> str:
        """What a client of Slurm prints. Raises ClusterError where it fails."""
        environment = self.environment | {"PATH": SYSTEM_PATH}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=CALL_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{' '.join(command)}: no answer within {CALL_TIMEOUT_S:.0f} s") from None
        if done.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def node_states(self) -> dict[str, str]:
        """State of every node, such as idle or alloc."""
        lines = self.call("sinfo", "--noheader", "-N", "--partition=main", "--format=%N %t").split("\n")
        return dict(line.split() for line in lines if line)

    def jobs(self, *states: str) -> dict[str, dict[str, str]]:
        """Jobs by id, of all states or some: state, node and comment."""
        wanted = ",".join(states) or "all"
        lines = self.call("squeue", "--noheader", f"--states={wanted}", "--format=%i|%T|%N|%k").splitlines()
        jobs = (line.split("|", maxsplit=3) for line in lines)
        return {job: {"state": state, "node": node, "comment": comment} for job, state, node, comment in jobs}

    def start_node(self, name: str) -> None:
        """Switch a node on. Its clock is not that of the others."""
        number = NODES.index(name) + 1
        command = _isolated("sh", "-c", NODE, "node", name, str(self.base), node=True, uptime_s=number * 10_000)
        self._launch(name, command)

    def kill(self, name: str) -> None:
        """Pull the plug of a node, or kill a daemon: nothing of it is left running."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def processes(self, node: str) -> dict[int, str]:
        """The processes of a node, by their ids outside of it: their command lines."""
        (first,) = _children(self._running[node].pid)
        space = Path(f"/proc/{first}/ns/pid").readlink()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "ns/pid").readlink() == space:
                    found[int(process.name)] = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
        return found

    def stop_controller(self) -> None:
        """End slurmctld as an administrator does; jobs go on."""
        process = self._running["slurmctld"]
        for child in _children(process.pid):
            os.kill(child, signal.SIGTERM)
        process.wait(CALL_TIMEOUT_S)
        del self._running["slurmctld"]

    def start_controller(self) -> None:
        """Start slurmctld, with the state that it kept."""
        self._launch("slurmctld", _isolated("slurmctld", "-D", "-f", f"{self.base}/etc/slurm.conf"))
        self._wait_for("slurmctld", self._controller_answers)

    def wait_until_idle(self) -> None:
        """Return once every node is idle."""
        self._wait_for("nodes idle", lambda: set(self.node_states().values()) == {"idle"})

    def stop(self) -> None:
        """End every process and remove the folder."""
        for name in reversed(list(self._running)):
            self.kill(name)
        shutil.rmtree(self.base, ignore_errors=True)

    def _start(self) -> None:
        for folder in ("etc", "bin", "local", "state", "spool", "log", "database"):
            (self.base / folder).mkdir(parents=True)
        self._write_files()
        self._start_munge()
        self._start_database()
        self._launch("slurmdbd", _isolated("slurmdbd", "-D"), SLURM_CONF=f"{self.base}/etc/slurm.conf")
        self._wait_for("slurmdbd", lambda: self._answers("sacctmgr", "--noheader", "list", "cluster"))
        self.call("sacctmgr", "-i", "add", "cluster", "toy")
        self.start_controller()
        self.call("sacctmgr", "-i", "add", "account", ACCOUNT)
        self.call("sacctmgr", "-i", "add", "user", "root", f"account={ACCOUNT}")
        for name in NODES:
            self.start_node(name)
        self.wait_until_idle()

    def _write_files(self) -> None:
        self._database_port, accounting, controller, *nodes = _free_ports(3 + len(NODES))
        node_lines = "\n".join(
            f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=16000 Gres=gpu:1"
            for name, port in zip(NODES, nodes, strict=True)
        )
        template = Path(__file__).with_name("slurm.conf.in").read_text(encoding="utf-8")
        etc = self.base / "etc"
        (etc / "slurm.conf").write_text(
            template.format(
                base=self.base,
                host=socket.gethostname(),
                controller_port=controller,
                accounting_port=accounting,
                nodes=node_lines,
            )
        )
        (etc / "gres.conf").write_text("NodeName=n[1-4] Name=gpu File=/dev/null\n")
        accounting_file = etc / "slurmdbd.conf"
        accounting_file.touch(mode=0o600)
        accounting_file.write_text(
            f"AuthType=auth/munge\nAuthInfo=socket={self.base}/munge.sock\nDbdHost=localhost\nDbdAddr=127.0.0.1\n"
            f"DbdPort={accounting}\nSlurmUser=root\nLogFile={self.base}/log/slurmdbd.log\n"
            f"PidFile={self.base}/slurmdbd.pid\nStorageType=accounting_storage/mysql\nStorageHost=127.0.0.1\n"
            f"StoragePort={self._database_port}\nStorageUser=slurm\nStoragePass=slurm\nStorageLoc=slurm\n"
        )
        for program in COUNTED:
            wrapper = self.base / "bin" / program
            path = shutil.which(program, path=SYSTEM_PATH)
            wrapper.write_text(COUNTING.format(variable=CALLS_VARIABLE, program=program, path=path))
            wrapper.chmod(0o755)

    def _start_munge(self) -> None:
        key = self.base / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        options = [f"--{option}={self.base}/{name}" for option, name in files.items()]
        options.append(f"--log-file={self.base}/log/munge.log")
        self._launch("munged", _isolated("munged", "--force", "--foreground", *options))
        self._wait_for("munged", (self.base / "munge.sock").exists)

    def _start_database(self) -> None:
        folder = self.base / "database"
        common = ["--no-defaults", "--user=root", f"--datadir={folder}"]
        log = self.base / "log" / "mariadb-install.log"
        with log.open("wb") as output:
            made = subprocess.run(
                ["mariadb-install-db", *common, "--skip-test-db", "--skip-name-resolve"],
                env=os.environ | {"PATH": SYSTEM_PATH},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=START_TIMEOUT_S,
                check=False,
            )
        if made.returncode != 0:
            raise ClusterError(f"mariadb-install-db: {log.read_text(errors='replace')[-2000:]}")
        first = self.base / "first.sql"
        first.write_text("GRANT ALL ON slurm.* TO slurm@127.0.0.1 IDENTIFIED BY 'slurm';\n")
        options = [f"--socket={self.base}/mariadb.sock", f"--pid-file={self.base}/mariadb.pid", f"--init-file={first}"]
        options += ["--bind-address=127.0.0.1", f"--port={self._database_port}", "--skip-name-resolve"]
        options += ["--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"]
        self._launch("mariadbd", _isolated("mariadbd", *common, *options))
        self._wait_for("mariadbd", self._database_listens)

    def _database_listens(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self._database_port)) == 0

    def _controller_answers(self) -> bool:
        return self._answers("scontrol", "ping") and "is UP" in self.call("scontrol", "ping")

    def _answers(self, *command: str) -> bool:
        try:
            self.call(*command)
        except ClusterError:
            return False
        return True

    def _launch(self, name: str, command: Sequence[str], **variables: str) -> None:
        if name in self._running:
            raise ClusterError(f"{name} is running")
        with (self.base / "log" / f"{name}.out").open("ab") as output:
            self._running[name] = subprocess.Popen(
                command,
                env={"PATH": SYSTEM_PATH} | variables,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait, and where it does not come, or a process has ended, say what the logs say."""

        def ready() -> bool:
            if ended := [name for name, process in self._running.items() if process.poll() is not None]:
                raise ClusterError(f"{what}: {', '.join(ended)} ended")
            return condition()

        try:
            wait_until(ready, START_TIMEOUT_S, what)
        except ClusterError as error:
            logs = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in self._logs()]
            raise ClusterError("\n".join([str(error), *logs])) from None

    def _logs(self) -> list[Path]:
        return sorted(path for path in (self.base / "log").iterdir() if path.stat().st_size)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
