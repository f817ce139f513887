"""Small scoring runs and their page, for tests to read and to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage
from small_labels import label_writer
from small_sample import filled_in
from support import Run, write_raster

from lcmap.nomenclature import Nomenclature, load_nomenclature

FLAIR7, OSO23 = load_nomenclature("flair7"), load_nomenclature("oso23")
Lcmap = Callable[..., Run]
BLOCK = 32
VOID = {"meta", "br", "img", "link", "hr"}


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
    """Maps, a reference and what a page shows, in a folder.

    The first `known` classes have labels, with `beyond` the first map has more classes and the last
    one leaves pixels without any.
    """

    def __init__(
        self, folder: Path, *, classes: Nomenclature = FLAIR7, known: int = 5,
        names: Sequence[str] = ("one", "two"), beyond: bool = False,
    ) -> None:  # fmt: skip
        write = label_writer(folder)
        self.folder = folder
        self.truth = truth(known)
        self.reference = write("ref.tif", self.truth, classes=classes)
        self.named: list[object] = []
        self.maps = []
        for seed, name in enumerate(names):
            codes = mapped(self.truth, 0.2 * (seed % 3 + 1), seed)
            if beyond:
                codes[:40, 100:] = known + 1 if seed == 0 else 0
            self.maps.append(write(f"{seed}.tif", codes, classes=classes))
            self.named += ["--name", name]
        self.sure = np.random.default_rng(9).integers(30, 101, self.truth.shape).astype(np.uint8)
        self.confidence = write("conf.tif", self.sure)
        light = (10 * self.truth[None] + np.arange(4)[:, None, None]).astype(np.uint8)
        self.image = write_raster(
            folder / "image.tif", light, corner=(700_000, 6_250_000), pixel=1,
            names=("nir", "red", "green", "blue"),
        )  # fmt: skip
        self.page = folder / "r.html"

    def run(self, lcmap: Lcmap, *words: object) -> Run:
        """Score with 200 draws of small blocks, with a page and its image."""
        run = lcmap(
            "score", *self.maps, *self.named, "--reference", self.reference, "--block", BLOCK,
            "--bootstrap", 200, "--report", self.page, "--image", self.image, *words,
        )  # fmt: skip
        assert run.exit_code == 0, run.stderr
        return run


def many_classes() -> Nomenclature:
    """Return 20 classes with names of 35 letters, some of which are not Latin, and no acronyms."""
    scripts = (
        "Intensively managed temporary grass", "Забудова та інші непроникні поверхні",
        "Μόνιμες καλλιέργειες και αμπελώνες", "常緑針葉樹林およびその他の森林植生地域",
        "أراض زراعية مروية بصورة دائمة",
    )  # fmt: skip
    return Nomenclature.from_dict(
        {
            "name": "many",
            "title": "Twenty classes with long names",
            "classes": [
                {
                    "code": code,
                    "name": f"{scripts[code % 5]} {code}",
                    "short": f"{scripts[code % 5]} {code}",
                    "color": f"#{code * 12:02x}{(code * 97) % 256:02x}{255 - code * 11:02x}",
                }
                for code in range(1, 21)
            ],
        }
    )


Form = Callable[[Path, Lcmap], Path]


def _two_maps(folder: Path, lcmap: Lcmap) -> Path:
    scored = Scored(
        folder, classes=OSO23, known=len(OSO23),
        names=["une carte", "celle de l’an passé, d’un nom bien plus long"],
    )  # fmt: skip
    scored.run(lcmap)
    return scored.page


def _five_maps_with_confidence(folder: Path, lcmap: Lcmap) -> Path:
    names = [
        "image",
        "OSO",
        "fusion",
        "fusion, three seasons",
        "U-Net ResNet-34, weights of ImageNet",
    ]
    scored = Scored(folder, names=names)
    scored.run(lcmap, *(5 * ["--confidence", scored.confidence]))
    return scored.page


def _one_map_without_intervals_and_images(folder: Path, lcmap: Lcmap) -> Path:
    scored = Scored(folder, names=["one"])
    run = lcmap(
        "score", *scored.maps, *scored.named, "--reference", scored.reference, "--bootstrap", 0,
        "--confidence", scored.confidence, "--report", scored.page,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    return scored.page


def _classes_without_labels(folder: Path, lcmap: Lcmap) -> Path:
    scored = Scored(folder, known=3, beyond=True)
    scored.run(lcmap)
    return scored.page


def _long_names(folder: Path, lcmap: Lcmap) -> Path:
    scored = Scored(folder, classes=many_classes(), known=20)
    scored.run(lcmap, "--confidence", scored.confidence, "--confidence", scored.confidence)
    return scored.page


def _sample(folder: Path, lcmap: Lcmap) -> Path:
    scored = Scored(folder, names=["one", "another map, from the year before"])
    drawn, filled = folder / "points.gpkg", folder / "filled.gpkg"
    run = lcmap("sample", scored.maps[0], "-o", drawn, "--size", 300)
    assert run.exit_code == 0, run.stderr
    transform = rasterio.Affine(1, 0, 700_000, 0, -1, 6_250_000)
    filled_in(drawn, filled, scored.truth, transform)
    run = lcmap(
        "score", *scored.maps, *scored.named, "--sample", filled, "--bootstrap", 200,
        "--report", scored.page, "-o", folder / "s.json",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    return scored.page


FORMS: dict[str, Form] = {
    "two maps": _two_maps,
    "five maps with confidence": _five_maps_with_confidence,
    "one map without intervals and images": _one_map_without_intervals_and_images,
    "classes without labels": _classes_without_labels,
    "long names": _long_names,
    "sample": _sample,
}
"""Reports of every form, by name: each writes a page into a folder."""


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
