"""lcmap stac: what it writes is read by pystac, and kept to the schemas of STAC."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import every_command
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from small_campaign import Scene, picture
from small_labels import label_writer
from support import Run, write_raster

from lcmap.model_file import read_model, stac_item
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

pystac = pytest.importorskip("pystac")
Lcmap = Callable[..., Run]
FLAIR7 = load_nomenclature("flair7")
SCHEMAS = Path(__file__).parent.parent / "data" / "stac"


def check_schemas(document: dict[str, Any]) -> None:
    """Check a document by the schemas of STAC and of all its extensions, without a network."""
    local = pytest.importorskip("pystac.validation.local_validator")
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    schemas = dict(local.get_local_schema_cache())
    for file in SCHEMAS.glob("*.json"):
        schema = json.loads(file.read_bytes())
        schemas[schema["$id"].removesuffix("#")] = schema
    registry = referencing.Registry().with_resources(
        (uri, referencing.Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    kind = "item" if document["type"] == "Feature" else "collection"
    (core,) = (uri for uri in schemas if uri.endswith(f"/{kind}.json") and "/v1.1.0/" in uri)
    for uri in (core, *document["stac_extensions"]):
        validator = jsonschema.Draft7Validator(schemas[uri], registry=registry)
        assert [error.message for error in validator.iter_errors(document)] == [], uri


def read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_bytes())
    check_schemas(document)
    return document


def test_an_item_of_a_map_and_its_parts(lcmap: Lcmap, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a map"
    folder.mkdir()
    image = write_raster(tmp_path / "image.tif", picture(70, 96), names=every_command.BANDS)
    with rasterio.open(image, "r+") as dataset:
        dataset.update_tags(ACQUISITION_DATE="2019-07-14")
    made = [folder / f"{name}.tif" for name in ("land cover", "conf", "m", "p")]
    run = lcmap("predict", image, "-m", model, "-o", made[0], "--confidence", made[1], "--margin",
                made[2], "--probabilities", made[3], "--cog")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    item_of_model = tmp_path / "model.stac.json"
    item_of_model.write_text(json.dumps(stac_item(read_model(model), model)))
    output = tmp_path / "catalogue" / "item.json"
    output.parent.mkdir()
    run = lcmap("stac", *reversed(made), "--model", item_of_model, "--license", "CC-BY-4.0",
                "--title", "Été 2019", "-o", output)  # fmt: skip
    assert run.exit_code == 0 and "warning" not in run.stderr, run.stderr
    properties = read(output)["properties"]
    assert properties["datetime"] == properties["start_datetime"] == "2019-07-14T00:00:00Z"
    assert properties["end_datetime"] == "2019-07-14T23:59:59Z"
    assert (properties["license"], properties["title"]) == ("CC-BY-4.0", "Été 2019")
    assert properties["gsd"] == 0.8 and properties["proj:code"] == "EPSG:2154"
    assert "lcmap" in properties["processing:software"]
    assert f"the model {model.name} by" in properties["processing:lineage"]

    item = pystac.Item.from_file(str(output))
    assert item.id == "land cover"
    parts = ("map", "confidence", "margin", "probabilities")
    assert list(item.assets) == [parts[0], *reversed(parts[1:])]
    for part, path in zip(parts, made, strict=True):
        asset = item.assets[part]
        assert Path(unquote(asset.get_absolute_href())).samefile(path)
        assert asset.media_type == pystac.MediaType.COG
        with rasterio.open(path) as dataset:
            assert asset.extra_fields["data_type"] == dataset.dtypes[0]
            expected = "nan" if part == "probabilities" else dataset.nodata
            assert asset.extra_fields["nodata"] == expected
            assert list(dataset.shape) == properties["proj:shape"]
            assert list(dataset.transform[:6]) == properties["proj:transform"]
    classes = item.assets["map"].extra_fields["classification:classes"]
    assert [(c["value"], c["description"], f"#{c['color_hint']}") for c in classes] == [
        (c.code, c.name, c.color) for c in FLAIR7.classes
    ]
    bands = item.assets["probabilities"].to_dict()["bands"]
    assert [band["name"] for band in bands] == [c.name for c in FLAIR7.classes]
    (link,) = item.get_links("derived_from")
    assert Path(link.get_absolute_href()).samefile(item_of_model)
    assert (
        link.extra_fields["mlm:name"]
        == json.loads(item_of_model.read_text())["properties"]["mlm:name"]
    )


def test_a_collection_of_sheets_can_be_moved(
    lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, line, _, _ = every_command.FORMS["campaign"]
    prepare(tmp_path)
    assert lcmap(*line.split()).exit_code == 0
    run = lcmap("stac", "map-*.tif", "s-*.tif", "--period", "2018-05/2018-09", "-o", "sheets.json")
    assert run.exit_code == 0, run.stderr
    assert run.stdout == "wrote sheets.json and 2 items\n"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in [*tmp_path.glob("*.json"), *tmp_path.glob("*.tif")]:
        shutil.move(path, moved)
    collection = pystac.Collection.from_file(str(moved / "sheets.json"))
    (interval,) = read(moved / "sheets.json")["extent"]["temporal"]["interval"]
    assert interval == ["2018-05-01T00:00:00Z", "2018-09-30T23:59:59Z"]
    (bbox,) = collection.extent.spatial.bboxes
    items = list(collection.get_items())
    assert [item.id for item in items] == ["map-1", "map-2"]
    for item in items:
        read(moved / f"{item.id}.stac.json")
        assert item.datetime is None and item.collection_id == "sheets"
        assert item.get_parent() is collection and item.get_root() is collection
        assert shapely.box(*bbox).covers(shapely.box(*item.bbox))
        names = [Path(asset.get_absolute_href()).name for asset in item.assets.values()]
        assert names == [f"{item.id}.tif", f"{item.id.replace('map', 's')}.tif"]
        with rasterio.open(moved / names[0]) as dataset:
            to_degrees = pyproj.Transformer.from_crs(dataset.crs, 4326, always_xy=True)
            corners = [dataset.transform @ (col, row) for col in (0, dataset.width)
                       for row in (0, dataset.height)]  # fmt: skip
        outline = shapely.MultiPoint([to_degrees.transform(*corner) for corner in corners])
        found = shapely.geometry.shape(item.geometry)
        # rounded to a tenth of a metre
        assert shapely.hausdorff_distance(found, outline.convex_hull) < 3e-6


def scenes_of(folder: Path, days: list[str | None]) -> None:
    folder.mkdir()
    quantiles = np.array([[20.0, 220.0]] * 4)
    for number, day in enumerate(days):
        window = Window(0, 20 * number, 40, 40)
        pixels = picture(40, 40, number)
        scene = Scene(window, pixels, np.ones((40, 40), bool), quantiles)
        scene.write(folder / f"{number}.tif", **({} if day is None else {"ACQUISITION_DATE": day}))


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (["2019-07-14", "2018-06-01"], ("2018-06-01T00:00:00Z", "2019-07-14T23:59:59Z")),
        (["2019-07-14", None], None),
    ],
)
def test_the_days_of_the_scenes_are_those_of_maps_made_of_them(
    days: list[str | None],
    expected: tuple[str, str] | None,
    lcmap: Lcmap,
    model: Path,
    tmp_path: Path,
) -> None:
    scenes_of(tmp_path / "scenes", days)
    made, output = tmp_path / "map.tif", tmp_path / "item.json"
    assert lcmap("predict", tmp_path / "scenes", "-m", model, "-o", made).exit_code == 0
    general = tmp_path / "general.tif"
    assert lcmap("generalise", made, "--mmu", 0.001, "-o", general).exit_code == 0
    for path in (made, general):
        run = lcmap("stac", path, "-o", output, "--overwrite")
        assert run.exit_code == 0, run.stderr
        properties = read(output)["properties"]
        found = properties.get("start_datetime"), properties.get("end_datetime")
        assert found == (expected or (None, None))
        assert ("does not say when the ground was seen" in run.stderr) == (expected is None)
        assert (properties["datetime"] is None) == (expected is not None)


@pytest.mark.parametrize("known", [True, False])
def test_late_fusion_and_updates_keep_the_days(
    known: bool, lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for form, dated in (("late", {"a": "2019-07-14", "b": "2018-06-01"}),
                        ("update", {"last": "2018-01-01", "new": "2019-07-14"})):  # fmt: skip
        prepare, line, _, _ = every_command.FORMS[form]
        prepare(tmp_path)
        for name, day in dated.items():
            with rasterio.open(f"{name}.tif", "r+") as dataset:
                if known or name == "last":
                    dataset.update_tags(ACQUISITION_DATE=day)
        run = lcmap(*line.split(), "--overwrite")
        assert run.exit_code == 0, run.stderr
        with rasterio.open("map.tif") as dataset:
            tags = dataset.tags()
        expected = ("2018-06-01/2019-07-14", None) if form == "late" else (None, "2019-07-14")
        found = tags.get("LCMAP_PERIOD"), tags.get("ACQUISITION_DATE")
        assert found == (expected if known else (None, None))


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two maps on one grid, a confidence on it, another elsewhere, and no map."""
    monkeypatch.chdir(tmp_path)
    write = label_writer(tmp_path)
    codes = np.ones((20, 30), np.uint8)
    for name in ("map.tif", "other.tif", "sub/map.tif"):
        write(name, codes, classes=FLAIR7)
    for name, west in (("c.tif", 700_000.0), ("c2.tif", 700_000.0), ("far.tif", 800_000.0)):
        corner = (west, 6_250_000.0)
        write_raster(tmp_path / name, codes[None], pixel=1, corner=corner, names=["confidence (%)"])
    write("bare.tif", codes)
    write("nowhere.tif", codes, classes=FLAIR7, crs=None)
    (tmp_path / "item.json").write_text('{"properties": {}}')
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("bare.tif", 65, "bare.tif: names no classes, and is nothing that belongs to a map"),
        ("c.tif", 65, "c.tif: is no map of classes, nor is another"),
        ("map.tif other.tif c.tif", 65, "c.tif: of which map it is cannot be told"),
        ("map.tif far.tif", 65, "far.tif: is of none of the maps"),
        ("map.tif c.tif c2.tif", 65, "c2.tif: is a second raster of confidence of its map"),
        ("map.tif sub/map.tif", 65, "sub/map.tif: has the name of map.tif; name them apart"),
        ("nowhere.tif", 65, "nowhere.tif: "),
        ("map.tif --model item.json", 65, "item.json: is not the STAC item of a model"),
        ("map.tif --model map.tif", 65, "map.tif: is not the STAC item of a model"),
        ("map.tif --model no.json", 66, "no.json: no such file"),
        ("map.tif --period summer", 2, "--period summer: is not a period"),
        ("no.tif", 66, "no.tif: no such file"),
        ("-", 2, "-: has no path that an item could name"),
    ],
)
def test_what_is_refused(maps: Path, lcmap: Lcmap, words: str, code: int, message: str) -> None:
    run = lcmap("stac", *words.split(), "-o", "out.json")
    assert run.exit_code == code, run.stderr
    assert message in run.stderr
    assert not (maps / "out.json").exists()


