"""From a table to the arrays a network is trained on, by BUTTER's rules (arXiv 2207.12547).

Use `encode`. What cannot be trained on is refused with the column's name; no value is filled in or left out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattsweep.datasets.types import Column, Dataset, Floats, Head, RawTable, Rule, Task, array_sha256
from wattsweep.errors import DatasetError

MAX_CATEGORIES = 20
"""A numeric column with more distinct values than this is scaled, with fewer it is one-hot."""

PIXEL_MAXIMA = {("pmlb", "mnist"): 255.0, ("bundled", "digits"): 16.0}
"""Images: every column is kept and divided by the largest value a pixel can have."""


def encode(table: RawTable) -> Dataset:
    """Encode features and response.

    Features: a column with one distinct value is dropped; two become 0/1; 3 to 20, or words, become one-hot
    columns in sorted order; more are min-max scaled to [0, 1]. Images are divided by their `PIXEL_MAXIMA`
    instead. Response: two distinct values become one 0/1 column; for classification more become one-hot
    columns in sorted order; for regression they are min-max scaled to [0, 1].

    Raises DatasetError for missing or non-finite values, an empty table, a table without a usable column, a
    constant target, or a regression on words.
    """
    label = f"dataset {table.source}:{table.name}"
    if not table.columns or table.target.size == 0:
        raise DatasetError(
            f"{label} is empty: it has {len(table.columns)} columns beside the target and "
            f"{table.target.size} rows; give it at least one column and one row"
        )
    maximum = PIXEL_MAXIMA.get((table.source, table.name))
    if maximum is None:
        features, columns = _encode_columns(label, table)
    else:
        features, columns = _encode_pixels(label, table, maximum)
    head, responses = _encode_response(label, table)
    return freeze(table.source, table.name, table.task, head, features, responses, len(table.columns), tuple(columns))


def freeze(
    source: str,
    name: str,
    task: Task,
    head: Head,
    features: Floats,
    responses: Floats,
    raw_features: int,
    columns: tuple[Column, ...],
) -> Dataset:
    """A Dataset of these arrays, made C-contiguous and read-only, with their checksum."""
    features, responses = np.ascontiguousarray(features), np.ascontiguousarray(responses)
    features.flags.writeable = False
    responses.flags.writeable = False
    checksum = array_sha256(features, responses)
    return Dataset(source, name, task, head, features, responses, raw_features, columns, checksum)


def _encode_columns(label: str, table: RawTable) -> tuple[Floats, list[Column]]:
    blocks, columns = [], []
    for name, values in zip(table.column_names, table.columns, strict=True):
        rule, block = _encode_column(_checked(label, name, values))
        blocks.append(block)
        columns.append(Column(name, rule, block.shape[1]))
    if not any(column.width for column in columns):
        raise DatasetError(
            f"{label} has no usable column: each of its {len(columns)} columns has the same value in every "
            "row; give it at least one column that varies"
        )
    return np.concatenate(blocks, axis=1), columns


def _encode_column(values: NDArray[Any]) -> tuple[Rule, Floats]:
    categories, codes = np.unique(values, return_inverse=True)
    if categories.size == 1:
        return "dropped", np.empty((values.size, 0), np.float32)
    if categories.size == 2:
        return "binary", _as_column(codes)
    if categories.size <= MAX_CATEGORIES or not _is_numeric(values):
        return "one_hot", _one_hot(codes, categories.size)
    return "min_max", _as_column(_min_max(values))


def _encode_pixels(label: str, table: RawTable, maximum: float) -> tuple[Floats, list[Column]]:
    features = np.empty((table.target.size, len(table.columns)), np.float32)
    for index, (name, values) in enumerate(zip(table.column_names, table.columns, strict=True)):
        pixels = _checked(label, name, values)
        if not _is_numeric(pixels) or pixels.min() < 0 or pixels.max() > maximum:
            raise DatasetError(
                f"{label}, column {name!r}: not all its values are pixels from 0 to {maximum:g}; correct the file"
            )
        features[:, index] = pixels / maximum
    return features, [Column(name, "pixel", 1) for name in table.column_names]


def _encode_response(label: str, table: RawTable) -> tuple[Head, Floats]:
    values = _checked(label, "target", table.target)
    categories, codes = np.unique(values, return_inverse=True)
    if categories.size == 1:
        raise DatasetError(
            f"{label}, column 'target': it is {categories[0]} in every row, so there is nothing to learn; "
            "give it a target that varies"
        )
    if categories.size == 2:
        return "binary", _as_column(codes)
    if table.task == "classification":
        return "softmax", _one_hot(codes, categories.size)
    if not _is_numeric(values):
        raise DatasetError(
            f"{label}, column 'target': a regression needs numbers, and it holds words such as "
            f"{str(categories[0])!r}; correct the file"
        )
    return "regression", _as_column(_min_max(values))


def _checked(label: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The column as float64 or as objects of text, once it is certain that no value is missing."""
    if values.dtype.kind in "biuf":
        checked: NDArray[Any] = values.astype(np.float64)
        missing = ~np.isfinite(checked)
    else:
        # Kept as objects: NumPy's own text type would drop NULs at the end of a word.
        cells = values.astype(object).tolist()
        missing = np.array([cell is None or cell == "" or bool(cell != cell) for cell in cells])
        checked = np.array([str(cell) for cell in cells], dtype=object)
    if missing.any():
        raise DatasetError(
            f"{label}, column {name!r}: {int(missing.sum())} of its {missing.size} values are missing or not "
            f"finite, the first in row {int(missing.argmax()) + 1} (counted from 1 after the header); "
            "correct the file, since values are never filled in"
        )
    return checked


def _is_numeric(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "f"


def _min_max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # Halved first, so that no difference of finite numbers overflows.
    halves = values / 2
    low = halves.min()
    scaled: NDArray[np.float64] = (halves - low) / (halves.max() - low)
    return scaled


def _one_hot(codes: NDArray[np.intp], n_categories: int) -> Floats:
    block = np.zeros((codes.size, n_categories), np.float32)
    block[np.arange(codes.size), codes] = 1.0
    return block


def _as_column(values: NDArray[Any]) -> Floats:
    return values.astype(np.float32)[:, np.newaxis]
