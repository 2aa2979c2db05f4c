from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

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
WIDTHS = [1440, 768, 390]

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
    path.write_text(make_report(records_with_refusals("simulated"), folder, drawn=True), encoding="utf-8")
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
    for figure in page.locator("figure[data-figure]").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
    live(page, "descent_slope")
    assert messages == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [page_file.as_uri()]
    images = page.locator("img").all()
    assert all(image.evaluate("image => image.decode().then(() => image.naturalWidth > 0)") for image in images)


def live(page: Page, name: str) -> Locator:
    """The figure, once it is drawn to be explored."""
    figure = page.locator(f"#figure-{name}")
    figure.scroll_into_view_if_needed()
    page.wait_for_selector(f"#figure-{name}.live")
    return figure


@pytest.mark.parametrize("explored", [False, True])
def test_nothing_is_wider_than_the_window_or_overlaps(page: Page, page_file: Path, explored: bool) -> None:
    page.goto(page_file.as_uri(), wait_until="load")
    if explored:
        live(page, "energy_per_datum")
        live(page, "working_set_energy")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(OVERLAPS) == []


def test_wide_tables_scroll_inside_their_own_box(page: Page, page_file: Path) -> None:
    page.goto(page_file.as_uri(), wait_until="load")
    box = page.get_by_role("region", name="Experiments", exact=True).last
    assert box.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")
    box.evaluate("box => { box.scrollLeft = 10000 }")
    assert box.evaluate("box => box.scrollLeft") > 0


def points(figure: Locator) -> int:
    return int(figure.get_attribute("data-points") or -1)


def test_filters_choose_what_figures_show(browser: Browser, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(page_file.as_uri())
    figure = live(page, "energy_per_datum")
    # 48 experiments with an energy, in two panels.
    page.wait_for_function("document.querySelector('#figure-energy_per_datum').dataset.points === '96'")
    assert page.locator("#filter-status").inner_text() == "All of 49 experiments."
    page.get_by_label("depth", exact=True).select_option("5")
    page.wait_for_function("document.querySelector('#figure-energy_per_datum').dataset.points !== '96'")
    by_depth = points(figure)
    assert 0 < by_depth < 96
    page.get_by_label("dataset", exact=True).select_option("wine")
    page.wait_for_function(f"document.querySelector('#figure-energy_per_datum').dataset.points !== '{by_depth}'")
    assert 0 < points(figure) < by_depth
    assert "of 49 experiments" in page.locator("#filter-status").inner_text()
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.querySelector('#figure-energy_per_datum').dataset.points === '96'")
    page.close()


def test_a_point_tells_its_settings_and_can_be_zoomed_to(browser: Browser, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(page_file.as_uri())
    figure = live(page, "energy_per_datum")
    panel = figure.locator(".panel").first
    point = panel.locator(".scatterlayer .point").first.bounding_box()
    assert point is not None
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_selector(".hoverlayer .hovertext")
    assert "net energy" in panel.locator(".hoverlayer").text_content()  # type: ignore[operator]
    before = panel.evaluate("panel => panel.layout.xaxis.range")
    box = panel.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_function(
        "before => String(document.querySelector('#figure-energy_per_datum .panel').layout.xaxis.range) !== before",
        arg=",".join(str(end) for end in before),
    )
    page.close()


def test_a_figure_can_be_seen_as_printed(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    figure = live(page, "energy_per_datum")
    assert figure.locator("img").is_hidden()
    figure.get_by_role("button", name="As printed").press("Enter")
    assert figure.locator("img").is_visible()
    assert figure.locator(".panels").is_hidden()
    page.close()


def test_tables_are_sorted_by_their_headers(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    table = page.get_by_role("region", name="Runs", exact=True).last
    header = table.get_by_role("columnheader", name="training")
    button = header.get_by_role("button")
    values = "table => [...table.querySelectorAll('tbody tr')].map(row => Number(row.cells[8].dataset.value))"
    button.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    rising = table.evaluate(values)
    assert rising == sorted(rising)
    button.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert table.evaluate(values) == sorted(rising, reverse=True)
    page.close()


def test_the_cheapest_network_at_a_loss_is_told(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    answer = page.locator("#advice-answer")
    assert "of net energy (simulated)" in answer.inner_text()
    page.get_by_label("Test loss to reach").fill("0.000001")
    assert "No network of this sweep reached a test loss of 0.000001" in answer.inner_text()
    page.close()


def test_without_scripts_the_page_is_whole(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator("figure img").first.is_visible()
    for hidden in ("#filters", "#advisor", ".as-printed", "button.copy"):
        assert page.locator(hidden).first.is_hidden()
    context.close()


def test_it_prints_with_every_figure(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    live(page, "energy_per_datum")
    page.emulate_media(media="print")
    assert all(image.is_visible() for image in page.locator("figure img").all())
    assert page.locator("#filters").is_hidden()
    assert page.pdf().startswith(b"%PDF")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, page_file: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(page_file.as_uri())
    live(page, "energy_per_datum")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    page.close()


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
