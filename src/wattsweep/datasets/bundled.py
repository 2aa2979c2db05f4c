"""The datasets that come with scikit-learn: nothing to download."""

import numpy as np

from wattsweep.datasets.names import task_of
from wattsweep.datasets.types import RawTable


def read(name: str) -> RawTable:
    """The table of one of the `BUNDLED` datasets. Raises ValueError for another name."""
    task = task_of("bundled", name)
    # Imported here: it takes a second, and most of what imports this package never reads a dataset.
    from sklearn import datasets

    loaders = {
        "breast_cancer": datasets.load_breast_cancer,
        "diabetes": lambda: datasets.load_diabetes(scaled=False),
        "digits": datasets.load_digits,
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
    }
    bunch = loaders[name]()
    return RawTable(
        source="bundled",
        name=name,
        task=task,
        column_names=[str(column) for column in bunch.feature_names],
        columns=list(np.asarray(bunch.data).T),
        target=np.asarray(bunch.target),
    )
