"""The errors that wattsweep raises on purpose.

Each message names the thing, the value it had and the remedy; the command line prints it without a traceback.
"""

from collections.abc import Sequence


class WattsweepError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(WattsweepError):
    """The configuration does not describe a sweep; `mistakes` has what is wrong with it, one mistake each."""

    def __init__(self, message: str, mistakes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.mistakes = list(mistakes) or [message]


class DatasetError(WattsweepError):
    """A dataset is not at hand, or its contents cannot be trained on."""


class PowerError(WattsweepError):
    """A power source cannot be opened, read or trusted."""


class RunFileError(WattsweepError):
    """A run file is missing, truncated, foreign or of another version."""


class UnreachableError(RunFileError):
    """The disk does not give a run file, which may be whole."""


class TrainingError(WattsweepError):
    """A run cannot be trained as asked."""


class OutOfMemoryError(TrainingError):
    """A training needs more memory than there is."""


class HardwareError(WattsweepError):
    """A node does not tell what it is, or a hardware profile is not valid."""


class AnalysisError(WattsweepError):
    """There is not enough, or not the right, data for an analysis."""


class TryAgainError(WattsweepError):
    """Nothing is wrong, but not now: the same command goes on when it is given again (exit status 75)."""


class DrainedError(TryAgainError):
    """A shard was told to stop, and did so in order."""


class LeaseError(TryAgainError):
    """A shard is another process's at present."""
