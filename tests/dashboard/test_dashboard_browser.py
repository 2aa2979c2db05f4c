import threading
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.dashboard.support_dashboard import running_sweep
from tests.report.test_report_browser import ARGUMENTS, CHROMIUM, OVERLAPS
from wattsweep.dashboard import Dashboard

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    dashboard = Dashboard(running_sweep(tmp_path_factory.mktemp("results"))[0])
    thread = threading.Thread(target=dashboard.serve)
    thread.start()
    yield dashboard.address
    dashboard.stop()
    thread.join()


@pytest.fixture(params=[1440, 390])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser.new_page(viewport={"width": request.param, "height": 900})
        browser.close()


def test_it_shows_progress_power_and_failures(page: Page, address: str) -> None:
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_selector(".trace .scatterlayer path")
    assert "runs" in page.locator("#total").inner_text()
    assert "SIMULATED, not a measurement" in page.locator(".trace h3").inner_text()
    assert page.locator("#nodes tbody th").inner_text() == "node-c"
    page.get_by_text("ValueError: loss is <nan>").first.click()
    assert (
        "Traceback" in page.locator("#failures pre").inner_text()
        or "ValueError" in page.locator("#failures pre").inner_text()
    )
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(OVERLAPS) == []
    assert messages == []
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
