"""Whatever a document holds, a parser gives a value or one of lcmap's errors.

Documents that are valid are damaged by `mutation`. What was found so is a test of its own in the
tests of that parser.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import shapely
import small_dimap
import small_sentinel2
import torch
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import damaged, damaged_json
from small_model import write_small_model
from support import PROJECT, run_lcmap

from lcmap.accuracy.inputs import chosen_codes
from lcmap.cli.options import parse_bytes
from lcmap.dataset.quantile_file import read_quantile_file
from lcmap.dataset.raster_content import content_of
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import LcmapError
from lcmap.imagery.dimap import calibration, find_dimap, read_dimap
from lcmap.inference.resume.journal import decode, encode
from lcmap.inference.resume.plan import read_plan
from lcmap.model_file import read_model
from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.nomenclature.tag import NOMENCLATURE_JSON_TAG
from lcmap.raster.acquisition_day import day_in_name, day_in_tags
from lcmap.raster.classes import (
    CLASSES_TAG,
    NOMENCLATURE_TAG,
    ClassTable,
    aux_xml,
    find_class_table,
    read_class_table,
)
from lcmap.raster.period import parse_day, parse_period
from lcmap.raster.usable_crs import parse_crs
from lcmap.reference.rules_file import load_rules
from lcmap.reference.target import TargetGrid
from lcmap.sentinel2.esa import read_polygons, read_safe
from lcmap.sentinel2.product import product_bands
from lcmap.sentinel2.theia import read_theia
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.vector.soundness import excess, read_wkb

pytestmark = pytest.mark.slow

WRITTEN = PROJECT / "tests" / "data" / "written_before"
BUILT_IN = PROJECT / "lcmap"


def fuzz(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples * int(os.environ.get("LCMAP_FUZZ", "1")),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def files(folder: Path) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob("*.toml")))


def try_file(path: Path, content: bytes, *parsers: Callable[[Path], object]) -> None:
    path.write_bytes(content)
    for parse in parsers:
        with suppress(LcmapError):
            parse(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what documents name: nomenclatures, images."""
    made = tmp_path_factory.mktemp("fuzz")
    for path in WRITTEN.glob("*.tif"):
        os.link(path, made / path.name) if path.stat().st_dev == made.stat().st_dev else (
            made / path.name
        ).write_bytes(path.read_bytes())
    return made


@fuzz(300)
@given(damaged(files(BUILT_IN / "nomenclature" / "builtin")))
def test_nomenclature(folder: Path, content: bytes) -> None:
    try_file(folder / "classes.toml", content, load_nomenclature)


@fuzz(200)
@given(damaged(files(BUILT_IN / "nomenclature" / "crosswalks")))
def test_crosswalk(folder: Path, content: bytes) -> None:
    try_file(folder / "crosswalk.toml", content, load_crosswalk)


@fuzz(300)
@given(damaged((*files(BUILT_IN / "reference" / "rules"), *files(PROJECT / "examples"))))
def test_rules(folder: Path, content: bytes) -> None:
    try_file(folder / "rules.toml", content, load_rules)


@fuzz(300)
@given(damaged_json(tuple(path.read_bytes() for path in WRITTEN.glob("*.geojson"))))
def test_tile_index(folder: Path, content: bytes) -> None:
    try_file(folder / "tiles.geojson", content, read_tile_index)


QUANTILES = b"""{"lcmap_quantiles": 1, "images": 2, "dtype": "uint8", "bands": [
{"name": "red", "q02": 1.5, "q98": 200}, {"name": "nir", "q02": 3.0, "q98": 250.0}]}"""


@fuzz(500)
@given(damaged_json((QUANTILES,)))
def test_quantiles(folder: Path, content: bytes) -> None:
    try_file(folder / "quantiles.json", content, read_quantile_file)


@pytest.fixture(scope="module")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("m") / "model.onnx", depth=1)


METADATA = tuple(
    item.value.encode()
    for path in sorted(WRITTEN.glob("*.onnx"))
    for item in onnx.load(path).metadata_props
    if item.key == "lcmap"
)


