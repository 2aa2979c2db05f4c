"""How near the energy of a window comes to the truth, and how often its interval holds it.

`python -m benchmarks.energy_accuracy` integrates loads of known energy as meters of every kind show them, and prints
the table of docs/measurement.md; `--write` puts it there. Every case has its own seed, so the table is the same on
every machine.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.page import write_between
from benchmarks.waveforms import Meter, make_load, read_meter
from wattsweep.power import Trace, integrate

PAGE = Path(__file__).parents[1] / "docs" / "measurement.md"
BEGIN, END = "<!-- begin energy_accuracy -->", "<!-- end energy_accuracy -->"

WAVEFORMS = ("square", "sine", "ramp", "bursts")
LAGS, POLLS, DROPS = (0.0, 0.25, 0.5, 1.0), (0.1, 0.25, 0.5, 1.0, 2.0), (0.0, 0.0, 0.02, 0.1)
KNOWLEDGE = ("refresh, step and lag", "refresh and step", "nothing")
N_CASES = 2400


@dataclass(frozen=True, slots=True)
class Case:
    """One window of one load through one meter, and what came of it. Errors are shares of the truth.

    `error` is that of mean power over the covered time x duration, as runs are charged.
    """

    waveform: str
    meter: Meter
    knows: str
    held: bool
    error: float
    half_width: float
    n_refreshes: int


def run_case(number: int, knows: str) -> Case:
    """The case of this number, with the trace told as much of its meter as `knows` says."""
    random = np.random.default_rng([41, number])
    waveform = WAVEFORMS[number % len(WAVEFORMS)]
    refresh_s = float(np.exp(random.uniform(np.log(0.1), np.log(60.0))))
    meter = Meter(
        refresh_s=refresh_s,
        step_w=float(np.exp(random.uniform(np.log(0.1), np.log(8.0)))),
        averaging_s=refresh_s * random.integers(2),
        lag_s=refresh_s * float(random.choice(LAGS)),
        poll_s=refresh_s * float(random.choice(POLLS)),
        dropped=float(random.choice(DROPS)),
    )
    seen_s = max(meter.refresh_s, meter.poll_s)
    window_s = seen_s * random.uniform(60.0, 400.0)
    start_s = seen_s * random.uniform(8.0, 10.0)
    load = make_load(waveform, random, window_s + 20.0 * seen_s, refresh_s)
    trace = read_meter(load, meter, random, told_lag=knows == KNOWLEDGE[0])
    if knows == "nothing":
        trace = Trace.from_arrays(trace.times_s, trace.values, kind="power", status=trace.status)
    energy = integrate(trace, start_s, start_s + window_s)
    truth_j = float(load.between(start_s, start_s + window_s))
    return Case(
        waveform=waveform,
        meter=meter,
        knows=knows,
        held=energy.lower <= truth_j <= energy.upper,
        error=energy.joules / energy.coverage / truth_j - 1.0,
        half_width=0.5 * (energy.upper - energy.lower) / truth_j,
        n_refreshes=energy.n_refreshes,
    )


def summary(cases: Sequence[Case]) -> tuple[int, float, float, float, float]:
    """Number of cases, share whose interval holds the truth, median |error|, mean error, median half-width."""
    errors = np.array([case.error for case in cases])
    return (
        len(cases),
        float(np.mean([case.held for case in cases])),
        float(np.median(np.abs(errors))),
        float(errors.mean()),
        float(np.median([case.half_width for case in cases])),
    )


def groups(cases: Sequence[Case]) -> list[tuple[str, list[Case]]]:
    """The cases by what sets them apart, in the order of the table."""
    chosen: list[tuple[str, Callable[[Case], bool]]] = [("all", lambda _: True)]
    chosen += [(f"told {knows}", lambda c, k=knows: c.knows == k) for knows in KNOWLEDGE]  # type: ignore[misc]
    chosen += [(waveform, lambda c, w=waveform: c.waveform == w) for waveform in WAVEFORMS]  # type: ignore[misc]
    chosen += [("shows its last moment", lambda c: c.meter.averaging_s == 0)]
    chosen += [("shows its mean since the last update", lambda c: c.meter.averaging_s > 0)]
    chosen += [
        (f"refresh {low:g} to {high:g} s", lambda c, a=low, b=high: a <= c.meter.refresh_s < b)  # type: ignore[misc]
        for low, high in ((0.1, 1.0), (1.0, 10.0), (10.0, 60.0))
    ]
    chosen += [
        (f"step {low:g} to {high:g} W", lambda c, a=low, b=high: a <= c.meter.step_w < b)  # type: ignore[misc]
        for low, high in ((0.1, 1.0), (1.0, 8.0))
    ]
    for name, values, share in (
        ("read every {:g} refreshes", POLLS, lambda m: m.poll_s / m.refresh_s),
        ("{:g} refreshes late", LAGS, lambda m: m.lag_s / m.refresh_s),
    ):
        chosen += [
            (name.format(value), lambda c, v=value, s=share: abs(s(c.meter) - v) < 1e-6)  # type: ignore[misc]
            for value in values
        ]
    chosen += [
        (f"{drop:.0%} of readings lost", lambda c, d=drop: c.meter.dropped == d)  # type: ignore[misc]
        for drop in sorted(set(DROPS))
    ]
    return [(name, [case for case in cases if chooses(case)]) for name, chooses in chosen]


def table(cases: Sequence[Case]) -> str:
    """The table as Markdown."""
    lines = [
        "| meter or load | cases | interval holds the truth | median error | mean error | median half-width |",
        "|---|---|---|---|---|---|",
    ]
    for name, group in groups(cases):
        n_cases, held, error, bias, half_width = summary(group)
        lines.append(f"| {name} | {n_cases:,} | {held:.1%} | {error:.2%} | {bias:+.2%} | {half_width:.2%} |")
    return "\n".join(lines)


def main() -> None:
    """Run every case and print the table, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    parser.add_argument("--cases", type=int, default=N_CASES, help="number of cases")
    arguments = parser.parse_args()
    text = table([run_case(number, KNOWLEDGE[number % 3]) for number in range(arguments.cases)])
    print(text)
    if arguments.write:
        write_between(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
