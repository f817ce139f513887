"""lcmap generalise: a minimum mapping unit, by block as of the whole, and polygons that fit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from scipy import ndimage
from small_labels import WriteLabels, label_writer
from support import Run

from lcmap.nomenclature import load_nomenclature
from lcmap.products import generalise, map_objects, outlines
from lcmap.products.dissolving import dissolve
from lcmap.raster.classes import read_class_table

FLAIR7 = load_nomenclature("flair7")
Lcmap = Callable[..., Run]


@pytest.fixture
def write(tmp_path: Path) -> WriteLabels:
    return label_writer(tmp_path)


def patches(shape: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """A map of patches and specks, with ground that has no class."""
    rng = np.random.default_rng(seed)
    noise = [ndimage.gaussian_filter(rng.normal(size=shape), 4) for _ in range(7)]
    codes = (1 + np.argmax(noise, axis=0)).astype(np.uint8)
    specks = rng.random(shape) < 0.05
    codes[specks] = rng.integers(1, 8, np.count_nonzero(specks))
    codes[shape[0] // 2 - 6 : shape[0] // 2, 10:40] = 0
    return codes


def codes_of(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        codes: NDArray[np.uint8] = dataset.read(1)
    return codes


def polygons_of(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    meta, _, geometries, columns = pyogrio.raw.read(path)
    return shapely.from_wkb(geometries), dict(zip(meta["fields"], columns, strict=True))


@pytest.mark.parametrize(("block", "margin"), [(32, 4), (50, 64), (2048, 64)])
def test_by_block_as_of_the_whole(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    block: int, margin: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(generalise, "BLOCK", block)
    monkeypatch.setattr(generalise, "_LEAST_MARGIN", margin)
    monkeypatch.setattr(generalise, "_MARGIN", 0)
    codes = patches((150, 180))
    made = write("map.tif", codes, classes=FLAIR7)
    # 100 pixels of 1 m²: the hundredth is enough
    run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 0.01)
    assert run.exit_code == 0, run.stderr
    assert "m²" in run.stderr
    expected = dissolve(codes, np.ones(150, np.int64), 100).codes
    assert np.array_equal(codes_of(tmp_path / "out.tif"), expected)
    assert np.count_nonzero(expected != codes) > 1000
    with rasterio.open(tmp_path / "out.tif") as dataset, rasterio.open(made) as source:
        assert read_class_table(dataset) == read_class_table(source)
        assert dataset.nodata == 0
        assert dataset.transform == source.transform
    assert (tmp_path / "out.qml").exists()
    assert (tmp_path / "out.tif.aux.xml").exists()


def test_no_style_is_that_of_map_and_polygons(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", patches((40, 40)), classes=FLAIR7)
    for vector, style in (("other.gpkg", True), ("out.gpkg", False), ("out.gpkg", False)):
        run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 0.01, "--vector",
                    tmp_path / vector, "--overwrite")  # fmt: skip
        assert run.exit_code == 0, run.stderr
        assert (tmp_path / "out.qml").exists() == style
        assert (tmp_path / "out.tif.aux.xml").exists()


def test_in_a_pipe(write: WriteLabels, tmp_path: Path) -> None:
    made = write("map.tif", patches((60, 70)), classes=FLAIR7)
    command = [sys.executable, "-m", "lcmap", "generalise", "-", "--mmu", "0.01", "--vector",
               tmp_path / "out.gpkg"]  # fmt: skip
    run = subprocess.run(command, input=made.read_bytes(), capture_output=True, check=True)
    (tmp_path / "out.tif").write_bytes(run.stdout)
    expected = dissolve(codes_of(made), np.ones(60, np.int64), 100).codes
    assert np.array_equal(codes_of(tmp_path / "out.tif"), expected)
    polygons, _ = polygons_of(tmp_path / "out.gpkg")
    assert shapely.area(polygons).sum() == np.count_nonzero(expected)


def test_a_map_of_codes_alone(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    codes = np.full((20, 20), 7, np.uint8)
    codes[5, 5:8], codes[10, 10] = 3, 255
    made = write("map.tif", codes, nodata=255)
    vector = tmp_path / "out.gpkg"
    run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 0.001, "--vector", vector)
    assert run.exit_code == 0, run.stderr
    expected = np.where(codes == 255, 0, 7)
    assert np.array_equal(codes_of(tmp_path / "out.tif"), expected)
    _, columns = polygons_of(vector)
    assert columns["class"].tolist() == ["7"]
    assert columns["area_m2"].tolist() == [399]


def test_the_classes_of_a_map_may_be_named(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", np.full((9, 9), 4, np.uint8))
    run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 0.001,
                "--nomenclature", "flair7")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "out.tif") as dataset:
        table = read_class_table(dataset)
    assert table is not None
    assert table.names[4] == FLAIR7[4].name


@pytest.mark.parametrize("block", [40, 64, 2048])
def test_polygons_fit_and_are_joined_over_blocks(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(map_objects, "BLOCK", block)
    made = write("map.tif", patches((150, 130), seed=1), classes=FLAIR7, gsd=2.0)
    percent = np.random.default_rng(0).integers(0, 101, (150, 130), np.uint8)
    confidence = write("conf.tif", percent, gsd=2.0)
    out, vector = tmp_path / "out.tif", tmp_path / "out.gpkg"
    run = lcmap("generalise", made, "-o", out, "--mmu", 0.04, "--vector", vector,
                "--confidence", confidence)  # fmt: skip
    assert run.exit_code == 0, run.stderr
    codes = codes_of(out)
    polygons, columns = polygons_of(vector)
    assert shapely.coverage_is_valid(polygons)
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == 4 * np.count_nonzero(codes)
    assert f"{len(polygons)} polygons" in run.stderr
    with rasterio.open(vector.with_name("out.tif")) as dataset:
        back = ~dataset.transform
    for polygon, code, name, area, hectares, mean in zip(
        polygons, *(columns[key].tolist() for key in columns), strict=True
    ):
        numbers, _ = ndimage.label(codes == code)
        point = polygon.representative_point()
        col, row = back @ (point.x, point.y)
        mask = numbers == numbers[int(row), int(col)]
        if codes[int(row), int(col)] != code:
            continue  # simplified away from the pixels there
        assert name == FLAIR7[code].name
        assert area == 4 * np.count_nonzero(mask) >= 400
        assert hectares == area / 10_000
        assert mean == pytest.approx(percent[mask & (percent > 0)].mean())


def test_outlines_without_simplification_are_the_map(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines, "TOLERANCE", 0.0)
    made = write("map.tif", patches((90, 100), seed=2), classes=FLAIR7)
    found = []
    for block in (32, 2048):
        monkeypatch.setattr(map_objects, "BLOCK", block)
        vector = tmp_path / f"{block}.gpkg"
        run = lcmap("generalise", made, "-o", tmp_path / f"{block}.tif", "--mmu", 0.002,
                    "--vector", vector)  # fmt: skip
        assert run.exit_code == 0, run.stderr
        polygons, columns = polygons_of(vector)
        with rasterio.open(tmp_path / f"{block}.tif") as dataset:
            burnt = rasterio.features.rasterize(
                zip(polygons, columns["code"], strict=True), dataset.shape, 0,
                transform=dataset.transform, dtype="uint8",
            )  # fmt: skip
            assert np.array_equal(burnt, dataset.read(1))
        found.append(sorted(shapely.to_wkb(shapely.normalize(shapely.simplify(polygons, 0)))))
    assert found[0] == found[1]


def test_the_same_map_makes_the_same_polygons(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", patches((60, 60)), classes=FLAIR7)
    for name in ("a", "b"):
        run = lcmap("generalise", made, "-o", tmp_path / f"{name}.tif", "--mmu", 0.01,
                    "--vector", tmp_path / f"{name}.gpkg")  # fmt: skip
        assert run.exit_code == 0, run.stderr
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_a_map_in_degrees_has_the_areas_of_the_ellipsoid(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    step = 1e-4
    codes = np.ones((40, 30), np.uint8)
    codes[:, 15:] = 2
    codes[10:13, 5:8], codes[20:24, 5:9] = 2, 3
    made = write("map.tif", codes, crs="EPSG:4326", classes=FLAIR7,
                 transform=rasterio.Affine(step, 0, 3.0, 0, -step, 45.0))  # fmt: skip
    pixel = abs(Geod(ellps="WGS84").polygon_area_perimeter(
        [3, 3 + step, 3 + step, 3], [45, 45, 45 - step, 45 - step])[0])  # fmt: skip
    vector = tmp_path / "out.gpkg"
    run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 10 * pixel / 1e4,
                "--vector", vector)  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert "ellipsoid" in run.stderr
    out = codes_of(tmp_path / "out.tif")
    assert (out[10:13, 5:8] == 1).all()  # 9 pixels
    assert (out[20:24, 5:9] == 3).all()  # 16 pixels
    polygons, columns = polygons_of(vector)
    geodesic = [abs(Geod(ellps="WGS84").geometry_area_perimeter(p)[0]) for p in polygons]
    assert columns["area_m2"] == pytest.approx(geodesic, rel=1e-6)


@pytest.mark.parametrize(("share", "kept"), [(0.97, True), (1.03, False)])
def test_the_unit_is_exact_for_pixels_of_centimetres(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, share: float, kept: bool
) -> None:
    """Where areas differ from row to row, as in degrees: 16 cm² have few thousandths of a m²."""
    codes = np.full((60, 60), 1, np.uint8)
    codes[20:40, 20:40] = 2
    high, wide = 0.04 / 111_147, 0.04 / 77_465  # at 46° N
    transform = rasterio.Affine(wide, 0, 3, 0, -high, 46)
    source = write("map.tif", codes, crs="EPSG:4326", transform=transform, classes=FLAIR7)
    pixel = abs(Geod(ellps="WGS84").polygon_area_perimeter(
        [3, 3 + wide, 3 + wide, 3], [46, 46, 46 - high, 46 - high]
    )[0])  # fmt: skip
    out = tmp_path / "out.tif"
    run = lcmap("generalise", source, "-o", out, "--mmu", f"{share * 400 * pixel / 1e4:.9f}")
    assert run.exit_code == 0, run.stderr
    assert (codes_of(out) == 2).any() == kept


def test_no_ground_with_a_class_makes_no_polygon(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path
) -> None:
    made = write("map.tif", np.zeros((9, 9), np.uint8), classes=FLAIR7)
    vector = tmp_path / "out.gpkg"
    run = lcmap("generalise", made, "-o", tmp_path / "out.tif", "--mmu", 1, "--vector", vector)
    assert run.exit_code == 0, run.stderr
    assert len(polygons_of(vector)[0]) == 0


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("--mmu 0", 2, "--mmu 0: is not an area; give hectares, as in 0.5"),
        ("--mmu nan", 2, "--mmu nan: is not an area"),
        ("--mmu 1000", 2, "give at most 105 hectares, or a coarser map"),
        ("--mmu 1 --confidence map.tif", 2, "--confidence: is of use to polygons alone"),
        ("--mmu 1 --vector out.shp", 2, "out.shp: is no GeoPackage"),
        ("--mmu 1 --vector there.gpkg", 73, "there.gpkg: exists already; --overwrite"),
        ("--mmu 1 --vector o.gpkg --confidence other.tif", 65, "is not on the grid of"),
        ("--mmu 1 --vector o.gpkg --confidence four.tif", 65, "is not one band of percentages"),
        ("--mmu 1 --nomenclature oso23", 65, "says that its classes are flair7, not oso23"),
        ("--mmu 1 --nomenclature nothing", 2, "no built-in nomenclature has this name"),
    ],
)
def test_refused(
    lcmap: Lcmap, write: WriteLabels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: str, exit_code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write("map.tif", np.ones((9, 9), np.uint8), classes=FLAIR7)
    write("other.tif", np.ones((9, 9), np.uint8), west=0)
    write("four.tif", np.ones((9, 9), np.int16))
    (tmp_path / "there.gpkg").touch()
    run = lcmap("generalise", "map.tif", "-o", "out.tif", *words.split())
    assert run.exit_code == exit_code, run.stderr
    assert said in run.stderr
    assert not (tmp_path / "out.tif").exists()
    assert not (tmp_path / "o.gpkg").exists()


def test_what_is_no_map_is_refused(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    for made, said in (
        (write("far.tif", np.full((9, 9), 300, np.int16)), "not label codes (0 to 255): 300"),
        (write("nowhere.tif", np.ones((9, 9), np.uint8), crs=None), "no coordinate reference"),
        (write("code.tif", np.full((9, 9), 9, np.uint8), classes=FLAIR7), "does not have: 9"),
    ):
        run = lcmap("generalise", made, "-o", out, "--mmu", 1)
        assert run.exit_code == 65
        assert said in run.stderr
    run = lcmap("generalise", made, "-o", made, "--mmu", 1, "--overwrite")
    assert run.exit_code == 2
    assert "is one of the inputs" in run.stderr


def test_class_names_that_a_map_lost(lcmap: Lcmap, write: WriteLabels, tmp_path: Path) -> None:
    codes = patches((40, 50))
    named = write("named.tif", codes, classes=FLAIR7)
    bare = write("bare.tif", codes)
    unsaid = f"warning: {bare}: does not say what its codes mean, so they stay without names; "
    words = ("--mmu", 0.002, "--overwrite", "-o", tmp_path / "out.tif")
    run = lcmap("generalise", bare, *words)
    assert run.exit_code == 0 and f"{unsaid}--nomenclature says it\n" in run.stderr
    assert lcmap("generalise", named, "-o", tmp_path / "whole.tif", "--mmu", 0.002).exit_code == 0
    # its sidecar says them, and so does that of a map that has names but no colours
    shutil.copy(tmp_path / "whole.tif.aux.xml", f"{bare}.aux.xml")
    with rasterio.open(tmp_path / "whole.tif") as dataset:
        whole, tags = read_class_table(dataset), dataset.tags()
    own = {key: tags[key] for key in ("LCMAP_CLASSES", "LCMAP_ACRONYMS")}
    for more in ({}, own, own | {"LCMAP_NOMENCLATURE": "flair7"}):
        with rasterio.open(bare, "r+") as dataset:
            dataset.update_tags(**more)
        run = lcmap("generalise", bare, *words)
        assert run.exit_code == 0 and "warning" not in run.stderr
        with rasterio.open(tmp_path / "out.tif") as dataset:
            found = read_class_table(dataset)
        assert found is not None and whole is not None
        assert (found.names, found.colors) == (whole.names, whole.colors)
    # colours that nothing says are others, no two alike
    with rasterio.open(bare, "r+") as dataset:
        dataset.update_tags(LCMAP_NOMENCLATURE="mine")
    Path(f"{bare}.aux.xml").unlink()
    run = lcmap("generalise", bare, *words)
    assert run.exit_code == 0 and "warning: class names in the raster's tags: the" in run.stderr
    with rasterio.open(tmp_path / "out.tif") as dataset:
        found = read_class_table(dataset)
    assert found is not None and found.names == whole.names
    assert len(set(found.colors.values())) == 7
