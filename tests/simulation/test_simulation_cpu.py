from pathlib import Path

import pytest

from wattsweep.simulation.cpu import CpuTimes, cpu_use, read_cpu_times


def test_steal_is_neither_busy_nor_idle_and_guest_is_not_counted_twice(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 20 30 400 50 6 7 8000 9 9\ncpu0 1 2 3 4 5 6 7 8 9 9\n")
    assert read_cpu_times(tmp_path / "stat") == CpuTimes(busy=73, idle=450)


def test_this_node_has_cpu_times() -> None:
    times = read_cpu_times()
    assert times.busy > 0


@pytest.mark.parametrize("text", ["", "intr 1 2 3\n", "cpu 1 2\n"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)
    with pytest.raises(ValueError, match="CPU times"):
        read_cpu_times(tmp_path / "stat")


@pytest.mark.parametrize(
    ("busy", "idle", "use"),
    [(0, 100, 0.0), (100, 0, 1.0), (25, 75, 0.25), (0, 0, None), (10, -1, 1.0), (-1, 10, 0.0), (-1, -1, None)],
)
def test_use_is_the_busy_share(busy: int, idle: int, use: float | None) -> None:
    assert cpu_use(CpuTimes(1000, 1000), CpuTimes(1000 + busy, 1000 + idle)) == use
