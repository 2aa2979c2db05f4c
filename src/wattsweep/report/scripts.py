"""The page's scripts, and the content policy that lets it run these and nothing else."""

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Scripts:
    """What a page needs to draw interactive figures.

    `own` is the script that runs when the page is read; `plotly` the drawing library, compressed by gzip and in base64,
    which `own` unpacks when the first figure comes into sight.
    """

    own: str
    plotly: str
    policy: str


@cache
def scripts() -> Scripts:
    """The scripts, and a policy that allows them by their hashes and forbids every request."""
    from plotly.offline import get_plotlyjs

    own = (files("wattsweep.report") / "explore.js").read_text(encoding="utf-8")
    library = get_plotlyjs()
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in (own, library))
    return Scripts(
        own=own,
        plotly=base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode("ascii"),
        policy=(
            f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        ),
    )


def inert(json_text: str) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json_text.replace("<", "\\u003c")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
