"""Writes BUTTER-E's files (OEDI submission 5991) in their exact format, with joules that can be worked out by hand."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DENVER = ZoneInfo("America/Denver")
METADATA = (
    *("run_id", "experiment_id", "old_experiment_id", "slurm_job_id", "start_time", "update_time", "host_name"),
    *("size", "depth", "shape", "dataset", "learning_rate", "batch_size", "optimizer", "is_gpu", "run_data", "batch"),
)
RUN_DATA = '{"job_id": "a", "command": {"epochs": 3000},\n "seed": 1}'
QUANTILES = (
    *("p000001", "p00001", "p0001", "p001"),
    *(f"p{percent}" for percent in range(1, 100)),
    *("p999", "p9999", "p99999", "p999999"),
)
CPU1, CPU3 = (36, 85248, 900000, "(null)"), (36, 751616, 1500000, "(null)")
GPU1, GPU2 = (36, 751616, 1500000, "gpu:v100:2"), (36, 751616, 2400000, "gpu:v100:2")
PMLB = (
    ("adult", 48842, 14, 2, "binary", 0.27, "classification"),
    ("nursery", 12958, 8, 4, "categorical", 0.1, "classification"),
    ("mnist", 70000, 784, 10, "categorical", 0.0, "classification"),
    ("505_tecator", 240, 124, "", "continuous", "", "regression"),
)


def utc(text: str) -> datetime:
    """2022-09-13 12:00:30 as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """A moment as the power files write it: on the clock of Denver, with a wrong Z."""
    return moment.astimezone(DENVER).strftime("%Y-%m-%dT%H:%M:%SZ")


def minutes(first: str, count: int) -> list[datetime]:
    """`count` minutes from a time in UTC."""
    return [utc(first) + timedelta(minutes=number) for number in range(count)]


