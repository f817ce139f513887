"""Small files by the names that the documents use, made from the data in examples/data."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import rasterio.warp
import rasterio.windows
import shapely
import small_sentinel2
from small_dimap import write_dimap
from small_model import write_small_model
from small_sample import filled_in
from support import EXAMPLE_DATA, PROJECT, run_lcmap

DAYS = ("2018-07-05", "2018-07-15")
TRAINED_SMALL = ("--epochs", 1, "--width", 2, "--depth", 3, "--batch-size", 1)
FOREST = {
    "conifer": "Forêt fermée de conifères",
    "broadleaf": "Bois",
    "brushwood": "Lande ligneuse",
}
RPG_GROUPS = {"grass": "18", "crop": "1"}


@pytest.fixture(scope="session")
def given_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user of the documents has before the first command, in a folder."""
    folder = tmp_path_factory.mktemp("given")
    for name, file in (
        ("spot", "rgbn"),
        ("s2", "coarse"),
        ("oso", "oso_like"),
        ("flair", "labels"),
    ):
        shutil.copy(EXAMPLE_DATA / f"suburb_{file}.tif", folder / f"{name}.tif")
    write_bdtopo(folder / "bdtopo.gpkg")
    write_rpg(folder / "rpg.gpkg")
    write_communes(folder / "communes.gpkg", "nom")
    write_communes(folder / "sheets.gpkg", "name")
    write_scenes(folder)
    write_sentinel2(folder)
    write_dates(folder)
    write_panchromatic(folder)
    for kind in ("MS", "P"):
        write_dimap(folder, kind)
    (folder / "examples").symlink_to(PROJECT / "examples")
    return folder


@pytest.fixture(scope="session")
def prepared_files(given_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's chain makes before a map is made, with a model of random weights."""
    folder = tmp_path_factory.mktemp("prepared")
    spot, ref = folder / "spot.tif", folder / "ref.tif"
    shutil.copytree(given_files, folder, symlinks=True, dirs_exist_ok=True)
    succeed(
        "rasterize-ref", EXAMPLE_DATA / "reference.gpkg", "--like", spot, "-o", ref,
        "--rules", PROJECT / "examples" / "reference-flair7.toml",
    )  # fmt: skip
    for name in ("maps", "labels"):
        (folder / name).mkdir()
        shutil.copy(ref, folder / name / "suburb.tif")
    shutil.copy(ref, folder / "last.tif")
    prepare(folder, "spot", spot, [])
    write_small_model(folder / "model.onnx")
    succeed("sample", ref, "-o", folder / "drawn.gpkg", "--size", 400)
    with rasterio.open(ref) as dataset:
        filled_in(
            folder / "drawn.gpkg", folder / "interpreted.gpkg", dataset.read(1), dataset.transform
        )
    (folder / "drawn.gpkg").unlink()
    return folder


@pytest.fixture(scope="session")
def trained_files(prepared_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a trained model, one of Sentinel-2, and the tiles of both sensors together; a
    folder has those of three zones."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(prepared_files, folder, symlinks=True, dirs_exist_ok=True)
    (folder / "model.onnx").unlink()
    prepare(folder, "s2", folder / "s2.tif", ["--like", folder / "spot.tif"])
    prepare(folder, "both", folder / "spot.tif", ["--side", folder / "s2.tif"])
    (folder / "zones").mkdir()
    for zone in ("suburb", "vineyards", "lagoon"):
        succeed(
            "prepare", EXAMPLE_DATA / f"{zone}_rgbn.tif",
            "--labels", EXAMPLE_DATA / f"{zone}_labels.tif", "--crosswalk", "flair19:flair7",
            "--tiles", folder / "zones" / f"{zone}.tiles.geojson",
            "-o", folder / "zones" / f"{zone}.stack.tif",
        )  # fmt: skip
    for tiles, model in (("spot", "model"), ("s2", "s2")):
        succeed(
            "train", folder / f"{tiles}.tiles.geojson", "-o", folder / f"{model}.onnx",
            *TRAINED_SMALL,
        )  # fmt: skip
    return folder


def prepare(folder: Path, name: str, image: Path, options: Sequence[object]) -> None:
    """Run lcmap prepare with the labels in a folder, writing NAME.stack.tif and its tiles there."""
    succeed(
        "prepare", image, *options, "--labels", folder / "ref.tif",
        "--tiles", folder / f"{name}.tiles.geojson", "-o", folder / f"{name}.stack.tif",
    )  # fmt: skip


def succeed(*words: object) -> None:
    """Run lcmap, which must succeed."""
    run = run_lcmap(*words)
    assert run.exit_code == 0, run.stderr


def write_bdtopo(path: Path) -> None:
    """Write layers with the names and attributes of BD TOPO v3."""
    buildings, _ = features("building")
    write_layer(path, "batiment", buildings, {"usage_1": ["Résidentiel"] * len(buildings)})
    roads, _ = features("road_and_paved")
    lines = [shapely.LineString(shapely.minimum_rotated_rectangle(r).exterior) for r in roads]
    write_layer(path, "troncon_de_route", lines, {"nature": ["Route à 1 chaussée"] * len(lines)})
    water, _ = features("water")
    write_layer(path, "surface_hydrographique", water, {"persistance": ["Permanent"] * len(water)})
    plants, natures = features("vegetation")
    forest = [n in FOREST for n in natures]
    write_layer(
        path, "zone_de_vegetation", plants[forest],
        {"nature": [FOREST[n] for n in natures if n in FOREST]},
    )  # fmt: skip


def write_rpg(path: Path) -> None:
    """Write parcels with the attributes of RPG."""
    plants, natures = features("vegetation")
    parcels = plants[[n in RPG_GROUPS for n in natures]]
    groups = [RPG_GROUPS[n] for n in natures if n in RPG_GROUPS]
    write_layer(path, "parcelles_graphiques", parcels, {"code_group": groups})


def write_communes(path: Path, field: str) -> None:
    """Write two zones on the ground of the example, named by a field."""
    plants, _ = features("vegetation")
    west, south, east, north = shapely.total_bounds(plants)
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    write_layer(path, "communes", halves, {field: ["Ouest", "Est"]})


def features(layer: str) -> tuple[np.ndarray, list[str]]:
    """Return the polygons of a layer of the shipped reference, and their nature."""
    source = EXAMPLE_DATA / "reference.gpkg"
    _, _, geometry, (nature,) = pyogrio.raw.read(source, layer=layer, columns=["nature"])
    return shapely.from_wkb(geometry), list(nature)


def write_layer(
    path: Path, layer: str, shapes: Sequence[shapely.Geometry], fields: dict[str, list[str]]
) -> None:
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes)),
        [np.array(values, object) for values in fields.values()],
        list(fields),
        layer=layer,
        geometry_type=shapes[0].geom_type,
        crs="EPSG:2154",
        driver="GPKG",
        append=path.exists(),
    )


