"""GDAL's scale and offset tags: carried where images agree, refused where they are combined."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_dimap import write_dimap
from small_model import BANDS, write_small_model
from support import Run, write_raster

from lcmap.model_file import read_model

Lcmap = Callable[..., Run]
REFLECTANCE = (1e-4, -0.1)
PLAIN = (1.0, 0.0)
MONTH = ("--period", "2018-07")


def numbers(seed: int, bands: int = 2) -> NDArray[np.uint16]:
    values: NDArray[np.uint16] = np.random.default_rng(seed).integers(
        1000, 3000, (bands, 32, 32), dtype=np.uint16
    )
    return values


def tagged(path: Path, image: NDArray[Any], *tags: tuple[float, float], **more: Any) -> Path:
    """Write an image with a scale and an offset for each band."""
    write_raster(path, image, **more)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = zip(*tags, strict=True)
    return path


def image_of(day: str, seed: int, tags: tuple[float, float], folder: Path, **more: Any) -> Path:
    path = folder / f"s2_{day}.tif"
    return tagged(path, numbers(seed), tags, tags, **({"names": ("B3", "B4")} | more))


def tags_of(path: Path) -> list[tuple[float, float]]:
    with rasterio.open(path) as dataset:
        return list(zip(dataset.scales, dataset.offsets, strict=True))


def pixels(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


def ok(run: Run) -> Run:
    assert run.exit_code == 0, run.stderr
    return run


def refused(run: Run, *says: str) -> None:
    assert run.exit_code == 65, run.stderr
    assert run.stderr.splitlines()[-1].startswith("lcmap: ")
    for text in (*says, "gdal_translate -unscale"):
        assert text in run.stderr


@pytest.mark.parametrize(
    ("first", "second"),
    [((1e-4, 0.0), (1e-4, -0.1)), ((1e-4, 0.0), (2e-5, 0.0)), (PLAIN, REFLECTANCE)],
)
@pytest.mark.parametrize("joined", ["dates", "day"])
def test_images_that_become_one_have_one_scale(
    lcmap: Lcmap,
    tmp_path: Path,
    first: tuple[float, float],
    second: tuple[float, float],
    joined: str,
) -> None:
    """Over dates, and where two parts of one day are joined beside another date."""
    paths = [image_of("20180705", 1, first, tmp_path), image_of("20180715", 2, second, tmp_path)]
    dates: tuple[str, ...] = ()
    if joined == "day":
        paths.append(image_of("20180720", 3, first, tmp_path))
        dates = ("--dates", "2018-07-05,2018-07-05,2018-07-20")
    out = tmp_path / "out.tif"
    for given in (paths, paths[::-1]):
        run = lcmap("prepare", *given, *MONTH, *dates, "-o", out)
        refused(run, given[0].name, "s2_20180715.tif: its band 1 has" if given == paths else "")
        assert not out.exists()


def test_a_median_of_images_that_agree_keeps_scale_and_offset(lcmap: Lcmap, tmp_path: Path) -> None:
    """Raw numbers stay raw; the median has the values of the dates'."""
    paths = [image_of(f"201807{day}", day, REFLECTANCE, tmp_path) for day in (10, 15, 20)]
    out, again = tmp_path / "out.tif", tmp_path / "again.tif"
    ok(lcmap("prepare", *paths, *MONTH, "-o", out))
    expected = np.median([numbers(day) for day in (10, 15, 20)], axis=0)
    assert np.array_equal(pixels(out), expected)
    assert tags_of(out) == [REFLECTANCE] * 2
    ok(lcmap("prepare", out, "-o", again))
    assert tags_of(again) == [REFLECTANCE] * 2
    assert np.array_equal(pixels(again), expected)


