import threading

from wattsweep.simulation.cpu import CpuTimes
from wattsweep.simulation.meter import Meter

QUARTER, FULL, NO_TICK = CpuTimes(25, 75), CpuTimes(125, 75), CpuTimes(125, 75)


def meter_with(*times: CpuTimes, idle_w: float = 100.0, slope_w: float = 150.0) -> Meter:
    readings = iter([CpuTimes(0, 0), *times])
    return Meter(idle_w, slope_w, 1.0, read_times=lambda: next(readings))


def test_watts_follow_the_cpu_in_whole_watts() -> None:
    meter = meter_with(QUARTER, FULL, NO_TICK)
    shown = [meter.state.current_w]
    for _ in range(3):
        meter.update()
        shown.append(meter.state.current_w)
    assert shown == [100, 138, 250, 250]
    state = meter.state
    assert (state.minimum_w, state.maximum_w, state.average_w) == (100, 250, round((100 + 138 + 250 + 250) / 4))


def test_watts_fit_the_two_bytes_of_dcmi() -> None:
    meter = meter_with(FULL, idle_w=70000.0)
    assert meter.state.current_w == 0xFFFF


def test_it_updates_until_stopped() -> None:
    stopped = threading.Event()
    calls = 0

    def read_times() -> CpuTimes:
        nonlocal calls
        calls += 1
        if calls == 4:
            stopped.set()
        return CpuTimes(calls, calls)

    Meter(100.0, 0.0, 0.001, read_times=read_times).run(stopped)
    assert calls == 4
