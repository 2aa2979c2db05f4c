"""What Slurm says of jobs: whether this one has its node for itself, and whether another is gone.

Both ask Slurm's own programs, seldom, and never raise: outside a job, without the programs or without an answer,
nothing is known.
"""

import os
import re
import subprocess

TIMEOUT_S = 15.0
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PENDING", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
"""States in which no process of a job should run. A job that waits again after it was requeued is PENDING."""
EXCLUSIVE = "NO"
"""What a job that shares its nodes with none has as OverSubscribe."""


def job_id() -> str:
    """The id of the Slurm job that this process belongs to; empty outside of one."""
    return os.environ.get("SLURM_JOB_ID", "")


def job_is_gone(job: str) -> bool:
    """Whether Slurm knows that this job does not run: it has ended, waits, or is no longer known."""
    done = _ask("squeue", "--noheader", f"--jobs={job}", "--states=all", "--format=%T")
    if done is None:
        return False
    if done.returncode != 0:
        return "Invalid job id" in done.stderr
    states = done.stdout.split()
    return set(states) <= ENDED


def shared_because() -> str:
    """Why this Slurm job does not have its node for itself; empty where it has, or where that is not known."""
    job = job_id()
    if not job:
        return ""
    reasons = []
    told = _ask("scontrol", "--oneliner", "show", "job", job)
    found = re.search(r"\bOverSubscribe=(\S+)", told.stdout) if told is not None else None
    if found is not None and found[1] != EXCLUSIVE:
        reasons.append(f"Slurm job {job} did not get its node for itself (OverSubscribe={found[1]})")
    node = os.environ.get("SLURMD_NODENAME", "")
    others = _others(job, node) if node else []
    if others:
        reasons.append(f"Slurm {'job' if len(others) == 1 else 'jobs'} {', '.join(others)} ran on {node} too")
    return "; ".join(reasons)


def _others(job: str, node: str) -> list[str]:
    """The other jobs that run on a node."""
    done = _ask("squeue", "--noheader", f"--nodelist={node}", "--states=RUNNING", "--format=%A")
    return sorted(set(done.stdout.split()) - {job}, key=int) if done is not None and done.returncode == 0 else []


def _ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    """What a program of Slurm's said; None where there is no such program, or no answer in time."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
