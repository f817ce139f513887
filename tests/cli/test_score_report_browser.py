"""lcmap score --report: pages of every form in a browser, on a screen, on paper, by keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_report import FORMS, Lcmap

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = Path(os.environ.get("LCMAP_AXE", "node_modules/axe-core/axe.min.js"))
PAPER = 718
"""Pixels of CSS across a page of A4 between Chromium's margins."""
LEAST_LETTERS = 8.0
"""Pixels: no text of a chart is smaller, whatever the screen."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("takes chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    service = webdriver.chrome.service.Service(DRIVER)
    found = webdriver.Chrome(options=options, service=service)
    yield found
    found.quit()


def show(browser: Any, page: Path, width: int, *, medium: str = "screen") -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(page.as_uri())


def faults(browser: Any) -> Any:
    """Return what axe has to say against a page."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    return browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
        "v => [v.id, v.nodes.map(n => n.html)])))"
    )


def ill_drawn(browser: Any) -> Any:
    """Return the texts of charts that are cut, too small, or over another one."""
    return browser.execute_script(
        """
        const found = [];
        for (const chart of document.querySelectorAll('svg')) {
          const edge = chart.getBoundingClientRect();
          if (!edge.width) continue;  // drawn for another width
          const scale = edge.width / chart.viewBox.baseVal.width;
          const texts = [...chart.querySelectorAll('text')].filter(t => t.textContent.trim());
          const boxes = texts.map(t => t.getBoundingClientRect());
          texts.forEach((text, i) => {
            const a = boxes[i], name = text.textContent;
            if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.top < edge.top - 1 ||
                a.bottom > edge.bottom + 1) found.push('cut: ' + name);
            if (parseFloat(getComputedStyle(text).fontSize) * scale < arguments[0])
              found.push('small: ' + name);
            boxes.forEach((b, j) => {
              if (j > i && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
                  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
                found.push('over each other: ' + name + ', ' + texts[j].textContent);
            });
          });
        }
        return found;
        """,
        LEAST_LETTERS,
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_page_fits_screens_and_paper_and_has_no_fault_of_accessibility(
    form: str, browser: Any, tmp_path: Path, lcmap: Lcmap
) -> None:
    if not AXE.exists():
        pytest.skip("takes axe-core: npm install axe-core, or LCMAP_AXE names its axe.min.js")
    page = FORMS[form](tmp_path, lcmap)
    for width in (1200, 760, 400):
        show(browser, page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert ill_drawn(browser) == [], width
        assert faults(browser) == [], width
        assert browser.execute_script(
            "return [...document.querySelectorAll('.charts, .place')].every("
            "e => e.getBoundingClientRect().right <= innerWidth)"
        )
    show(browser, page, PAPER, medium="print")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PAPER
    shown = "[...document.querySelectorAll('table')].filter(t => !t.closest('.screen'))"
    assert browser.execute_script(f"return {shown}.every(t => t.offsetHeight > 0)")
    assert browser.execute_script(f"return {shown}.every(t => t.offsetWidth <= {PAPER})")


@pytest.mark.parametrize("form", ["two maps", "five maps with confidence"])
def test_a_page_is_used_by_the_keyboard(
    form: str, browser: Any, tmp_path: Path, lcmap: Lcmap
) -> None:
    show(browser, FORMS[form](tmp_path, lcmap), 400)
    stops = "a, summary, [tabindex='0']"
    for summary in browser.find_elements("tag name", "summary"):
        if not browser.execute_script("return arguments[0].parentElement.open", summary):
            summary.send_keys("\n")
    assert browser.execute_script("return !document.querySelector('details:not([open])')")
    browser.execute_script("document.querySelector('.skip').focus()")
    count = browser.execute_script(f'return document.querySelectorAll("{stops}").length')
    for number in range(count):
        place, outline = browser.execute_script(
            f'const all = [...document.querySelectorAll("{stops}")];'
            "return [all.indexOf(document.activeElement),"
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert (place, outline == "none") == (number, False)
        browser.switch_to.active_element.send_keys("\t")


def test_a_dark_screen_shows_black_on_white(browser: Any, tmp_path: Path, lcmap: Lcmap) -> None:
    page = FORMS["classes without labels"](tmp_path, lcmap)
    show(browser, page, 1200)
    light = browser.get_screenshot_as_png()
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    browser.get(page.as_uri())
    assert browser.get_screenshot_as_png() == light