@pytest.mark.parametrize("nodata", [np.inf, -np.inf, np.nan, -1.0])
def test_an_item_is_json_whatever_the_nodata_value_and_the_years(
    maps: Path, lcmap: Lcmap, nodata: float
) -> None:
    write_raster(
        maps / "c.tif", np.ones((1, 20, 30), np.float32), pixel=1, corner=(700_000.0, 6_250_000.0),
        names=["confidence (%)"], nodata=nodata,
    )  # fmt: skip
    run = lcmap("stac", "map.tif", "c.tif", "--period", "0812-02/1968-02", "-o", "out.json")
    assert run.exit_code == 0, run.stderr
    document = json.loads((maps / "out.json").read_text(), parse_constant=pytest.fail)
    said = document["assets"]["confidence"]["nodata"]
    assert said == (int(nodata) if np.isfinite(nodata) else str(nodata))
    properties = document["properties"]
    assert properties["start_datetime"] == "0812-02-01T00:00:00Z"
    assert properties["end_datetime"] == "1968-02-29T23:59:59Z"


def test_outputs_that_cannot_be(maps: Path, lcmap: Lcmap) -> None:
    run = lcmap("stac", "map.tif", "--period", "2018", "-o", "-")
    assert run.exit_code == 2 and "--output -: is not a file" in run.stderr
    run = lcmap("stac", "map.tif", "--period", "2018", "-o", "map.tif", "--overwrite")
    assert run.exit_code == 2 and "map.tif: is one of the inputs" in run.stderr
    run = lcmap("stac", "map.tif", "other.tif", "--period", "2018", "-o", "map.stac.json")
    assert run.exit_code == 2 and "is the item of one of the maps; name the" in run.stderr
    (maps / "other.stac.json").write_text("{}")
    run = lcmap("stac", "map.tif", "other.tif", "--period", "2018", "-o", "all.json")
    assert run.exit_code == 73 and "other.stac.json: exists already" in run.stderr
    assert not (maps / "map.stac.json").exists() and not (maps / "all.json").exists()


def test_maps_of_one_grid_know_their_own(lcmap: Lcmap, model: Path, tmp_path: Path) -> None:
    image = write_raster(tmp_path / "i.tif", picture(70, 96), names=every_command.BANDS)
    made = []
    for name, engine in (("a", "openvino"), ("b", "onnxruntime")):
        made += [tmp_path / f"{name}.tif", tmp_path / f"{name}c.tif"]
        run = lcmap("predict", image, "-m", model, "-o", made[-2], "--confidence", made[-1],
                    "--engine", engine)  # fmt: skip
        assert run.exit_code == 0, run.stderr
    run = lcmap("stac", *made, "--period", "2018", "-o", tmp_path / "all.json")
    assert run.exit_code == 0, run.stderr
    for name in "ab":
        assets = read(tmp_path / f"{name}.stac.json")["assets"]
        assert assets["confidence"]["href"] == f"./{name}c.tif"
