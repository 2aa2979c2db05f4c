"""Slurm's ConsumedEnergyRaw, from a sacct that prints what Slurm 22.05 and 23.11 print."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.errors import PowerError
from wattsweep.power import integrate
from wattsweep.power.sources.accounting import StepEnergy, job_energy, step_trace

# acct_gather_energy/ipmi on an exclusive node: Snakemake's executor starts step 0 inside the batch script.
FINISHED = """\
4711|COMPLETED|1700000000|1700000600|600|1|183000
4711.batch|COMPLETED|1700000000|1700000600|600|1|183000
4711.extern|COMPLETED|1700000000|1700000600|600|1|184000
4711.0|COMPLETED|1700000003|1700000599|596|1|181500
"""
# no plugin: 0 for the job and its steps; a step of which nothing is known has an empty field, its job 0
WITHOUT_PLUGIN = """\
4711|COMPLETED|1700000000|1700000600|600|1|0
4711.batch|COMPLETED|1700000000|1700000600|600|1|0
4711.extern|COMPLETED|1700000000|1700000600|600|1|0
"""
RUNNING = """\
4711|RUNNING|1700000000|Unknown|42|1|0
4711.batch|RUNNING|1700000000|Unknown|42|1|
4711.extern|RUNNING|1700000000|Unknown|42|1|
"""
PENDING = "4711|PENDING|Unknown|Unknown|0|1|0\n"


@pytest.fixture
def sacct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Sacct":
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Sacct(tmp_path)


class Sacct:
    """A script put first on PATH. It notes its arguments and what it sees of the environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.answers("")

    def answers(self, text: str, *, errors: str = "", code: int = 0, seconds: float = 0.0) -> None:
        (self._folder / "answer").write_text(text)
        (self._folder / "errors").write_text(errors)
        script = self._folder / "sacct"
        script.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {self._folder}/asked\nenv > {self._folder}/env\n"
            f"sleep {seconds}\ncat {self._folder}/errors >&2\ncat {self._folder}/answer\nexit {code}\n"
        )
        script.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return (self._folder / "asked").read_text().splitlines()

    @property
    def environment(self) -> list[str]:
        return (self._folder / "env").read_text().splitlines()


def refusal(job: int | str = 4711, step: str | None = None, timeout_s: float = 10.0) -> str:
    with pytest.raises(PowerError) as refused:
        job_energy(job, step=step, timeout_s=timeout_s)
    return str(refused.value)


def test_the_energy_of_the_script_is_told(sacct: Sacct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSWEEP_BMC_PASSWORD", "hunter2")
    sacct.answers(FINISHED)
    assert job_energy(4711) == StepEnergy("4711", "batch", "COMPLETED", 1700000000.0, 1700000600.0, 600.0, 183000.0)
    assert sacct.asked == [
        "-j",
        "4711",
        "-P",
        "-n",
        "--format=JobID,State,Start,End,ElapsedRaw,NNodes,ConsumedEnergyRaw",
    ]
    assert "SLURM_TIME_FORMAT=%s" in sacct.environment
    assert not [line for line in sacct.environment if "hunter2" in line]


@pytest.mark.parametrize(("step", "joules"), [("0", 181500.0), (".0", 181500.0), ("extern", 184000.0)])
def test_a_step_can_be_named(sacct: Sacct, step: str, joules: float) -> None:
    sacct.answers(FINISHED)
    energy = job_energy("4711", step=step)
    assert (energy.step, energy.joules) == (step.lstrip("."), joules)


def test_a_step_that_is_not_there_is_an_error_that_lists_them(sacct: Sacct) -> None:
    sacct.answers(FINISHED)
    assert "no step .7 (it has: .batch, .extern, .0)" in refusal(step="7")


def test_without_a_script_the_only_numbered_step_counts(sacct: Sacct) -> None:
    only = [line for line in FINISHED.splitlines() if ".batch" not in line]
    sacct.answers("\n".join(only) + "\n")
    assert job_energy(4711).joules == 181500.0
    sacct.answers("\n".join([*only, "4711.1|COMPLETED|1700000003|1700000599|596|1|181500"]) + "\n")
    assert "(.extern, .0, .1) are not one numbered step alone" in refusal()


def test_an_salloc_has_an_interactive_step(sacct: Sacct) -> None:
    sacct.answers(FINISHED.replace(".batch", ".interactive"))
    assert job_energy(4711).step == "interactive"


@pytest.mark.parametrize(
    ("energy", "words"),
    [
        ("0", "is 0 J over 600 s, which no running node draws"),
        ("", "is empty"),
        ("18446744073709551614", "Slurm's mark for an unknown value"),
        ("18446744073709551615", "Slurm's mark for an unknown value"),
        ("4294967294", "Slurm's mark for an unknown value"),
        ("1.83M", "is '1.83M', which is no whole number of joules"),
        ("18446744073709540000", "which is no node's: a counter that wrapped or was reset"),
        ("-5", "which is no node's"),
    ],
)
def test_what_is_no_energy_is_refused(sacct: Sacct, energy: str, words: str) -> None:
    sacct.answers(FINISHED.replace("|183000", f"|{energy}"))
    message = refusal()
    assert words in message
    assert "4711.batch" in message


def test_the_remedy_names_the_plugin(sacct: Sacct) -> None:
    sacct.answers(WITHOUT_PLUGIN)
    assert "AcctGatherEnergyType" in refusal()


@pytest.mark.parametrize("row", ["4711|COMPLETED|", "4711.batch|COMPLETED|"])
def test_several_nodes_are_refused(sacct: Sacct, row: str) -> None:
    sacct.answers("".join(_with_nodes(line, "2") if line.startswith(row) else f"{line}\n" for line in FINISHED.split()))
    message = refusal()
    assert f"{row.split('|')[0]} had 2 nodes" in message
    assert "Run each shard on one node" in message


def _with_nodes(line: str, nodes: str) -> str:
    cells = line.split("|")
    cells[5] = nodes
    return "|".join(cells) + "\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RUNNING, "has not ended (state RUNNING, start 1700000000, end Unknown)"),
        (PENDING, "has no step of its script, and its steps (none)"),
        ("", "sacct knows no job 4711"),
        ("\n\n", "sacct knows no job 4711"),
        ("4711|COMPLETED|1700000000\n", "which is not 7 fields"),
        (FINISHED.replace("1700000600", "1700000000"), "less than the second that Slurm's times resolve"),
        (
            FINISHED.replace("4711", "4711_1") + FINISHED.replace("4711", "4711_2"),
            "is 2 jobs to sacct (4711_1, 4711_2)",
        ),
    ],
)
def test_what_has_no_energy_to_tell_is_an_error(sacct: Sacct, answer: str, words: str) -> None:
    sacct.answers(answer)
    assert words in refusal()


