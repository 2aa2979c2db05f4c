"""The Penn Machine Learning Benchmarks: from a local folder, else downloaded into it.

The folder has PMLB's own layout, DIR/name/name.tsv.gz (or name.tsv): tab separated, a header line, the column
`target` is the response. A clone of PMLB's repository has that layout in its folder `datasets`.
"""

import subprocess
import sys
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wattsweep.datasets.names import check_file_name, task_of
from wattsweep.datasets.types import RawTable
from wattsweep.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

DOWNLOAD_TIMEOUT = 600.0
"""Seconds after which a download is given up."""

TARGET = "target"

_URL = "https://github.com/EpistasisLab/pmlb/raw/master/datasets/{name}/{name}.tsv.gz"
_FETCH_PROGRAM = "import sys, pmlb; pmlb.fetch_data(sys.argv[1], local_cache_dir=sys.argv[2], dropna=False)"


def read(name: str, pmlb_dir: Path) -> RawTable:
    """The table of a PMLB dataset, from `pmlb_dir` when it is there, else downloaded into `pmlb_dir` first.

    Raises ValueError for a name that PMLB does not have, DatasetError when the file is not there and cannot
    be downloaded, or is not a table with a column `target`.
    """
    task = task_of("pmlb", check_file_name(name))
    path = local_file(name, pmlb_dir)
    if path is None:
        path = download(name, pmlb_dir)
    frame = _read_table(path)
    if TARGET not in frame.columns:
        raise DatasetError(
            f"{path} has no column {TARGET!r} among its {len(frame.columns)} columns: name the response's "
            f"column {TARGET!r} in the header line, and separate the columns by tabs"
        )
    feature_names = [str(column) for column in frame.columns if column != TARGET]
    return RawTable(
        source="pmlb",
        name=name,
        task=task,
        column_names=feature_names,
        columns=[np.asarray(frame[column]) for column in feature_names],
        target=np.asarray(frame[TARGET]),
    )


def local_file(name: str, pmlb_dir: Path) -> Path | None:
    """The dataset's file in the local folder, or None when it is not there."""
    folder = pmlb_dir / name
    for path in (folder / f"{name}.tsv.gz", folder / f"{name}.tsv"):
        if path.is_file():
            return path
    return None


def download(name: str, pmlb_dir: Path) -> Path:
    """Fetch a dataset with `pmlb` and return its file in `pmlb_dir`, which appears there complete or not at
    all.

    It is fetched by a process of its own because `pmlb` sets no time limit on its connections.
    Raises DatasetError when that fails or takes longer than `DOWNLOAD_TIMEOUT`.
    """
    wanted = pmlb_dir / name / f"{name}.tsv.gz"
    try:
        pmlb_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=pmlb_dir) as scratch:
            subprocess.run(
                [sys.executable, "-c", _FETCH_PROGRAM, name, scratch],
                check=True,
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_TIMEOUT,
            )
            wanted.parent.mkdir(exist_ok=True)
            (Path(scratch) / name / wanted.name).replace(wanted)
    except (OSError, subprocess.SubprocessError) as error:
        raise DatasetError(
            f"dataset pmlb:{name} is not at hand: there is no {wanted.name} (nor {name}.tsv) in "
            f"{wanted.parent}, and downloading it failed ({_reason(error)}). Put the file there yourself, "
            f"from {_URL.format(name=name)}, or prepare the datasets on a machine with access to the network"
        ) from error
    return wanted


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end after {error.timeout:g} s"
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr).strip().splitlines()
        return lines[-1][:500] if lines else f"exit status {error.returncode}"
    return str(error)


def _read_table(path: Path) -> "pd.DataFrame":
    # Imported here: it takes a second, and most of what imports this package never reads a table.
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, sep="\t", index_col=False, low_memory=False)
            named = pd.read_csv(path, sep="\t", header=None, nrows=1, dtype=str, index_col=False).iloc[0]
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserWarning) as error:
        raise DatasetError(
            f"{path} cannot be read as a tab-separated table ({error}): fetch it again from "
            f"{_URL.format(name=path.parent.name)} (a clone made without Git LFS holds only "
            "pointers to the files)"
        ) from error
    twice = sorted(set(named[named.duplicated()].dropna()))
    if twice:
        # pandas would give the second one another name, and nobody would know which is which.
        raise DatasetError(f"{path} has more than one column named {', '.join(twice)}: give each a name of its own")
    return frame
