"""GPUs through the true client library, over a small libnvidia-ml.so.1 whose answers stand in a text file.

The library is compiled here and loaded by a process of its own, through LD_LIBRARY_PATH as on a node with a driver.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wattsweep.power import Recorder, Status
from wattsweep.power.sources.nvml import visible_gpus
from wattsweep.power.sources.specs import NvmlSpec

NOT_SUPPORTED, GPU_IS_LOST, DRIVER_NOT_LOADED = -3, -15, -9
PASCAL, AMPERE, HOPPER = 4, 7, 9

LIBRARY = r"""
/* Answers stand in the file $NVML_ANSWERS: "init CODE", then per GPU a line
   UUID NAME ENERGY_MJ POWER_MW ARCHITECTURE MIG, where -1 is the largest number there
   is and one below it is the error to give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char uuid[96], name[96]; long long energy, power, architecture, mig; } gpu;
static gpu gpus[16];
static unsigned count;
static int started, init;

static void look(void) {
    FILE *file = fopen(getenv("NVML_ANSWERS"), "r");
    count = 0;
    init = 0;
    if (!file || fscanf(file, "init %d\n", &init) != 1) { init = 999; if (file) fclose(file); return; }
    while (count < 16) {
        gpu *g = &gpus[count];
        if (fscanf(file, "%95s %95s %lld %lld %lld %lld\n", g->uuid, g->name, &g->energy, &g->power,
                   &g->architecture, &g->mig) != 6) break;
        count++;
    }
    fclose(file);
}

static int gpu_of(void *handle, gpu **found) {
    look();
    if (!started) return 1;
    size_t index = (size_t)handle - 1;
    if (index >= count) return 15;
    *found = &gpus[index];
    return 0;
}

int nvmlInitWithFlags(unsigned flags) { look(); if (init == 0) started++; return -init; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { if (!started) return 1; started--; return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { look(); if (!started) return 1; *n = count; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    look();
    if (!started) return 1;
    if (index >= count) return 2;
    if (!strcmp(gpus[index].uuid, "lost")) return 15;
    *handle = (void *)(size_t)(index + 1);
    return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    look();
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) { *handle = (void *)(size_t)(i + 1); return 0; }
    return 6;
}
int nvmlDeviceGetUUID(void *h, char *text, unsigned n) {
    gpu *g; int code = gpu_of(h, &g); if (!code) snprintf(text, n, "%s", g->uuid); return code;
}
int nvmlDeviceGetName(void *h, char *text, unsigned n) {
    gpu *g; int code = gpu_of(h, &g); if (!code) snprintf(text, n, "%s", g->name); return code;
}
static int answer(long long told, unsigned long long *value) {
    if (told < -1) return (int)-told;
    *value = (unsigned long long)told;
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *mj) {
    gpu *g; int code = gpu_of(h, &g); return code ? code : answer(g->energy, mj);
}
int nvmlDeviceGetPowerUsage(void *h, unsigned *mw) {
    gpu *g; int code = gpu_of(h, &g); unsigned long long v = 0;
    if (!code) code = answer(g->power, &v);
    if (!code) *mw = (unsigned)v;
    return code;
}
int nvmlDeviceGetArchitecture(void *h, unsigned *architecture) {
    gpu *g; int code = gpu_of(h, &g); if (!code) *architecture = (unsigned)g->architecture; return code;
}
int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *pending) {
    gpu *g; int code = gpu_of(h, &g); unsigned long long v = 0;
    if (!code) code = answer(g->mig, &v);
    if (!code) *now = *pending = (unsigned)v;
    return code;
}
const char *nvmlErrorString(int code) { return code == 999 ? "Unknown Error" : "an error of the small library"; }
/* how often NVML was started and not stopped, for tests */
int nvmlStarted(void) { return started; }
"""

DRIVER = r"""
import ctypes, json, os, sys
from pathlib import Path
from wattsweep.errors import PowerError
from wattsweep.power.sources.nvml import NvmlSource, visible_gpus
from wattsweep.power.sources.specs import NvmlSpec

order = json.loads(sys.stdin.read())
answers, said = Path(os.environ["NVML_ANSWERS"]), {}
states = iter(order["states"])
answers.write_text(next(states))
try:
    if "environ" in order:
        said["visible"] = visible_gpus(order["environ"])
    else:
        source = NvmlSource(NvmlSpec(gpus=tuple(order["gpus"])))
        source.open()
        said["description"] = source.describe().to_json()
        said["readings"] = [source.read()]
        for state in states:
            if state == "reopen":
                source.open()
                continue
            answers.write_text(state)
            said["readings"].append(source.read())
        said["readings"] = [[reading.value, int(reading.status)] for reading in said["readings"]]
        source.close()
        source.close()
        said["closed"] = int(source.read().status)
except PowerError as error:
    said["error"] = str(error)
try:
    said["started"] = ctypes.CDLL("libnvidia-ml.so.1").nvmlStarted()
