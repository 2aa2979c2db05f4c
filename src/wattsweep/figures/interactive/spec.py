"""What an interactive figure is made of: panels of marks over a table of experiments that all figures share.

The page's script draws it (`wattsweep/report/explore.js`). A mark names columns of the shared table, or brings numbers
of its own; `rows` says which row of the table each of those is of, so that filters and hovering reach them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

Mode = Literal["points", "lines", "histogram", "bars", "heat"]
Values = str | list[float | None]
Where = dict[str, str | int]

DIGITS = 4


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its words, its unit (J, s, B or none), and whether it is logarithmic."""

    title: str
    unit: str = ""
    log: bool = True


@dataclass(frozen=True, slots=True)
class Marks:
    """What a panel shows, by `mode`.

    - points: y against x, a point for each experiment; `front` joins those that none other beats in both, `median` is
      the line of medians along x.
    - lines: y against x, joined where `lines` has the same number.
    - histogram: how many experiments (or rows of its own) have so much x.
    - bars: heights y between the edges x [len(y) + 1], named `name`.
    - heat: z [len(y), len(x)] over x and y.

    `rows` are row numbers of the shared table; None with a column's name means all of them.
    """

    mode: Mode
    x: Values
    y: Values = ""
    rows: list[int] | None = None
    lines: list[int] | None = None
    z: list[list[float | None]] | None = None
    name: str = ""
    front: bool = False
    median: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. `where` are the settings that all of it is of: other choices of a filter hide it.

    `verticals` are lines across it at x, each with its words.
    """

    title: str
    x: Axis
    y: Axis
    marks: list[Marks]
    where: Where = field(default_factory=dict)
    verticals: list[tuple[float, str]] = field(default_factory=list)
    diagonal: bool = False


def numbers(values: ArrayLike) -> list[float | None]:
    """Values with four significant digits, enough for a screen; None for what is missing or not finite."""
    found = np.asarray(values, dtype=np.float64)
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in found]


def whole(values: ArrayLike) -> list[int]:
    """Whole numbers as they are."""
    return [int(value) for value in np.asarray(values)]


def document(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Panels as JSON's values, without what is empty."""
    return [
        {
            "title": panel.title,
            "x": _plain(panel.x),
            "y": _plain(panel.y),
            "marks": [_plain(marks) for marks in panel.marks],
            "where": panel.where,
            "verticals": panel.verticals,
            "diagonal": panel.diagonal,
        }
        for panel in panels
    ]


def _plain(one: Axis | Marks) -> dict[str, Any]:
    values = {name: getattr(one, name) for name in one.__slots__}
    return {name: value for name, value in values.items() if value not in (None, "", False)}
