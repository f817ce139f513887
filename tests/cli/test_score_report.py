"""lcmap score --report: the page as a document."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from small_labels import label_writer
from small_report import BLOCK, FLAIR7, FORMS, OSO23, Document, Lcmap, Scored, mapped
from support import write_raster


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    return Scored(tmp_path)


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
            f"{100 * miou['value']:.1f} [{100 * miou['low']:.1f}, {100 * miou['high']:.1f}]"
        )
    areas = document.tables["Scored ground by class, in hectares"]
    pixels = {land["name"]: land for land in values["maps"][1]["classes"]}
    for name, reference, _, second in areas[1:]:
        assert float(reference.split()[0]) == round(pixels[name]["reference"] / 1e4, 2)
        assert float(second.split()[0]) == round(pixels[name]["predicted"] / 1e4, 2)
    name = "two: pixels of each class of the reference (row) by class of the map (column)"
    matrix = [[int(cell.split(" ")[0].replace("\u202f", "")) for cell in row[1:]]
              for row in document.tables[name][1:]]  # fmt: skip
    assert np.sum(matrix) == scored.truth.size
    assert matrix[0][:5] == values["maps"][1]["confusion"][0][:5]
    shown = re.findall(r"<pre>(.*)</pre>", text, re.DOTALL)[0].replace("&#39;", "'")
    assert shlex.split(shown.replace("\\\n", "")) == [
        "lcmap", "score", *map(str, scored.maps), *map(str, scored.named), "--reference",
        str(scored.reference), "--block", str(BLOCK), "--bootstrap", "200", "--report",
        str(scored.page), "--image", str(scored.image), "-o", str(out),
    ]  # fmt: skip


def test_structure_that_keyboards_and_screen_readers_need(scored: Scored, lcmap: Lcmap) -> None:
    scored.run(lcmap)
    document = Document(scored.page)
    assert len(document.all("h1")) == 1 and len(document.all("main")) == 1
    ids = [found["id"] for _, found in document.elements if "id" in found]
    assert len(ids) == len(set(ids))
    for link in document.all("a"):
        assert (link["href"] or "")[1:] in ids
    charts = document.all("svg")
    assert len(charts) == 6 and all(chart["role"] == "img" for chart in charts)
    assert len({chart["aria-label"] for chart in charts}) == 4  # two of them for two widths
    assert all(chart["aria-describedby"] in ids for chart in charts)
    assert all(found["alt"] for found in document.all("img"))
    assert len(document.tables) == len(document.all("table"))
    for region in (found for tag, found in document.elements if found.get("role") == "region"):
        assert region["tabindex"] == "0" and region["aria-label"]
    for chart in re.findall(r"<svg.*?</svg>", scored.page.read_text(), re.DOTALL):
        ElementTree.fromstring(chart)


def test_the_charts_are_described_in_words(scored: Scored, lcmap: Lcmap) -> None:
    out = scored.folder / "s.json"
    both = ["--confidence", scored.confidence, "--confidence", scored.confidence]
    scored.run(lcmap, "-o", out, *both)
    one, two = (item for item in json.loads(out.read_text())["maps"])
    said = re.findall(r"<desc[^>]*>([^<]*)</desc>", scored.page.read_text(encoding="utf-8"))
    assert len(said) == 7 and len(set(said)) == 5
    assert one["overall"]["miou"]["value"] > two["overall"]["miou"]["value"]
    places = [said[0].index(f"{item['name']} {100 * item['overall']['miou']['value']:.1f} [")
              for item in (one, two)]  # fmt: skip
    assert places == sorted(places)
    worst = min((land for land in two["classes"] if land["reference"]),
                key=lambda land: land["iou"]["value"])  # fmt: skip
    assert f"two: from {100 * worst['iou']['value']:.1f} % ({worst['name']}) to" in said[2]
    agreed = 100 * (scored.truth == mapped(scored.truth, 0.4, 1)).mean()
    assert said[5].startswith(f"{agreed:.1f} % of the pixels are right.")
    wrong = np.array(two["confusion"]) * (1 - np.eye(7, 8, dtype=int))
    row, col = np.unravel_index(wrong.argmax(), wrong.shape)
    names = [land["name"] for land in two["classes"]]
    share = 100 * wrong[row, col] / two["classes"][row]["reference"]
    assert f"right. {share:.1f} % of {names[row]} are {names[col]} in the map." in said[5]
    assert f"two: on average {scored.sure.mean():.1f} % sure and {agreed:.1f} % right" in said[6]


def test_maps_whose_names_have_no_latin_letters(tmp_path: Path, lcmap: Lcmap) -> None:
    scored = Scored(tmp_path, names=["карта", "建物"])
    assert not scored.run(lcmap).stderr
    ids = [found["id"] for _, found in Document(scored.page).elements if "id" in found]
    assert len(ids) == len(set(ids))


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


def test_the_reliability_of_the_confidence(tmp_path: Path, lcmap: Lcmap) -> None:
    scored = Scored(tmp_path, names=["one"])
    scored.run(lcmap, "--confidence", scored.confidence)
    document = Document(scored.page)
    rows = document.tables[
        "one: share of the pixels, their mean confidence and how many are right, in percent"
    ]
    agreed = mapped(scored.truth, 0.2, 0) == scored.truth
    sure = scored.sure > 100 * 14 / 15
    last = rows[-2]
    assert last[0] == "93 to 100 %"
    assert float(last[1]) == pytest.approx(100 * sure.mean(), abs=0.06)
    assert float(last[2]) == pytest.approx(scored.sure[sure].mean(), abs=0.06)
    assert float(last[3]) == pytest.approx(100 * agreed[sure].mean(), abs=0.06)
    assert "Can the confidence be believed?" in scored.page.read_text()


@pytest.mark.parametrize("form", ["half", "hidden", "undeclared", "parts"])
def test_pixels_without_a_confidence_are_none_of_its_reliability(
    form: str, tmp_path: Path, lcmap: Lcmap
) -> None:
    scored, write = Scored(tmp_path, names=["one"]), label_writer(tmp_path)
    sure = scored.sure
    west = np.arange(sure.shape[1]) < sure.shape[1] // 2
    hidden = np.where(west, sure, np.uint8(255))
    if form == "half":
        given = write("c.tif", sure[:, west])
    else:
        given = write("c/a.tif", hidden, nodata=None if form == "undeclared" else 255)
    if form == "parts":
        given = write("c/b.tif", np.where(west, np.uint8(0), sure)).parent
    known = np.broadcast_to(west | (form == "parts"), sure.shape)
    run = scored.run(lcmap, "--confidence", given)
    warned = f"{sure.size // 2} of {sure.size} scored pixels of one have no confidence"
    assert run.stderr.count(warned) == (form != "parts"), run.stderr
    agreed = mapped(scored.truth, 0.2, 0) == scored.truth
    text = scored.page.read_text(encoding="utf-8")
    found = re.search(r"on average ([\d.]+) % sure and ([\d.]+) % right", text)
    assert found is not None
    assert float(found[1]) == pytest.approx(sure[known].mean(), abs=0.06)
    assert float(found[2]) == pytest.approx(100 * agreed[known].mean(), abs=0.06)


def test_the_same_figures_make_the_same_bytes(scored: Scored, lcmap: Lcmap) -> None:
    scored.run(lcmap)
    before = scored.page.read_bytes()
    scored.run(lcmap, "--overwrite")
    after = scored.page.read_bytes()
    assert after.replace(b" \\\n  --overwrite", b"") == before


def test_many_classes_a_long_name_with_signs_and_no_intervals(tmp_path: Path, lcmap: Lcmap) -> None:
    name = "L’été <des> cartes & co, une par une, avec un nom qui n’en finit pas du tout"
    scored = Scored(tmp_path, classes=OSO23, known=len(OSO23), names=[name])
    scored.run(lcmap, "--bootstrap", 0)
    text = scored.page.read_text(encoding="utf-8")
    assert "L’été &lt;des&gt; cartes &amp; co" in text and "<des>" not in text
    assert not Document(scored.page).open


def test_a_page_of_a_sample_has_the_figures_of_the_json(tmp_path: Path, lcmap: Lcmap) -> None:
    page = FORMS["sample"](tmp_path, lcmap)
    values = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    document, text = Document(page), page.read_text(encoding="utf-8")
    assert not document.open
    (_, *rows) = document.tables["Areas of the reference's classes"]
    assert [row[0] for row in rows] == [land["name"] for land in FLAIR7.to_dict()["classes"][:5]]
    areas = [land["hectares"] for land in values["areas"] if land["points"]]
    assert [row[5] for row in rows] == [f"{area['value']:.2f}" for area in areas]
    one = values["maps"][0]
    low, high = (100 * one["overall"]["oa"][end] for end in ("low", "high"))
    assert f"one has an overall accuracy of {100 * one['overall']['oa']['value']:.1f} " in text
    assert f"[{low:.1f}, {high:.1f}] %" in text
    described = re.findall(r"<desc[^>]*>([^<]*)</desc>", text)
    users = {land["name"]: land["users"]["value"] for land in one["classes"]
             if land["users"]["value"] is not None}  # fmt: skip
    least = min(users, key=lambda name: users[name])
    assert f"one: from {100 * users[least]:.1f} % ({least}) to" in described[2]
    for chart in document.all("svg"):
        assert chart["role"] == "img" and chart["aria-describedby"]


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


def test_a_confidence_of_other_ground_is_refused(scored: Scored, lcmap: Lcmap) -> None:
    away = label_writer(scored.folder)("away.tif", scored.sure, west=0)
    run = lcmap("score", *scored.maps, "--reference", scored.reference, "--report", scored.page,
                "--confidence", scored.confidence, "--confidence", away)  # fmt: skip
    assert run.exit_code == 65
    assert "away.tif: has no confidence for any scored pixel of 1; name" in run.stderr
    assert not scored.page.exists()


def test_an_image_of_other_ground_is_warned_of(scored: Scored, lcmap: Lcmap) -> None:
    away = np.full((4, 9, 9), 7, np.uint8)
    scored.image = write_raster(scored.folder / "away.tif", away, corner=(0, 0))
    assert "no image shows the places" in scored.run(lcmap).stderr
    assert 'alt="image:' not in scored.page.read_text(encoding="utf-8")
