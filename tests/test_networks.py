from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.networks import (
    CONFORMANCE_TOLERANCE,
    SHAPES,
    count_parameters,
    layer_widths,
    relative_error,
)

# Worked out by hand from BUTTER's rules: for each, the count of parameters as a function of w, then the
# counts of the scales around the wanted size. Inputs and outputs are those of the tasks after their columns
# are encoded.
POLLEN, HOUSES, BANANA = (4, 1), (8, 1), (2, 1)
WINE, CONNECT_4, NURSERY, MNIST = (11, 7), (126, 3), (26, 4), (784, 10)

HAND_WORKED: list[tuple[str, int, int, tuple[int, int], list[int], int]] = [
    # 5w + (w+1) = 6w+1: 5 -> 31, 6 -> 37
    ("rectangle", 2, 2**5, POLLEN, [5, 1], 31),
    # 9w + (w+1)w + (w+1) = w^2+11w+1: 26 -> 676+286+1 = 963, 27 -> 729+297+1 = 1027
    ("rectangle", 3, 2**10, HOUSES, [27, 27, 1], 1027),
    # 785w + 10(w+1) = 795w+10: 20 -> 15910 (474 short), 21 -> 16705 (321 over)
    ("rectangle", 2, 2**14, MNIST, [21, 10], 16705),
    # 12w + 2(w+1)w + 7(w+1) = 2w^2+21w+7: 40 -> 3200+840+7 = 4047 (49 short), 41 -> 3362+861+7 = 4230
    ("rectangle", 4, 2**12, WINE, [40, 40, 40, 7], 4047),
    # 3w + 8(w+1)w + (w+1) = 8w^2+12w+1: 89 -> 64437 (1099 short), 90 -> 64800+1080+1 = 65881 (345 over)
    ("rectangle", 10, 2**16, BANANA, [90] * 9 + [1], 65881),
    # w^2+11w+1: 11579 -> 134200611 (17117 short), 11580 -> 134096400+127380+1 = 134223781 (6053 over)
    ("rectangle", 3, 2**27, HOUSES, [11580, 11580, 1], 134223781),
    # 9w + 18(w+1)w + (w+1) = 18w^2+28w+1: 240 -> 1043521 (5055 short), 241 -> 1052207 (3631 over)
    ("rectangle_residual", 20, 2**20, HOUSES, [241] * 19 + [1], 1052207),
    # w, (w+1)/2, 1: 36, 18.5 to even 18 -> 9*36 + 37*18 + 19 = 1009 (15 short); 37, 19 -> 333+722+20 = 1075
    ("trapezoid", 3, 2**10, HOUSES, [36, 18, 1], 1009),
    # w, (2w+1)/3, (w+2)/3, 1: 20, 13.67, 7.33 -> 5*20 + 21*14 + 15*7 + 8 = 507; 21, 14.33, 7.67 -> 542
    ("trapezoid", 4, 2**9, POLLEN, [20, 14, 7, 1], 507),
    # w, (3w+7)/4, (w+7)/2, (w+21)/4, 7: 31 -> 12*31 + 32*25 + 26*19 + 20*13 + 14*7 = 2024 (24 short);
    # 32, 25.75, 19.5 to even 20, 13.25 -> 384 + 858 + 540 + 273 + 98 = 2153
    ("trapezoid", 5, 2**11, WINE, [31, 25, 19, 13, 7], 2024),
    # w below the outputs, so the layers widen. w, (w+10)/2, 10: 5, 7.5 to even 8 -> 785*5 + 6*8 + 9*10 =
    # 4063; 6, 8 -> 4710+56+90 = 4856
    ("trapezoid", 3, 2**12, MNIST, [5, 8, 10], 4063),
    # w, sqrt(w), 1: 59, 7.68 -> 9*59 + 60*8 + 9 = 1020 (4 short); 60, 7.75 -> 540+488+9 = 1037
    ("exponential", 3, 2**10, HOUSES, [59, 8, 1], 1020),
    # w, w^(2/3), w^(1/3), 1: 31, 9.87, 3.14 -> 5*31 + 32*10 + 11*3 + 4 = 512, exactly
    ("exponential", 4, 2**9, POLLEN, [31, 10, 3, 1], 512),
    # w, sqrt(4w), 4: 87, 18.66 -> 27*87 + 88*19 + 20*4 = 4101 (5 over); 86, 18.55 -> 2322+1653+80 = 4055
    ("exponential", 3, 2**12, NURSERY, [87, 19, 4], 4101),
    # never below the 3 outputs: even w = 1 gives 127*3 + 4*3 + 4*3 = 405
    ("exponential", 3, 2**5, CONNECT_4, [3, 3, 3], 405),
    # w, w/2, 1: 36, 18 -> 9*36 + 37*18 + 19 = 1009 (15 short); 37, 18.5 to even 18 -> 333+684+19 = 1036 (12
    # over)
    ("wide_first_2x", 3, 2**10, HOUSES, [37, 18, 1], 1036),
    # w, w/4, w/4, 7: 93, 23.25 -> 1116+94*23+24*23+24*7 = 3998 (98 short);
    # 94, 23.5 to even 24 -> 1128 + 95*24 + 25*24 + 25*7 = 4183 (87 over)
    ("wide_first_4x", 4, 2**12, WINE, [94, 24, 24, 7], 4183),
    # w, three of w/8, 3: 113, 14.1 -> 127*113 + 114*14 + 2*15*14 + 15*3 = 16412 (28 over); 112 -> 16271 (113
    # short)
    ("wide_first_8x", 5, 2**14, CONNECT_4, [113, 14, 14, 14, 3], 16412),
    # w, w/16, 1: 36, 2.25 -> 5*36 + 37*2 + 3 = 257 (1 over); 35, 2.19 -> 175+72+3 = 250
    ("wide_first_16x", 3, 2**8, POLLEN, [36, 2, 1], 257),
    # w/16 rounds to 0 up to w = 8, and is raised to 1: 3w + (w+1) + 2 = 4w+3: 7 -> 31, 8 -> 35
    ("wide_first_16x", 3, 2**5, BANANA, [7, 1, 1], 31),
    # nothing smaller than w = 1: 785 + 2*10 = 805
    ("rectangle", 2, 2**5, MNIST, [1, 10], 805),
    # a size halfway between 31 and 37 takes the smaller scale
    ("rectangle", 2, 34, POLLEN, [5, 1], 31),
]

