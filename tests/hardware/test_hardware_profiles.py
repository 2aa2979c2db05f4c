import ctypes
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.errors import HardwareError
from wattsweep.hardware import HardwareProfile, MemoryLevel, profile, read_profile, write_profile
from wattsweep.hardware.detection import cpu_profile, gpu_profile, gpus

KIB, MIB, GIB = 2**10, 2**20, 2**30

VALID: dict[str, Any] = {
    "name": "node",
    "kind": "cpu",
    "processor": "Example",
    "levels": [
        {"name": "L1", "unit": "core", "units": 4, "bytes_per_unit": "48 KiB"},
        {"name": "RAM", "unit": "node", "units": 1, "bytes_per_unit": 8 * GIB},
    ],
}


def test_the_eagle_nodes_are_those_of_the_paper() -> None:
    assert [(one.name, one.bytes_per_unit, one.units) for one in profile("eagle-cpu").levels] == [
        ("L1", 32 * KIB, 36),
        ("L2", MIB, 36),
        ("L3", 24.75 * MIB, 2),
        ("RAM", 96 * GIB, 1),
    ]
    assert [(one.name, one.bytes_per_unit, one.units) for one in profile("eagle-gpu").levels] == [
        ("L1", 112 * KIB, 168),
        ("L2", 6 * MIB, 2),
        ("RAM", 16 * GIB, 2),
    ]
    assert profile("eagle-cpu").levels[2].total_bytes == 49.5 * MIB


def test_fewer_workers_have_fewer_caches() -> None:
    units = {n: [level.units for level in profile("eagle-cpu").on(n).levels] for n in (1, 18, 19, 36, 99)}
    assert units == {1: [1, 1, 1, 1], 18: [18, 18, 1, 1], 19: [19, 19, 2, 1], 36: [36, 36, 2, 1], 99: [36, 36, 2, 1]}
    assert [level.units for level in profile("eagle-gpu").on(84).levels] == [84, 1, 1]
    with pytest.raises(ValueError, match="workers = 0"):
        profile("eagle-cpu").on(0)


def test_a_profile_knows_what_it_describes() -> None:
    cpu, gpu = profile("eagle-cpu"), profile("eagle-gpu")
    assert cpu.describes("cpu", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz")
    assert not cpu.describes("cpu", "AMD EPYC")
    assert gpu.describes("Tesla V100-PCIE-16GB", "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz")
    assert not gpu.describes("cpu", "V100")


def test_this_node_has_a_profile() -> None:
    found = profile("this-cpu")
    assert found.kind == "cpu"
    assert found.levels[-1].name == "RAM"


def test_profiles_are_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "profiles" / "node.yaml"
    write_profile(profile("eagle-cpu"), path)
    assert read_profile(path) == profile("eagle-cpu") == profile(path) == profile(str(path))


@given(
    units=st.lists(st.integers(1, 256), min_size=1, max_size=5),
    sizes=st.lists(st.floats(1, 2**45), min_size=5, max_size=5),
)
def test_any_profile_survives_its_dictionary(units: list[int], sizes: list[float]) -> None:
    levels = [
        MemoryLevel(f"M{number}", "unit", count, size)
        for number, (count, size) in enumerate(zip(sorted(units, reverse=True), sizes, strict=False))
    ]
    one = HardwareProfile("any", "gpu", "X", tuple(levels))
    assert HardwareProfile.of(yaml.safe_load(yaml.safe_dump(one.to_dict())), "test") == one


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "tpu"}, r"node.yaml: kind is 'tpu': give cpu or gpu"),
        ({"levels": []}, r"levels is \[\]: give a list"),
        ({"name": ""}, "name is '': give a text"),
        ({"color": "red"}, "has unknown keys color: its keys are name, kind, processor, levels"),
        ({"levels": [1]}, r"levels\[0\]: 1 is no mapping"),
        ({"levels": [{"name": "L1"}]}, r"levels\[0\]: lacks unit, units, bytes_per_unit"),
        ({"levels": [VALID["levels"][0] | {"units": 0}]}, r"levels\[0\]: units is 0: give a whole number"),
        ({"levels": [VALID["levels"][0] | {"units": True}]}, "units is True"),
        ({"levels": [VALID["levels"][0] | {"bytes_per_unit": "32 KB"}]}, r"bytes_per_unit is '32 KB': give a number"),
        ({"levels": [VALID["levels"][0] | {"bytes_per_unit": 0}]}, "bytes_per_unit is 0"),
        ({"levels": [VALID["levels"][0] | {"bytes_per_unit": float("nan")}]}, "bytes_per_unit is nan"),
        ({"levels": [VALID["levels"][0], VALID["levels"][0]]}, "levels are named L1, L1"),
        ({"levels": list(reversed(VALID["levels"]))}, "level L1 has 4 units and RAM before it 1"),
    ],
)
def test_mistakes_in_a_profile_are_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(yaml.safe_dump(VALID | change), encoding="utf-8")
    with pytest.raises(HardwareError, match=words):
        read_profile(path)


