"""Generates the tables' reference page from their columns: `python -m wattsweep.tables.reference`."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from wattsweep.tables.columns import TABLES

PAGE_PATH = Path("docs/tables.md")

INTRODUCTION = """\
# Tables

Generated from `src/wattsweep/tables/columns.py` by `make reference`; edit that, not this page.

`wattsweep tables` makes these Parquet files of the run files, in `tables/` under the results. Unit and description of
each column are in the files too, in the metadata of its field. What is not known is null. The energies of a refused run
are null, and the run stays in the table with the reason. Runs of simulated or modelled power say so in `power_origin`,
as does the file's metadata (`power_origins`, runs by origin).
"""


def page() -> str:
    """The reference page, in Markdown."""
    lines = [INTRODUCTION]
    for table in TABLES:
        lines += [f"## {table.path}", "", f"A row is {table.row}.", ""]
        lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {_type(c.type)} | {c.unit} | {_cell(c.description)} |" for c in table.columns]
        lines.append("")
    return "\n".join(lines)


def _type(arrow: Any) -> str:
    return f"list of {arrow.value_type}" if pa.types.is_list(arrow) else str(arrow)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the reference page."""
    PAGE_PATH.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
