"""Snakemake, as a program, which looks at its jobs every few seconds.

The executor plug-in looks 10 s later after each look that found no job ended: what a site wants, and most of what a
test would wait for.
"""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor  # type: ignore[import-untyped]

LOOK_EVERY_S = 2


class _Steady:
    """In place of the interval, which then does not grow."""

    def __get__(self, executor: object, kind: type) -> int:
        return LOOK_EVERY_S

    def __set__(self, executor: object, interval_s: int) -> None:
        pass


if __name__ == "__main__":
    Executor.next_seconds_between_status_checks = _Steady()
    options = ["--slurm-init-seconds-before-status-checks", str(LOOK_EVERY_S), "--max-status-checks-per-second", "1"]
    sys.exit(main([*sys.argv[1:], *options]))