@fuzz(300)
@given(damaged_json(METADATA))
def test_model_metadata(folder: Path, content: bytes) -> None:
    model = onnx.load(WRITTEN / "image.onnx")
    for item in model.metadata_props:
        if item.key == "lcmap":
            item.value = content.decode("utf-8", "replace")
    try_file(folder / "model.onnx", model.SerializeToString(), read_model)


@fuzz(200)
@given(st.data())
def test_model_file(folder: Path, a_model: Path, data: st.DataObject) -> None:
    try_file(folder / "m.onnx", data.draw(damaged((a_model.read_bytes(),))), read_model)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("products")
    return {
        "1C": small_sentinel2.write_l1c(made, bands=("B2",)),
        "2A": small_sentinel2.write_l2a(made, bands=("B2",)),
        "THEIA": small_sentinel2.write_theia(made),
        "DIMAP": small_dimap.write_dimap(made / "dimap"),
    }


def metadata_of(product: Path) -> Path:
    return product if product.is_file() else next(
        path for pattern in ("MTD*.xml", "*MTD_ALL.xml") for path in product.glob(pattern)
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["1C", "2A", "THEIA", "DIMAP"])
@fuzz(250)
@given(data=st.data())
def test_product(products: dict[str, Path], kind: str, data: st.DataObject) -> None:
    product = products[kind]
    path = metadata_of(product)
    whole = products.setdefault(f"{kind} whole", path.with_suffix(".whole"))
    if not whole.exists():
        whole.write_bytes(path.read_bytes())
    path.write_bytes(data.draw(damaged((whole.read_bytes(),))))
    with suppress(LcmapError):
        if kind == "THEIA":
            read_theia(product, ["B2"])
        elif kind == "DIMAP":
            find_dimap(product.parent, pan=False)
            dimap = read_dimap(product)
            calibration(dimap, dimap.ids(4) or ())
        else:
            read_safe(product, ["B2"])


@fuzz(200)
@given(st.data())
def test_polygons(folder: Path, data: st.DataObject) -> None:
    whole = folder / "whole.gml"
    if not whole.exists():
        mask = np.eye(4, dtype=np.uint8)
        small_sentinel2.write_gml(whole, {"OPAQUE": mask}, small_sentinel2.CORNER)
    content = data.draw(damaged((whole.read_bytes(),)))
    try_file(folder / "mask.gml", content, lambda path: read_polygons(path, ()))


CLASSES = b'{"1": "Roof", "2": "Road", "14": "Water"}'
COLORS = {code: (code, 0, 0, 255) for code in range(256)}


@fuzz(500)
@given(damaged_json((CLASSES,)), st.sampled_from(["", "flair7", "x", "\0"]), st.booleans())
def test_class_names_in_tags(content: bytes, name: str, colors: bool) -> None:
    text = content.decode("utf-8", "replace")
    raster = SimpleNamespace(
        name="raster.tif",
        dtypes=("uint8",),
        tags=lambda: {CLASSES_TAG: text, NOMENCLATURE_TAG: name},
        colormap=lambda band: COLORS if colors else {},
    )
    with suppress(LcmapError):
        read_class_table(raster)
        content_of(raster, None, "raster")


NOMENCLATURE = b"""{"name": "a", "title": "b", "no_label": [9],
"classes": [{"code": 1, "name": "c", "short": "d", "color": "#aabbcc"}]}"""


