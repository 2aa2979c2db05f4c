import platform
import socket
from pathlib import Path

from wattsweep.hardware import cpu_model, node_name


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
