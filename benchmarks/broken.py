"""Tables from very many run files of which some are broken: `python -m benchmarks.broken [--runs N] [--share S]`.

Run files of the true size are made without training (benchmarks/scale_data.py) in a scratch folder; of a share of them,
chosen at random, each is cut short, has a bit turned or is replaced by other bytes. `wattsweep tables` has to set
aside exactly those, each with its reason, and to read all others. Prints the row of docs/reliability.md.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import pyarrow.parquet as pq

from benchmarks.machine import machine
from benchmarks.measured import Measured, measured
from benchmarks.page import table
from benchmarks.scale import TABLES_COMMAND, environment
from benchmarks.scale_data import cut_to, make_runs, preset
from wattsweep.runs import Layout
from wattsweep.runs.quarantine import quarantined


@dataclass(frozen=True, slots=True)
class Counts:
    """Runs in the tables, files set aside, and how many of those have a reason."""

    in_tables: int
    set_aside: int
    reasons: int


def make_project(folder: Path, runs: int) -> Path:
    """A folder with a sweep of so many run files, nothing in tables."""
    project = folder / "project"
    config = cut_to(runs, Path("results"))
    layout = Layout(project / "results")
    make_runs(config.model_copy(update={"paths": preset("butter-e", layout.results).paths}), runs)
    (project / "config.yaml").write_text(config.model_dump_json(by_alias=True), encoding="utf-8")
    return project


def damage_some(project: Path, share: float, seed: int = 0) -> list[Path]:
    """Break a share of the run files, in three ways by turns; which."""
    rng = random.Random(seed)  # noqa: S311
    files = sorted((project / "results" / "runs").glob("*/*/*.h5"))
    chosen = rng.sample(files, round(share * len(files)))
    ways: tuple[Callable[[Path, random.Random], None], ...] = (_cut, _turn_a_bit, _replace)
    for number, path in enumerate(chosen):
        ways[number % len(ways)](path, rng)
    return chosen


def _cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def _turn_a_bit(path: Path, rng: random.Random) -> None:
    """Turn a bit of the curves."""
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        chunk = file["epochs"].id.get_chunk_info(0)
    content[chunk.byte_offset + rng.randrange(chunk.size)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _replace(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(5000))


def tables_of(project: Path) -> Counts:
    """What `wattsweep tables` makes of a project."""
    command = [sys.executable, "-m", "wattsweep", *TABLES_COMMAND]
    subprocess.run(command, cwd=project, env=os.environ | environment(), check=True, stdout=sys.stderr)
    return counts_of(project)


def counts_of(project: Path) -> Counts:
    """What lies in a project after its tables were made."""
    found = list(quarantined(Layout(project / "results")))
    runs = pq.read_metadata(project / "results" / "tables" / "runs.parquet").num_rows
    return Counts(runs, len(found), sum(bool(one.reason) for one in found))


def row(runs: int, broken: int, counts: Counts, took: Measured) -> str:
    """The table of the page."""
    head = ["run files", "broken", "in tables", "set aside, with reason", "wall time", "most memory"]
    cells = [f"{runs:,}", f"{broken:,}", f"{counts.in_tables:,}", f"{counts.reasons:,}"]
    return table(head, [[*cells, f"{took.wall_s:.0f} s", f"{took.peak_mb:,.0f} MB"]])


def main() -> None:
    """Make, break, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60_000)
    parser.add_argument("--share", type=float, default=0.01)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wattsweep-broken-") as scratch:
        project = make_project(Path(scratch), arguments.runs)
        broken = damage_some(project, arguments.share)
        command = [sys.executable, "-m", "wattsweep", *TABLES_COMMAND]
        took = measured(command, project, environment())
        print(row(arguments.runs, len(broken), counts_of(project), took))
    facts = machine()
    print(f"{facts['CPU']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}, {facts['date']}")


if __name__ == "__main__":
    main()
