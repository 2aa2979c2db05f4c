"""A folder that holds a small finished sweep, made without training: what the examples of the commands are given in."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from tests.importers.support_oedi import small_submission
from tests.support_records import make_record
from wattsweep.cli import app
from wattsweep.planning import read_shards
from wattsweep.runs import Layout, write_run

CONFIG = """\
sweeps:
  demo:
    dataset: [digits, wine]
    shape: [rectangle, wide_first_2x]
    size: {powers_of_two: [10, 14], step: 2}
    depth: [2, 3, 5]
    epochs: 20
    batch_size: 64
    learning_rate: 0.001
    repetitions: 2
power:
  source: simulated
  interval: 50 ms
  min_window: 1 ms
  idle_window: 200 ms
  max_block_repetitions: 3
  simulated: {refresh: 100 ms}
analysis: {folds: 2, bootstrap_samples: 20}
scheduling: {shard_wall_time: 30 s}
"""
STAGES = {
    "tables": ("tables", "--plan", "results/plan", "--output", "results/tables"),
    "fit": ("fit", "--tables", "results/tables", "--output", "results/fit/energy_model.json"),
    "figures": (
        *("figures", "--tables", "results/tables", "--fit", "results/fit/energy_model.json"),
        *("--output", "results/figures"),
    ),
    "export": ("export", "butter", "--tables", "results/tables", "--output", "oedi/5708"),
}
NEEDED = {
    "fit": ("tables",),
    "figures": ("tables", "fit"),
    "report": ("tables", "fit", "figures"),
    "data-card": ("tables",),
    "predict": ("tables", "fit"),
    "import": ("tables", "export"),
    "import butter": ("tables", "export"),
    "export": ("tables",),
    "export butter": ("tables",),
    "standardise": ("tables",),
}
"""The stages whose files a command reads."""


class FinishedSweep:
    """The folder: a plan, run files, markers, one packed shard, a published data set; later stages on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
        (folder / "my.yaml").write_text(CONFIG.replace("[2, 3, 5]", "[2, 4]"), encoding="utf-8")
        (folder / "train.py").write_text("print(sum(range(1_000_000)))\n", encoding="utf-8")
        small_submission(folder / "oedi" / "5991")
        self._results: dict[str, Result] = {}
        invoke(folder, "plan", "--output", "results/plan")
        layout = Layout(folder / "results")
        shards = read_shards(folder / "results" / "plan")
        for shard in shards:
            for planned in shard.experiments:
                for repetition in range(planned.experiment.repetitions):
                    record = make_record(planned.experiment.settings, repetition, origin="simulated", noise=0.03)
                    write_run(layout.run(record.run), record)
            name = f"{shard.shard_id}.json"
            invoke(folder, "run-shard", f"results/plan/shards/{name}", "--output", f"results/shards/{name}")
        self.shard = shards[0].shard_id
        self.run = shards[1].experiments[0].experiment.run(0).run_id
        invoke(folder, "pack", self.shard)

    def ready_for(self, command: str) -> None:
        """Give the stages that a command reads the files of."""
        for stage in NEEDED.get(command, ()):
            self._give(stage)

    def stage(self, arguments: Sequence[str]) -> Result | None:
        """What a stage gave, where these arguments are its own: none is given twice."""
        for name, words in STAGES.items():
            if tuple(arguments) == words:
                self.ready_for(name)
                return self._give(name)
        return None

    def _give(self, stage: str) -> Result:
        if stage not in self._results:
            self._results[stage] = invoke(self.folder, *STAGES[stage])
        return self._results[stage]


def invoke(folder: Path, *arguments: str) -> Result:
    """What a command gives in a folder; it must not fail."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result
