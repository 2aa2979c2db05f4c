from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattsweep.datasets import Column, Dataset, RawTable, Task, encode
from wattsweep.errors import DatasetError

SCALED = list(range(21))


def table(
    target: Any, *, task: Task = "regression", name: str = "made", source: str = "pmlb", **columns: Any
) -> RawTable:
    arrays = [np.asarray(values) for values in columns.values()]
    return RawTable(source, name, task, list(columns), arrays, np.asarray(target))


def feature_columns(dataset: Dataset) -> list[list[float]]:
    return [column.tolist() for column in dataset.features.T]


def test_each_rule() -> None:
    rows = 21
    dataset = encode(
        table(
            SCALED,
            constant=[7.5] * rows,
            two=[9, 4] * 10 + [9],
            twenty=[*range(20), 0],
            many=[-10 + 2 * row for row in range(rows)],
            words=["b", "a", "c"] * 7,
            yes=[True, False, True] * 7,
            two_words=["x", "w", "x"] * 7,
        )
    )
    assert dataset.columns == (
        Column("constant", "dropped", 0),
        Column("two", "binary", 1),
        Column("twenty", "one_hot", 20),
        Column("many", "min_max", 1),
        Column("words", "one_hot", 3),
        Column("yes", "binary", 1),
        Column("two_words", "binary", 1),
    )
    assert (dataset.raw_features, dataset.n_inputs, dataset.n_observations) == (7, 27, rows)
    columns = feature_columns(dataset)
    one_hot = np.eye(20)[:, [*range(20), 0]]
    assert columns[0] == [1.0, 0.0] * 10 + [1.0]
    np.testing.assert_array_equal(np.array(columns[1:21]), one_hot)
    assert columns[21] == [float(np.float32(row / 20)) for row in range(rows)]
    assert columns[22:25] == [[0, 1, 0] * 7, [1, 0, 0] * 7, [0, 0, 1] * 7]
    assert columns[25] == columns[26] == [1, 0, 1] * 7


def test_arrays_are_ready_to_train_on() -> None:
    dataset = encode(table(SCALED, a=SCALED, b=SCALED[::-1]))
    for array in (dataset.features, dataset.responses):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("task", "target", "head", "responses"),
    [
        ("classification", ["n", "y", "y"] * 7, "binary", [[0], [1], [1]] * 7),
        ("classification", [5, 1, 3] * 7, "softmax", [[0, 0, 1], [1, 0, 0], [0, 1, 0]] * 7),
        ("regression", [-1, 1, 1] * 7, "binary", [[0], [1], [1]] * 7),
        ("regression", [10, 20, 15] * 7, "regression", [[0], [1], [0.5]] * 7),
    ],
)
def test_responses(task: Task, target: list[Any], head: str, responses: list[list[float]]) -> None:
    dataset = encode(table(target, task=task, a=SCALED))
    assert dataset.head == head
    assert dataset.responses.tolist() == responses


def test_checksum_is_of_the_arrays() -> None:
    first = encode(table(SCALED, a=SCALED))
    assert first.sha256 == encode(table(SCALED, renamed=[2 * value for value in SCALED])).sha256
    assert first.sha256 != encode(table(SCALED, a=SCALED[::-1])).sha256
    assert first.sha256 != encode(table(SCALED[::-1], a=SCALED)).sha256


NAN = float("nan")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (table([]), ["pmlb:made is empty", "0 rows"]),
        (table([1, 2, 3]), ["pmlb:made is empty", "0 columns"]),
        (table([], a=[]), ["pmlb:made is empty"]),
        (table([1, 2, 3], a=[1, 1, 1], b=["x"] * 3), ["no usable column", "2 columns"]),
        (table([1, 1, 1], a=[1, 2, 3]), ["column 'target'", "1.0 in every row"]),
        (table([1, 2, 3], a=[1, NAN, NAN]), ["column 'a'", "2 of its 3", "row 2"]),
        (table([1, 2, 3], a=[1, 2, np.inf]), ["column 'a'", "1 of its 3", "row 3"]),
        (table([1, NAN, 3], a=[1, 2, 3]), ["column 'target'", "1 of its 3", "row 2"]),
        (table([1, 2, 3], a=np.array(["x", None, "y"], object)), ["column 'a'", "row 2"]),
        (table([1, 2, 3], a=np.array(["x", "y", NAN], object)), ["column 'a'", "row 3"]),
        (table([1, 2, 3], a=["", "y", "z"]), ["column 'a'", "row 1"]),
        (table(["x", "y", "z"], a=[1, 2, 3]), ["column 'target'", "needs numbers", "'x'"]),
        (table([1, 2], source="pmlb", name="mnist", a=[0, 256]), ["pmlb:mnist", "column 'a'", "0 to 255"]),
        (table([1, 2], source="bundled", name="digits", a=[-1, 16]), ["column 'a'", "0 to 16"]),
    ],
)
def test_what_cannot_be_trained_on_is_refused(raw: RawTable, words: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        encode(raw)
    for word in words:
        assert word in str(caught.value)


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=2, max_size=60))
def test_any_numeric_column(values: list[float]) -> None:
    n_distinct = len(set(values))
    raw = table(list(range(len(values))), task="classification", a=values, b=list(range(len(values))))
    dataset = encode(raw)
    _, rule, width = dataset.columns[0]
    block = dataset.features[:, :width]
    assert np.isfinite(dataset.features).all()
    assert dataset.features.min() >= 0
    assert dataset.features.max() <= 1
    if n_distinct == 1:
        assert (rule, width) == ("dropped", 0)
    elif n_distinct == 2:
        assert (rule, width) == ("binary", 1)
        assert block[:, 0].tolist() == [float(value == max(values)) for value in values]
    elif n_distinct <= 20:
        assert (rule, width) == ("one_hot", n_distinct)
        assert (block.sum(axis=1) == 1).all()
        assert [sorted(set(values))[index] for index in block.argmax(axis=1)] == values
    else:
        assert (rule, width) == ("min_max", 1)
        assert (block.min(), block.max()) == (0, 1)
        assert (np.diff(block[np.argsort(values), 0]) >= 0).all()


@given(st.lists(st.text(min_size=1, max_size=4), min_size=3, max_size=60).filter(lambda words: len(set(words)) > 2))
def test_words_are_one_hot_however_many(words: list[str]) -> None:
    dataset = encode(table(list(range(len(words))), task="classification", a=np.array(words, object)))
    assert dataset.columns == (Column("a", "one_hot", len(set(words))),)
    assert [sorted(set(words))[index] for index in dataset.features.argmax(axis=1)] == words


def test_words_that_differ_in_a_trailing_null_differ() -> None:
    words = np.array(["a", "a\x00", "b"], object)
    assert encode(table([1, 2, 3], a=words)).columns == (Column("a", "one_hot", 3),)
