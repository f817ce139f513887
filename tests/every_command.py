"""A call of each command that makes outputs, small, with what makes its inputs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import rasterio
from google.protobuf.message import DecodeError
from shapely.geometry import box
from small_campaign import cut, picture
from small_fusion import IMAGE, OSO, S2, S2_BANDS, write_fusion_model
from small_model import BANDS, write_small_model
from small_vectors import write_features
from small_years import write_years
from support import run_lcmap, write_raster

from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import nomenclature_tag
from lcmap.raster.classes import write_class_table
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.windows import Window

BDTOPO = Path(__file__).parent / "data" / "bdtopo"
WEST, NORTH = 721_104.0, 6_249_288.0


def image(folder: Path) -> None:
    light = np.random.default_rng(0).integers(0, 2, (12, 12)).repeat(8, axis=0).repeat(8, axis=1)
    noise = np.random.default_rng(1).integers(-20, 21, (4, 96, 96))
    write_raster(folder / "image.tif", (60 + 120 * light + noise).astype("uint8"), names=BANDS)
    with rasterio.open(folder / "image.tif", "r+") as dataset:
        write_quantiles(dataset, np.tile([40.0, 200.0], (4, 1)))
    labels = (1 + light[None]).astype("uint8")
    write_raster(folder / "labels.tif", labels, nodata=0)


def grid(folder: Path) -> None:
    write_raster(folder / "like.tif", np.zeros((1, 60, 60), "uint8"), pixel=6,
                 corner=(664_700, 6_360_280))  # fmt: skip


def tiles(folder: Path) -> None:
    image(folder)
    made = run_lcmap(
        "prepare", folder / "image.tif", "--labels", folder / "labels.tif", "--nomenclature",
        "flair7", "--tiles", folder / "t.geojson", "--tile-size", 16, "--gap", 0, "-o",
        folder / "stack.tif",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr


def trained(folder: Path) -> None:
    tiles(folder)
    made = run_lcmap("train", folder / "t.geojson", "-o", folder / "float.onnx", "--width", 4,
                     "--depth", 1, "--batch-size", 4, "--epochs", 1)  # fmt: skip
    assert made.exit_code == 0, made.stderr


def model(folder: Path) -> None:
    image(folder)
    write_small_model(folder / "model.onnx")


def campaign(folder: Path) -> None:
    """Three scenes in a folder, and two sheets."""
    model(folder)
    (folder / "scenes").mkdir()
    windows = [Window(0, 0, 40, 40), Window(4, 24, 44, 40), Window(20, 0, 28, 44)]
    for name, scene in zip("abc", cut(picture(48, 64), windows), strict=True):
        scene.write(folder / "scenes" / f"{name}.tif")
    places = [box(WEST, NORTH - 20, WEST + 30, NORTH), box(WEST + 25, NORTH - 90, WEST + 90, NORTH)]
    write_features(folder / "sheets.gpkg", places, {"name": ["1", "2"]})


def sides(folder: Path) -> None:
    image(folder)
    rng = np.random.default_rng(1)
    s2 = rng.integers(0, 4000, (3, 40, 45)).astype(np.int16)
    write_raster(folder / "s2.tif", s2, corner=(WEST - 120, NORTH + 140), pixel=10, names=S2_BANDS)
    oso = rng.integers(1, 24, (1, 40, 45)).astype(np.uint8)
    write_raster(folder / "oso.tif", oso, corner=(WEST - 100, NORTH + 100), pixel=10, nodata=0)


def fusion(folder: Path) -> None:
    sides(folder)
    write_fusion_model(folder / "two.onnx", [IMAGE, S2])
    write_fusion_model(folder / "oso.onnx", [IMAGE, OSO])


def probabilities(folder: Path) -> None:
    for seed, name in enumerate(("a.tif", "b.tif")):
        p = np.random.default_rng(seed).dirichlet(np.ones(7), (60, 75)).astype("float32")
        write_raster(folder / name, np.moveaxis(p, -1, 0), nodata=np.nan)
        with rasterio.open(folder / name, "r+") as dataset:
            dataset.update_tags(**nomenclature_tag(load_nomenclature("flair7")))


def land_cover(folder: Path) -> None:
    image(folder)
    with rasterio.open(folder / "labels.tif", "r+") as dataset:
        write_class_table(dataset, load_nomenclature("flair7").class_table())
    percent = np.random.default_rng(2).integers(1, 101, (1, 96, 96)).astype("uint8")
    write_raster(folder / "confidence.tif", percent, nodata=0)


def two_maps(folder: Path) -> None:
    land_cover(folder)
    for name in ("a.tif", "b.tif"):
        shutil.copy(folder / "labels.tif", folder / name)


_MAP = "map.tif,c.tif,map.qml,map.tif.aux.xml"
FORMS: dict[str, tuple[Callable[[Path], None], str, str, int]] = {
    "rasterize-ref": (
        grid,
        f"rasterize-ref {BDTOPO} --rules bdtopo-topo6 --like like.tif -o ref.tif --conflicts n.tif"
        " --tmpdir .",
        "ref.tif,n.tif,ref.qml,ref.tif.aux.xml",
        1,
    ),
    "prepare": (image, "prepare image.tif -o stack.tif", "stack.tif", 1),
    "prepare tiles": (
        image,
        "prepare image.tif --labels labels.tif --nomenclature flair7 --tiles t.geojson"
        " --tile-size 16 --gap 0 -o stack.tif",
        "stack.tif,stack.labels.tif,t.geojson,stack.labels.qml,t.qml,stack.labels.tif.aux.xml",
        1,
    ),
    "quantiles": (image, "prepare --quantiles-of image.tif -o q.json", "q.json", 1),
    "train": (
        tiles,
        "train t.geojson -o m.onnx --width 4 --depth 1 --batch-size 4 --epochs 1 --stac --quantize"
        " --max-loss 100",
        "m.onnx,m.stac.json,m.int8.onnx,m.int8.stac.json,m.curves.csv,m.curves.png",
        9,
    ),
    "int8": (
        trained,
        "train t.geojson -o i.onnx --quantize-only float.onnx --max-loss 100 --stac",
        "i.onnx,i.stac.json",
        2,
    ),
    "predict": (
        model,
        "predict image.tif -m model.onnx -o map.tif --confidence c.tif --qml --tile 48"
        " --preview map.png",
        f"{_MAP},map.png",
        2,
    ),
    "campaign": (
        campaign,
        "predict scenes -m model.onnx -o map.tif --scenes s.tif --sheets sheets.gpkg --qml"
        " --tile 24",
        "map.tif,s.tif,map-1.tif,map-2.tif,s-1.tif,s-2.tif,map.qml,map.tif.aux.xml"
        ",map-1.tif.aux.xml,map-2.tif.aux.xml",
        11,
    ),
    "fuse": (
        fusion,
        "fuse image.tif s2.tif -m two.onnx -o map.tif --confidence c.tif --qml",
        _MAP,
        3,
    ),
    "late": (
        probabilities,
        "fuse a.tif b.tif --late product -o map.tif --confidence c.tif --qml",
        _MAP,
        2,
    ),
    "reclassify-oso": (
        fusion,
        "reclassify-oso image.tif oso.tif --oso oso23 -m oso.onnx -o map.tif --confidence c.tif"
        " --qml",
        _MAP,
        3,
    ),
    "crosswalk": (
        sides,
        "reclassify-oso image.tif oso.tif --oso oso23 --crosswalk-only -o map.tif --qml",
        "map.tif,map.qml,map.tif.aux.xml",
        2,
    ),
    "update": (
        write_years,
        "update last.tif new.tif --probabilities p.tif -o map.tif --changes c.tif"
        " --min-change 0.0005 --tmpdir . --preview p.png",
        "map.tif,c.tif,p.png,map.qml,map.tif.aux.xml,c.qml,c.tif.aux.xml",
        1,
    ),
    "generalise": (
        land_cover,
        "generalise labels.tif -o map.tif --mmu 0.01 --vector map.gpkg --confidence confidence.tif",
        "map.tif,map.gpkg,map.tif.aux.xml",
        1,
    ),
    "areas": (
        land_cover,
        "areas labels.tif labels.tif -o a.json -o a.csv -o a.txt",
        "a.json,a.csv,a.txt",
        1,
    ),
    "stac": (
        land_cover,
        "stac labels.tif --period 2018 -o item.json",
        "item.json",
        1,
    ),
    "stac collection": (
        two_maps,
        "stac a.tif b.tif --period 2018 -o all.json",
        "all.json,a.stac.json,b.stac.json",
        1,
    ),
    "sample": (land_cover, "sample labels.tif -o points.gpkg --size 60", "points.gpkg", 1),
    "score": (
        image,
        "score labels.tif --reference labels.tif --nomenclature flair7 --bootstrap 0 -o s.json"
        " -o s.csv -o s.txt",
        "s.json,s.csv,s.txt",
        1,
    ),
    "score report": (
        image,
        "score labels.tif --reference labels.tif --nomenclature flair7 --bootstrap 0 -o s.json"
        " --report r.html --image image.tif",
        "s.json,r.html",
        1,
    ),
}
"""Of each: what makes its inputs in a folder, its words, its outputs, and how many of its steps to
the disk make one of `killed_sets`."""

INPUTS = {
    "late": "a.tif", "rasterize-ref": "like.tif", "int8": "t.geojson", "train": "t.geojson",
    "update": "new.tif", "campaign": "scenes/b.tif", "generalise": "labels.tif",
    "areas": "labels.tif", "sample": "labels.tif", "score": "labels.tif",
    "score report": "labels.tif", "stac": "labels.tif", "stac collection": "b.tif",
}  # fmt: skip
"""What a command reads, where that is not image.tif."""


_TIMES = re.compile(rb'(?<="datetime": )"[^"]*"|(?<="seconds": )[0-9.e-]+')


def change(path: Path) -> None:
    """Change a file so that it is another, and is read as before."""
    if path.suffix == ".tif":
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(REVISION=dataset.tags().get("REVISION", "") + "1")
    else:
        path.write_text(path.read_text() + "\n")


def but_for_times(path: Path) -> bytes:
    """Return what an output holds, but for when it was made and how long that took.

    All its bytes, where it says none or is damaged.
    """
    whole = path.read_bytes()
    if path.suffix == ".onnx":
        with suppress(DecodeError):
            model = onnx.load_model_from_string(whole)
            texts = [item.value.encode() for item in model.metadata_props]
            whole = b"\n".join([model.graph.SerializeToString(), *texts])
    if path.name.endswith(".curves.csv"):
        rows = [line.split(b",") for line in whole.splitlines()]
        if b"seconds" in rows[0]:
            column = rows[0].index(b"seconds")
            return b"\n".join(b",".join(row[:column] + row[column + 1 :]) for row in rows)
    return _TIMES.sub(b"", whole)
