"""What a paper found, and whether the data of a figure bear it out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wattsweep.disk import write_text
from wattsweep.errors import AnalysisError

Verdict = Literal["holds", "holds in part", "does not hold", "not enough data"]

FILE = "findings.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """A paper's `claim`, the verdict on it, and the numbers `here` that it rests on, each a sentence.

    Where there is not enough data, `here` says what is missing.
    """

    claim: str
    verdict: Verdict
    here: str

    def __str__(self) -> str:
        """All of it in one short text."""
        return f"{self.claim} {VERDICT_WORDS[self.verdict]} {self.here}"


VERDICT_WORDS: dict[Verdict, str] = {
    "holds": "Holds here:",
    "holds in part": "Holds here in part:",
    "does not hold": "Does not hold here:",
    "not enough data": "Not enough data to say:",
}


def overall(parts: "list[bool]") -> Verdict:
    """The verdict on a claim that was put to the test once for each part."""
    if not parts:
        return "not enough data"
    return "holds" if all(parts) else "holds in part" if any(parts) else "does not hold"


def write_findings(findings: Mapping[str, Finding], folder: Path) -> Path:
    """Write the findings by name of their figure to findings.json in `folder`, and return its path."""
    document = {name: {"claim": one.claim, "verdict": one.verdict, "here": one.here} for name, one in findings.items()}
    path = folder / FILE
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def read_findings(folder: Path) -> dict[str, Finding]:
    """The findings of `write_findings`. Raises AnalysisError where they are missing."""
    path = folder / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnalysisError(f"{path} is not there: make it with `wattsweep figures`") from None
    return {name: Finding(**one) for name, one in document.items()}
