"""Where the file of a run lies, seen from another folder."""

import os
from pathlib import Path

from wattsweep.runs.layout import Layout
from wattsweep.runs.packed import files_with


def run_link(layout: Layout, seen_from: Path, experiment_id: str, run_id: str) -> str:
    """The relative path, with forward slashes, of a run's file or of the packed file with its experiment.

    Empty where there is none.
    """
    loose = layout.experiment(experiment_id) / f"{run_id}.h5"
    paths = [loose] if loose.exists() else files_with(layout, experiment_id)
    return Path(os.path.relpath(paths[0], seen_from)).as_posix() if paths else ""
