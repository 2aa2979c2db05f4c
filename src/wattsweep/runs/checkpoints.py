"""Checkpoints on disk: where the runs in training stand, so that an attempt that is killed loses minutes, not days.

A checkpoint is a header line with the SHA-256 of all that follows: an HDF5 image with what it is of, history and the
segments trained so far, then the arrays of the engine's state in NumPy's format. It is written to a temporary name,
flushed and renamed. One that is damaged, or of another training, is set aside and reported, and its runs start from
their beginning.
"""

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from wattsweep.config import PowerConfig
from wattsweep.disk import in_place_of, to_disk
from wattsweep.errors import RunFileError
from wattsweep.grid import Run
from wattsweep.runs.drain import Permit
from wattsweep.runs.files import read_segments, write_segment
from wattsweep.runs.record import Phase, Provenance, Segment
from wattsweep.runs.segments import machine, measured
from wattsweep.training import Checkpoint, TrainingPlan

MAGIC = b"wattsweep-checkpoint 1 sha256 "
HEADER_BYTES = 512
SOFTWARE = ("wattsweep_version", "tensorflow_version", "keras_version", "numpy_version")

BinaryFile = io.BufferedReader | io.BufferedRandom


@dataclass(frozen=True)
class Attempt:
    """Who trains, and how it is measured: what a checkpoint notes so that its segment's energy can be read later.

    `permit` says whether the training may go on; a checkpoint is due at once when it may not.
    """

    block_id: str
    provenance: Provenance
    trace_path: Path | None
    idle_before: Phase | None
    power: PowerConfig
    every_s: float
    report: Callable[[str], None]
    permit: Permit = field(default_factory=Permit)


def identify(runs: Sequence[Run], plan: TrainingPlan, data_sha256: str, provenance: Provenance) -> dict[str, str]:
    """What a checkpoint is of; a training goes on only from one of which all of these are the same."""
    return {
        "runs": hashlib.sha256(" ".join(run.run_id for run in runs).encode()).hexdigest(),
        "plan": repr(plan),
        "data": data_sha256,
        "software": " ".join(provenance.get(name, "") for name in SOFTWARE),
    }


class RunCheckpoints:
    """The checkpoint file of runs that are trained side by side; one run mostly.

    `segments` are what earlier attempts trained of them, with their energy.
    """

    def __init__(self, path: Path, runs: Sequence[Run], identity: Mapping[str, str], attempt: Attempt) -> None:
        self.path = path
        self.identity = identity
        self.attempt = attempt
        self.segments: tuple[Segment, ...] = ()
        self._name = f"run {runs[0].run_id}" + (f" and {len(runs) - 1} beside it" if len(runs) > 1 else "")
        self._runs_at_once = len(runs)
        self._epochs = 0
        self._started_s = time.monotonic()
        self._kept = self._read()

    @property
    def every_s(self) -> float:
        """Wall time of training between two checkpoints: none once the training is to end."""
        return 0.0 if self.attempt.permit.ends else self.attempt.every_s

    def begin(self) -> None:
        """The training begins now, and with it the window of its segment."""
        self._started_s = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The checkpoint that an earlier attempt left; the first time only, since it may be large."""
        kept, self._kept = self._kept, None
        return kept

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the last; where the disk refuses, that is reported and the last one stays.

        Raises DrainedError once it is written, where the shard was told to stop, and LeaseError before, where the shard
        is another's.
        """
        self.attempt.permit.may_write()
        segment = self._segment(checkpoint.epochs)
        try:
            with in_place_of(self.path) as temporary:
                with temporary.open("w+b") as file:
                    file.write(bytes(HEADER_BYTES))
                    np.save(file, np.frombuffer(self._image(checkpoint, segment), np.uint8))
                    for array in checkpoint.state:
                        np.save(file, array)
                    _seal(file)
                to_disk(temporary)
        except OSError as error:
            self.attempt.report(f"{self._name}: no checkpoint at epoch {checkpoint.epochs:,}: {error}")
        self.attempt.permit.may_go_on()

    def remove(self) -> None:
        """Remove the file: its runs are kept elsewhere now."""
        self.path.unlink(missing_ok=True)

    def _segment(self, last_epoch: int) -> Segment:
        """What this attempt has trained until now."""
        end_s = time.monotonic()
        return Segment(
            block_id=self.attempt.block_id,
            host=self.attempt.provenance.get("host", ""),
            machine=machine(self.attempt.provenance),
            first_epoch=self._epochs + 1,
            last_epoch=last_epoch,
            start_s=self._started_s,
            end_s=end_s,
            utc_offset_s=time.time() - end_s,
            idle_before=self.attempt.idle_before,
        )

    def _image(self, checkpoint: Checkpoint, segment: Segment) -> bytes:
        """All but the state, as HDF5."""
        image = io.BytesIO()
        with h5py.File(image, "w") as file:
            file.create_group("identity").attrs.update(self.identity)
            file.attrs.update({"epochs": checkpoint.epochs, "n_arrays": len(checkpoint.state)})
            file["row_order"] = checkpoint.row_order
            file["history"] = checkpoint.history
            for number, one in enumerate((*self.segments, segment)):
                write_segment(file.create_group(f"segments/{number}"), one)
            if self.attempt.trace_path is not None:
                file.attrs["trace_path"] = str(self.attempt.trace_path)
        return image.getvalue()

    def _read(self) -> Checkpoint | None:
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file:
                _check_seal(file)
                with h5py.File(io.BytesIO(np.load(file).tobytes()), "r") as image:
                    return self._read_open(image, file)
        except (OSError, KeyError, TypeError, ValueError, RunFileError) as error:
            aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}.aside")
            self.path.rename(aside)
            self.segments = ()
            self.attempt.report(
                f"{self._name}: starts from the beginning, its checkpoint is set aside as {aside} ({error})"
            )
            return None

    def _read_open(self, image: h5py.File, file: BinaryFile) -> Checkpoint:
        found = {name: str(value) for name, value in image["identity"].attrs.items()}
        if others := [name for name, value in self.identity.items() if found.get(name) != value]:
            raise RunFileError(f"it is of other {' and '.join(others)}")
        checkpoint = Checkpoint(
            epochs=int(image.attrs["epochs"]),
            state=tuple(np.load(file) for _ in range(int(image.attrs["n_arrays"]))),
            row_order=image["row_order"].asstr()[()],
            history=image["history"][()],
        )
        *earlier, last = read_segments(image)
        trace_path = image.attrs.get("trace_path")
        if trace_path is not None:
            last = measured(last, Path(trace_path), self._runs_at_once, self.attempt.power)
        self.segments = (*earlier, last)
        self._epochs = checkpoint.epochs
        self.attempt.report(f"{self._name}: goes on after epoch {checkpoint.epochs:,}, trained by {last.block_id}")
        return checkpoint


def _digest(file: BinaryFile) -> bytes:
    file.seek(HEADER_BYTES)
    return MAGIC + hashlib.file_digest(file, "sha256").hexdigest().encode() + b"\n"


def _seal(file: BinaryFile) -> None:
    """Write the digest of a file's content into its header."""
    digest = _digest(file)
    file.seek(0)
    file.write(digest)


def _check_seal(file: BinaryFile) -> None:
    """Raise RunFileError unless the content is what the header says; the file then stands at the content."""
    header = file.read(HEADER_BYTES)
    if not header.startswith(MAGIC):
        raise RunFileError("it is no checkpoint, or one of another version")
    if not header.startswith(_digest(file)):
        raise RunFileError("it is damaged: its digest is not that of its content")
    file.seek(HEADER_BYTES)
