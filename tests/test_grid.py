import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.config import parse
from wattsweep.grid import Experiment, Settings, expand, experiment_id, make_run

SETTINGS = Settings(
    dataset_source="bundled",
    dataset="digits",
    shape="rectangle",
    size=64,
    depth=2,
    epochs=3000,
    batch_size=256,
    learning_rate=1e-4,
    optimizer="adam",
    label_noise=0.0,
    test_split=0.2,
    engine="compiled",
)


def grid(**sweeps: Any) -> list[Experiment]:
    return expand(parse({"sweeps": sweeps}))


def cube(**changes: Any) -> dict[str, Any]:
    return {"dataset": "digits", "shape": "rectangle", "size": 64, "depth": 2, **changes}


def test_ids_and_seeds_are_those_of_every_earlier_version() -> None:
    """They name run files: a change here orphans every result there is."""
    assert SETTINGS.canonical() == (
        '{"batch_size":256,"dataset":"digits","dataset_source":"bundled","depth":2,"engine":"compiled","epochs":3000,'
        '"label_noise":0.0,"learning_rate":0.0001,"optimizer":"adam","shape":"rectangle","size":64,"test_split":0.2}'
    )
    assert experiment_id(SETTINGS) == "ca00520be560bb72"
    run = make_run("ca00520be560bb72", 3)
    assert (run.run_id, run.seed) == ("25ea9889f158eb38", 3988889448183008104)


def test_a_later_setting_counts_only_where_it_departs_from_its_default() -> None:
    assert experiment_id(replace(SETTINGS, momentum=0.0, kernel_l2=0.0)) == experiment_id(SETTINGS)
    others = [replace(SETTINGS, optimizer="sgd"), replace(SETTINGS, optimizer="sgd", momentum=0.9)]
    others += [replace(SETTINGS, kernel_l1=0.01), replace(SETTINGS, kernel_l2=0.01)]
    others += [replace(SETTINGS, precision="mixed_bfloat16"), replace(SETTINGS, vectorised=True)]
    others += [replace(SETTINGS, hardware="cpu"), replace(SETTINGS, hardware="gpu")]
    assert len({experiment_id(settings) for settings in [SETTINGS, *others]}) == 9


@given(
    st.integers(min_value=1, max_value=10**6),
    st.floats(min_value=0, max_value=1, exclude_max=True),
    st.sampled_from(["any", "cpu", "gpu"]),
    st.booleans(),
)
def test_the_canonical_form_is_json_of_what_is_stated(size: int, noise: float, hardware: str, vectorised: bool) -> None:
    settings = replace(SETTINGS, size=size, label_noise=noise, hardware=hardware, vectorised=vectorised)
    later = {"momentum": 0.0, "kernel_l1": 0.0, "kernel_l2": 0.0, "precision": "float32", "hardware": "any"}
    later |= {"vectorised": False}
    stated = {name: value for name, value in asdict(settings).items() if name not in later or value != later[name]}
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    assert settings.canonical() == text.replace('"label_noise":-0.0', '"label_noise":0.0')


def test_equal_settings_have_one_id() -> None:
    assert experiment_id(replace(SETTINGS, label_noise=-0.0)) == experiment_id(SETTINGS)


def test_every_combination_is_an_experiment() -> None:
    experiments = grid(demo=cube(size=[64, 128], depth=[2, 3, 4], learning_rate=[1e-3, 1e-4], repetitions=5))
    assert len(experiments) == 12
    assert {(e.settings.size, e.settings.depth, e.settings.learning_rate) for e in experiments} == {
        (size, depth, rate) for size in (64, 128) for depth in (2, 3, 4) for rate in (1e-3, 1e-4)
    }
    assert all(len(e.runs()) == 5 for e in experiments)


def test_sweeps_share_their_common_experiments() -> None:
    experiments = grid(a=cube(depth=[2, 3], repetitions=2), b=[cube(depth=[3, 4], repetitions=7), cube(depth=3)])
    by_depth = {e.settings.depth: (e.sweeps, e.repetitions) for e in experiments}
    assert by_depth == {2: (("a",), 2), 3: (("a", "b"), 7), 4: (("b",), 7)}


def test_an_edit_of_the_grid_renames_nothing() -> None:
    before = {e.settings: e.runs() for e in grid(demo=cube(depth=[2, 3]))}
    after = {e.settings: e.runs() for e in grid(other=cube(), demo=cube(depth=[9, 3, 2], size=[32, 64]))}
    assert before.items() <= after.items()


def test_the_engine_is_part_of_an_experiment() -> None:
    document = {"sweeps": {"demo": cube()}, "training": {"engine": "keras-fit"}}
    (other,) = expand(parse(document))
    (compiled,) = grid(demo=cube())
    assert other.experiment_id != compiled.experiment_id


def test_vectorised_repetitions_are_part_of_an_experiment() -> None:
    (vectorised,) = expand(parse({"sweeps": {"demo": cube()}, "training": {"repetitions": "vectorised"}}))
    (sequential,) = grid(demo=cube())
    assert vectorised.settings == replace(sequential.settings, vectorised=True)
    assert vectorised.experiment_id != sequential.experiment_id


def test_hardware_and_precision_are_axes() -> None:
    experiments = grid(demo=cube(hardware=["cpu", "gpu"], precision=["float32", "mixed_bfloat16"]))
    assert [(e.settings.precision, e.settings.hardware) for e in experiments] == [
        ("float32", "cpu"),
        ("float32", "gpu"),
        ("mixed_bfloat16", "cpu"),
        ("mixed_bfloat16", "gpu"),
    ]


@given(st.integers(min_value=0, max_value=10**6))
def test_a_run_follows_from_its_experiment_and_number(repetition: int) -> None:
    run = make_run("0123456789abcdef", repetition)
    assert run == make_run("0123456789abcdef", repetition)
    assert run != make_run("0123456789abcdee", repetition)
    assert len(run.run_id) == 16
    assert 0 <= run.seed < 2**63


def test_repetitions_are_counted_from_zero() -> None:
    with pytest.raises(ValueError, match="repetition = -1"):
        make_run("0123456789abcdef", -1)