def test_other_files_and_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="'eagle-tpu' is not known: give eagle-cpu, eagle-gpu, this"):
        profile("eagle-tpu")
    with pytest.raises(HardwareError, match="cannot be read"):
        profile("nowhere.yaml")
    (tmp_path / "a.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(HardwareError, match="not valid YAML"):
        profile(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(HardwareError, match="is no mapping"):
        profile(tmp_path / "a.yaml")


def put_caches(root: Path, n_cpus: int, per_socket: int, *, small_from: int = 99) -> None:
    """The caches of a machine: L1 data and instructions and L2 for each core, L3 for each socket."""
    for cpu in range(n_cpus):
        first = cpu - cpu % per_socket
        caches = [
            (1, "Data", "48K" if cpu < small_from else "32K", f"{cpu}"),
            (1, "Instruction", "32K", f"{cpu}"),
            (2, "Unified", "2M", f"{cpu}"),
            (3, "Unified", "30720K", f"{first}-{first + per_socket - 1}"),
        ]
        for index, (level, kind, size, shared) in enumerate(caches):
            folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            folder.mkdir(parents=True)
            for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
                (folder / name).write_text(f"{text}\n", encoding="utf-8")


def test_caches_are_those_that_linux_lists(tmp_path: Path) -> None:
    put_caches(tmp_path, 8, 4)
    levels = cpu_profile(tmp_path, range(8)).levels
    assert [(one.name, one.units, one.bytes_per_unit) for one in levels[:3]] == [
        ("L1", 8, 48 * KIB),
        ("L2", 8, 2 * MIB),
        ("L3", 2, 30 * MIB),
    ]
    assert [one.units for one in cpu_profile(tmp_path, [0, 1, 2]).levels] == [3, 3, 1, 1]


def test_of_cores_of_two_kinds_the_smaller_caches_count(tmp_path: Path) -> None:
    put_caches(tmp_path, 4, 4, small_from=2)
    assert cpu_profile(tmp_path, range(4)).levels[0] == MemoryLevel("L1", "core", 4, 32 * KIB)


def test_a_node_that_lists_no_caches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="lists no caches of this CPU: write a profile by hand"):
        cpu_profile(tmp_path, [0])


class FakeDriver:
    """CUDA's driver on a node of two V100."""

    def __init__(self, *, starts: int = 0, answers: int = 0) -> None:
        self.starts = starts
        self.answers = answers

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return self.starts

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, _length: int, _device: ctypes.c_int) -> int:  # noqa: N802
        name.value = b"Tesla V100-PCIE-16GB"
        return 0

    def cuDeviceTotalMem_v2(self, total: Any, _device: ctypes.c_int) -> int:  # noqa: N802
        total._obj.value = 16 * GIB
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: ctypes.c_int) -> int:  # noqa: N802
        value._obj.value = {16: 80, 81: 96 * KIB, 38: 6 * MIB}[attribute]
        return self.answers


def test_gpus_are_those_that_the_driver_shows() -> None:
    found = gpu_profile(gpus(FakeDriver()))
    assert (found.kind, found.processor) == ("gpu", "Tesla V100-PCIE-16GB")
    assert [(one.name, one.units, one.bytes_per_unit) for one in found.levels] == [
        ("L1", 160, 96 * KIB),
        ("L2", 2, 6 * MIB),
        ("RAM", 2, 16 * GIB),
    ]


def test_a_driver_that_does_not_answer_shows_no_gpus() -> None:
    assert gpus(FakeDriver(starts=100)) == []
    assert gpus(FakeDriver(answers=1)) == []
    assert gpus(object()) == []