except OSError:
    said["started"] = None
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc or gcc) on the PATH to make libnvidia-ml.so.1 with")
    folder = tmp_path_factory.mktemp("nvml")
    source = folder / "nvml.c"
    source.write_text(LIBRARY)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"libnvidia-ml.so.1 cannot be compiled here: {made.stderr.strip()}")
    return folder


def gpu(
    number: int,
    energy_mj: int = 1_000_000,
    power_mw: int = 70_000,
    *,
    name: str = "NVIDIA-H100",
    architecture: int = HOPPER,
    mig: int = 0,
) -> str:
    return f"{uuid(number)} {name} {energy_mj} {power_mw} {architecture} {mig}"


def uuid(number: int) -> str:
    return f"GPU-{number}a2b3c4d-0000-1111-2222-333344445555"


def node(*gpus: str, init: int = 0) -> str:
    return "\n".join([f"init {init}", *gpus]) + "\n"


def play(library: Path, *states: str, **order: Any) -> dict[str, Any]:
    """What a process says that opens the source in the first state and reads it in each."""
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(library),
        "NVML_ANSWERS": str(library / "answers"),
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps({"states": states, **order}),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def same(readings: list[list[float]], *expected: tuple[float, Status]) -> bool:
    """Whether the readings are these; nan is nan."""
    return len(readings) == len(expected) and all(
        status == want_status and (value == pytest.approx(want) or (math.isnan(value) and math.isnan(want)))
        for (value, status), (want, want_status) in zip(readings, expected, strict=True)
    )


def test_energies_are_added_over_the_gpus_named(library: Path) -> None:
    states = [
        node(gpu(0, 5_000_000), gpu(1, 1_000_250), gpu(2, 9_000_000)),
        node(gpu(0, 6_000_000), gpu(1, 1_000_750), gpu(2, 9_500_000)),
    ]
    said = play(library, *states, gpus=["1", uuid(2)])
    assert same(said["readings"], (10_000.25, Status.OK), (10_500.75, Status.OK))
    description = said["description"]
    assert (description["name"], description["kind"], description["scope"]) == ("nvml", "energy", "GPU")
    assert (description["origin"], description["step"], description["wrap_j"]) == ("measured", 0.001, None)
    assert description["averaging_s"] is None
    assert description["detail"] == (
        f"energy counters of GPU 1 (NVIDIA-H100, {uuid(1)}), GPU 2 (NVIDIA-H100, {uuid(2)}), read in-band through NVML"
    )
    assert (said["started"], said["closed"]) == (0, Status.FAILED)


def test_where_one_gpu_does_not_count_energy_the_power_of_all_is_read(library: Path) -> None:
    older = gpu(1, NOT_SUPPORTED, 30_500, name="Tesla-P100", architecture=PASCAL)
    state = node(gpu(0, power_mw=70_000), older)
    said = play(library, state, node(gpu(0, power_mw=0), gpu(1, 5, 0)), gpus=["0", "1"])
    assert same(said["readings"], (100.5, Status.OK), (0.0, Status.ZERO))
    assert said["description"]["kind"] == "power"
    assert said["description"]["averaging_s"] == 1.0
    alone = play(library, state, gpus=["1"])
    assert same(alone["readings"], (30.5, Status.OK))
    assert alone["description"]["averaging_s"] is None
    assert play(library, state, gpus=["0"])["description"]["kind"] == "energy"


def test_one_gpu_that_fails_makes_the_reading_fail(library: Path) -> None:
    good = node(gpu(0, 1000), gpu(1, 2000))
    lost = node(gpu(0, 1500), gpu(1, GPU_IS_LOST))
    gone = node(gpu(0, 1600))
    later = node(gpu(0, 1700), gpu(1, 2500))
    said = play(library, good, lost, gone, later, gpus=["0", "1"])
    failed = (math.nan, Status.FAILED)
    assert same(said["readings"], (3.0, Status.OK), failed, failed, (4.2, Status.OK))


def test_a_counter_that_fell_is_not_hidden_in_a_sum_that_grows(library: Path) -> None:
    before = node(gpu(0, 1_000_000), gpu(1, 2_000))
    after = node(gpu(0, 9_000_000), gpu(1, 100))
    said = play(library, before, after, after, "reopen", after, gpus=["0", "1"])
    failed = (math.nan, Status.FAILED)
    assert same(said["readings"], (1002.0, Status.OK), failed, failed, (9000.1, Status.OK))
    assert said["started"] == 0


def test_sentinels_are_not_energy_nor_power(library: Path) -> None:
    said = play(library, node(gpu(0, 1000)), node(gpu(0, -1)), node(gpu(0, 2000)), gpus=["0"])
    assert [status for _, status in said["readings"]] == [Status.OK, Status.IMPLAUSIBLE, Status.OK]
    by_power = [node(gpu(0, NOT_SUPPORTED, milliwatts)) for milliwatts in (1000, 4294967295)]
    said = play(library, *by_power, gpus=["0"])
    assert same(said["readings"], (1.0, Status.OK), (4294967.295, Status.IMPLAUSIBLE))