def test_files_without_tags_are_written_without(lcmap: Lcmap, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    ok(lcmap("prepare", write_raster(tmp_path / "a.tif", numbers(1)), "-o", out))
    with rasterio.open(out) as dataset:
        assert dataset.scales == (1.0, 1.0) and dataset.offsets == (0.0, 0.0)
        assert b"scale" not in out.read_bytes() and "LCMAP_RADIOMETRY" not in dataset.tags(1)


def test_bands_of_a_stack_keep_each_its_own(lcmap: Lcmap, tmp_path: Path) -> None:
    """Chosen, put in another order, resampled, seen with another nodata value."""
    one = tagged(tmp_path / "a.tif", numbers(1), REFLECTANCE, (2.0, 5.0))
    other = write_raster(tmp_path / "b.tif", numbers(2, 1))
    out = tmp_path / "out.tif"
    ok(lcmap("prepare", one, other, "--bands", "3,2,1", "--nodata", "1234", "-o", out))
    assert tags_of(out) == [PLAIN, (2.0, 5.0), REFLECTANCE]
    expected = np.stack([numbers(2, 1)[0], numbers(1)[1], numbers(1)[0]])
    valid = (expected != 1234).all(axis=0)
    assert np.array_equal(pixels(out)[:, valid], expected[:, valid])


def test_pansharpening_keeps_those_of_the_bands(lcmap: Lcmap, tmp_path: Path) -> None:
    ms = tagged(tmp_path / "ms.tif", numbers(1), REFLECTANCE, (2.0, 5.0), pixel=6.0)
    pan = numbers(1).mean(axis=0).repeat(4, 0).repeat(4, 1).astype("uint16")[None]
    fine = tagged(tmp_path / "pan.tif", pan, (3.0, 7.0), pixel=1.5)
    out = tmp_path / "out.tif"
    ok(lcmap("prepare", ms, "--pan", fine, "-o", out))
    assert tags_of(out) == [REFLECTANCE, (2.0, 5.0)]


def test_tiles_of_a_dimap_product_have_one_scale(lcmap: Lcmap, tmp_path: Path) -> None:
    document = write_dimap(tmp_path, suffix="TIF")
    tiles = sorted(document.parent.glob("*.TIF"))
    for tile in tiles:
        with rasterio.open(tile, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.5,) * 4, (1.0, 2.0, 3.0, 4.0)
    out = tmp_path / "out.tif"
    ok(lcmap("prepare", document, "-o", out))
    # red, green, blue, nir of the files' blue, green, red, nir
    assert tags_of(out) == [(0.5, 3.0), (0.5, 2.0), (0.5, 1.0), (0.5, 4.0)]
    with rasterio.open(tiles[-1], "r+") as dataset:
        dataset.offsets = (0.0,) * 4
    run = lcmap("prepare", document, "-o", out, "--overwrite")
    refused(run, tiles[-1].name, tiles[0].name)


def test_quantiles_of_images_that_do_not_agree(lcmap: Lcmap, tmp_path: Path) -> None:
    one = image_of("20180705", 1, REFLECTANCE, tmp_path)
    other = image_of("20180715", 2, PLAIN, tmp_path)
    campaign = tmp_path / "campaign.json"
    run = lcmap("prepare", "--quantiles-of", one, other, "-o", campaign)
    refused(run, "s2_20180705.tif", "s2_20180715.tif")
    assert not campaign.exists()


@pytest.mark.parametrize("kind", ["json", "raster"])
def test_quantiles_of_others_scale_images_of_the_same_scale(
    lcmap: Lcmap, tmp_path: Path, kind: str
) -> None:
    """An image's own scale and offset change no map; the quantiles of another image do."""
    model = write_small_model(tmp_path / "model.onnx", dtype="uint16")
    same, other = (
        tagged(tmp_path / f"{name}.tif", numbers(1, 4), *[tags] * 4, names=BANDS)
        for name, tags in (("same", REFLECTANCE), ("other", PLAIN))
    )
    source = tmp_path / f"source.{'json' if kind == 'json' else 'tif'}"
    ok(lcmap("prepare", *(["--quantiles-of"] if kind == "json" else []), same, "-o", source))
    maps = {}
    for image in (same, other):
        out = tmp_path / f"{image.stem}.map.tif"
        ok(lcmap("predict", image, "-m", model, "-o", out))
        maps[image.stem] = pixels(out)
    assert np.array_equal(maps["same"], maps["other"])
    command = ("-m", model, "--quantiles", source, "-o", tmp_path / "map.tif")
    ok(lcmap("predict", same, *command))
    assert np.array_equal(pixels(tmp_path / "map.tif"), maps["same"])
    refused(lcmap("predict", other, *command, "--overwrite"), "other.tif: its band 1", source.name)
    run = lcmap("prepare", other, "--quantiles", source, "-o", tmp_path / "stack.tif")
    refused(run, "other.tif: its band 1", source.name)


def test_a_campaign_measured_before_is_taken(lcmap: Lcmap, tmp_path: Path) -> None:
    """Files of earlier versions say nothing of scale and offset."""
    image = image_of("20180705", 1, REFLECTANCE, tmp_path)
    campaign, out = tmp_path / "campaign.json", tmp_path / "out.tif"
    ok(lcmap("prepare", "--quantiles-of", image, "-o", campaign))
    values = json.loads(campaign.read_text())
    assert [(band["scale"], band["offset"]) for band in values["bands"]] == [REFLECTANCE] * 2
    values["bands"] = [
        {key: band[key] for key in ("name", "q02", "q98")} for band in values["bands"]
    ]
    campaign.write_text(json.dumps(values))
    plain = image_of("20180715", 2, PLAIN, tmp_path)
    ok(lcmap("prepare", plain, "--quantiles", campaign, "-o", out))


def tiles_of(lcmap: Lcmap, image: Path) -> Path:
    """Return the tile index of an image, which has labels beside it."""
    index = image.with_suffix(".geojson")
    with rasterio.open(image) as dataset:
        corner = dataset.transform @ (0, 0)
    codes = np.arange(32 * 32).reshape(1, 32, 32) // 8 % 2 + 1
    labels = write_raster(image.with_suffix(".ref.tif"), codes.astype("uint8"), corner=corner)
    ok(lcmap(
        "prepare", image, "--labels", labels, "--nomenclature", "flair7", "--tiles", index,
        "--tile-size", 16, "--gap", 0, "--split", "random", "-o", image.with_suffix(".stack.tif"),
    ))  # fmt: skip
    return index


def test_a_model_carries_quantiles_of_one_scale(lcmap: Lcmap, tmp_path: Path) -> None:
    """The mean of two images' quantiles has to be one of the same values."""
    far = (731_104.0, 6_249_288.0)
    one = image_of("20180705", 1, REFLECTANCE, tmp_path)
    alike = image_of("20180710", 2, REFLECTANCE, tmp_path, corner=far)
    other = image_of("20180715", 2, PLAIN, tmp_path, corner=far)
    indexes = {image: tiles_of(lcmap, image) for image in (one, alike, other)}
    small = ("--width", 4, "--depth", 1, "--batch-size", 2, "--epochs", 1)
    model = tmp_path / "model.onnx"
    run = ok(lcmap("train", indexes[one], indexes[alike], "-o", model, *small))
    assert "scale" not in run.stderr
    assert [(b.scale, b.offset) for b in read_model(model).inputs[0].radiometry] == [
        REFLECTANCE
    ] * 2
    command = ("-m", model, "--quantiles", "model", "-o", tmp_path / "map.tif")
    ok(lcmap("predict", one, *command))
    refused(lcmap("predict", other, *command, "--overwrite"), "s2_20180715.tif", "training images")
    tuning = ("--init-from", model, "--epochs", 1, "--quantiles", "model")
    tuned = tmp_path / "tuned.onnx"
    refused(lcmap("train", indexes[other], "-o", tuned, *tuning), "s2_20180715.stack.tif")
    mixed = tmp_path / "mixed.onnx"
    run = ok(lcmap("train", indexes[one], indexes[other], "-o", mixed, *small))
    assert "s2_20180715.stack.tif: its band 1 has scale 1" in run.stderr
    assert "the model carries none" in run.stderr
    assert read_model(mixed).inputs[0].quantiles == ()
    run = lcmap("predict", one, "-m", mixed, *command[2:], "--overwrite")
    assert run.exit_code == 2 and "the model carries none" in run.stderr
    ok(lcmap("predict", one, "-m", mixed, "-o", tmp_path / "own.tif"))
    tuning = ("--init-from", mixed, "--epochs", 1, "--quantiles", "model")
    run = lcmap("train", indexes[one], "-o", tuned, *tuning)
    assert run.exit_code == 2 and "mixed.onnx carries none" in run.stderr
