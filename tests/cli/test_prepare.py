"""lcmap prepare, run as a user would; then its outputs are opened."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform
from support import EXAMPLE_DATA, Run, known_colors, write_raster

from lcmap.dataset.class_shares import class_counts
from lcmap.dataset.reading import IGNORE, TileReader
from lcmap.dataset.tile_index import read_tile_index
from lcmap.nomenclature import load_crosswalk
from lcmap.raster.classes import qml_style, read_class_table
from lcmap.raster.opening import open_raster, read_valid
from lcmap.raster.quantile_tags import read_quantiles
from lcmap.raster.windows import Window

Lcmap = Callable[..., Run]
SHAPE = (150, 100)


def noise(bands: int = 4, dtype: str = "uint8") -> NDArray[Any]:
    return np.random.default_rng(2).integers(0, 250, (bands, *SHAPE)).astype(dtype)


def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 20, (1, *SHAPE)).astype("uint8")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "image.tif", noise(), names=("red", "green", "blue", "nir"))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "flair.tif", codes(), nodata=0)


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def check_refused(run: Run, code: int, says: str, folder: Path, *kept: str) -> None:
    """The exit code, one line on standard error, and nothing left of the outputs."""
    assert run.exit_code == code, run.stderr
    assert says in run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("lcmap: ")
    assert not [p.name for p in folder.iterdir() if p.name not in kept]


def test_stack_is_the_image_with_its_quantiles(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "-o", out)
    assert run.exit_code == 0
    assert "4 bands (red, green, blue, nir), uint8, 100 × 150 px, 100 % valid" in run.stdout
    with open_raster(out) as dataset:
        assert np.array_equal(dataset.read(), noise())
        assert dataset.descriptions == ("red", "green", "blue", "nir")
        assert dataset.nodata is None
        assert read_valid(dataset, Window(0, 0, *SHAPE)).all()
        assert dataset.profile["tiled"]
        quantiles = read_quantiles(dataset)
    expected = np.quantile(noise().reshape(4, -1), (0.02, 0.98), axis=1).T
    assert quantiles is not None
    assert np.array_equal(quantiles, expected)


def test_bands_grids_and_names(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    coarse = write_raster(
        tmp_path / "coarse.tif", np.full((2, 15, 10), 700, "uint16"), pixel=8.0, names=("B5", "B6")
    )
    out = tmp_path / "out.tif"
    arguments = ["--bands", "nir,B6,1", "--band-names", "a,b,c"]
    run = lcmap("prepare", image, coarse, *arguments, "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == ("a", "b", "c")
        assert dataset.dtypes == ("uint16",) * 3
        assert np.array_equal(dataset.read([1, 3]), noise()[[3, 0]])
        assert (dataset.read(2) == 700).all()


def test_like_brings_onto_another_grid(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    like = write_raster(tmp_path / "like.tif", np.zeros((1, 75, 50), "uint8"), pixel=1.6)
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--like", like, "--resampling", "average", "-o", out)
    assert run.exit_code == 0
    means = noise().reshape(4, 75, 2, 50, 2).mean(axis=(2, 4))
    assert np.abs(read(out) - means).max() <= 0.5


def test_another_crs_is_reprojected_to_the_right_place(lcmap: Lcmap, tmp_path: Path) -> None:
    """The image holds its own pixels' coordinates, in metres from a point: an oracle anywhere."""
    rows, cols = np.mgrid[0:200, 0:200] + 0.5
    east, north = 522_000.0, 4_800_000.0
    values = np.stack([cols * 5.0, rows * -5.0]).astype("float32")
    image = write_raster(tmp_path / "i.tif", values, epsg=32631, corner=(east, north), pixel=5.0)
    (x,), (y,) = transform("EPSG:32631", "EPSG:2154", [east + 500], [north - 500])
    like = write_raster(
        tmp_path / "like.tif", np.ones((1, 60, 70), "uint8"), corner=(x - 100, y + 100), pixel=3.0
    )
    out = tmp_path / "out.tif"
    assert lcmap("prepare", image, "--like", like, "-o", out).exit_code == 0
    with rasterio.open(out) as dataset:
        assert dataset.crs.to_epsg() == 2154
        xs, ys = dataset.transform @ (np.mgrid[0:60, 0:70][::-1] + 0.5)
        found = dataset.read()
    eastings, northings = transform("EPSG:2154", "EPSG:32631", xs.ravel(), ys.ravel())
    expected = np.stack([np.array(eastings) - east, np.array(northings) - north])
    np.testing.assert_allclose(found.reshape(2, -1), expected, atol=2e-3)