@dataclass
class Submission:
    """The files of one submission, written into `folder` as they are added."""

    folder: Path
    runs: list[dict[str, object]] = field(default_factory=list)
    nodes: list[tuple[str, tuple[int, int, int, str], float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "butter_e_energy").mkdir(parents=True)

    def job(self, job: int, rows: Sequence[tuple[str, str, object]]) -> None:
        """A power file with rows of (timestamp, node, watts), as given."""
        with (self.folder / "butter_e_energy" / f"{job}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("timestamp", "node", "watts"), *rows])

    def constant(self, job: int, node: str, watts: object, first: str, count: int) -> None:
        """A power file of one node, with the same reading every minute from a time in UTC."""
        self.job(job, [(stamp(moment), node, watts) for moment in minutes(first, count)])

    def run(self, run_id: str, job: int, node: str, start: str, end: str, **settings: object) -> None:
        """A row of the metadata; start and end are in UTC."""
        known = {
            "run_id": run_id,
            "experiment_id": f"e-{run_id}",
            "old_experiment_id": 1,
            "slurm_job_id": job,
            "start_time": f"{start}+00:00",
            "update_time": f"{end}+00:00",
            "host_name": node,
            "size": 1024,
            "depth": 3,
            "shape": "rectangle",
            "dataset": "adult",
            "learning_rate": 0.0001,
            "batch_size": 256,
            "optimizer": "Adam",
            "is_gpu": False,
            "run_data": RUN_DATA,
            "batch": "energy_1_cpu",
        }
        self.runs.append(known | settings)

    def node(self, name: str, kind: tuple[int, int, int, str], idle_w: float) -> None:
        """A node with a 2 % quantile of its power; the 1 % quantile is 2 W less, the 5 % quantile 3 W more."""
        self.nodes.append((name, kind, idle_w))

    def write(self) -> None:
        """Write the tables beside the power files."""
        with (self.folder / "butter_e_metadata.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, METADATA, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.runs)
        sinfo = ["HOSTNAMES, CPUS, MEMORY, TMP_DISK, GRES"]
        distribution = [",".join(("node", "count", "min", *QUANTILES, "max"))]
        for name, (cpus, memory, disk, gres), idle_w in self.nodes:
            sinfo += [f"{name}, {cpus}, {memory}, {disk}, {gres}"] * 2
            watts = [str(idle_w + percent - 2) for percent in range(1, 100)]
            shown = [str(idle_w - 5)] * 4 + watts + [str(idle_w + 100)] * 4
            distribution.append(",".join((name, "86400", str(idle_w - 6), *shown, str(idle_w + 200))))
        (self.folder / "node_sinfo.csv").write_text("\n".join(sinfo) + "\n", encoding="utf-8")
        (self.folder / "node_power_dist.csv").write_text("\n".join(distribution) + "\n", encoding="utf-8")
        pmlb = ["Dataset,n_observations,n_features,n_classes,Endpoint,Imbalance,Task,Metadata"]
        pmlb += [",".join(map(str, row)) + "," for row in PMLB]
        (self.folder / "pmlb.csv").write_text("\n".join(pmlb) + "\n", encoding="utf-8")

    def summary(
        self, old_experiment_id: int, *, dataset: str, shape: str, size: int, widths: list[int], n: int
    ) -> None:
        """A row of summary_by_epoch: epochs 1, 10 .. 3000; the median test loss falls to 0.4 and rises to 0.5."""
        place = f"dataset={dataset}/shape={shape}/optimizer=Adam/learning_rate=0.0001/batch_size=256"
        folder = self.folder / "summary_by_epoch" / place / "regularizer=none/has_label_noise=false"
        folder.mkdir(parents=True, exist_ok=True)
        epoch = np.array([1, 10, 100, 1000, 3000], dtype=np.int32)
        loss = np.array([1.0, 0.8, 0.6, 0.4, 0.5], dtype=np.float32)
        columns = {
            "depth": pa.array([len(widths)], pa.uint8()),
            "epochs": pa.array([0], pa.uint32()),
            "experiment_id": pa.array([old_experiment_id], pa.uint32()),
            "num_free_parameters": pa.array([n], pa.uint64()),
            "widths": pa.array([widths], pa.list_(pa.uint32())),
            "num_runs": pa.array([30], pa.uint8()),
            "label_noise": pa.array([0.0], pa.float32()),
            "momentum": pa.array([0.0], pa.float32()),
            "size": pa.array([size], pa.uint64()),
            "task": pa.array(["classification"]),
            "l1": pa.array([0.0], pa.float32()),
            "l2": pa.array([0.0], pa.float32()),
            "epoch": pa.array([epoch], pa.list_(pa.uint32())),
        }
        for number, percent in enumerate((0, 25, 50, 75, 100)):
            factor = np.float32(0.8 + 0.1 * number)
            best = np.minimum.accumulate(loss) * factor
            columns[f"test_loss_quantile_{percent}"] = pa.array([loss * factor], pa.list_(pa.float32()))
            columns[f"test_loss_best_quantile_{percent}"] = pa.array([best], pa.list_(pa.float32()))
        pq.write_table(pa.table(columns), folder / f"part-{old_experiment_id}.parquet")


def small_submission(folder: Path) -> Submission:
    """The submission of the tests; test_butter_e.py works its numbers out by hand."""
    files = Submission(folder)
    n1, n2, n3 = "r1i0n1", "r1i0n2", "r102u25"
    for name, kind, idle_w in ((n1, CPU1, 218), (n2, CPU1, 222), (n3, CPU3, 309)):
        files.node(name, kind, idle_w)
    files.node("r103u1", GPU1, 374)
    files.node("r104u1", GPU2, 403)

    # job 1: two nodes, one row after the other; 12:00 UTC is 06:00 in Denver
    both = minutes("2022-09-13 12:00:00", 7)
    files.job(1, [row for moment in both for row in ((stamp(moment), n1, 300), (stamp(moment), n2, 200))])
    files.run("interleaved", 1, n1, "2022-09-13 12:00:30", "2022-09-13 12:04:30")

    ramp = zip(minutes("2022-09-13 14:00:00", 5), (240, 300, 360, 300, 240), strict=True)
    files.job(2, [(stamp(moment), n1, watts) for moment, watts in ramp])
    files.run("ramp", 2, n1, "2022-09-13 14:00:30", "2022-09-13 14:03:30")

    dip = zip(minutes("2022-09-13 16:00:00", 7), (300, 300, 0, 300, 300, 300, 300), strict=True)
    files.job(3, [(stamp(moment), n1, watts) for moment, watts in dip])
    files.run("zero", 3, n1, "2022-09-13 16:00:30", "2022-09-13 16:04:30")

    gap = minutes("2022-09-13 18:00:00", 3) + minutes("2022-09-13 18:08:00", 5)
    files.job(4, [(stamp(moment), n1, 300) for moment in gap])
    files.run("gap", 4, n1, "2022-09-13 18:00:30", "2022-09-13 18:11:30")
    files.run("after the gap", 4, n1, "2022-09-13 18:08:30", "2022-09-13 18:11:30")

    files.constant(5, n2, 300, "2022-09-13 20:00:00", 10)
    files.run("of another node", 5, n1, "2022-09-13 20:01:30", "2022-09-13 20:04:30")
    files.run("without a file", 6, n1, "2022-09-13 21:00:00", "2022-09-13 21:10:00")

    # job 7: on 2022-11-06 the clock goes from 01:59 MDT (07:59 UTC) back to 01:00 MST (08:00 UTC)
    autumn = [
        (stamp(moment), n1, 200 if moment < utc("2022-11-06 08:00:00") else 400)
        for moment in minutes("2022-11-06 06:58:00", 125)
    ]
    files.job(7, autumn)
    files.run("first pass", 7, n1, "2022-11-06 07:10:30", "2022-11-06 07:20:30")
    files.run("second pass", 7, n1, "2022-11-06 08:10:30", "2022-11-06 08:20:30")
    # job 9: nothing but ten minutes of that hour, so nothing tells which pass they are of
    files.constant(9, n1, 300, "2022-11-06 07:10:00", 11)
    files.run("either pass", 9, n1, "2022-11-06 07:12:00", "2022-11-06 07:15:00")

    # job 8: on 2023-03-12 the clock goes from 01:59 MST (08:59 UTC) to 03:00 MDT (09:00 UTC)
    spring = [(stamp(moment), n1, 300) for moment in minutes("2023-03-12 08:58:00", 5)]
    never = [(f"2023-03-12T02:1{digit}:00Z", n1, 999) for digit in range(3)]
    files.job(8, spring[:2] + never + spring[2:])
    files.run("spring", 8, n1, "2023-03-12 08:58:30", "2023-03-12 09:01:30")

    # a long run: 80,000 s
    files.constant(10, n1, 250, "2022-09-14 06:00:00", 1336)
    long = {"dataset": "mnist", "old_experiment_id": 2}
    files.run("long", 10, n1, "2022-09-14 06:00:30", "2022-09-15 04:13:50", **long)

    # 17 runs of 120 s and one of 600 s, on a node of type cpu3; two shapes of depth 2
    files.constant(11, n3, 320, "2022-09-16 00:00:00", 46)
    begin = utc("2022-09-16 00:00:30")
    for number in range(18):
        start = begin + timedelta(seconds=120 * number)
        end = start + timedelta(seconds=600 if number == 17 else 120)
        shape = "trapezoid" if number % 2 else "rectangle"
        group = {"dataset": "nursery", "size": 64, "depth": 2, "shape": shape, "old_experiment_id": 3 + number % 2}
        files.run(f"short {number}", 11, n3, f"{start:%F %T}", f"{end:%F %T}", **group)

    gpu = {"is_gpu": True, "batch": "energy_1_gpu"}
    files.constant(12, "r103u1", 500, "2022-09-17 00:00:00", 12)
    files.run("on gpu1", 12, "r103u1", "2022-09-17 00:00:30", "2022-09-17 00:10:30", **gpu)
    files.constant(13, "r104u1", 529, "2022-09-17 00:00:00", 12)
    files.run("on gpu2", 13, "r104u1", "2022-09-17 00:00:30", "2022-09-17 00:10:30", **gpu)

    # three runs of 505_tecator, of 50, 60 and 100 s
    files.constant(14, n1, 240, "2022-09-18 00:00:00", 12)
    windows = (("00:00:40", "00:01:30"), ("00:02:40", "00:03:40"), ("00:04:40", "00:06:20"))
    for number, (first, last) in enumerate(windows):
        small = {"dataset": "505_tecator", "size": 512, "old_experiment_id": 5}
        files.run(f"tecator {number}", 14, n1, f"2022-09-18 {first}", f"2022-09-18 {last}", **small)

    for number in range(2):
        files.run(
            f"withdrawn {number}", 1, n1, "2022-09-13 12:00:30", "2022-09-13 12:04:30", batch="optimizer_energy_1_cpu"
        )
    files.run("ramp", 2, n1, "2022-09-13 14:00:30", "2022-09-13 14:03:30")
    files.run("backwards", 2, n1, "2022-09-13 14:03:30", "2022-09-13 14:00:30")
    files.run("no such data", 2, n1, "2022-09-13 14:00:30", "2022-09-13 14:03:30", dataset="iris")
    # adult as BUTTER encodes it has 105 inputs here: (105 + 1) x 9 + (9 + 1) x 9 + (9 + 1) x 1 = 954 + 90 + 10 = 1054
    files.summary(1, dataset="adult", shape="rectangle", size=1024, widths=[9, 9, 1], n=1054)
    files.summary(99, dataset="adult", shape="rectangle", size=2048, widths=[17, 17, 1], n=2127)
    files.write()
    return files
