"""The `wattsweep` command: thin wrappers around the library.

A module here adds its commands to `app` by being imported; what they need of the library they import when they run, so
that the command line itself starts at once.
"""

from wattsweep.cli import meter, pipeline, plan, record, runfiles, status
from wattsweep.cli.app import app, main

__all__ = ["app", "main", "meter", "pipeline", "plan", "record", "runfiles", "status"]
