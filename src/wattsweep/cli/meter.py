"""The commands about meters: `meter` shows what this node has, `calibrate` finds out what a source is really like."""

import contextlib
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import JsonOption, OptionalConfigFile, SourceOption, duration, power_settings
from wattsweep.cli.talking import progress, say_next
from wattsweep.errors import PowerError

if TYPE_CHECKING:
    from wattsweep.config.power import PowerConfig
    from wattsweep.power import Sample, SourceDescription
    from wattsweep.power.calibration import Calibration
    from wattsweep.power.cpu_load import LoadReport
    from wattsweep.power.sources.specs import SourceSpec
    from wattsweep.power.survey import Finding
    from wattsweep.power.updates import Estimate

READ_TIMEOUT_S = 2.0
SHORTEST_S = 0.001
OPEN_TIMEOUT_S = 30.0
FASTEST_POLL_S, USUAL_POLL_S, POLLS_PER_REFRESH = 0.02, 0.1, 5.0
BUSY_SHARE = 0.1
BUSY_LOOK_S = 2.0
LEAST_SHARE = 0.9
LATE_S = 0.05


@app.command(epilog=examples("meter", "meter --json", "meter --source simulated --watch --seconds 1"))
def meter(
    configfile: OptionalConfigFile = None,
    source: SourceOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show what the chosen source reads, until Ctrl-C.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.0, help="End --watch after this time.")] = None,
) -> None:
    """Show the power sources of this node.

    Each with its state, what it reads now, and what to do about those that cannot be read.
    """
    from wattsweep.hardware import node_name
    from wattsweep.power.selection import select_source
    from wattsweep.power.survey import survey

    power, _ = power_settings(configfile, source)
    node = node_name()
    if watch:
        _watch(power, node, math.inf if seconds is None else seconds, as_json)
        return
    with progress("looking for sources"):
        findings = survey(power, node)
    try:
        chosen = select_source(power, node).reason
    except PowerError as error:
        chosen = f"No source: {error}"
    if as_json:
        print(json.dumps({"node": node, "chosen": chosen, "sources": [one.to_json() for one in findings]}, indent=1))
        return
    print(_survey_table(node, findings))
    print(f"\n{chosen}")
    say_next("`wattsweep calibrate` finds out what the source is really like; docs/power.md says how to reach another")


@app.command(epilog=examples("calibrate --source simulated --period 2s --cycles 2 --force"))
def calibrate(
    configfile: OptionalConfigFile = None,
    source: SourceOption = None,
    period: Annotated[str, typer.Option("--period", help="Period of the load, on for half of it.")] = "20s",
    cycles: Annotated[int, typer.Option("--cycles", min=2, help="Number of periods.")] = 6,
    interval: Annotated[
        str | None, typer.Option("--interval", help="Time between two readings; without it 100 ms at most.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Calibrate although the node is busy.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find out what this node's power sources are really like.

    All CPUs are loaded and left idle by turns while the sources are read fast. How they follow tells their refresh,
    step, lag, averaging time and noise, which are kept for the energies of later runs on this node.
    """
    from wattsweep.hardware import node_name
    from wattsweep.power.profiles import write_profile
    from wattsweep.power.selection import select_sources
    from wattsweep.power.sources.specs import identity
    from wattsweep.runs.layout import Layout

    period_s = duration("--period", period, least=SHORTEST_S)
    power, results = power_settings(configfile, source)
    poll_s = _poll_s(power) if interval is None else duration("--interval", interval, least=SHORTEST_S)
    # a load that lasts longer than the values of a coarse meter may repeat is no reason to call them stale
    power = power.model_copy(update={"interval_s": poll_s, "stale_after_s": None})
    node, folder = node_name(), Layout(results).nodes
    if not force:
        _refuse_busy_node(node)
    selections = select_sources(power, node)
    written = []
    for number, done in enumerate(_calibrations(power, node, period_s, cycles)):
        selection = selections[number]
        spec = selection.source_spec
        path = write_profile(folder, node, "simulated" if spec is None else identity(spec), done.calibration)
        written.append({"file": str(path), "calibration": done.calibration.to_json()})
        if not as_json:
            print(_calibration_text(done, path))
    if as_json:
        print(json.dumps({"node": node, "sources": written}, indent=1))
    say_next("`wattsweep record -- COMMAND` measures a program, Snakemake a sweep, by what was found", unless=as_json)


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """One source's calibration and what it was made of."""

    description: "SourceDescription"
    reason: str
    calibration: "Calibration"
    load: "LoadReport"


def _calibrations(power: "PowerConfig", node: str, period_s: float, cycles: int) -> Iterator[_Calibrated]:
    from wattsweep.power.calibration import analyse
    from wattsweep.power.cpu_load import CpuLoad, square_wave
    from wattsweep.simulation.measuring import measuring

    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="wattsweep-calibrate-")))
        measurement = running.enter_context(measuring(power, node, folder / "trace.csv"))
        if measurement is None or not measurement.recordings:
            raise PowerError(
                f"power.source is {power.source}, which reads nothing that could be calibrated. Choose one with "
                "--source."
            )
        load = running.enter_context(CpuLoad())
        first_s = time.monotonic() + 0.5 * period_s
        edges_s = square_wave(first_s, period_s, cycles)
        load.run(edges_s)
        for recording in measurement.recordings:
            print(f"{recording.reason} It is calibrated on {len(load.cpus)} CPUs.", file=sys.stderr)
        _wait(edges_s, edges_s[-1] + 0.5 * period_s)
        report = load.report()
        dead = [one.description.detail for one in measurement.recordings if not one.alive()]
        if dead:
            raise PowerError(f"The recorder of {dead[0]} ended during the calibration. Calibrate again.")
        done = [(one.description, one.reason, one.trace()) for one in measurement.recordings]
    for description, reason, trace in done:
        found = analyse(trace, edges_s, origin=description.origin, load_share=report.share)
        yield _Calibrated(description, reason, found, report)


