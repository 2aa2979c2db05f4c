"""The `wattsweep` command: thin wrappers around the library.

A module here adds its commands to `app` by being imported; what they need of the library they import when they run, so
that the command line itself starts at once.
"""

# The order of these is that of `wattsweep --help`.
# isort: off
from wattsweep.cli.app import app, main
from wattsweep.cli import new, plan, status, dashboard, pipeline, predict, published, runfiles, meter, record, config

# isort: on

__all__ = [
    "app",
    "config",
    "dashboard",
    "main",
    "meter",
    "new",
    "pipeline",
    "plan",
    "predict",
    "published",
    "record",
    "runfiles",
    "status",
]
