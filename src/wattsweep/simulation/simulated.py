"""The parent's end of the simulated BMC."""

import secrets
from types import TracebackType
from typing import Self

from wattsweep.errors import PowerError
from wattsweep.power.child import ChildProcess
from wattsweep.power.sources.specs import IpmiSpec

ADDRESS = "127.0.0.1"
USERNAME = "wattsweep"
START_TIMEOUT_S = 60.0


class SimulatedBmc:
    """A BMC in a process of its own that speaks IPMI 2.0 on 127.0.0.1, with a random password.

    It shows `idle_w` + `slope_w` x the node's CPU use, in whole watts, updated every `refresh_s`. Port 0 takes a free
    UDP port. With `dcmi` False it knows only a sensor. As a context manager it starts on entry and stops on exit.
    """

    def __init__(self, *, idle_w: float, slope_w: float, refresh_s: float, port: int = 0, dcmi: bool = True) -> None:
        self.address = ADDRESS
        self.username = USERNAME
        self.password = secrets.token_hex(8)
        self._refresh_s = refresh_s
        self._port: int | None = None
        self._child = ChildProcess(
            "wattsweep.simulation.bmc",
            {
                "idle_w": idle_w,
                "slope_w": slope_w,
                "refresh_s": refresh_s,
                "port": port,
                "username": self.username,
                "password": self.password,
                "dcmi": dcmi,
            },
            name="The simulated BMC",
            timeout_s=START_TIMEOUT_S,
        )

    @property
    def port(self) -> int:
        """Its UDP port. Raises PowerError before `start`."""
        if self._port is None:
            raise PowerError("The simulated BMC has not been started; call start() before asking for its port.")
        return self._port

    @property
    def source_spec(self) -> IpmiSpec:
        """What a `Recorder` takes to read it. Raises PowerError before `start`."""
        return IpmiSpec(
            address=self.address,
            port=self.port,
            username=self.username,
            password=self.password,
            origin="simulated",
            refresh_s=self._refresh_s,
        )

    @property
    def pid(self) -> int | None:
        """The id of its process, None before `start`."""
        return self._child.pid

    def start(self) -> None:
        """Start it and return once it answers. Raises PowerError when the port cannot be had."""
        self._port = int(self._child.start()["port"])

    def stop(self) -> None:
        """Stop it. Harmless when stopped before, never started or dead."""
        self._child.stop()

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child.alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()