def test_bands_that_make_a_picture_and_overviews(lcmap: Lcmap, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (4, 600, 700), "uint8")
    image = write_raster(tmp_path / "image.tif", pixels, names=["red", "green", "blue", "nir"])
    labels = write_raster(tmp_path / "codes.tif", np.kron(codes()[:, :30, :35], np.ones((20, 20))
        ).astype("uint8"))  # fmt: skip
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--labels", labels, "--nomenclature", "flair19", "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        shown = [color.name for color in dataset.colorinterp]
        assert shown == known_colors("red green blue nir")
        assert dataset.overviews(1) == [2]
        np.testing.assert_array_equal(dataset.read(), pixels)
    with rasterio.open(out, overview_level=0) as reduced:
        averages = pixels.reshape(4, 300, 2, 350, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(reduced.read(), averages, atol=0.5)
    with rasterio.open(out.with_name("out.labels.tif"), overview_level=0) as reduced:
        assert np.array_equal(reduced.read(), read(labels)[:, ::2, ::2])
    run = lcmap("prepare", image, "--band-names", "u,v,w,alpha", "-o", out, "--overwrite")
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        assert [color.name for color in dataset.colorinterp] == ["gray"] + ["undefined"] * 3


def test_gdal_says_nothing_of_a_stack_with_a_mask(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (4, 1100, 1300), "uint8")
    seen = np.arange(1100 * 1300).reshape(1100, 1300) > 50_000
    image = write_raster(tmp_path / "image.tif", pixels, mask=seen)
    out = tmp_path / "out.tif"
    command = [sys.executable, "-m", "lcmap", "prepare", image, "-o", out, "--overwrite", "-q"]
    for _ in range(3):  # threads raced in two runs of three
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert run.stderr == ""
    with rasterio.open(out) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, seen)
        np.testing.assert_array_equal(dataset.read()[:, seen], pixels[:, seen])
    with rasterio.open(out, overview_level=0) as reduced:
        shown = seen.reshape(550, 2, 650, 2).any(axis=(1, 3))
        np.testing.assert_array_equal(reduced.dataset_mask() > 0, shown)


