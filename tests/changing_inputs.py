"""Commands that a file of is changed while they read it, and what changes it then."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from small_dimap import write_dimap
from small_fusion import IMAGE, S2, S2_BANDS, write_fusion_model
from small_labels import label_writer
from small_model import BANDS, write_small_model
from small_sentinel2 import write_l2a
from small_years import write_years
from support import Run, write_raster

from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import nomenclature_tag

Lcmap = Callable[..., Run]
WEST, NORTH = 721_104.0, 6_249_288.0


def image(folder: Path) -> None:
    pixels = np.random.default_rng(7).integers(0, 256, (4, 60, 75)).astype(np.uint8)
    write_raster(folder / "image.tif", pixels, names=BANDS)


def of_a_model(folder: Path) -> None:
    image(folder)
    write_small_model(folder / "model.onnx")


def with_a_side_input(folder: Path) -> None:
    image(folder)
    s2 = np.random.default_rng(1).integers(0, 4000, (3, 40, 45)).astype(np.int16)
    write_raster(folder / "s2.tif", s2, corner=(WEST - 120, NORTH + 140), pixel=10, names=S2_BANDS)
    write_fusion_model(folder / "two.onnx", [IMAGE, S2])


def virtual(folder: Path) -> None:
    """Write a VRT of a VRT of the image."""
    of_a_model(folder)
    rasterio.shutil.copy(folder / "image.tif", folder / "inner.vrt", driver="VRT")
    inner = (folder / "inner.vrt").read_text()
    (folder / "outer.vrt").write_text(inner.replace("image.tif", "inner.vrt"))


def probabilities(folder: Path) -> None:
    for seed, name in enumerate(("a.tif", "b.tif")):
        p = np.random.default_rng(seed).dirichlet(np.ones(7), (60, 75)).transpose(2, 0, 1)
        write_raster(folder / name, p.astype(np.float32), nodata=np.nan)
        with rasterio.open(folder / name, "r+") as dataset:
            dataset.update_tags(**nomenclature_tag(load_nomenclature("flair7")))


def image_and_labels(folder: Path) -> None:
    image(folder)
    labels = np.random.default_rng(2).integers(1, 7, (1, 60, 75)).astype(np.uint8)
    write_raster(folder / "labels.tif", labels, nodata=0)
    shutil.copy(folder / "labels.tif", folder / "other_labels.tif")


def oso(folder: Path) -> None:
    image(folder)
    codes = np.random.default_rng(1).integers(1, 24, (1, 40, 45)).astype(np.uint8)
    write_raster(folder / "oso.tif", codes, corner=(WEST - 100, NORTH + 100), pixel=10, nodata=0)


def maps(folder: Path) -> None:
    write = label_writer(folder)
    for seed, name in enumerate(("map.tif", "ref.tif")):
        codes = np.random.default_rng(seed).integers(1, 7, (60, 80)).astype(np.uint8)
        write(name, codes, classes=load_nomenclature("topo6"))


def roofs(folder: Path) -> None:
    image(folder)
    box = shapely.to_wkb([shapely.box(WEST + 5, NORTH - 40, WEST + 40, NORTH - 5)])
    for name in ("roof.shp", "roof.gpkg"):
        pyogrio.raw.write(
            folder / name, box, [np.array(["a"])], ["kind"], layer="roof", crs="EPSG:2154",
            geometry_type="Polygon",
        )  # fmt: skip
    (folder / "rules.toml").write_text(
        'name = "mine"\nnomenclature = "topo6"\n[[rules]]\nlayer = "roof"\nclass = 6\n'
    )


def tiles(folder: Path) -> None:
    from support import run_lcmap

    image_and_labels(folder)
    run = run_lcmap(
        "prepare", folder / "image.tif", "--labels", folder / "labels.tif", "--nomenclature",
        "flair7", "--tiles", folder / "tiles.geojson", "--tile-size", 16, "--gap", 0, "-o",
        folder / "stack.tif",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr


class Case(NamedTuple):
    """A command, what it needs, the file that changes, and after which function."""

    make: Callable[[Path], Any]
    command: str
    file: str
    after: str


PREDICT = "predict image.tif -m model.onnx -o out.tif --confidence c.tif --tile 24"
VRT = "predict outer.vrt --allow-vrt -m model.onnx -o out.tif --tile 24"
PREPARE = "prepare image.tif --labels labels.tif --nomenclature flair7 --tiles t.geojson -o out.tif"
REF = "rasterize-ref roof.{} --rules rules.toml --like image.tif -o out.tif"
TRAIN = (
    "train tiles.geojson -o out.onnx --width 8 --depth 1 --batch-size 2 --epochs 1 --allow-overlap"
)
READ, WRITTEN = "lcmap.inference.source:TileSource.read", "lcmap.imagery.prepare:write_stack"
COUNTED = "lcmap.accuracy.counting:Counting._count"
CASES = {
    "predict": Case(of_a_model, PREDICT, "image.tif", READ),
    "predict-model": Case(of_a_model, PREDICT, "model.onnx", READ),
    "predict-vrt": Case(virtual, VRT, "image.tif", READ),
    "predict-inner-vrt": Case(virtual, VRT, "inner.vrt", READ),
    "predict-pipe": Case(of_a_model, "predict image.tif -m model.onnx -o -", "image.tif", READ),
    "fuse": Case(
        with_a_side_input, "fuse image.tif s2.tif -m two.onnx -o out.tif --tile 40", "s2.tif", READ
    ),
    "fuse-late": Case(
        probabilities, "fuse a.tif b.tif --late product -o out.tif --qml", "b.tif",
        "lcmap.raster.resampling:AlignedRaster.read",
    ),
    "reclassify-oso": Case(
        oso, "reclassify-oso image.tif oso.tif --oso oso23 --crosswalk-only -o out.tif", "oso.tif",
        "lcmap.raster.label_resampling:LabelsOnGrid.read",
    ),
    "prepare": Case(image_and_labels, PREPARE, "image.tif", WRITTEN),
    "prepare-labels": Case(image_and_labels, PREPARE, "labels.tif", WRITTEN),
    "prepare-side": Case(
        image_and_labels, PREPARE + " --side other_labels.tif:flair7", "other_labels.tif", WRITTEN
    ),
    "prepare-product": Case(
        lambda folder: write_l2a(folder).rename(folder / "product"), "prepare product -o out.tif",
        "product/GRANULE/*/IMG_DATA/R10m/*B03*.jp2", WRITTEN,
    ),
    "prepare-metadata": Case(
        lambda folder: write_l2a(folder).rename(folder / "product"), "prepare product -o out.tif",
        "product/MTD_MSIL2A.xml", WRITTEN,
    ),
    "prepare-dimap": Case(write_dimap, "prepare . -o out.tif", "PROD*/*/*/*R1C2*.JP2", WRITTEN),
    "prepare-quantiles": Case(
        image, "prepare --quantiles-of image.tif -o q.json", "image.tif",
        "lcmap.imagery.campaign:read_valid",
    ),
    "update": Case(
        write_years, "update last.tif new.tif --probabilities p.tif -o out.tif --changes c.tif",
        "last.tif", "lcmap.products.update:_Weighing.read",
    ),
    "update-probabilities": Case(
        write_years, "update last.tif new.tif --probabilities p.tif -o out.tif --min-change 0.001",
        "p.tif", "lcmap.products.update:_Weighing.read",
    ),
    "generalise": Case(
        maps, "generalise map.tif --mmu 0.001 -o out.tif", "map.tif",
        "lcmap.products.class_map:ClassMap.read",
    ),
    "areas": Case(
        maps, "areas map.tif -o s.csv", "map.tif", "lcmap.products.class_map:ClassMap.read"
    ),
    "score": Case(maps, "score map.tif --reference ref.tif -o s.csv", "map.tif", COUNTED),
    "score-reference": Case(maps, "score map.tif --reference ref.tif", "ref.tif", COUNTED),
    "rasterize-ref": Case(
        roofs, REF.format("shp"), "roof.dbf", "lcmap.reference.rasterize:_burn"
    ),
    "rasterize-ref-gpkg": Case(
        roofs, REF.format("gpkg"), "roof.gpkg", "lcmap.reference.rasterize:_burn"
    ),
    "train": Case(tiles, TRAIN, "stack.tif", "lcmap.dataset.reading:TileReader.read"),
    "train-labels": Case(tiles, TRAIN, "stack.labels.tif", "lcmap.dataset.reading:TileReader.read"),
}  # fmt: skip


def run_while(
    change: Callable[[Path], None], after: str, file: Path, command: str, lcmap: Lcmap
) -> Run:
    """Run a command, and change a file once a function of it has returned for the first time."""
    module, _, name = after.partition(":")
    owner: Any = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original, changed = getattr(owner, name), False

    def watched(*given: Any, **named: Any) -> Any:
        nonlocal changed
        result = original(*given, **named)
        if not changed:
            changed = True
            change(file)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, watched)
        run = lcmap(*command.split())
    assert changed, run.stderr
    return run


def found(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
