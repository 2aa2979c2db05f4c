"""The end of a trace file that is being written, for those who watch."""

from dataclasses import dataclass
from pathlib import Path

from wattsweep.errors import PowerError
from wattsweep.power.sources.base import SourceDescription
from wattsweep.power.trace import Status
from wattsweep.power.tracefile import COST, parse_header, parse_sample

HEADER_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Recent:
    """The last samples of a trace file: wall time in s since 1970 and power in W, None where a sample is not valid.

    Of a source that counts energy the power is that between a sample and the valid one before it.
    """

    source: SourceDescription
    wall_s: list[float]
    power_w: list[float | None]


def read_recent(path: Path, last_s: float, n_bytes: int = 2_000_000) -> Recent:
    """The samples of the last `last_s` seconds before the newest, of the last `n_bytes` of the file at most.

    Raises PowerError where the file is missing or no trace file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - n_bytes))
            tail = file.read(n_bytes)
    except OSError as error:
        raise PowerError(f"The trace file {path} cannot be read: {error.strerror}.") from None
    source = parse_header(path, head.decode("ascii", errors="replace").split("\n"))
    # The first line of the tail may have lost its beginning, the last one may be torn.
    lines = tail.decode("ascii", errors="replace").split("\n")[1:-1]
    samples = [parse_sample(path, 0, line) for line in lines if line[:1].isdigit() and not line.startswith(COST)]
    newest_s = samples[-1].wall_before_s if samples else 0.0
    wall_s, power_w = [], []
    before: tuple[float, float] | None = None
    for sample in samples:
        value: float | None = sample.value if sample.status is Status.OK else None
        if source.kind == "energy" and value is not None:
            now = (sample.wall_before_s, value)
            rise = None if before is None or now[0] <= before[0] else (now[1] - before[1]) / (now[0] - before[0])
            # A counter that wrapped or was reset tells nothing of this step.
            value = rise if rise is not None and rise >= 0 else None
            before = now
        if sample.wall_before_s >= newest_s - last_s:
            wall_s.append(sample.wall_before_s)
            power_w.append(value)
    return Recent(source, wall_s, power_w)
