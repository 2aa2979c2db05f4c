"""The pages of the documentation, taken apart into their fenced blocks."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
TITLE = re.compile(r'title="([^"]+)"')
FRONT = ("README.md", "CONTRIBUTING.md", "config/README.md")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language (empty where none is said), the file that it is, its text, where it stands."""

    language: str
    file: str
    text: str
    where: str


def pages(repository: Path) -> list[Path]:
    """Every page that people read."""
    return sorted([*(repository / "docs").rglob("*.md"), *(repository / name for name in FRONT)])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        title = TITLE.search(match["rest"])
        where = f"{page.name}:{text[: match.start()].count(chr(10)) + 1}"
        found.append(Block(match["language"], title[1] if title else "", textwrap.dedent(match["text"]), where))
    return found


def command_lines(repository: Path) -> Iterator[tuple[str, list[str]]]:
    """The words of every line in the blocks of shell commands (`sh`, or no language), and where it stands."""
    for page in pages(repository):
        for block in blocks(page):
            if block.language not in ("", "sh"):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                try:
                    words = shlex.split(line, comments=True)
                except ValueError:  # prose in a block without a language
                    words = line.split()
                if words:
                    yield block.where, words