def _poll_s(power: "PowerConfig") -> float:
    """10 Hz; faster where the simulated BMC is known to refresh too fast for that."""
    if power.source not in ("auto", "simulated"):
        return USUAL_POLL_S
    return min(USUAL_POLL_S, max(FASTEST_POLL_S, power.simulated.refresh_s / POLLS_PER_REFRESH))


def _refuse_busy_node(node: str) -> None:
    """Raises PowerError where the node's CPUs have something to do."""
    from wattsweep.simulation.cpu import cpu_use, read_cpu_times

    before = read_cpu_times()
    time.sleep(BUSY_LOOK_S)
    use = cpu_use(before, read_cpu_times()) or 0.0
    if use > BUSY_SHARE:
        raise PowerError(
            f"Node {node} is busy: {use:.0%} of its CPU time went to other work in the last {BUSY_LOOK_S:g} s, and a "
            f"calibration wants at most {BUSY_SHARE:.0%}. Wait until it is idle, or calibrate all the same with "
            "--force."
        )


def _wait(edges_s: list[float], end_s: float) -> None:
    """Say how it goes until `end_s`: one line that changes on a terminal, else one for each cycle."""
    terminal = sys.stderr.isatty()
    cycles = len(edges_s) // 2
    said = -1
    while (left_s := end_s - time.monotonic()) > 0:
        cycle = sum(edge <= time.monotonic() for edge in edges_s[::2])
        words = f"cycle {cycle} of {cycles}, {left_s:.0f} s left"
        if terminal:
            print(f"\r{words:<40}", end="", file=sys.stderr, flush=True)
        elif cycle != said:
            print(words, file=sys.stderr, flush=True)
        said = cycle
        time.sleep(min(1.0, left_s))
    if terminal:
        print(file=sys.stderr)


@dataclass(frozen=True, slots=True)
class _Watched:
    """What has been seen of a source so far. `since_s` is when its value was first read."""

    readings: int = 0
    updates: int = 0
    value: float = math.nan
    since_s: float = 0.0
    watts: float | None = None

    def seen(self, sample: "Sample", counter: bool) -> "_Watched":
        """The same with one sample more."""
        from wattsweep.power import Status

        more = replace(self, readings=self.readings + 1)
        if sample.status is not Status.OK:
            return replace(more, watts=None)
        time_s = 0.5 * (sample.before_s + sample.after_s)
        if not counter:
            more = replace(more, watts=sample.value)
        if sample.value == self.value:
            return more
        if math.isnan(self.value):
            return replace(more, value=sample.value, since_s=time_s)
        if counter:
            rise_w = (sample.value - self.value) / (time_s - self.since_s)
            more = replace(more, watts=rise_w if rise_w > 0 else None)
        return replace(more, updates=self.updates + 1, value=sample.value, since_s=time_s)


def _watch(power: "PowerConfig", node: str, seconds: float, as_json: bool) -> None:
    """Read the chosen source every `power.interval` and show it."""
    from wattsweep.power.reader import Reader
    from wattsweep.power.selection import select_source

    selection = select_source(power, node)
    if selection.name == "none" or selection.after_the_fact:
        raise PowerError(f"{selection.reason} There is nothing to watch; choose a source with --source.")
    terminal = sys.stdout.isatty() and not as_json
    with ExitStack() as running:
        reader = Reader(_spec(selection.source_spec, power, running), stale_after_s=power.stale_after_s)
        running.callback(reader.close)
        description = reader.description(OPEN_TIMEOUT_S)
        if not as_json:
            print(selection.reason)
        begin_s, number, watched = time.monotonic(), 0, _Watched()
        with contextlib.suppress(KeyboardInterrupt):
            while number * power.interval_s <= seconds:
                time.sleep(max(0.0, begin_s + number * power.interval_s - time.monotonic()))
                sample = reader.read(number, max(READ_TIMEOUT_S, power.interval_s))
                watched = watched.seen(sample, description.kind == "energy")
                _show(description, sample, watched, as_json, terminal)
                late = math.ceil((time.monotonic() - begin_s) / power.interval_s)
                number = max(number + 1, late)
        if terminal:
            print()


