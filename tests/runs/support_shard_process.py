"""A shard in a process of its own, as a job runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.runs.support_runs import shard_of
from wattsweep.config import Config
from wattsweep.planning.files import shard_to_json


class ShardProcess:
    """`wattsweep run-shard` on the shard of a configuration; `folder` is for its files, log and marker.

    `under` is a command that starts it, `environment` what it has beside ours.
    """

    def __init__(
        self,
        settings: Config,
        folder: Path,
        *,
        under: Sequence[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.marker = folder / "marker.json"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(settings.model_dump_json(by_alias=True), encoding="utf-8")
        (folder / "shard.json").write_text(json.dumps(shard_to_json(shard_of(settings))), encoding="utf-8")
        files = [str(folder / "shard.json"), "--configfile", str(folder / "config.json"), "--output", str(self.marker)]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*under, sys.executable, "-m", "wattsweep", "run-shard", *files],
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=os.environ | environment,
            )

    @property
    def log(self) -> str:
        """All that attempts in this folder have said."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def wait_until(self, condition: Callable[[], object], timeout_s: float = 300.0) -> None:
        """Return once the condition holds; it must before the process ends."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.01)

    def wait_for_log(self, words: str, times: int = 1) -> None:
        """Return once the log has these words so many times."""
        self.wait_until(lambda: self.log.count(words) >= times)

    def wait_for_training(self, runs_before: int) -> None:
        """Return once a run is being trained after so many that are kept."""
        staged = self.settings.paths.results / "staged"
        self.wait_until(lambda: len(list(staged.glob("*/*/*/[!.]*.h5"))) >= runs_before)
        time.sleep(0.3)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started, as Slurm does."""
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(600)

    def kill(self) -> None:
        """End it and all that it started, if it is still there."""
        if self.process.poll() is None:
            self.signal_all(signal.SIGKILL)
            self.process.wait()
