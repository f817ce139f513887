"""lcmap score --report: the page, as a document and in a browser."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from scipy import ndimage
from small_labels import WriteLabels, label_writer
from support import Run, write_raster

from lcmap.nomenclature import Nomenclature, load_nomenclature

FLAIR7, OSO23 = load_nomenclature("flair7"), load_nomenclature("oso23")
Lcmap = Callable[..., Run]
BLOCK = 32
VOID = {"meta", "br", "img", "link", "hr"}


@pytest.fixture
def write(tmp_path: Path) -> WriteLabels:
    return label_writer(tmp_path)


def truth(classes: int = 5) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.normal(size=(96, 128)), 5) for _ in range(classes)]
    return (1 + np.argmax(fields, axis=0)).astype(np.uint8)


def mapped(reference: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.uint8]:
    """A map with more errors to the right."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(reference.shape) < share * np.linspace(0, 2, reference.shape[1])
    return np.where(wrong, rng.permutation(reference.ravel()).reshape(reference.shape), reference)


class Scored:
    """Two maps, a reference and what a page shows, in a folder."""

    def __init__(self, folder: Path, write: WriteLabels, classes: Nomenclature = FLAIR7) -> None:
        self.folder = folder
        self.truth = truth(len(classes) if len(classes) > 7 else 5)
        self.reference = write("ref.tif", self.truth, classes=classes)
        self.maps = [
            write(f"{name}.tif", mapped(self.truth, share, seed), classes=classes)
            for seed, (name, share) in enumerate({"one": 0.2, "two": 0.4}.items())
        ]
        self.sure = np.random.default_rng(9).integers(30, 101, self.truth.shape).astype(np.uint8)
        self.confidence = write("conf.tif", self.sure)
        light = (10 * self.truth[None] + np.arange(4)[:, None, None]).astype(np.uint8)
        self.image = write_raster(
            folder / "image.tif", light, corner=(700_000, 6_250_000), pixel=1,
            names=("nir", "red", "green", "blue"),
        )  # fmt: skip
        self.page = folder / "r.html"

    def run(self, lcmap: Lcmap, *words: object) -> Run:
        run = lcmap(
            "score", *self.maps, "--reference", self.reference, "--block", BLOCK, "--bootstrap",
            200, "--report", self.page, "--image", self.image, *words,
        )  # fmt: skip
        assert run.exit_code == 0, run.stderr
        return run


@pytest.fixture
def scored(tmp_path: Path, write: WriteLabels) -> Scored:
    return Scored(tmp_path, write)