def write_sentinel2(folder: Path) -> None:
    """Write two products of ESA and one of THEIA over the ground of spot.tif."""
    with rasterio.open(folder / "spot.tif") as dataset:
        left, _, _, top = rasterio.warp.transform_bounds(
            dataset.crs, f"EPSG:{small_sentinel2.EPSG}", *dataset.bounds
        )
    corner = (left // 10 * 10 - 200, top // 10 * 10 + 200)
    for day in DAYS:
        small_sentinel2.write_l2a(folder, day=day, corner=corner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_sentinel2, "CORNER", corner)
        small_sentinel2.write_theia(folder, day=DAYS[0])


def write_dates(folder: Path) -> None:
    """Write copies of s2.tif as dates of two years, in a folder of each."""
    for name, days in (("s2", ("2018-04-20", "2018-07-05")), ("s2-2019", ("2019-06-01",))):
        (folder / name).mkdir()
        for day in days:
            shutil.copy(folder / "s2.tif", folder / name / f"s2_{day}.tif")


def write_scenes(folder: Path) -> None:
    """Write two halves of spot.tif that overlap, of different days."""
    (folder / "scenes").mkdir()
    with rasterio.open(folder / "spot.tif") as dataset:
        third = dataset.width // 3
        for day, col in zip(DAYS, (0, third), strict=True):
            window = rasterio.windows.Window(col, 0, 2 * third, dataset.height)
            place = dataset.transform @ rasterio.Affine.translation(col, 0)
            profile = dataset.profile | {"width": 2 * third, "transform": place}
            with rasterio.open(folder / "scenes" / f"spot_{day}.tif", "w", **profile) as scene:
                scene.write(dataset.read(window=window))
                scene.descriptions = dataset.descriptions


def write_panchromatic(folder: Path) -> None:
    """Write the mean of spot.tif's bands as a panchromatic image, and its bands at 3.2 m."""
    with rasterio.open(folder / "spot.tif") as dataset:
        pixels, profile = dataset.read(), dataset.profile
    with rasterio.open(folder / "spot-pan.tif", "w", **profile | {"count": 1}) as dataset:
        dataset.write(pixels.mean(axis=0, keepdims=True).astype("uint8"))
    bands, height, width = pixels.shape
    coarse = pixels.reshape(bands, height // 4, 4, width // 4, 4).mean(axis=(2, 4)).astype("uint8")
    place = profile["transform"] @ rasterio.Affine.scale(4)
    size = {"height": height // 4, "width": width // 4, "transform": place}
    with rasterio.open(folder / "spot-ms.tif", "w", **profile | size) as dataset:
        dataset.write(coarse)


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a shell in which lcmap, python and pytest are those that run the tests."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
