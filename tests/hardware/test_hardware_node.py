import os
import platform
import socket
from pathlib import Path

import pytest

from wattsweep.hardware import cpu_features, cpu_model, gpu_memory_bytes, memory_bytes, node_name

NODE_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine without control groups, and no job of Slurm's."""
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    return tmp_path


def put(root: Path, membership: str, limits: dict[str, str]) -> None:
    """The groups that a process is in, and files of limits below /sys/fs/cgroup."""
    files = {"proc/self/cgroup": membership} | {f"sys/fs/cgroup/{path}": text for path, text in limits.items()}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n", encoding="utf-8")


def test_the_node_is_named_without_its_domain() -> None:
    assert node_name() == socket.gethostname().split(".")[0]


def test_the_cpu_model_is_the_first_that_linux_names(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Example CPU @ 2: GHz\nprocessor\t: 1\nmodel name\t: Other\n")
    assert cpu_model(cpuinfo) == "Example CPU @ 2: GHz"


def test_without_a_name_the_architecture_stands_for_it(tmp_path: Path) -> None:
    assert cpu_model(tmp_path / "none") == platform.machine()
    (tmp_path / "empty").write_text("processor : 0\n")
    assert cpu_model(tmp_path / "empty") == platform.machine()


def test_instruction_sets_are_those_that_linux_lists(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\nprocessor\t: 1\nflags\t\t: other\n")
    assert cpu_features(cpuinfo) == "fpu avx2 avx512f"
    assert cpu_features(tmp_path / "none") == ""


def test_without_limits_the_memory_of_the_node_may_be_used(root: Path) -> None:
    assert memory_bytes(root) == NODE_BYTES


@pytest.mark.parametrize(
    ("membership", "limits"),
    [
        pytest.param("0::/job/step", {"job/step/memory.max": "1000000"}, id="own"),
        pytest.param("0::/job/step", {"job/step/memory.max": "max", "job/memory.max": "1000000"}, id="above"),
        pytest.param("0::/job/step", {"job/step/memory.max": "1000000", "job/memory.max": "2000000"}, id="both"),
        pytest.param("0::/", {"memory.max": "1000000"}, id="container"),
        pytest.param("0::/not/seen/here", {"memory.max": "1000000"}, id="container that hides the path"),
        pytest.param(
            "9:cpu,cpuacct:/other\n4:memory:/job\n0::/job",
            {"memory/job/memory.limit_in_bytes": "1000000", "memory/memory.limit_in_bytes": "9223372036854771712"},
            id="version 1",
        ),
    ],
)
def test_a_control_group_limits_memory(root: Path, membership: str, limits: dict[str, str]) -> None:
    put(root, membership, limits)
    assert memory_bytes(root) == 1_000_000


def test_the_limits_of_other_groups_do_not_count(root: Path) -> None:
    put(root, "4:cpu:/job\n0::/job", {"other/memory.max": "1000000", "cpu/job/memory.limit_in_bytes": "1000000"})
    assert memory_bytes(root) == NODE_BYTES


@pytest.mark.parametrize(
    ("megabytes", "expected"), [("1", MIB), ("0", NODE_BYTES), ("", NODE_BYTES), ("x", NODE_BYTES)]
)
def test_slurm_limits_memory(megabytes: str, expected: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_NODE", megabytes)
    assert memory_bytes(root) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('case "$*" in *--id=1*) echo 24576;; *) echo 16384; echo 24576;; esac', 16384 * MIB),
        ("echo '[N/A]'", None),
        ("exit 9", None),
        (None, None),
    ],
)
def test_the_memory_of_the_first_gpu(
    script: str | None, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpu_memory_bytes() == expected
    if expected is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
        assert gpu_memory_bytes() == 24576 * MIB