def test_mig_is_told_apart(library: Path) -> None:
    divided = play(library, node(gpu(0, mig=1), gpu(1, mig=NOT_SUPPORTED)), gpus=["0", "1"])
    assert (
        f"{uuid(0)}) with all its MIG instances, GPU 1 (NVIDIA-H100, {uuid(1)}), read"
        in (divided["description"]["detail"])
    )
    instance = "MIG-41b36db5-6d90-5a6b-8ffa-fd2d5a6b3f5e"
    refused = play(library, node(gpu(0, mig=1)), gpus=[instance])
    assert f"'{instance}' is a MIG instance" in refused["error"]
    assert "Name the GPU that it is part of" in refused["error"]
    assert refused["started"] == 0


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        (["7"], ["'7' names no GPU of this node; there is GPU 0", uuid(1)]),
        (["GPU-9"], ["'GPU-9' names no GPU", "whole UUID"]),
        (["GPU-"], ["'GPU-' names several GPUs"]),
        (["first"], ["'first' names no GPU"]),
        (["0", uuid(0)], ["GPU 0 (NVIDIA-H100", "is named twice", "would count twice"]),
        ([], ["No GPU is named", "nvidia-smi -L"]),
    ],
)
def test_names_that_are_none_are_refused(library: Path, gpus: list[str], words: list[str]) -> None:
    said = play(library, node(gpu(0), gpu(1)), gpus=gpus)
    assert [word for word in words if word not in said["error"]] == []
    assert said["started"] == 0


def test_the_beginning_of_a_uuid_is_enough_where_only_one_has_it(library: Path) -> None:
    said = play(library, node(gpu(0, 1000), gpu(1, 2000)), gpus=["GPU-1a2"])
    assert same(said["readings"], (2.0, Status.OK))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (node(init=DRIVER_NOT_LOADED), ["NVML does not start (Driver Not Loaded)", "nvidia-smi", "power.source"]),
        (node(gpu(0, NOT_SUPPORTED, NOT_SUPPORTED)), ["Neither energy nor power", "GPU 0"]),
        (node(gpu(0, GPU_IS_LOST)), ["GPU 0 cannot be opened through NVML: GPU is lost"]),
        (node("lost x 1 1 9 0"), ["GPU 0 cannot be opened through NVML: GPU is lost"]),
    ],
)
def test_what_cannot_be_opened_says_why(library: Path, state: str, words: list[str]) -> None:
    said = play(library, state, gpus=["0"])
    assert [word for word in words if word not in said["error"]] == []
    assert said["started"] == 0


def test_without_the_library_the_driver_is_named(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library, in the place where one is looked for first\n")
    said = play(tmp_path, node(), gpus=["0"])
    for word in ("no libnvidia-ml.so.1", "NVIDIA's driver", "apptainer --nv", "power.source"):
        assert word in said["error"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        (f"{uuid(0)}, GPU-1a", (uuid(0), "GPU-1a")),
        (f"{uuid(0)},-1,{uuid(1)}", (uuid(0),)),
        ("MIG-GPU-0/1/0", ("MIG-GPU-0/1/0",)),
    ],
)
def test_what_the_job_may_use_needs_no_library_where_it_is_named(text: str, expected: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": text}) == expected


def test_indices_are_taken_in_the_order_of_the_bus(library: Path) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "1, 0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == ("1", "0")
    alike, mixed = node(gpu(0), gpu(1)), node(gpu(0), gpu(1, name="NVIDIA-T4"))
    named = {"CUDA_VISIBLE_DEVICES": "1,2,x,0"}
    assert play(library, alike, environ=named) == {"visible": ["1", "2"], "started": 0}
    said = play(library, mixed, environ=named)
    assert "'1,2,x,0' on a node with NVIDIA-H100, NVIDIA-T4" in said["error"]
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in said["error"]


def test_without_the_variable_all_gpus_may_be_used(library: Path) -> None:
    said = play(library, node(gpu(0), "lost x 1 1 9 0", gpu(2)), environ={})
    assert said == {"visible": ["0", "2"], "started": 0}
    assert play(library, node(), environ={})["visible"] == []
    assert "NVML does not start" in play(library, node(init=DRIVER_NOT_LOADED), environ={})["error"]


def test_a_recorder_reads_them(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = library / "answers"
    answers.write_text(node(gpu(0, 123_456), gpu(1, 1_000)))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("NVML_ANSWERS", str(answers))
    with Recorder(NvmlSpec(gpus=("0", "1")), tmp_path / "trace", 0.02) as recorder:
        trace = recorder.trace()
    assert trace.kind == "energy"
    assert trace.values[0] == pytest.approx(124.456)
