from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.support_report import make_report, records_with_refusals

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WIDTHS = [1280, 390]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed: apt-get install chromium"),
]

OVERLAPS = """() => {
  const found = [];
  for (const parent of document.querySelectorAll('body, .page, header, main, section, figure, .cards, .card, nav ul')) {
    const boxes = [...parent.children]
      .map(child => [child, child.getBoundingClientRect()])
      .filter(([_, box]) => box.width > 0 && box.height > 0);
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const [a, b] = [boxes[i][1], boxes[j][1]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 1) found.push([i, j].map(k => boxes[k][0].outerHTML.slice(0, 80)).join(' | '));
    }
  }
  return found;
}"""

OUTSIDE = """() => [...document.querySelectorAll('body *')]
  .filter(element => !element.closest('.scroll') && element.getBoundingClientRect().right > window.innerWidth + 1)
  .map(element => element.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "report.html"
    path.write_text(make_report(records_with_refusals("simulated"), folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    yield page
    page.close()


def test_the_page_is_silent_and_asks_for_nothing(page: Page, page_file: Path) -> None:
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri(), wait_until="load")
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_nothing_is_wider_than_the_window_or_overlaps(page: Page, page_file: Path) -> None:
    page.goto(page_file.as_uri(), wait_until="load")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(OVERLAPS) == []


def test_wide_tables_scroll_inside_their_own_box(page: Page, page_file: Path) -> None:
    page.goto(page_file.as_uri(), wait_until="load")
    box = page.get_by_role("region", name="Experiments", exact=True).last
    assert box.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")
    box.evaluate("box => { box.scrollLeft = 10000 }")
    assert box.evaluate("box => box.scrollLeft") > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, page_file: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(page_file.as_uri())
    for selector in ("body", ".faint", ".banner", ".tag", ".card .what", "caption", "th", "a", "figcaption"):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector
    page.close()


CONTRAST = """selector => {
  const luminance = colour => {
    const [r, g, b] = colour.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const element = document.querySelector(selector);
  let behind = element;
  while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const ink = luminance(parts(getComputedStyle(element).color).slice(0, 3));
  const ground = luminance(parts(getComputedStyle(behind).backgroundColor).slice(0, 3));
  return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
}"""
