"""What a side input is, and what the network takes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_sentinel2 import write_l2a
from support import write_raster

from lcmap.dataset.input_reader import InputReader, one_hot
from lcmap.dataset.inputs import check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_input, parse_side
from lcmap.errors import (
    NoCrsError,
    NotARasterError,
    OverlapError,
    UnknownLabelError,
    UsageError,
)
from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import nomenclature_tag
from lcmap.raster.classes import write_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

OSO = load_nomenclature("oso23")


def content(path: Path, meaning: str | None) -> RasterContent:
    with open_input(path, meaning=meaning) as opened:
        return opened.content


def write_labels(path: Path, codes: np.ndarray, **profile: object) -> Path:
    return write_raster(path, codes[None].astype(np.uint8), pixel=10, **profile)  # type: ignore[arg-type]


def test_what_follows_the_last_colon_is_the_meaning(tmp_path: Path) -> None:
    assert parse_input("oso.tif:oso23") == (Path("oso.tif"), "oso23")
    assert parse_input("a/oso.tif") == (Path("a/oso.tif"), None)
    assert parse_input("a:b/oso.tif:my.toml") == (Path("a:b/oso.tif"), "my.toml")
    odd = tmp_path / "map:oso23"
    odd.touch()
    assert parse_input(odd) == (odd, None)
    assert parse_input(f"{odd}:oso17") == (odd, "oso17")


def test_what_follows_an_at_at_the_end_is_the_level(tmp_path: Path) -> None:
    assert parse_side("s2.tif") == (Path("s2.tif"), None, None)
    assert parse_side("s2.tif@2") == (Path("s2.tif"), None, 2)
    assert parse_side("a@b/oso.tif:oso23@0") == (Path("a@b/oso.tif"), "oso23", 0)
    assert parse_side("a@b.tif:oso23") == (Path("a@b.tif"), "oso23", None)
    assert parse_side("a@b.tif") == (Path("a@b.tif"), None, None)
    odd = tmp_path / "map@2"
    odd.touch()
    assert parse_side(odd) == (odd, None, None)
    assert parse_side(f"{odd}@1") == (odd, None, 1)
    for wrong in ("s2.tif@x", "s2.tif:oso23@-1", "s2.tif@8", "s2.tif@"):
        with pytest.raises(UsageError, match=r"is no level of a side input; give 0 .* up to 7"):
            parse_side(wrong)


def test_kind_is_as_said_or_as_tagged_and_never_guessed(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "oso.tif", np.full((3, 3), 23))
    assert content(path, None) == RasterContent("image")
    assert content(path, "probabilities") == RasterContent("probabilities")
    assert content(path, "oso23") == RasterContent("labels", OSO)
    with pytest.raises(UsageError, match="oso24: no built-in nomenclature"):
        content(path, "oso24")
    with rasterio.open(path, "r+") as dataset:
        write_class_table(dataset, OSO.class_table())
    assert content(path, None) == RasterContent("labels", OSO)
    assert content(path, "image") == RasterContent("image")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**nomenclature_tag(OSO))
    assert content(path, None) == RasterContent("probabilities")


@pytest.mark.parametrize(
    "side",
    [
        RasterContent("image"),
        RasterContent("labels", OSO),
        RasterContent("probabilities"),
        RasterContent("image", None, 3),
    ],
)
def test_a_side_survives_json(side: RasterContent) -> None:
    assert RasterContent.from_dict(side.to_dict(), "index") == side


def test_a_side_of_an_older_index_is_on_the_pixels() -> None:
    values = RasterContent("image", None, 2).to_dict()
    del values["level"]
    assert RasterContent.from_dict(values, "index") == RasterContent("image")
    with pytest.raises(ValueError, match="level 8"):
        RasterContent.from_dict(values | {"level": 8}, "index")


def test_a_label_map_goes_in_one_hot() -> None:
    codes = np.array([[1, 23], [0, 15]], np.uint8)
    channels, labelled = one_hot(codes, OSO)
    assert channels.shape == (23, 2, 2) and channels.dtype == np.float32
    assert labelled.tolist() == [[True, True], [False, True]]
    for row, col in np.ndindex(2, 2):
        code = int(codes[row, col])
        expected = [OSO.index_of(code)] if code else []
        assert np.flatnonzero(channels[:, row, col]).tolist() == expected


def test_labels_by_nearest_and_codes_of_others_are_refused(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 24, (6, 7))
    path = write_labels(tmp_path / "oso.tif", codes, nodata=0)
    finer = Grid(
        rasterio.CRS.from_epsg(2154), rasterio.Affine(2, 0, 721_104, 0, -2, 6_249_288), 35, 30
    )
    with rasterio.open(path) as dataset:
        reader = InputReader(dataset, finer, RasterContent("labels", OSO), None, "oso.tif")
        channels, valid = reader.read(Window(0, 0, 30, 35))
        expected = np.kron(codes, np.ones((5, 5), int))
        assert (valid == (expected > 0)).all()
        found = OSO.index_to_code[channels.argmax(axis=0)]
        assert (found[valid] == expected[valid]).all()
        oso17 = RasterContent("labels", load_nomenclature("oso17"))
        wrong = InputReader(dataset, finer, oso17, None, "oso.tif")
        with pytest.raises(UnknownLabelError, match=r"oso\.tif: holds label codes .* oso17"):
            wrong.read(Window(0, 0, 30, 35))


def test_probabilities_go_in_as_they_are(tmp_path: Path) -> None:
    image = np.random.default_rng(0).dirichlet([1, 1, 1], (4, 5)).transpose(2, 0, 1)
    image = image.astype(np.float32)
    image[:, 1, 2] = np.nan
    path = write_raster(tmp_path / "p.tif", image, pixel=10, nodata=np.nan)
    with rasterio.open(path) as dataset:
        reader = InputReader(
            dataset, Grid.of(dataset), RasterContent("probabilities"), None, "p.tif"
        )
        values, valid = reader.read(Window(0, 0, 4, 5))
    assert not valid[1, 2] and valid.sum() == 19
    assert (values == np.nan_to_num(image)).all()


def test_ground_must_be_shared() -> None:
    crs = rasterio.CRS.from_epsg(2154)

    def grid(west: float, crs: object = crs) -> Grid:
        return Grid(crs, rasterio.Affine(10, 0, west, 0, -10, 6_249_288), 60, 50)  # type: ignore[arg-type]

    image = grid(721_104)
    check_ground(grid(721_104 + 290), image, "s2.tif", "spot.tif")
    with pytest.raises(OverlapError, match=r"s2\.tif: covers 2\d % of spot\.tif.*allow_m"):
        check_ground(grid(721_104 + 450), image, "s2.tif", "spot.tif", allow_missing=False)
    with pytest.raises(OverlapError, match=r"to their common ground$"):
        check_ground(grid(721_104 + 450), image, "s2.tif", "spot.tif")
    check_ground(grid(721_104 + 450), image, "s2.tif", "spot.tif", allow_missing=True)
    with pytest.raises(OverlapError, match=r"s2\.tif: covers no ground of spot\.tif"):
        check_ground(grid(0), image, "s2.tif", "spot.tif", allow_missing=True)
    with pytest.raises(NoCrsError, match=r"s2\.tif"):
        check_ground(grid(721_104, None), image, "s2.tif", "spot.tif")
    with pytest.raises(NoCrsError, match=r"spot\.tif"):
        check_ground(image, grid(721_104, None), "s2.tif", "spot.tif")


def test_a_product_is_no_raster_and_is_told_what_to_do(tmp_path: Path) -> None:
    product = write_l2a(tmp_path, bands=["B2"])
    expected = pytest.raises(NotARasterError, match=r"SAFE: is a Sentinel-2 product.*lcmap prepare")
    with expected, open_input(product):
        raise AssertionError("it was opened")
