"""Commands for run files: `inspect` shows one, `pack` packs those of finished shards."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import DEFAULT_CONFIG, ConfigFile, JsonOption
from wattsweep.cli.talking import progress, say_next, with_config

if TYPE_CHECKING:
    from wattsweep.runs import RunRecord


@app.command(
    epilog=examples(
        "inspect results/runs/*/*/RUN.h5",
        "inspect results/runs/*/*/RUN.h5 --json",
        "inspect results/packed/SHARD.h5",
        "inspect results/runs/*/*/*.h5",
    )
)
def inspect(
    files: Annotated[list[Path], typer.Argument(help="A run file or a packed shard (.h5), or several.")],
    as_json: JsonOption = False,
    run_id: Annotated[str | None, typer.Option("--run", help="The run of a packed shard to show.")] = None,
) -> None:
    """Validate a run file and show it, or validate many.

    Of several files it names those that are not valid, with the reason, and counts the others. Of a packed shard it
    lists the runs, or shows the one that --run names; the name that a run file had before it was packed will do as
    well. Exits with 1 where a file is not valid.
    """
    from wattsweep.runs import describe_run, run_facts
    from wattsweep.runs.packed import describe_packed, facts_in, is_packed

    if len(files) > 1:
        if run_id is not None:
            raise typer.BadParameter(f"it is of one packed shard, and {len(files)} files are named", param_hint="--run")
        _validate(files, as_json)
        return
    (file,) = files
    if run_id is None and is_packed(file):
        facts = facts_in(file)
        print(json.dumps([one.to_json() for one in facts], indent=1) if as_json else describe_packed(facts))
        say_next(f"`wattsweep inspect {file} --run RUN` shows one of them", unless=as_json)
        return
    record = _record(file, run_id)
    print(json.dumps(run_facts(record), indent=1) if as_json else describe_run(record))
    say_next("with --json it says more; in Python `wattsweep.runs.read_run` reads all of it", unless=as_json)


def _validate(files: Sequence[Path], as_json: bool) -> None:
    """Say of several files which are not valid; ends the command with 1 where there are any."""
    from wattsweep.errors import RunFileError
    from wattsweep.runs import read_run
    from wattsweep.runs.packed import facts_in, is_packed

    reasons: dict[str, str] = {}
    with progress("validating", len(files)) as bar:
        for path in files:
            try:
                facts_in(path) if is_packed(path) else read_run(path)
            except RunFileError as error:
                reasons[str(path)] = str(error)
            bar.step(1)
    if as_json:
        print(json.dumps({"files": len(files), "not_valid": reasons}, indent=1))
    else:
        print("\n".join([*reasons.values(), f"{len(files) - len(reasons):,} of {len(files):,} files are valid"]))
    after = (
        "the workflow sets aside what is not valid, and trains it again" if reasons else "name one of them to see it"
    )
    say_next(after, unless=as_json)
    if reasons:
        raise typer.Exit(1)


@app.command(epilog=examples("pack", "pack SHARD --json"))
def pack(
    shards: Annotated[list[str] | None, typer.Argument(help="Ids of finished shards; all of them without.")] = None,
    configfile: ConfigFile = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Pack the run files of finished shards.

    Each shard's go into one file, results/packed/SHARD.h5. Every other command reads packed runs as it reads run
    files. May be given again at any time, also while shards are executed: those are left alone.
    """
    from wattsweep.config import load
    from wattsweep.errors import LeaseError
    from wattsweep.runs import Layout
    from wattsweep.runs.packing import PackedShard, finished_shards, pack_shard, write_index

    config = load(configfile)
    layout = Layout(config.paths.results)
    chosen = shards or finished_shards(layout)
    done: list[PackedShard] = []
    left: dict[str, str] = {}
    try:
        with progress("packing shards", len(chosen)) as bar:
            for shard_id in chosen:
                try:
                    done.append(pack_shard(layout, shard_id))
                except LeaseError as error:
                    left[shard_id] = str(error)
                bar.step(1)
    finally:
        write_index(layout)
    n_packed, n_removed = sum(one.packed for one in done), sum(one.removed for one in done)
    if as_json:
        counts = {"shards": len(chosen), "packed": n_packed, "removed": n_removed, "left_alone": left}
        print(json.dumps(counts | {"folder": str(layout.packed)}, indent=1))
        return
    for reason in left.values():
        print(f"left alone: {reason}")
    print(f"{len(chosen)} shards: {n_packed} runs packed, {n_removed} run files removed; {layout.packed}")
    say_next(f"go on as before; `{with_config('status', configfile)}` and the tables read packed runs too")


def _record(file: Path, run_id: str | None) -> "RunRecord":
    """The record in a run file, or of a run of a packed shard."""
    from wattsweep.runs import Layout, read_run
    from wattsweep.runs.packed import files_with, read_packed

    if run_id is not None:
        return read_packed(file, run_id)
    if not file.exists() and len(file.parents) > 3:
        for packed in files_with(Layout(file.parents[3]), file.parent.name):
            return read_packed(packed, file.stem)
    return read_run(file)
