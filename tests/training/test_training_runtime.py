"""What TensorFlow may use, in processes of their own: it is set up once in a process."""

import subprocess
import sys

import pytest

CONFIGURE = "from wattsweep.training import configure; print(configure({threads}, {hardware!r}))"


def configured(hardware: str, threads: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CONFIGURE.format(threads=threads, hardware=hardware)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_cpu_is_taken_where_it_is_asked_for_and_where_there_is_no_gpu() -> None:
    assert configured("cpu", threads=2).stdout.strip() == "Runtime(device='cpu', threads=2)"


@pytest.mark.slow
def test_a_gpu_that_is_needed_and_not_there_is_an_error_with_a_remedy() -> None:
    done = configured("gpu")
    if "device='gpu" in done.stdout:
        pytest.skip("this machine has a GPU")
    assert done.returncode != 0
    assert "hardware = gpu: TensorFlow sees no GPU on node" in done.stderr
    assert "or ask for hardware: cpu" in done.stderr
