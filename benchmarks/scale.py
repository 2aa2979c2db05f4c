"""How planning, parsing the workflow, tables and status grow with the number of runs.

`python -m benchmarks.scale` makes run files of the true size without training (they are synthetic: see
benchmarks/scale_data.py) in a scratch folder, and measures what a user waits for at 1,000, 10,000 and 60,000 runs, and
for the two presets of the papers, of which nothing is finished. It prints the tables of docs/scale.md; `--write` puts
them there, after every sweep, so that one that is stopped leaves what it has.

60,000 runs take 14 GB in the scratch folder, their tables 12 GB more. `--folder` keeps it, and takes what is there.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.measured import Measured, measured
from benchmarks.page import table, write_between
from benchmarks.scale_data import cut_to, make_runs, preset, write_datasets
from wattsweep.config import Config
from wattsweep.planning import read_plan
from wattsweep.runs import Layout

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "scale.md"
BEGIN, END = "<!-- begin scale -->", "<!-- end scale -->"
RUNS = (1_000, 10_000, 60_000)
MOST_PACKED = 10_000
"""Packing compares every run with its file; more than so many are not packed here, since it takes as long again."""
MOST_SHARDS = 20_000
"""Snakemake is not asked for more than so many jobs here: it would take minutes."""
TABLES_COMMAND = ("tables", "--plan", "results/plan", "--output", "results/tables")


@dataclass
class Stage:
    """Something that a user waits for, and what it is to take at most, if anything was promised."""

    name: str
    goal_s: float | None = None
    goal_mb: float | None = None
    took: dict[str, Measured] = field(default_factory=dict)


UNPLANNED = "`snakemake -n`, nothing planned"
PLAN = "`wattsweep plan`"
PLANNED = "`snakemake -n`, nothing finished"
JOB = "in every job: `snakemake -n` of its shard"
LEARN = "`wattsweep plan`, all finished"
STATUS = "`wattsweep status`"
TABLES = "`wattsweep tables`"
LEARN_TABLES = "`wattsweep plan`, from tables"
FINISHED = "`snakemake -n`, all finished"
PACK = "`wattsweep pack`"
TABLES_PACKED = "`wattsweep tables`, packed"
STATUS_PACKED = "`wattsweep status`, packed"

STAGES = (
    Stage(UNPLANNED, 10, 1000),
    Stage(PLAN, None, 4000),
    Stage(PLANNED, 10, 1000),
    Stage(JOB, 2),
    Stage(STATUS, 2, 4000),
    Stage(LEARN, None, 4000),
    Stage(TABLES, 300, 4000),
    Stage(LEARN_TABLES, None, 4000),
    Stage(FINISHED, 10, 1000),
    Stage(PACK, None, 4000),
    Stage(TABLES_PACKED, 300, 4000),
    Stage(STATUS_PACKED, 2, 4000),
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was made or planned: how many runs and shards, and files of runs before and after packing."""

    name: str
    runs: int
    experiments: int
    shards: int
    gigabytes: float = 0.0
    files: int | None = None
    packed_files: int | None = None