depths = st.integers(2, 20)
sizes = st.integers(2**5, 2**27)
input_counts = st.integers(1, 2000)
output_counts = st.integers(1, 50)


@pytest.mark.parametrize(("shape", "depth", "size", "task", "widths", "n_parameters"), HAND_WORKED)
def test_published_settings(
    shape: str, depth: int, size: int, task: tuple[int, int], widths: list[int], n_parameters: int
) -> None:
    n_inputs, n_outputs = task
    assert layer_widths(shape, depth, size, n_inputs, n_outputs) == widths
    assert count_parameters(n_inputs, widths) == n_parameters


def widths_at(shape: str, w: int, depth: int, o: int) -> list[int]:
    """The rules in floating point, as the reference writes them."""
    last = depth - 1
    if shape.startswith("rectangle"):
        return [w] * last + [o]
    if shape == "trapezoid":
        return [round(w - k * (w - o) / last) for k in range(depth)]
    if shape == "exponential":
        return [max(o, round(w * (o / w) ** (k / last))) for k in range(depth)]
    factor = int(shape.removeprefix("wide_first_").removesuffix("x"))
    return [w] + [max(1, round(w / factor))] * (depth - 2) + [o]


def parameters_by_array(n_inputs: int, widths: list[int]) -> int:
    outgoing = np.array(widths, dtype=np.int64)
    incoming = np.concatenate([[n_inputs], outgoing[:-1]])
    return int(((incoming + 1) * outgoing).sum())


