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


TWO_GPUS = """
import tensorflow as tf
import wattsweep.training
gpus = [tf.config.PhysicalDevice(name, "GPU") for name in ("first", "second")]
tf.config.list_physical_devices = lambda kind: gpus
tf.config.set_visible_devices = lambda devices, kind: print("visible", [device.name for device in devices])
tf.config.experimental.set_memory_growth = lambda device, enable: print("growth", device.name, enable)
tf.config.experimental.get_device_details = lambda device: {"device_name": "some GPU"}
"""


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["any", "gpu"])
def test_of_several_gpus_the_first_is_used_and_named(hardware: str) -> None:
    """With stand-ins for TensorFlow's calls, since these tests run where there is no GPU."""
    code = TWO_GPUS + CONFIGURE.format(threads=1, hardware=hardware)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "visible ['first']",
        "growth first True",
        "Runtime(device='gpu: some GPU', threads=1)",
    ]


@pytest.mark.slow
def test_a_gpu_that_is_needed_and_not_there_is_an_error_with_a_remedy() -> None:
    done = configured("gpu")
    if "device='gpu" in done.stdout:
        pytest.skip("this machine has a GPU")
    assert done.returncode != 0
    assert "hardware = gpu: TensorFlow sees no GPU on node" in done.stderr
    assert "or ask for hardware: cpu" in done.stderr
