"""The picture of a report in the README: `python docs/figures/report.py [REPORT.html [PNG]]`.

It shows the page that `make example` wrote in Debian's Chromium: its top, and beside it places. It
takes `chromium`, `chromium-driver` and `pip install selenium`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "examples" / "output" / "report.html"
WIDTH, HEIGHT = 800, 1108
SECTIONS = ("h1", "#places")
"""What the two columns begin with."""
MARGIN = 16
COLORS = 255


def picture(page: Path) -> Image.Image:
    """Return columns of a page beside one another."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for word in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{word}")
    driver = webdriver.chrome.service.Service("/usr/bin/chromedriver")
    browser = webdriver.Chrome(options=options, service=driver)
    try:
        browser.get(page.resolve().as_uri())
        browser.set_window_size(WIDTH, 10 * HEIGHT)
        found = [browser.find_element("css selector", name).rect["y"] for name in SECTIONS]
        whole = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    finally:
        browser.quit()
    columns = Image.new("RGB", (len(SECTIONS) * WIDTH, HEIGHT), "white")
    for number, top in enumerate(found):
        upper = max(round(top) - MARGIN, 0)
        column = whole.crop((0, upper, WIDTH, upper + HEIGHT))
        columns.paste(column, (number * WIDTH, 0))
    return columns.quantize(COLORS)


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    page, target = given + [PAGE, HERE / "report.png"][len(given) :]
    picture(page).save(target, optimize=True)