class Bench:
    """Measures the stages for one sweep after another."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.stages = {stage.name: Stage(stage.name, stage.goal_s, stage.goal_mb) for stage in STAGES}
        self.sweeps: list[Sweep] = []

    def runs(self, count: int) -> None:
        """Every stage for a sweep with so many run files."""
        name, project = f"{count:,}", self.scratch / str(count)
        config = cut_to(count, Path("results"))
        layout = Layout(project / "results")
        if not (project / "made").exists():
            shutil.rmtree(project, ignore_errors=True)
            make_runs(config.model_copy(update={"paths": preset("butter-e", layout.results).paths}), count)
            _configure(project, config)
            (project / "made").touch()
        markers, aside = layout.marker("x").parent, project / "markers"
        if not aside.exists():
            markers.rename(aside)
        wattsweep, snakemake = self._commands(name, project)
        wattsweep(PLAN, "plan")
        snakemake(PLANNED)
        plan = read_plan(layout.results / "plan" / "plan.json")
        snakemake(JOB, _marker(plan))
        aside.rename(markers)
        wattsweep(STATUS, "status")
        wattsweep(LEARN, "plan")
        wattsweep(TABLES, *TABLES_COMMAND)
        wattsweep(LEARN_TABLES, "plan")
        snakemake(FINISHED)
        files, size = _files(layout)
        packed = None
        shutil.rmtree(layout.results / "tables")
        if count <= MOST_PACKED:
            kept = project / "runs.kept"
            shutil.copytree(layout.results / "runs", kept, copy_function=os.link)
            wattsweep(PACK, "pack")
            packed = _files(layout)[0]
            wattsweep(TABLES_PACKED, *TABLES_COMMAND)
            wattsweep(STATUS_PACKED, "status")
            for folder in ("tables", "packed", "runs"):
                shutil.rmtree(layout.results / folder, ignore_errors=True)
            kept.rename(layout.results / "runs")
        self.sweeps.append(Sweep(name, count, plan["experiments"], len(plan["shards"]), size / 1e9, files, packed))

    def preset(self, name: str) -> None:
        """What there is to wait for with one of the shipped configurations before anything is finished."""
        project = self.scratch / name
        layout = Layout(project / "results")
        shutil.rmtree(project, ignore_errors=True)
        write_datasets(layout)
        _configure(project, preset(name, Path("results")))
        wattsweep, snakemake = self._commands(name, project)
        snakemake(UNPLANNED)
        folder = layout.results / "plan"
        folder.mkdir()
        shutil.copy(project / "config.yaml", folder / "config.json")
        wattsweep(PLAN, "plan", "--output", "results/plan")
        plan = read_plan(folder / "plan.json")
        if len(plan["shards"]) <= MOST_SHARDS:
            snakemake(PLANNED)
        snakemake(JOB, _marker(plan))
        wattsweep(STATUS, "status")
        wattsweep(TABLES, *TABLES_COMMAND)
        self.sweeps.append(Sweep(name, plan["runs"], plan["experiments"], len(plan["shards"])))

    def _commands(self, name: str, project: Path) -> tuple[Callable[..., None], Callable[..., None]]:
        def run(stage: str, command: Sequence[str]) -> None:
            found = measured([sys.executable, "-m", *command], project, environment())
            self.stages[stage].took[name] = found
            print(
                f"{name:>10}  {stage:45} {found.wall_s:8.1f} s {found.cpu_s:8.1f} s of CPU {found.peak_mb:8.0f} MB",
                file=sys.stderr,
                flush=True,
            )

        def wattsweep(stage: str, *arguments: str) -> None:
            run(stage, ["wattsweep", *arguments])

        def snakemake(stage: str, *targets: str) -> None:
            profile, snakefile = REPOSITORY / "profiles" / "local", REPOSITORY / "workflow" / "Snakefile"
            fixed = ["--profile", str(profile), "--snakefile", str(snakefile), "--directory", str(project)]
            run(stage, ["snakemake", "-n", "--nolock", "--quiet", "all", *fixed, *targets])

        return wattsweep, snakemake


def _marker(plan: Mapping[str, Any]) -> str:
    return f"results/shards/{plan['shards'][0]['shard_id']}.json"


def _configure(project: Path, config: Config) -> None:
    (project / "config.yaml").write_text(config.model_dump_json(by_alias=True), encoding="utf-8")


def environment() -> dict[str, str]:
    """That of commands that are measured: this checkout and its Python first."""
    return {"PYTHONPATH": str(REPOSITORY / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _files(layout: Layout) -> tuple[int, int]:
    """Files of runs, loose and packed, and their bytes."""
    sizes = [
        path.stat().st_size
        for folder in (layout.results / "runs", layout.packed)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return len(sizes), sum(sizes)


def times(stages: Sequence[Stage], names: Sequence[str]) -> str:
    """Wall time, that of processors, and memory of every stage, and what was promised."""
    rows = []
    for stage in stages:
        if stage.took:
            goals = [f"{stage.goal_s:g} s"] if stage.goal_s else []
            goals += [f"{stage.goal_mb / 1000:g} GB"] if stage.goal_mb else []
            rows.append([stage.name, *(_cell(stage.took.get(name)) for name in names), ", ".join(goals) or "-"])
    return table(["", *names, "at most"], rows)


def _cell(found: Measured | None) -> str:
    return "-" if found is None else f"{found.wall_s:.1f} s ({found.cpu_s:.1f} s), {found.peak_mb:,.0f} MB"


def growth(stages: Sequence[Stage], counts: Sequence[int]) -> str:
    """Processors' time and memory from the least to the greatest number of runs, over the growth of that number."""
    if len(counts) < 2:
        return ""
    low, high = f"{min(counts):,}", f"{max(counts):,}"
    rows = []
    for stage in stages:
        if low in stage.took and high in stage.took:
            first, last = stage.took[low], stage.took[high]
            runs = max(counts) / min(counts)
            rows.append(
                [stage.name, f"{last.cpu_s / first.cpu_s:.1f}", f"{last.peak_mb / first.peak_mb:.1f}", f"{runs:g}"]
            )
    return table(["", "processor time grew by", "memory grew by", "runs grew by"], rows)


def what(sweeps: Sequence[Sweep]) -> str:
    """What was made."""
    rows = [
        [
            sweep.name,
            f"{sweep.runs:,}",
            f"{sweep.experiments:,}",
            f"{sweep.shards:,}",
            f"{sweep.gigabytes:.1f} GB" if sweep.files else "-",
            f"{sweep.files:,}" if sweep.files else "-",
            "-" if sweep.packed_files is None else f"{sweep.packed_files:,}",
        ]
        for sweep in sweeps
    ]
    return table(["sweep", "runs", "experiments", "shards", "run files", "files", "files when packed"], rows)


def report(bench: Bench) -> str:
    """All tables."""
    stages = list(bench.stages.values())
    facts = machine()
    place = f"{facts['CPU']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}, {facts['date']}"
    load = os.getloadavg()[2]
    parts = [
        f"Measured on {place}.\n"
        f"The machine's load in the last quarter of an hour was {load:.1f}, of which this benchmark is 1 to 3.\n"
        "Where there is more, times are longer than they need be, those of processors too.",
        what(bench.sweeps),
        times(stages, [sweep.name for sweep in bench.sweeps]),
        growth(stages, [sweep.runs for sweep in bench.sweeps if sweep.files]),
    ]
    return "\n\n".join(filter(None, parts))


def write(text: str) -> None:
    """Put the tables into the page."""
    write_between(PAGE, BEGIN, END, text)


def main() -> None:
    """Measure and print, or write into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    parser.add_argument("--runs", type=int, nargs="*", default=list(RUNS), help="numbers of run files")
    parser.add_argument("--presets", nargs="*", default=["butter-e", "butter"], help="configurations to plan")
    parser.add_argument("--folder", type=Path, help="scratch folder that is kept; without it one that is removed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wattsweep-scale-") as temporary:
        bench = Bench((arguments.folder or Path(temporary)).resolve())
        presets = [partial(bench.preset, name) for name in arguments.presets]
        for measure in [*presets, *(partial(bench.runs, count) for count in arguments.runs)]:
            measure()
            if arguments.write:
                write(report(bench))
    print(report(bench))


if __name__ == "__main__":
    main()
