"""Where data comes from, and how columns become arrays.

Which function to use when:

- `resolve` turns what a user wrote (`digits`, `pmlb:529_pollen`, `synthetic:classes_1000x8x5`) into a source
  and a name; `task_of` says what that dataset is trained as. Both are cheap and read no data.
- `prepare` reads a dataset from its source and encodes it, once, into a file; `dataset_path` says where that
  file is.
- `at_hand` says whether `prepare` would need no download.
- `read_facts` gives the size of a prepared dataset, for planning; `load` gives its arrays, for training.
- `split` gives the training and test rows of one run, `split_counts` how many of each.
- `encode` turns any `RawTable` of your own into a `Dataset`.

Importing this package imports NumPy and nothing heavier: scikit-learn, pandas and pmlb are imported by the
functions that need them.
"""

from wattsweep.datasets.cache import DatasetFacts, at_hand, dataset_path, load, prepare, read_facts
from wattsweep.datasets.names import DatasetName, known_names, resolve, task_of
from wattsweep.datasets.preprocessing import encode
from wattsweep.datasets.split import Split, split, split_counts
from wattsweep.datasets.types import Column, Dataset, Head, RawTable, Task

__all__ = [
    "Column",
    "Dataset",
    "DatasetFacts",
    "DatasetName",
    "Head",
    "RawTable",
    "Split",
    "Task",
    "at_hand",
    "dataset_path",
    "encode",
    "known_names",
    "load",
    "prepare",
    "read_facts",
    "resolve",
    "split",
    "split_counts",
    "task_of",
]
