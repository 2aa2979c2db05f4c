import pytest

from wattsweep.analysis.traffic import Stream, beyond_levels, streams
from wattsweep.hardware import HardwareProfile, MemoryLevel

NODE = HardwareProfile(
    "node",
    "cpu",
    "X",
    (MemoryLevel("L1", "core", 4, 100), MemoryLevel("L2", "core", 4, 300), MemoryLevel("RAM", "node", 1, 1e9)),
)


def test_streams_by_hand() -> None:
    # 3 inputs, layers of 4 and 2: P = 26. Batches of 10: 3 of 25 training rows, 1 of 5 test rows.
    found = {stream.name: stream for stream in streams([4, 2], 3, 2, 10, 25, 5)}
    # Forward 4 x 10 x ((3 + 4) + (4 + 2)) = 520, 4 times; backward 520 less the 3 inputs' 120, 3 times.
    assert found["inter-layer"] == Stream("inter-layer", 4 * 520 + 3 * 400, 0, 280)
    assert found["kept"] == Stream("kept", 3 * 520, 4 * 104, 360)
    assert found["parameters"] == Stream("parameters", 104 * 31, 416, 360)
    assert found["dataset"] == Stream("dataset", 20 * 10 * 4, 416, 360 + 20 * 30)


def test_bytes_beyond_levels_by_hand() -> None:
    # On a core 100 + 600 / 4 = 250 bytes: L1 holds 100 of them, L1 and L2 hold all.
    assert list(beyond_levels([Stream("one", 1000, 100, 600)], NODE)) == pytest.approx([1000, 600, 0])
    # 800 bytes of each core: L1 an eighth, L1 and L2 half.
    assert list(beyond_levels([Stream("one", 1000, 800, 0)], NODE)) == pytest.approx([1000, 875, 500])


def test_streams_add_up() -> None:
    one, other = Stream("one", 1000, 100, 600), Stream("other", 50, 800, 0)
    both = beyond_levels([one, other], NODE)
    apart = [beyond_levels([stream], NODE) for stream in (one, other)]
    assert both == tuple(pytest.approx(sum(levels)) for levels in zip(*apart, strict=True))
