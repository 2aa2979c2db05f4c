"""The site builds without a warning, has every page, and asks for nothing outside."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType

import pytest
import typer

from wattsweep.cli import app

pytestmark = pytest.mark.slow

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "next", "prev", "alternate"}
"""Relations of a link that a browser does not follow by itself."""


class Loaded(HTMLParser):
    """Collects what a browser loads for a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a tag that loads something."""
        values = dict(attrs)
        if tag in LOADING and not set((values.get("rel") or "").split()) & NOT_LOADED:
            self.addresses.append(values.get(LOADING[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=repository,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


def packages(repository: Path) -> Iterator[str]:
    """The public packages, and the modules that stand alone."""
    for path in sorted((repository / "src" / "wattsweep").iterdir()):
        if (path / "__init__.py").exists() and path.name != "cli":
            yield path.name
    yield from ("errors", "grid", "networks")


def test_no_page_asks_for_anything_outside(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        assert [one for one in loaded.addresses if re.match(r"(https?:)?//", one)] == [], page.name
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text) == [], style.name


def test_every_public_package_has_a_page_with_all_that_it_gives(site: Path, repository: Path) -> None:
    names = set(packages(repository))
    assert {path.stem for path in (repository / "docs" / "api").glob("*.md")} == names | {"index"}
    for name in sorted(names):
        module = importlib.import_module(f"wattsweep.{name}")
        shown = set(re.findall(r'id="([^"]+)"', (site / "api" / f"{name}.html").read_text(encoding="utf-8")))
        for public in getattr(module, "__all__", []):
            one = getattr(module, public)
            if isinstance(one, type | FunctionType):  # constants are shown where they have a docstring
                ids = {f"wattsweep.{name}.{public}", f"{one.__module__}.{one.__qualname__}"}
                assert ids & shown, f"{public} is not on the page of {name}"


def test_the_page_of_commands_has_every_command(site: Path) -> None:
    html = (site / "commands.html").read_text(encoding="utf-8")
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009 - typed as a lone command
    for name in commands:
        assert f"Usage: wattsweep {name}" in html


def test_existing_pages_are_in_the_navigation(site: Path, repository: Path) -> None:
    for page in (repository / "docs").glob("*.md"):
        assert (site / page.name).with_suffix(".html").exists()
    index = (site / "index.html").read_text(encoding="utf-8")
    for name in ("tutorial", "how-to/slurm", "configuration", "measurement", "architecture", "commands"):
        assert f'href="{name}.html"' in index
