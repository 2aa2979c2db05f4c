"""Slurm's own energy accounting, after the fact: ConsumedEnergyRaw of a job's step, from `sacct`.

`job_energy` asks for it, `step_trace` makes a trace of it. The joules are those of the whole node between the step's
start and end, whoever drew them, so the job must have had its node for itself (`--exclusive`): Slurm bills them to
every job that shares the node, and sacct does not tell whether one did. The steps of a job overlap (.extern and
.batch span those that they start) and each holds the same joules again: they are never added.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from wattsweep.errors import PowerError
from wattsweep.power.child import SECRETS_IN_ENVIRONMENT
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Sample, Status, Trace

FIELDS = ("JobID", "State", "Start", "End", "ElapsedRaw", "NNodes", "ConsumedEnergyRaw")
JOB_ID = re.compile(r"\d+(?:[_+]\d+)?")
WHOLE_SCRIPT = ("batch", "interactive")
NOT_COUNTED = (0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF)
"""NO_VAL, INFINITE, NO_VAL64 and INFINITE64: what Slurm stores where it has no energy."""

HIGHEST_NODE_W = 100_000.0
SACCT_TIMEOUT_S = 30.0
DEFAULT_SAMPLING_S = 30.0
JOULE_STEP = 1.0
PLUGIN_REMEDY = (
    "Slurm counts energy only where slurm.conf sets AcctGatherEnergyType (such as acct_gather_energy/ipmi) and "
    "AcctGatherNodeFreq above 0: ask the site, or choose another power.source"
)


@dataclass(frozen=True, slots=True)
class StepEnergy:
    """What Slurm accounts to one step of a job: J between two Unix times (whole seconds, UTC).

    `step` is "batch", "interactive", "extern" or a number, `state` as sacct words it. `elapsed_s` leaves out time for
    which the step was suspended.
    """

    job_id: str
    step: str
    state: str
    start_unix_s: float
    end_unix_s: float
    elapsed_s: float
    joules: float


@dataclass(frozen=True, slots=True)
class _Row:
    job_id: str
    step: str | None
    state: str
    start: str
    end: str
    elapsed: str
    nodes: str
    energy: str

    @property
    def name(self) -> str:
        return self.job_id if self.step is None else f"{self.job_id}.{self.step}"


def job_energy(job_id: int | str, *, step: str | None = None, timeout_s: float = SACCT_TIMEOUT_S) -> StepEnergy:
    """The energy of a finished job on one node, in J, as Slurm accounted it to `step`.

    Without `step` it is that of the job's script (.batch, or .interactive of an salloc), else of its only numbered
    step. `job_id` is a number, or ARRAY_TASK. Raises PowerError where sacct is missing, fails or takes longer than
    `timeout_s`; where there is no such job or step; where the step has not ended, had several nodes, or has no energy:
    none, 0 J, one of Slurm's marks for "unknown", or more than a node can draw.
    """
    wanted = str(job_id)
    if JOB_ID.fullmatch(wanted) is None:
        raise PowerError(f"'{wanted}' is no Slurm job id; give a number such as 4711, or ARRAY_TASK such as 4711_3.")
    rows = _rows_of_job(wanted, _parse(_sacct(wanted, timeout_s)))
    row = _choose(wanted, [row for row in rows if row.step is not None], step)
    for counted in (row, *(one for one in rows if one.step is None)):
        if counted.nodes != "1":
            raise PowerError(
                f"Slurm's energy of {row.name} is refused: {counted.name} had {counted.nodes or 'an unknown number of'}"
                " nodes, and one sum for several nodes is no node's energy. Run each shard on one node."
            )
    start_s, end_s, elapsed_s = _times(row)
    return StepEnergy(
        job_id=row.job_id,
        step=row.step or "",
        state=row.state,
        start_unix_s=start_s,
        end_unix_s=end_s,
        elapsed_s=elapsed_s,
        joules=_joules(row, end_s - start_s),
    )


def step_trace(
    energy: StepEnergy, *, utc_offset_s: float = 0.0, sampling_s: float = DEFAULT_SAMPLING_S
) -> tuple[SourceDescription, Trace]:
    """The step's energy as a counter of two samples: 0 J at its start, all of it at its end.

    Times are Unix seconds minus `utc_offset_s`: with the wall time minus the monotonic time of the node they are on its
    monotonic clock. `sampling_s` is the site's sampling interval (AcctGatherNodeFreq, or that of the IPMI plugin);
    one of them, at the step's mean power, is taken as what Slurm may be off (`accuracy`), and the whole seconds of the
    times lie within that. The trace is for the window of the step: over a part of it a counter of two samples can only
    be a straight line, and the interval of its energy is wide. Raises ValueError where `sampling_s` is not above 0.
    """
    if not sampling_s > 0:
        raise ValueError(f"sampling_s is {sampling_s!r}; it must be above 0 s")
    ends = ((energy.start_unix_s, 0.0), (energy.end_unix_s, energy.joules))
    samples = [
        Sample(index, wall_s - utc_offset_s, wall_s - utc_offset_s, wall_s, wall_s, joules, Status.OK)
        for index, (wall_s, joules) in enumerate(ends)
    ]
    accuracy = min(1.0, sampling_s / (energy.end_unix_s - energy.start_unix_s))
    description = SourceDescription(
        name="slurm",
        kind="energy",
        scope="node",
        origin="measured",
        detail=f"ConsumedEnergyRaw of job {energy.job_id}, step {energy.job_id}.{energy.step}, by Slurm's accounting",
        refresh_s=sampling_s,
        step=JOULE_STEP,
        accuracy=accuracy,
    )
    trace = Trace.from_samples(samples, kind="energy", refresh_s=sampling_s, step=JOULE_STEP, accuracy=accuracy)
    return description, trace


def _sacct(job_id: str, timeout_s: float) -> str:
    command = ["sacct", "-j", job_id, "-P", "-n", f"--format={','.join(FIELDS)}"]
    kept = {key: value for key, value in os.environ.items() if key not in SECRETS_IN_ENVIRONMENT}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**kept, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise PowerError(
            f"There is no program sacct on this machine's PATH to ask for the energy of job {job_id}. Ask on a node of "
            "the cluster that has Slurm's commands (Debian: slurm-client), or choose another power.source."
        ) from None
    except OSError as error:
        raise PowerError(f"sacct cannot be run for job {job_id}: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise PowerError(
            f"sacct gave no answer about job {job_id} within {timeout_s:g} s. Check that slurmdbd is up: sacctmgr ping."
        ) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:300] or f"exit status {done.returncode}"
        raise PowerError(
            f"sacct failed for job {job_id}: {said}. Energy after the fact needs accounting through slurmdbd "
            "(AccountingStorageType=accounting_storage/slurmdbd)."
        )
    return done.stdout


def _parse(text: str) -> list[_Row]:
    rows = []
    for line in text.splitlines():
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != len(FIELDS):
            raise PowerError(f"sacct answered '{line[:120]}', which is not {len(FIELDS)} fields ({'|'.join(FIELDS)}).")
        job_id, _, step = cells[0].partition(".")
        rows.append(_Row(job_id, step or None, *cells[1:]))
    return rows


def _rows_of_job(wanted: str, rows: Sequence[_Row]) -> list[_Row]:
    """The rows of one job: that of the id asked for, or of the only one that sacct knows it by."""
    names = list(dict.fromkeys(row.job_id for row in rows))
    if not names:
        raise PowerError(
            f"sacct knows no job {wanted}. Check the id, that the job was of this cluster and user, and that it is not "
            "older than the accounting keeps; a job shows a few seconds after its end."
        )
    if wanted not in names and len(names) > 1:
        raise PowerError(
            f"Job {wanted} is {len(names)} jobs to sacct ({', '.join(names[:10])}); ask for one of them by that name."
        )
    name = wanted if wanted in names else names[0]
    return [row for row in rows if row.job_id == name]


def _choose(wanted: str, steps: Sequence[_Row], step: str | None) -> _Row:
    by_name = {row.step: row for row in steps}
    names = ", ".join(f".{row.step}" for row in steps) or "none"
    if step is not None:
        if step.lstrip(".") in by_name:
            return by_name[step.lstrip(".")]
        raise PowerError(f"Job {wanted} has no step .{step.lstrip('.')} (it has: {names}); ask for one of those.")
    for name in WHOLE_SCRIPT:
        if name in by_name:
            return by_name[name]
    numbered = [row for row in steps if row.step is not None and row.step.isdecimal()]
    if len(numbered) == 1:
        return numbered[0]
    raise PowerError(
        f"Job {wanted} has no step of its script, and its steps ({names}) are not one numbered step alone; their "
        "energies may overlap and are not added. Ask for one of them by its name."
    )


def _times(row: _Row) -> tuple[float, float, float]:
    if not row.start.isdecimal() or not row.end.isdecimal():
        raise PowerError(
            f"The step {row.name} has not ended (state {row.state}, start {row.start or 'none'}, end "
            f"{row.end or 'none'}), so its energy is not final. Ask again after its end."
        )
    start_s, end_s = float(row.start), float(row.end)
    if end_s <= start_s:
        raise PowerError(
            f"The step {row.name} (state {row.state}) lasted from {row.start} to {row.end}, less than the second that "
            "Slurm's times resolve; there is no energy to tell."
        )
    return start_s, end_s, float(row.elapsed) if row.elapsed.isdecimal() else end_s - start_s


def _joules(row: _Row, duration_s: float) -> float:
    refused = f"Slurm has no energy for the step {row.name}: ConsumedEnergyRaw is"
    if not row.energy:
        raise PowerError(f"{refused} empty. {PLUGIN_REMEDY}.")
    try:
        joules = int(row.energy)
    except ValueError:
        raise PowerError(
            f"{refused} '{row.energy[:40]}', which is no whole number of joules. {PLUGIN_REMEDY}."
        ) from None
    if joules == 0:
        raise PowerError(
            f"{refused} 0 J over {duration_s:g} s, which no running node draws. {PLUGIN_REMEDY}. A meter that reads "
            "0 W once sets it to 0 too, and so does a step shorter than one sampling interval."
        )
    if joules in NOT_COUNTED:
        raise PowerError(f"{refused} {joules}, Slurm's mark for an unknown value. {PLUGIN_REMEDY}.")
    if joules < 0 or joules / duration_s > HIGHEST_NODE_W:
        raise PowerError(
            f"{refused} {joules} J over {duration_s:g} s, a mean of {joules / duration_s:.3g} W, which is no node's: a "
            "counter that wrapped or was reset. This step's energy cannot be had from Slurm."
        )
    return float(joules)