def _spec(spec: "SourceSpec | None", power: "PowerConfig", running: ExitStack) -> "SourceSpec":
    """The spec, that of a simulated BMC which is started now where there is none."""
    from wattsweep.simulation import SimulatedBmc

    if spec is not None:
        return spec
    simulated = power.simulated
    bmc = SimulatedBmc(idle_w=simulated.idle_w, slope_w=simulated.slope_w, refresh_s=simulated.refresh_s)
    return running.enter_context(bmc).source_spec


def _show(description: "SourceDescription", sample: "Sample", watched: _Watched, as_json: bool, terminal: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {
            "source": description.name,
            "scope": description.scope,
            "origin": description.origin,
            "unix_s": sample.wall_after_s,
            "watts": watched.watts,
            "status": sample.status.word,
            "readings": watched.readings,
            "updates": watched.updates,
        }
        print(json.dumps(facts), flush=True)
        return
    watts = "-" if watched.watts is None else f"{watched.watts:.1f} W"
    line = f"{description.name} ({description.scope}): {watts:>10}  {sample.status.word}  "
    line += f"{watched.updates} refreshes seen in {watched.readings} readings"
    if description.origin != "measured":
        line += f"  ({description.origin}, no measurement)"
    if terminal:
        width = shutil.get_terminal_size().columns - 1
        print("\r" + line[:width].ljust(width), end="", flush=True)
    else:
        print(line, flush=True)


def _survey_table(node: str, findings: "list[Finding]") -> str:
    rows = [("SOURCE", "STATE", "SCOPE", "NOW", "DETAIL")]
    for one in findings:
        now = "" if one.watts is None else f"{one.watts:.1f} W"
        rows.append((one.name, one.state, one.scope or "", now, one.detail))
        if one.remedy:
            rows.append(("", "", "", "", f"-> {one.remedy}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join([f"Power sources of {node}", "", *(line.rstrip() for line in lines)])


def _calibration_text(done: _Calibrated, path: Path) -> str:
    found, unit = done.calibration, "W" if done.calibration.kind == "power" else "J"
    rows = [
        ("refresh", found.refresh_s, "s", "between two updates"),
        ("step", found.step, unit, "of the values"),
        ("lag", found.lag_s, "s", "from the middle of what an update shows to the update"),
        ("averaging", found.averaging_s, "s", "that a value is the mean of"),
        ("noise", found.noise_w, "W", "standard deviation under a constant load"),
        ("idle", found.idle_w, "W", "load off"),
        ("full", found.full_w, "W", f"load on, {done.load.cpus} CPUs"),
    ]
    simulated = found.origin != "measured"
    lines = [f"\n{done.description.detail}{f' ({found.origin}, no measurement)' if simulated else ''}", ""]
    lines += [f"  {name:<10} {_in_words(estimate, unit, meaning)}" for name, estimate, unit, meaning in rows]
    lines += [
        "",
        f"  {found.n_samples} readings, one every {found.polled_every_s:.3g} s; {found.n_edges} edges of the load, "
        f"which got {done.load.share:.0%} of the CPUs; uncertainties are of 95 %.",
    ]
    if done.load.share < LEAST_SHARE or done.load.late_s > LATE_S:
        lines.append(
            f"  Something else ran: the load got {done.load.share:.0%} of the CPUs and began up to "
            f"{1000 * done.load.late_s:.0f} ms late. Calibrate again on an idle node before you rely on this."
        )
    lines.append(f"\nWritten to {path}.")
    lines.append(
        "It is of the simulated BMC and no measurement. Runs do not use it, since the simulator states its refresh."
        if simulated
        else "Later runs on this node that read this source use its refresh, step, lag and averaging time for energies."
    )
    return "\n".join(lines)


def _in_words(estimate: "Estimate", unit: str, meaning: str) -> str:
    if estimate.value is None:
        return f"cannot be told: {estimate.reason}"
    doubt = estimate.uncertainty or 0.0
    if doubt <= 0:
        return f"{estimate.value:.6g} {unit}  {meaning}"
    places = max(0, 1 - math.floor(math.log10(doubt)))
    return f"{estimate.value:.{places}f} +- {doubt:.{places}f} {unit}  {meaning}"
