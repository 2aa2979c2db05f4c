from pathlib import Path

import pandas as pd
import pytest

from wattsweep.analysis import nodes
from wattsweep.hardware import profile, write_profile

XEON = "Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz"


def test_threads_are_those_of_most_runs() -> None:
    runs = pd.DataFrame(
        {
            "device": ["cpu", "cpu", "cpu", "cpu", "V100"],
            "cpu_model": ["A", "A", "A", "B", None],
            "threads": ["2", "2", "8", None, "1"],
        }
    )
    assert nodes.threads_of(runs) == {("cpu", "A"): 2, ("V100", ""): 1}


def test_a_shipped_profile_describes_its_processor() -> None:
    hardware, assumed = nodes.hardware_of("cpu", XEON, [], {("cpu", XEON): 1})
    assert (hardware.name, assumed) == ("eagle-cpu", False)
    assert [level.units for level in hardware.levels] == [1, 1, 1, 1]
    assert nodes.hardware_of("Tesla V100", XEON, [], {("Tesla V100", XEON): 1}) == (profile("eagle-gpu"), False)


def test_a_profile_of_ones_own_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write_profile(profile("eagle-cpu").on(4), path)
    hardware, assumed = nodes.hardware_of("cpu", XEON, [str(path)], {})
    assert ([level.units for level in hardware.levels], assumed) == ([4, 4, 1, 1], False)
    # It describes another CPU, but was named: better than this node's.
    assert nodes.hardware_of("cpu", "Other CPU", [str(path)], {}) == (hardware, True)


def test_an_unknown_processor_is_taken_to_be_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "cpu_model", lambda: "My CPU")
    assert nodes.hardware_of("cpu", "Other CPU", [], {}) == (profile("this-cpu"), True)
    assert nodes.hardware_of("cpu", "My CPU", [], {}) == (profile("this-cpu"), False)
    assert nodes.hardware_of("Some GPU", "My CPU", [], {})[1]