def test_labels_and_tiles(lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path) -> None:
    out, index_path = tmp_path / "made" / "stack.tif", tmp_path / "tiles" / "x.tiles.geojson"
    out.parent.mkdir()
    index_path.parent.mkdir()
    run = lcmap(
        "prepare", image, "--labels", labels, "--crosswalk", "flair19:flair7", "--tiles",
        index_path, "--tile-size", 32, "--gap", 8, "--block-tiles", 1, "--seed", 5, "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    crosswalk = load_crosswalk("flair19:flair7")
    expected = crosswalk.apply(codes()[0])
    with open_raster(out.with_name("stack.labels.tif")) as dataset:
        assert np.array_equal(dataset.read(1), expected)
        assert dataset.nodata == 0
        table = read_class_table(dataset)
    assert table == crosswalk.target.class_table()
    assert out.with_name("stack.labels.qml").read_text("utf-8") == qml_style(table)
    assert out.with_name("stack.labels.tif.aux.xml").exists()
    index = read_tile_index(index_path)
    assert (index.tile_size, index.gap, index.seed, index.split_method) == (32, 8, 5, "blocks")
    assert index.nomenclature == crosswalk.target
    assert {tile.split for tile in index.tiles} == {"train", "validation", "test"}
    tested = np.zeros(SHAPE, bool)
    trained = np.zeros(SHAPE, bool)
    with TileReader(index.nomenclature) as reader:
        for tile in index.tiles:
            here = expected[tile.window.slices]
            assert tile.class_counts == {c: n for c in range(1, 8) if (n := int((here == c).sum()))}
            assert tile.labelled_share == pytest.approx((here > 0).mean(), abs=1e-6)
            sample = reader.read(tile)
            assert np.array_equal(sample.image, noise()[:, *tile.window.slices])
            assert sample.labels is not None
            assert np.array_equal(sample.labels == IGNORE, here == 0)
            (tested if tile.split == "test" else trained)[tile.window.slices] = True
    grown = np.zeros(SHAPE, bool)
    for row, col in np.argwhere(tested):
        grown[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9] = True
    assert trained.any()
    assert not (trained & grown).any()
    counts = class_counts(index.tiles, crosswalk.target)
    assert 0 < counts.sum() < (expected > 0).sum()


def test_labels_of_invalid_pixels_do_not_count(lcmap: Lcmap, labels: Path, tmp_path: Path) -> None:
    values = noise(1, "int16")
    values[0, :70] = -1
    image = write_raster(tmp_path / "image.tif", values, nodata=-1)
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--labels", labels, "--nomenclature", "flair19", "-o", out)
    assert run.exit_code == 0
    expected = codes()
    expected[:, :70] = 0
    assert np.array_equal(read(tmp_path / "out.labels.tif"), expected)


def test_tiles_without_labels_are_split_by_area(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    index_path = tmp_path / "x.tiles.geojson"
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--tiles", index_path, "--tile-size", 25, "--gap", 5, "-o", out)
    assert run.exit_code == 0
    index = read_tile_index(index_path)
    assert index.nomenclature is None
    assert {tile.split for tile in index.tiles} == {"train", "validation", "test"}
    assert {(tile.labels, tile.labelled_share) for tile in index.tiles} == {(None, 0.0)}


def test_random_split_has_no_gap(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    index_path = tmp_path / "x.tiles.geojson"
    run = lcmap(
        "prepare", image, "--tiles", index_path, "--tile-size", 20, "--split", "random",
        "-o", tmp_path / "out.tif",
    )  # fmt: skip
    assert run.exit_code == 0
    index = read_tile_index(index_path)
    assert sum(t.window.height * t.window.width for t in index.tiles) == SHAPE[0] * SHAPE[1]
    assert [len(index.split(s)) for s in ("train", "validation", "test")] == [24, 8, 8]


def test_tiles_and_splits_of_another_index(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.geojson", tmp_path / "second.geojson"
    run = lcmap(
        "prepare", image, "--labels", labels, "--nomenclature", "flair19", "--tiles", first,
        "--tile-size", 32, "--gap", 8, "--block-tiles", 1, "--seed", 5, "-o", tmp_path / "a.tif",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    coarse = write_raster(tmp_path / "coarse.tif", noise()[:, :12, :8], pixel=10.0)
    run = lcmap(
        "prepare", coarse, "--like", image, "--labels", labels, "--crosswalk", "flair19:flair7",
        "--tiles", second, "--tiles-like", first, "-o", tmp_path / "b.tif",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    taken, index = read_tile_index(first), read_tile_index(second)
    assert [(t.window, t.split) for t in index.tiles] == [(t.window, t.split) for t in taken.tiles]
    assert {tile.image.name for tile in index.tiles} == {"b.tif"}
    assert (index.tile_size, index.gap, index.seed, index.split_method) == (32, 8, 5, "blocks")
    for tile in index.tiles:
        here = read(tmp_path / "b.labels.tif")[0][tile.window.slices]
        assert tile.class_counts == {c: n for c in range(1, 8) if (n := int((here == c).sum()))}


def test_tiles_of_another_grid_are_refused(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    index = tmp_path / "first.geojson"
    run = lcmap(
        "prepare", image, "--tiles", index, "--tile-size", 32, "--gap", 8, "-o", tmp_path / "a.tif"
    )
    assert run.exit_code == 0, run.stderr
    coarse = write_raster(tmp_path / "coarse.tif", noise()[:, :12, :8], pixel=10.0)
    run = lcmap(
        "prepare", coarse, "--tiles", tmp_path / "second.geojson", "--tiles-like", index,
        "-o", tmp_path / "b.tif",
    )  # fmt: skip
    kept = (
        image.name,
        labels.name,
        "a.tif",
        ".a.tif.lcmap-made",
        "coarse.tif",
        index.name,
        "first.qml",
    )
    check_refused(
        run, 65, "has the tiles of another grid than the stack's; --like ", tmp_path, *kept
    )


def test_index_without_tiles_gives_none(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    index = tmp_path / "first.geojson"
    run = lcmap("prepare", image, "--tiles", index, "-o", tmp_path / "a.tif")
    assert run.exit_code == 0, run.stderr
    document = json.loads(index.read_text())
    index.write_text(json.dumps(document | {"features": []}))
    arguments = ("--tiles", tmp_path / "t.geojson", "--tiles-like", index, "-o", tmp_path / "b.tif")
    run = lcmap("prepare", image, *arguments)
    kept = (image.name, labels.name, "a.tif", ".a.tif.lcmap-made", index.name, "first.qml")
    check_refused(run, 65, "is of 0 images; name the index of one image", tmp_path, *kept)


def test_same_seed_gives_the_same_files(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    outcomes = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        run = lcmap(
            "prepare", image, "--labels", labels, "--crosswalk", "flair19:flair7", "--tiles",
            folder / "t.geojson", "--tile-size", 32, "-o", folder / "out.tif",
        )  # fmt: skip
        assert run.exit_code == 0
        outcomes.append({p.name: p.read_bytes() for p in folder.glob("[!.]*")})
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (77, 1), (5, 300), (255, 257)])
def test_any_size_works(lcmap: Lcmap, tmp_path: Path, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(6)
    image = write_raster(tmp_path / "i.tif", random.integers(0, 99, (2, *shape)).astype("uint16"))
    labels = write_raster(tmp_path / "l.tif", random.integers(1, 19, (1, *shape)).astype("uint8"))
    out = tmp_path / "out.tif"
    run = lcmap(
        "prepare", image, "--labels", labels, "--crosswalk", "flair19:flair7", "--tiles",
        tmp_path / "t.geojson", "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(read(out), read(image))
    index = read_tile_index(tmp_path / "t.geojson")
    covered = np.zeros(shape, int)
    for tile in index.tiles:
        covered[tile.window.slices] += 1
    assert covered.max() == 1
    assert index.split("train")


def test_mask_lies_in_the_file_itself(lcmap: Lcmap, tmp_path: Path) -> None:
    image = write_raster(tmp_path / "image.tif", noise(1))
    like = write_raster(tmp_path / "like.tif", noise(1), corner=(721_144.0, 6_249_288.0))
    out = tmp_path / "out.tif"
    assert lcmap("prepare", image, "--like", like, "-o", out).exit_code == 0
    assert {p.name for p in tmp_path.glob("[!.]*")} == {"image.tif", "like.tif", "out.tif"}
    with open_raster(out) as dataset:
        valid = read_valid(dataset, Window(0, 0, *SHAPE))
        assert np.array_equal(dataset.read()[0, valid], noise(1)[0, :, 50:].ravel())
        quantiles = read_quantiles(dataset)
    assert valid[:, :50].all()
    assert not valid[:, 50:].any()
    assert quantiles is not None
    assert quantiles[0].tolist() == np.quantile(noise(1)[0, :, 50:], (0.02, 0.98)).tolist()


@pytest.mark.parametrize("option", [(), ("--quantiles-of",)])
def test_complex_numbers_are_refused(lcmap: Lcmap, tmp_path: Path, option: tuple[str, ...]) -> None:
    path = write_raster(tmp_path / "radar.tif", noise(1).astype("complex64"))
    run = lcmap("prepare", *option, path, "-o", tmp_path / "out")
    assert run.exit_code == 65
    assert run.stderr == f"lcmap: {path}: has complex64 values; give real numbers\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["prepare", "stac"])
def test_complex_integers_are_refused_wherever_they_are_opened(
    lcmap: Lcmap, tmp_path: Path, command: str
) -> None:
    """No array holds GDAL's CInt16."""
    path = tmp_path / "radar.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="complex_int16", count=1, height=9, width=9,
        crs="EPSG:2154", transform=Affine(1.5, 0, 7e5, 0, -1.5, 66e5),
    ):  # fmt: skip
        pass
    run = lcmap(command, path, "-o", tmp_path / "out")
    assert run.exit_code == 65
    assert run.stderr == f"lcmap: {path}: has complex_int16 values; give real numbers\n"


def test_bands_with_nodata_values_of_their_own_are_refused(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><NoDataValue>{nodata}</NoDataValue>'
        f"<SimpleSource><SourceFilename>{image}</SourceFilename><SourceBand>{i}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
        for i, nodata in ((1, 7), (2, 9))
    )
    with rasterio.open(image) as dataset:
        place = ", ".join(map(str, dataset.transform.to_gdal()))
    (tmp_path / "two.vrt").write_text(
        f'<VRTDataset rasterXSize="{SHAPE[1]}" rasterYSize="{SHAPE[0]}"><SRS>EPSG:2154</SRS>'
        f"<GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>"
    )
    out = tmp_path / "out.tif"
    run = lcmap("prepare", tmp_path / "two.vrt", "--allow-vrt", "-o", out)
    assert run.exit_code == 65 and "different nodata values: 7.0, 9.0" in run.stderr
    assert not out.exists()


def test_floats_with_nan_keep_exact_quantiles(lcmap: Lcmap, tmp_path: Path) -> None:
    values = np.random.default_rng(8).normal(0, 1e3, (2, *SHAPE)).astype("float32")
    values[0, :20] = np.nan
    image = write_raster(tmp_path / "image.tif", values)
    out = tmp_path / "out.tif"
    assert lcmap("prepare", image, "-o", out).exit_code == 0
    with open_raster(out) as dataset:
        assert np.isnan(dataset.nodata)
        quantiles = read_quantiles(dataset)
    expected = np.quantile(values[:, 20:].reshape(2, -1).astype(float), (0.02, 0.98), axis=1).T
    assert quantiles is not None
    np.testing.assert_allclose(quantiles, expected, rtol=1e-14)


def test_fourth_band_marked_as_transparency_can_be_named(lcmap: Lcmap, tmp_path: Path) -> None:
    image = write_raster(tmp_path / "i.tif", noise(), photometric="RGB", alpha="YES")
    out = tmp_path / "out.tif"
    for arguments in (["--band-names", "r,g,b,nir"], ["--bands", "1,2,3,4"]):
        assert lcmap("prepare", image, *arguments, "--overwrite", "-o", out).exit_code == 0
        assert np.array_equal(read(out), noise())
    run = lcmap("prepare", image, "--overwrite", "-o", out)
    assert read(out).shape[0] == 3
    assert "band 4 is marked as transparency and taken for a mask" in run.stderr


LCMAP = [sys.executable, "-c", "from lcmap.cli import main; main()"]


@pytest.mark.parametrize("piped", ["cat image.tif | {lcmap} prepare - | cat > out.tif",
                                   "{lcmap} prepare - < image.tif > out.tif",
                                   "{lcmap} prepare image.tif > out.tif"])  # fmt: skip
def test_pipes(image: Path, tmp_path: Path, piped: str) -> None:
    command = piped.format(lcmap=f"{LCMAP[0]} -c '{LCMAP[2]}'")
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert np.array_equal(dataset.read(), noise())
        assert read_quantiles(dataset) is not None


def write_pair(folder: Path) -> tuple[Path, Path]:
    """A panchromatic image and bands of 4 × 4 of its pixels, lit alike."""
    rows, cols = np.mgrid[0:32, 0:24]
    bands = np.stack(
        [100 + 50 * np.sin(rows / (9 - k)) + 30 * np.cos(cols / 7 + k) for k in range(4)]
    )
    bands = bands.astype("uint8")
    ms = write_raster(folder / "ms.tif", bands, pixel=6.0, names=("red", "green", "blue", "nir"))
    grey = bands.repeat(4, 1).repeat(4, 2).mean(axis=0, keepdims=True) * 9
    grey += np.random.default_rng(5).integers(0, 300, grey.shape)
    return write_raster(folder / "pan.tif", grey.astype("uint16"), pixel=1.5), ms


def test_pan_sharpens_onto_its_grid_with_all_the_rest(lcmap: Lcmap, tmp_path: Path) -> None:
    pan, ms = write_pair(tmp_path)
    labels = write_raster(tmp_path / "l.tif", np.full((1, 64, 48), 5, "uint8"), pixel=3.0)
    out = tmp_path / "out.tif"
    run = lcmap(
        "prepare", ms, "--pan", pan, "--bands", "nir,1", "--band-names", "a,b", "--labels", labels,
        "--nomenclature", "flair7", "--tiles", tmp_path / "t.geojson", "--tile-size", 32,
        "--gap", 0, "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    with open_raster(out) as dataset, rasterio.open(pan) as fine:
        assert (dataset.shape, dataset.transform) == (fine.shape, fine.transform)
        assert dataset.descriptions == ("a", "b")
        assert dataset.dtypes == ("uint8", "uint8")
        image, grey = dataset.read().astype(float), fine.read(1).astype(float)
        quantiles = read_quantiles(dataset)
    with rasterio.open(ms) as dataset:
        coarse = dataset.read([4, 1]).astype(float)
    expected = np.quantile(image.reshape(2, -1), (0.02, 0.98), axis=1).T
    assert quantiles is not None
    assert np.array_equal(quantiles, expected)
    cells = image.reshape(2, 32, 4, 24, 4)
    assert np.abs(cells.mean(axis=(2, 4)) - coarse).mean() < 2
    detail = cells - cells.mean(axis=(2, 4), keepdims=True)
    fine_cells = grey.reshape(32, 4, 24, 4)
    fine_detail = fine_cells - fine_cells.mean(axis=(1, 3), keepdims=True)
    for band in detail:
        assert np.corrcoef(band.ravel(), fine_detail.ravel())[0, 1] > 0.7
    assert read(out.with_name("out.labels.tif")).shape == (1, 128, 96)
    assert {tile.window.height for tile in read_tile_index(tmp_path / "t.geojson").tiles} == {32}


@pytest.mark.parametrize("piped", ["prepare - --pan pan.tif < ms.tif > piped.tif",
                                   "prepare ms.tif --pan - < pan.tif > piped.tif"])  # fmt: skip
def test_pan_in_pipes(lcmap: Lcmap, tmp_path: Path, piped: str) -> None:
    pan, ms = write_pair(tmp_path)
    assert lcmap("prepare", ms, "--pan", pan, "-o", tmp_path / "out.tif").exit_code == 0
    command = f"{LCMAP[0]} -c '{LCMAP[2]}' {piped}"
    run = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert np.array_equal(read(tmp_path / "piped.tif"), read(tmp_path / "out.tif"))


@pytest.mark.parametrize(
    ("image", "pan", "arguments", "code", "says"),
    [
        ("pan.tif", "ms.tif", [], 65, "ms.tif: has 4 bands, a panchromatic image has one; name"),
        ("pan.tif", "one.tif", [], 65, "one.tif: does not have finer pixels than"),
        ("far.tif", "pan.tif", [], 65, "far.tif: covers no ground of"),
        ("-", "-", [], 2, "standard input: can be one input only"),
        ("ms.tif", "pan.tif", ["--like", "ms.tif"], 2, "--like: goes without --pan, whose grid"),
        ("ms.tif", "none.tif", [], 66, "none.tif: no such file"),
    ],
)
def test_pan_that_cannot_sharpen(
    lcmap: Lcmap,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    pan: str,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pair(tmp_path)
    write_raster(tmp_path / "one.tif", np.ones((1, 32, 24), "uint8"), pixel=6.0)
    write_raster(tmp_path / "far.tif", noise(), pixel=6.0, corner=(1e5, 6e6))
    run = lcmap("prepare", image, "--pan", pan, *arguments, "-o", tmp_path / "out.tif")
    check_refused(run, code, says, tmp_path, "pan.tif", "ms.tif", "one.tif", "far.tif")


def test_missing_file(lcmap: Lcmap, tmp_path: Path) -> None:
    run = lcmap("prepare", tmp_path / "none.tif", "-o", tmp_path / "out.tif")
    check_refused(run, 66, "none.tif: no such file", tmp_path)


def test_file_that_is_no_raster(lcmap: Lcmap, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    run = lcmap("prepare", tmp_path / "text.tif", "-o", tmp_path / "out.tif")
    check_refused(run, 65, "text.tif: cannot be opened as a raster", tmp_path, "text.tif")


def test_truncated_file(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    stack = tmp_path / "stack.tif"
    lcmap("prepare", image, "-o", stack)
    for path in (image, stack):
        path.write_bytes(path.read_bytes()[:-5000])
        run = lcmap("prepare", path, "-o", tmp_path / "out.tif")
        kept = ("image.tif", "stack.tif", ".stack.tif.lcmap-made")
        check_refused(run, 65, f"{path.name}: ", tmp_path, *kept)
        assert "whole" in run.stderr or "truncated" in run.stderr


def test_gap_that_swallows_a_split_is_said(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    arguments = ["--tiles", tmp_path / "t.geojson", "--tile-size", 16, "--gap", 40]
    run = lcmap("prepare", image, *arguments, "-o", tmp_path / "out.tif")
    assert run.exit_code == 0
    says = "no tile is left for validation; the image is small for --tile-size 16 and --gap 40"
    assert says in run.stderr


def test_damaged_block_leaves_nothing(lcmap: Lcmap, tmp_path: Path) -> None:
    image = write_raster(tmp_path / "image.tif", noise(), compress="deflate")
    content = bytearray(image.read_bytes())
    with rasterio.open(image) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_1", dm="TIFF", bidx=1))
    content[offset : offset + 60] = bytes(60)
    image.write_bytes(content)
    run = lcmap("prepare", image, "-o", tmp_path / "out.tif")
    check_refused(run, 65, "image.tif: its pixels cannot be read", tmp_path, "image.tif")


def test_unknown_label_codes(lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--labels", labels, "--nomenclature", "flair7", "-o", out)
    says = "flair.tif: holds label codes that flair7 does not have: 8, 9, 10, 11"
    check_refused(run, 65, says, tmp_path, "image.tif", "flair.tif")


def test_no_crs(lcmap: Lcmap, tmp_path: Path) -> None:
    image = write_raster(tmp_path / "image.tif", noise(), epsg=None)
    run = lcmap("prepare", image, "-o", tmp_path / "out.tif")
    says = "image.tif: has no coordinate reference system"
    check_refused(run, 65, says, tmp_path, "image.tif")


def test_no_overlap(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    far = write_raster(tmp_path / "far.tif", codes(), corner=(100_000.0, 6_000_000.0))
    out = tmp_path / "out.tif"
    run = lcmap("prepare", image, "--like", far, "-o", out)
    check_refused(run, 65, "image.tif: covers no ground", tmp_path, "image.tif", "far.tif")
    run = lcmap("prepare", image, "--labels", far, "--nomenclature", "flair19", "-o", out)
    check_refused(run, 65, "far.tif: covers no ground", tmp_path, "image.tif", "far.tif")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_all_nodata(lcmap: Lcmap, tmp_path: Path, dtype: str) -> None:
    image = write_raster(tmp_path / "image.tif", np.zeros((1, 9, 9), dtype), nodata=0)
    run = lcmap("prepare", image, "-o", tmp_path / "out.tif")
    check_refused(run, 65, "image.tif: no pixel is valid", tmp_path, "image.tif")


def test_labels_without_a_label(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    empty = write_raster(tmp_path / "empty.tif", np.zeros((1, *SHAPE), "uint8"))
    run = lcmap(
        "prepare", image, "--labels", empty, "--nomenclature", "flair19", "-o", tmp_path / "out.tif"
    )
    says = "empty.tif: has no label where the image is valid"
    check_refused(run, 65, says, tmp_path, "image.tif", "empty.tif")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bands", "5"], "5: no such band; there are: 1 red, 2 green, 3 blue, 4 nir"),
        (["--band-names", "a,b"], "--band-names: names 2 band(s) of 4"),
        (["--crosswalk", "flair19:flair7"], "--crosswalk: says what --labels are; give --labels"),
        (["--nomenclature", "flair19"], "--nomenclature: says what --labels are"),
        (
            ["--labels", "flair.tif", "--nomenclature", "flair19", "--crosswalk", "a:b"],
            "--nomenclature: goes without --crosswalk",
        ),
        (["--labels", "flair.tif"], "flair.tif: does not say what its codes mean"),
        (["--labels", "flair.tif", "--crosswalk", "a:b"], "no built-in crosswalk has this name"),
        (["--tiles", "-"], "paths are relative"),
        (["--pan", "pan.tif", "--period", "2018"], "--pan: sharpens one image"),
        (["--side", "s2.tif"], "--side: is about a tile index; give --tiles INDEX.geojson"),
        (["--side", "-", "--tiles", "t.geojson"], "--side: cannot be standard input"),
        (["--side", "flair.tif:oso99", "--tiles", "t.geojson"], "no built-in nomenclature"),
        (["--tiles", "t.geojson", "--tile-size", "4"], "--tile-size: 4 px is too small"),
        (["--tiles", "t.geojson", "--gap", "-1"], "--gap: is negative"),
        (["--tiles", "t.geojson", "--block-tiles", "0"], "--block-tiles: is below 1"),
        (
            ["--tiles", "t.geojson", "--block-tiles", "2", "--split", "random"],
            "--block-tiles: goes with --split blocks",
        ),
        (["--tiles-like", "a.geojson"], "--tiles-like: is about a tile index"),
        (["--tile-size", "256"], "--tile-size: is about a tile index"),
        (["--split", "random"], "--split: is about a tile index"),
        (["--block-tiles", "2"], "--block-tiles: is about a tile index"),
        (["--gap", "9"], "--gap: is about a tile index"),
        (["--seed", "0"], "--seed: is about a tile index"),
        (
            ["--tiles", "t.geojson", "--tiles-like", "a.geojson", "--gap", "8"],
            "--gap: is taken from --tiles-like; drop one",
        ),
    ],
)
def test_options_that_make_no_sense(
    lcmap: Lcmap,
    image: Path,
    labels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = lcmap("prepare", image, *arguments, "-o", tmp_path / "out.tif")
    check_refused(run, 2, says, tmp_path, image.name, labels.name)


def test_side_inputs_stay_where_they_are_and_what_they_are(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    with rasterio.open(image) as dataset:
        corner = dataset.transform @ (0, 0)
    folder = tmp_path / "sides"
    folder.mkdir()
    oso = write_raster(folder / "oso.tif", np.full((1, 9, 9), 23, np.uint8), pixel=20,
                       corner=corner)  # fmt: skip
    s2 = write_raster(folder / "s2.tif", noise(3, "int16"), pixel=5, corner=corner)
    before = s2.read_bytes(), oso.read_bytes()
    index = tmp_path / "t.geojson"
    run = lcmap("prepare", image, "--side", s2, "--side", f"{oso}:oso23", "--labels", labels,
                "--crosswalk", "flair19:flair7", "--tiles", index, "--tile-size", 32, "--gap", 0,
                "-o", tmp_path / "stack.tif")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert (s2.read_bytes(), oso.read_bytes()) == before
    made = read_tile_index(index)
    assert [side.title for side in made.sides] == [
        "image on cells of 4 px", "labels in oso23 on cells of 8 px",
    ]  # fmt: skip
    assert {tile.sides for tile in made.tiles} == {(s2, oso)}
    assert '"sides": ["sides/s2.tif", "sides/oso.tif"]' in index.read_text()


def test_side_inputs_that_cannot_be(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    with rasterio.open(image) as dataset:
        x, y = dataset.transform @ (0, 0)
    ones = np.ones((1, 9, 9), np.uint8)
    far = write_raster(tmp_path / "far.tif", ones, corner=(0, 0))
    little = write_raster(tmp_path / "little.tif", ones, corner=(x - 5, y), pixel=2)
    unknown = write_raster(tmp_path / "unknown.tif", ones + 199, corner=(x, y), pixel=50)
    several = write_raster(tmp_path / "several.tif", noise(2), corner=(x, y), pixel=50)
    kept = [path.name for path in tmp_path.iterdir()]
    for side, code, says in (
        (far, 65, "far.tif: covers no ground of"),
        (little, 65, "little.tif: covers"),
        (f"{unknown}:oso23", 65, "unknown.tif: holds label codes that oso23 does not have: 200"),
        (f"{several}:oso23", 65, "several.tif: has 2 bands, labels have one"),
        (f"{unknown}:labels", 2, f"nomenclature or a TOML file of it, as {unknown}:oso23"),
        (tmp_path / "none.tif", 66, "none.tif: no such file"),
    ):
        run = lcmap("prepare", image, "--side", side, "--tiles", tmp_path / "t.geojson", "-o",
                    tmp_path / "out.tif")  # fmt: skip
        check_refused(run, code, says, tmp_path, *kept)
        assert "allow-missing" not in run.stderr  # of which this command knows nothing


def test_a_side_input_is_not_written_over(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    side = tmp_path / "side.tif"
    shutil.copy(image, side)
    before = side.read_bytes()
    for text in (side, f"{side}:series"):
        run = lcmap("prepare", image, "--side", text, "--tiles", tmp_path / "t.geojson", "-o", side,
                    "--overwrite")  # fmt: skip
        assert run.exit_code == 2 and "side.tif: is one of the inputs" in run.stderr
        assert side.read_bytes() == before


@pytest.mark.parametrize("option", ["--tiles", "--labels"])
def test_what_lies_beside_the_stack_takes_a_stack_that_is_a_file(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path, option: str
) -> None:
    run = lcmap(
        "prepare", image, option, labels if option == "--labels" else tmp_path / "t.geojson"
    )
    check_refused(run, 2, "standard output; --output FILE", tmp_path, image.name, labels.name)


def test_outputs_are_not_replaced_unasked(
    lcmap: Lcmap, image: Path, labels: Path, tmp_path: Path
) -> None:
    for name in ("out.tif", "out.labels.tif", "t.geojson"):
        (tmp_path / name).write_text("precious")
        arguments = ["--labels", labels, "--nomenclature", "flair19", "--tiles"]
        run = lcmap(
            "prepare", image, *arguments, tmp_path / "t.geojson", "-o", tmp_path / "out.tif"
        )
        check_refused(run, 73, f"{name}: exists already", tmp_path, image.name, labels.name, name)
        assert (tmp_path / name).read_text() == "precious"
        (tmp_path / name).unlink()


def test_labels_are_not_replaced_by_those_made_from_them(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    labels = write_raster(tmp_path / "out.labels.tif", codes())
    run = lcmap(
        "prepare", image, "--labels", labels, "--nomenclature", "flair19", "--overwrite",
        "-o", tmp_path / "out.tif",
    )  # fmt: skip
    check_refused(run, 2, "out.labels.tif: is one of the inputs", tmp_path, image.name, labels.name)
    assert np.array_equal(read(labels), codes())


def test_standard_input_can_be_one_image_only(lcmap: Lcmap, tmp_path: Path) -> None:
    run = lcmap("prepare", "-", "-", "-o", tmp_path / "out.tif")
    check_refused(run, 2, "standard input: can be one input only", tmp_path)


def test_example_zone_gets_tiles_of_every_split(lcmap: Lcmap, tmp_path: Path) -> None:
    image = next(iter(sorted(EXAMPLE_DATA.glob("*rgbn.tif"))), None)
    assert image is not None
    labels = image.with_name(image.name.replace("rgbn", "labels"))
    run = lcmap(
        "prepare", image, "--labels", labels, "--crosswalk", "flair19:flair7", "--tiles",
        tmp_path / "t.geojson", "--tile-size", 64, "--gap", 16, "-o", tmp_path / "out.tif",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.count == 4
    features = json.loads((tmp_path / "t.geojson").read_text())["features"]
    assert {f["properties"]["split"] for f in features} == {"train", "validation", "test"}


@pytest.mark.data
@pytest.mark.parametrize("gsd", ["0.8m", "1.6m"])
def test_every_class_is_in_every_split_over_the_zones(
    lcmap: Lcmap, data_folder: Path, tmp_path: Path, gsd: str
) -> None:
    totals = {split: np.zeros(7, np.int64) for split in ("train", "validation", "test")}
    for zone in (0, 1, 2, 4, 5):
        index_path = tmp_path / f"{zone}.geojson"
        run = lcmap(
            "prepare", data_folder / f"flair/zone{zone}_{gsd}_rgbn.tif",
            "--labels", data_folder / f"flair/zone{zone}_0.8m_labels.tif",
            "--crosswalk", "flair19:flair7", "--tiles", index_path, "-o", tmp_path / f"{zone}.tif",
        )  # fmt: skip
        assert run.exit_code == 0, run.stderr
        index = read_tile_index(index_path)
        assert index.nomenclature is not None
        for split, counts in totals.items():
            counts += class_counts(index.split(split), index.nomenclature)  # type: ignore[arg-type]
    for counts in totals.values():
        assert (counts > 0).all()


@pytest.mark.data
def test_berlin_on_one_grid(lcmap: Lcmap, data_folder: Path, tmp_path: Path) -> None:
    fine, coarse = data_folder / "berlin/vhr_36.tif", data_folder / "berlin/s2like_30m.tif"
    out = tmp_path / "out.tif"
    run = lcmap("prepare", coarse, fine, "--resampling", "average", "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset, rasterio.open(coarse) as first:
        assert dataset.descriptions[:11] == (*first.descriptions, "B")
        assert dataset.dtypes[0] == "int16"
        assert dataset.transform == first.transform
        valid = read_valid(dataset, Window(0, 0, dataset.height, dataset.width))
        assert np.array_equal(dataset.read(1)[valid], first.read(1)[valid])
        # both sensors show the same ground: red is B4 and R
        red, fine_red = dataset.read([3, 13])
    assert valid.mean() > 0.9
    assert np.corrcoef(red[valid], fine_red[valid])[0, 1] > 0.9


@pytest.mark.data
def test_slovenia_bands_by_name(lcmap: Lcmap, data_folder: Path, tmp_path: Path) -> None:
    folder = data_folder / "sentinel2_slovenia"
    out = tmp_path / "out.tif"
    run = lcmap(
        "prepare", folder / "s2_l1c_2.tif", "--bands", "B04,B03,B02,B08",
        "--band-names", "red,green,blue,nir", "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset, rasterio.open(folder / "s2_l1c_2.tif") as whole:
        places = [whole.descriptions.index(name) + 1 for name in ("B04", "B03", "B02", "B08")]
        assert np.array_equal(dataset.read(), whole.read(places))
        assert dataset.descriptions == ("red", "green", "blue", "nir")


def test_partial_labels_are_counted_by_split_and_larger_tiles_suggested(
    lcmap: Lcmap, tmp_path: Path
) -> None:
    """Labels in the left fifth of the image: 1 column of 5 tiles of 32 pixels."""
    profile = {
        "driver": "GTiff", "width": 160, "height": 160, "count": 1, "dtype": "uint8",
        "crs": "EPSG:2154", "transform": Affine(1.5, 0, 664_000, 0, -1.5, 6_360_000),
    }  # fmt: skip
    labels = np.zeros((160, 160), np.uint8)
    labels[:, :16] = 3
    for name, pixels in (("image", labels + 1), ("labels", labels)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile) as dataset:
            dataset.write(pixels, 1)
    run = lcmap(
        *("prepare", tmp_path / "image.tif", "--labels", tmp_path / "labels.tif"),
        *("--nomenclature", "topo6", "--tiles", tmp_path / "t.geojson", "--tile-size", 32),
        *("--split", "random", "--gap", 0, "-o", tmp_path / "stack.tif"),
    )
    assert run.exit_code == 0, run.stderr
    found = re.findall(r"labels in (\d+) tiles, on ([\d.]+) % of the pixels", run.stdout)
    assert sum(int(tiles) for tiles, _ in found) == 5
    tiles = re.findall(r"(\d+) tiles, [\d.]+ Mpx", run.stdout)
    shares = [float(share) * int(count) for (_, share), count in zip(found, tiles, strict=True)]
    assert sum(shares) == pytest.approx(10 * 25, rel=0.01)
    assert "a gap of 0 px between splits or for want of data: 0 % of the pixels" in run.stdout
    assert "training tiles hold no label: with --tile-size" in run.stdout