@given(st.sampled_from(SHAPES), depths, st.integers(2**5, 2**10), input_counts, output_counts)
def test_no_scale_comes_closer(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> None:
    widths = layer_widths(shape, depth, size, n_inputs, n_outputs)
    distance = abs(count_parameters(n_inputs, widths) - size)
    every_scale = [widths_at(shape, w, depth, n_outputs) for w in range(1, size // n_inputs + 2)]
    distances = [abs(count_parameters(n_inputs, other) - size) for other in every_scale]
    assert distance == min(distances)
    assert widths == every_scale[distances.index(distance)]


@given(st.sampled_from(SHAPES), depths, sizes, input_counts, output_counts)
def test_neighbouring_scales_are_no_closer(shape: str, depth: int, size: int, n_inputs: int, n_outputs: int) -> None:
    widths = layer_widths(shape, depth, size, n_inputs, n_outputs)
    count = count_parameters(n_inputs, widths)
    w = widths[0]
    for other in (w - 1, w + 1):
        if other >= 1:
            neighbour = count_parameters(n_inputs, widths_at(shape, other, depth, n_outputs))
            assert abs(neighbour - size) >= abs(count - size)


@given(st.sampled_from(SHAPES), depths, st.integers(1, 5000), input_counts, output_counts)
def test_parameters_never_fall_as_the_scale_grows(
    shape: str, depth: int, w: int, n_inputs: int, n_outputs: int
) -> None:
    at = partial(widths_at, shape, depth=depth, o=n_outputs)
    assert all(one <= next_one for one, next_one in zip(at(w), at(w + 1), strict=True))


@given(st.sampled_from(SHAPES), depths, sizes, input_counts, output_counts)
def test_widths_are_positive_and_end_with_the_outputs(
    shape: str, depth: int, size: int, n_inputs: int, n_outputs: int
) -> None:
    widths = layer_widths(shape, depth, size, n_inputs, n_outputs)
    assert len(widths) == depth
    assert all(type(width) is int and width >= 1 for width in widths)
    assert widths[-1] == n_outputs
    assert count_parameters(n_inputs, widths) == parameters_by_array(n_inputs, widths)


@given(sizes, input_counts, output_counts)
def test_depth_two_makes_all_shapes_one(size: int, n_inputs: int, n_outputs: int) -> None:
    rectangle = layer_widths("rectangle", 2, size, n_inputs, n_outputs)
    for shape in SHAPES:
        if shape != "exponential" or rectangle[0] >= n_outputs:
            assert layer_widths(shape, 2, size, n_inputs, n_outputs) == rectangle


def test_relative_error_is_signed() -> None:
    assert relative_error(1000, 1200) == 0.2
    assert relative_error(1000, 800) == -0.2
    assert abs(relative_error(2**5, 805)) > CONFORMANCE_TOLERANCE


def test_the_answer_is_a_list_of_its_own() -> None:
    first = layer_widths("rectangle", 3, 1024, 8, 1)
    first[0] = 0
    assert layer_widths("rectangle", 3, 1024, 8, 1) == [27, 27, 1]


def test_numpy_integers_are_whole_numbers() -> None:
    widths = layer_widths("rectangle", np.int64(3), np.int32(1024), np.int64(8), np.int8(1))  # type: ignore[arg-type]
    assert widths == [27, 27, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": "trapezium"}, ["shape 'trapezium'", "did you mean 'trapezoid'", "wide_first_16x"]),
        ({"shape": "zzz"}, ["shape 'zzz'", "known shapes"]),
        ({"depth": 1}, ["depth is 1", "2..20"]),
        ({"depth": 21}, ["depth is 21", "2..20"]),
        ({"depth": 3.0}, ["depth is 3.0", "float"]),
        ({"depth": True}, ["depth is True", "bool"]),
        ({"size": 31}, ["size is 31", "32..134217728"]),
        ({"size": 2**27 + 1}, ["size is 134217729"]),
        ({"size": 1e3}, ["size is 1000.0", "float"]),
        ({"n_inputs": 0}, ["n_inputs is 0", "at least 1"]),
        ({"n_outputs": -1}, ["n_outputs is -1", "at least 1"]),
        ({"n_outputs": "1"}, ["n_outputs is '1'", "str"]),
    ],
)
def test_errors_say_which_value_and_what_is_allowed(change: dict[str, Any], words: list[str]) -> None:
    setting: dict[str, Any] = {"shape": "rectangle", "depth": 3, "size": 1024, "n_inputs": 8, "n_outputs": 1}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        layer_widths(**(setting | change))
    for word in words:
        assert word in str(caught.value)


def test_a_plan_of_thousands_is_quick() -> None:
    start = perf_counter()
    for n_inputs in range(1001, 1101):
        layer_widths("exponential", 20, 2**27, n_inputs, 10)
    assert (perf_counter() - start) / 100 < 5e-3