def test_tasks_of_an_array_go_by_their_names(sacct: Sacct) -> None:
    sacct.answers(FINISHED.replace("4711", "4711_1") + FINISHED.replace("4711", "4711_2").replace("183000", "190000"))
    assert job_energy("4711_2").joules == 190000.0
    sacct.answers(FINISHED.replace("4711", "4709_3"))
    assert job_energy(4711).job_id == "4709_3"


def test_a_cancelled_step_keeps_the_words_of_its_state(sacct: Sacct) -> None:
    sacct.answers(FINISHED.replace("COMPLETED", "CANCELLED by 1000"))
    assert job_energy(4711).state == "CANCELLED by 1000"


@pytest.mark.parametrize("job", ["", "-a", "4711;ls", "4711,4712", "all"])
def test_what_is_no_job_id_is_never_asked_for(job: str) -> None:
    assert "is no Slurm job id" in refusal(job)


def test_a_sacct_that_is_missing_fails_or_hangs_is_an_error(
    sacct: Sacct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sacct.answers("", errors="Slurm accounting storage is disabled\n", code=1)
    message = refusal()
    assert "sacct failed for job 4711: Slurm accounting storage is disabled." in message
    assert "slurmdbd" in message
    sacct.answers("", code=3)
    assert "exit status 3" in refusal()
    sacct.answers(FINISHED, seconds=1.0)
    assert "within 0.2 s" in refusal(timeout_s=0.2)
    (tmp_path / "sacct").chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "no program sacct on this machine's PATH" in refusal()


def test_the_trace_of_a_step_holds_its_energy() -> None:
    energy = StepEnergy("4711", "batch", "COMPLETED", 1700000000.0, 1700000600.0, 600.0, 183000.0)
    description, trace = step_trace(energy, utc_offset_s=1.6e9)
    assert (description.name, description.kind, description.scope, description.origin) == (
        "slurm",
        "energy",
        "node",
        "measured",
    )
    assert description.detail == "ConsumedEnergyRaw of job 4711, step 4711.batch, by Slurm's accounting"
    assert (description.refresh_s, description.step, description.accuracy) == (30.0, 1.0, 0.05)
    assert (trace.refresh_s, trace.step, trace.accuracy) == (30.0, 1.0, 0.05)
    assert trace.before_s.tolist() == trace.after_s.tolist() == [1.0e8, 1.0e8 + 600.0]
    assert trace.wall_s.tolist() == [1700000000.0, 1700000600.0]
    assert trace.values.tolist() == [0.0, 183000.0]
    whole = integrate(trace, 1.0e8, 1.0e8 + 600.0)
    assert (whole.joules, whole.coverage) == (183000.0, 1.0)
    assert whole.lower <= 183000.0 - 30.0 * 305.0
    assert whole.upper >= 183000.0 + 30.0 * 305.0
    part = integrate(trace, 1.0e8 + 100.0, 1.0e8 + 200.0)
    assert (part.upper - part.lower) / part.joules > 0.5


@given(
    seconds=st.integers(min_value=1, max_value=10**6),
    watts=st.floats(min_value=1.0, max_value=1e4),
    offset_s=st.floats(min_value=0.0, max_value=1.7e9),
)
def test_any_step_is_covered_and_its_energy_inside_the_interval(seconds: int, watts: float, offset_s: float) -> None:
    joules = float(round(seconds * watts))
    start_s = 1.7e9
    _, trace = step_trace(
        StepEnergy("1", "batch", "COMPLETED", start_s, start_s + seconds, seconds, joules), utc_offset_s=offset_s
    )
    found = integrate(trace, float(trace.times_s[0]), float(trace.times_s[1]))
    assert found.joules == pytest.approx(joules)
    assert found.coverage == 1.0
    assert found.lower <= joules <= found.upper


def test_a_sampling_interval_is_above_zero() -> None:
    energy = StepEnergy("4711", "batch", "COMPLETED", 0.0, 10.0, 10.0, 100.0)
    with pytest.raises(ValueError, match="must be above 0 s"):
        step_trace(energy, sampling_s=0.0)
    assert step_trace(energy)[0].accuracy == 1.0