@fuzz(300)
@given(damaged_json((NOMENCLATURE,)))
def test_nomenclature_in_tags(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    raster = SimpleNamespace(name="raster.tif", tags=lambda: {NOMENCLATURE_JSON_TAG: text})
    with suppress(LcmapError):
        content_of(raster, None, "raster")


CLASSES = ClassTable("", {1: "a", 3: "b"}, {1: (1, 2, 3), 3: (4, 5, 6)})
SIDECAR = aux_xml(CLASSES, [0, 7, 8, 9]).encode()


@fuzz(500)
@given(data=st.data())
def test_class_names_in_a_sidecar(folder: Path, data: st.DataObject) -> None:
    raster = SimpleNamespace(name=str(folder / "map.tif"), tags=dict)
    content = data.draw(damaged((SIDECAR,)))
    try_file(folder / "map.tif.aux.xml", content, lambda _: find_class_table(raster))


@fuzz(300)
@given(damaged((b"".join(encode({"tile": i, "at": [1, 2]}) for i in range(3)), b'{"plan": 1}')))
def test_what_a_killed_run_left(folder: Path, content: bytes) -> None:
    decode(content)
    try_file(folder / "plan.json", content, read_plan)


@fuzz(60)
@given(st.data())
def test_checkpoint(folder: Path, data: st.DataObject) -> None:
    whole = folder / "whole.pt"
    if not whole.exists():
        write_checkpoint(whole, {"seed": 1}, {"weights": torch.zeros(4), "rows": [{"loss": 0.5}]})
    content = data.draw(damaged((whole.read_bytes(),)))
    try_file(folder / "run.pt", content, lambda path: read_checkpoint(path, {"seed": 1}))


SHAPES = tuple(
    shapely.to_wkb(shape)
    for shape in (
        shapely.Point(1, 2),
        shapely.LineString([(0, 0), (3, 4), (5, 6)]),
        shapely.box(0, 0, 9, 9).difference(shapely.box(1, 1, 2, 2)),
        shapely.MultiLineString([[(0, 0), (1, 1)], [(2, 2), (3, 3)]]),
        shapely.GeometryCollection([shapely.Point(1, 2), shapely.box(0, 0, 1, 1)]),
    )
)


@fuzz(500)
@given(st.lists(damaged(SHAPES), min_size=1, max_size=3))
def test_geometry(wkb: list[bytes]) -> None:
    try:
        geometries, broken = read_wkb(np.array([*wkb, None], object))
    except NotImplementedError:
        return  # an arc: GDAL makes lines of them, so that none gets here
    assert not broken[-1]
    excess(geometries[~broken & ~shapely.is_missing(geometries)], 1.0)


VALUES = (
    b"2G", b"1.5GB", b"800M", b"2018", b"2018-07", b"2018-07/2018-09", b"2018-07-14", b"20180714",
    b"EPSG:2154", b"700000,6600000,700100,6600100", b"B2,B3,B8A", b"1-14", b"Wat", b"flair7",
    b"flair19:flair7", b"S2A_20180705_x.tif",
)  # fmt: skip


@fuzz(300)
@given(damaged(VALUES).map(lambda value: value.decode("utf-8", "replace")) | st.text())
def test_values_on_the_command_line(text: str) -> None:
    with suppress(typer.BadParameter):
        assert parse_bytes(text) >= 0
    classes = load_nomenclature("topo6")
    parsers: tuple[Callable[[str], object], ...] = (
        parse_period,
        parse_day,
        parse_crs,
        load_nomenclature,
        load_crosswalk,
        load_rules,
        lambda value: product_bands(value.split(",")),
        lambda value: chosen_codes([value], classes),
        lambda value: TargetGrid((0, 0, 1, 1), 0.1, value).grid(),
    )
    for parse in parsers:
        with suppress(LcmapError):
            parse(text)
    assert day_in_name(text) is None or isinstance(day_in_name(text), date)
    day_in_tags({"ACQUISITION_DATE": text})


@fuzz(60)
@given(damaged((b"700000,6600000,700100,6600100",)), st.floats(), st.sampled_from(VALUES))
def test_a_grid_on_the_command_line(content: bytes, resolution: float, crs: bytes) -> None:
    bounds = content.decode("utf-8", "replace")
    grid = (f"--bounds={bounds}", f"--resolution={resolution}", "--crs", crs.decode())
    run = run_lcmap(
        "rasterize-ref", "none.gpkg", "--rules", "bdtopo-topo6", *grid, "-o", "labels.tif"
    )
    assert run.exit_code in (2, 65, 66), run.stderr