class Document(HTMLParser):
    """The elements of a page with their attributes, and the texts of table cells by caption."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.open: list[str] = []
        self._text, self._rows, self._caption = "", [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self._text = ""
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag
        if tag == "caption":
            self._caption = self._text
        if tag in ("th", "td"):
            self._rows[-1].append(self._text)
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        self._text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]


def test_how_it_is_run_is_not_in_the_page(scored: Scored, lcmap: Lcmap) -> None:
    out = scored.folder / "s.json"
    scored.run(lcmap, "-o", out, "--bootstrap", 0)
    page = scored.page.read_bytes()
    scored.run(
        lcmap, "-o", out, "--bootstrap", 0, "-qv", "--overwrite", f"--tmpdir={scored.folder}"
    )
    assert scored.page.read_bytes() == page
    scored.run(lcmap, "--tmpdir", scored.folder, "-o", out, "--bootstrap", 0, "-q", "--overwrite")
    assert scored.page.read_bytes() == page


def test_a_page_that_needs_no_other_with_the_figures_of_the_json(
    scored: Scored, lcmap: Lcmap
) -> None:
    out = scored.folder / "s.json"
    scored.run(lcmap, "-o", out)
    values = json.loads(out.read_text())
    document = Document(scored.page)
    assert not document.open
    for tag, attributes in document.elements:
        for name in ("src", "href"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
        assert tag not in ("script", "link", "iframe")
    text = scored.page.read_text(encoding="utf-8")
    assert not re.search(r"@import|url\((?!#)", text)
    assert '<html lang="en">' in text
    table = document.tables["Measures over all classes, in percent, with 95 % intervals"]
    for row, item in zip(table[1:], values["maps"], strict=True):
        miou = item["overall"]["miou"]
        assert row[0] == item["name"]
        assert row[1] == (
            f"{100 * miou['value']:.1f} ({100 * miou['low']:.1f} to {100 * miou['high']:.1f})"
        )
    areas = document.tables["Scored ground by class, in hectares"]
    pixels = {land["name"]: land for land in values["maps"][1]["classes"]}
    for name, reference, _, second in areas[1:]:
        assert float(reference.split()[0]) == round(pixels[name]["reference"] / 1e4, 2)
        assert float(second.split()[0]) == round(pixels[name]["predicted"] / 1e4, 2)
    name = "two: pixels of each class of the reference (row) by class of the map (column)"
    matrix = [[int(cell.replace("\u202f", "")) for cell in row[1:]] for row in
              document.tables[name][1:]]  # fmt: skip
    assert np.sum(matrix) == scored.truth.size
    assert matrix[0][:5] == values["maps"][1]["confusion"][0][:5]
    assert "lcmap score" in text and "--report" in text


def test_structure_that_keyboards_and_screen_readers_need(scored: Scored, lcmap: Lcmap) -> None:
    scored.run(lcmap)
    document = Document(scored.page)
    assert len(document.all("h1")) == 1 and len(document.all("main")) == 1
    ids = [found["id"] for _, found in document.elements if "id" in found]
    assert len(ids) == len(set(ids))
    for link in document.all("a"):
        assert (link["href"] or "")[1:] in ids
    charts = document.all("svg")
    assert len(charts) == 4 and all(chart["role"] == "img" for chart in charts)
    assert len({chart["aria-label"] for chart in charts}) == 4
    assert all(found["alt"] for found in document.all("img"))
    assert len(document.tables) == len(document.all("table"))
    for region in (found for tag, found in document.elements if found.get("role") == "region"):
        assert region["tabindex"] == "0" and region["aria-label"]
    for chart in re.findall(r"<svg.*?</svg>", scored.page.read_text(), re.DOTALL):
        ElementTree.fromstring(chart)


def test_the_pictures_are_those_of_the_best_a_typical_and_the_worst_block(
    scored: Scored, lcmap: Lcmap
) -> None:
    scored.run(lcmap)
    found = re.findall(
        r'<img src="data:image/png;base64,([^"]+)" alt="([^:"]+):',
        scored.page.read_text(encoding="utf-8"),
    )
    assert [name for _, name in found] == 3 * [
        "image", "reference", "one", "errors of one", "two", "errors of two",
    ]  # fmt: skip
    pictures = [
        (255 * imread(io.BytesIO(base64.b64decode(code)))[..., :3]).round().astype(int)
        for code, _ in found
    ]
    assert {picture.shape for picture in pictures} == {(BLOCK, BLOCK, 3)}
    first = mapped(scored.truth, 0.2, 0)
    blocks = {
        (row, col): (np.s_[row : row + BLOCK, col : col + BLOCK])
        for row in range(0, 96, BLOCK) for col in range(0, 128, BLOCK)
    }  # fmt: skip
    agreement = {key: (first[s] == scored.truth[s]).mean() for key, s in blocks.items()}
    worst = blocks[min(agreement, key=lambda key: (agreement[key], key))]
    reference, own, wrong = pictures[13:16]
    colors = {land.code: [int(land.color[i : i + 2], 16) for i in (1, 3, 5)]
              for land in FLAIR7.classes}  # fmt: skip
    assert (reference == [[colors[c] for c in row] for row in scored.truth[worst]]).all()
    assert (own == [[colors[c] for c in row] for row in first[worst]]).all()
    assert ((wrong == 0).all(axis=-1) == (first[worst] != scored.truth[worst])).all()
    assert np.unique(pictures[12]).size > 1  # the image, stretched


def test_the_reliability_of_the_confidence(scored: Scored, lcmap: Lcmap) -> None:
    scored.maps = scored.maps[:1]
    scored.run(lcmap, "--confidence", scored.confidence)
    document = Document(scored.page)
    rows = document.tables[
        "Share of the pixels, their mean confidence and how many are right, in percent"
    ]
    agreed = mapped(scored.truth, 0.2, 0) == scored.truth
    sure = scored.sure > 100 * 14 / 15
    last = rows[-2]
    assert last[0] == "93 to 100 %"
    assert float(last[1]) == pytest.approx(100 * sure.mean(), abs=0.06)
    assert float(last[2]) == pytest.approx(scored.sure[sure].mean(), abs=0.06)
    assert float(last[3]) == pytest.approx(100 * agreed[sure].mean(), abs=0.06)
    assert "Can the confidence be believed?" in scored.page.read_text()


def test_the_same_figures_make_the_same_bytes(scored: Scored, lcmap: Lcmap) -> None:
    scored.run(lcmap)
    before = scored.page.read_bytes()
    scored.run(lcmap, "--overwrite")
    after = scored.page.read_bytes()
    assert after.replace(b" --overwrite", b"") == before


def test_many_classes_a_long_name_with_signs_and_no_intervals(
    tmp_path: Path, write: WriteLabels, lcmap: Lcmap
) -> None:
    scored = Scored(tmp_path, write, OSO23)
    scored.maps = scored.maps[:1]
    name = "L’été <des> cartes & co, une par une, avec un nom qui n’en finit pas du tout"
    scored.run(lcmap, "--name", name, "--bootstrap", 0)
    text = scored.page.read_text(encoding="utf-8")
    assert "L’été &lt;des&gt; cartes &amp; co" in text and "<des>" not in text
    assert not Document(scored.page).open


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--report", "r.pdf"], 2, "end its name in .html"),
        (["--image", "image.tif"], 2, "--image: is of a page; give --report too"),
        (["--report", "r.html", "--confidence", "conf.tif"], 2, "--confidence: 1 for 2 maps"),
        (["--report", "r.html", "--image", "none.tif"], 66, "none.tif"),
    ],
)
def test_what_is_refused(
    words: list[str], code: int, says: str, scored: Scored, lcmap: Lcmap,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(scored.folder)
    run = lcmap("score", *scored.maps, "--reference", scored.reference, *words)
    assert run.exit_code == code and says in run.stderr, run.stderr
    assert not (scored.folder / "r.html").exists()


def test_an_image_of_other_ground_is_warned_of(scored: Scored, lcmap: Lcmap) -> None:
    away = np.full((4, 9, 9), 7, np.uint8)
    scored.image = write_raster(scored.folder / "away.tif", away, corner=(0, 0))
    assert "no image shows the places" in scored.run(lcmap).stderr
    assert 'alt="image:' not in scored.page.read_text(encoding="utf-8")


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = Path(os.environ.get("LCMAP_AXE", "node_modules/axe-core/axe.min.js"))


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


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("width", [1200, 400])
def test_in_a_browser_it_fits_and_has_no_fault_of_accessibility(
    width: int, browser: Any, tmp_path: Path, write: WriteLabels, lcmap: Lcmap
) -> None:
    if not AXE.exists():
        pytest.skip("takes axe-core: npm install axe-core, or LCMAP_AXE names its axe.min.js")
    scored = Scored(tmp_path, write, OSO23)
    scored.run(
        lcmap, "--name", "une carte", "--name", "celle de l’an passé, d’un nom bien plus long"
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(scored.page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    clipped = browser.execute_script(
        "return [...document.querySelectorAll('svg text')].filter(t => {"
        "const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();"
        "return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1})"
        ".map(t => t.textContent)"
    )
    assert clipped == []
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
        "v => [v.id, v.nodes.map(n => n.html)])))"
    )
    assert found == []
    for summary in browser.find_elements("tag name", "summary"):
        summary.send_keys("\n")  # by the keyboard
    closed = browser.execute_script(
        "return document.querySelectorAll('details:not([open])').length"
    )
    assert closed == 0
