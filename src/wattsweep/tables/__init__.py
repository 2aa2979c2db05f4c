"""Tables: run files as Parquet.

Which function to use when:

- to write all tables from run records, in one pass with flat memory: `write_tables`.
- to read them back as data frames: `read_runs`, `read_experiments`; the curves over epochs lie in a Hive-partitioned
  folder that pyarrow, pandas, DuckDB and Spark read as they are.
- what each column means: `wattsweep.tables.columns`, or docs/tables.md, which is generated from it.
"""

from wattsweep.tables.reading import read_experiments, read_runs
from wattsweep.tables.rows import Emissions
from wattsweep.tables.writing import TableCounts, write_tables

__all__ = ["Emissions", "TableCounts", "read_experiments", "read_runs", "write_tables"]
