"""How lcmap train reads the images of its tile indexes: by which quantiles, and from VRTs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from onnx import numpy_helper
from rasterio.crs import CRS
from rasterio.shutil import copy as copy_raster
from support import Run

from lcmap.errors import InputMismatchError
from lcmap.model_file import read_model
from lcmap.training.class_draw import Focus
from lcmap.training.crops import Crops
from lcmap.training.options import TileInputOptions
from lcmap.training.recipe import DEFAULT
from lcmap.training.samples import SampleSource, read_training_set

Lcmap = Callable[..., Run]
SMALL = ("--width", 8, "--depth", 1, "--batch-size", 2, "--epochs", 1)


def write(path: Path, values: np.ndarray, names: tuple[str, ...] = ()) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=len(values), height=96, width=96,
        crs="EPSG:2154", transform=Affine(1.5, 0, 7e5, 0, -1.5, 66e5),
    ) as dataset:  # fmt: skip
        dataset.write(values)
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    light = random.integers(0, 2, (12, 12)).repeat(8, axis=0).repeat(8, axis=1)
    write(tmp_path / "labels.tif", 1 + light[None].astype(np.uint8))
    values = 60 + 120 * light + random.integers(-20, 21, (2, 96, 96))
    return write(tmp_path / "image.tif", values.astype(np.uint8), ("red", "nir"))


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


def prepared(lcmap: Lcmap, image: Path, name: str, *options: object) -> Path:
    """Return the tile index of an image."""
    index = image.with_name(f"{name}.geojson")
    ok(lcmap(
        "prepare", image, "--labels", image.with_name("labels.tif"), "--nomenclature", "flair7",
        "--tiles", index, "--tile-size", 16, "--gap", 0, "-o", image.with_name(f"{name}.tif"),
        *options,
    ))  # fmt: skip
    return index


def weights(model: Path) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(model).graph.initializer}


def test_images_are_scaled_by_the_quantiles_of_a_campaign(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    brighter = write(tmp_path / "brighter.tif", np.full((2, 96, 96), 250, np.uint8), ("red", "nir"))
    campaign, model = tmp_path / "campaign.json", tmp_path / "model.onnx"
    ok(lcmap("prepare", "--quantiles-of", image, brighter, "-o", campaign))
    index = prepared(lcmap, image, "own")
    ok(lcmap("train", index, "-o", model, "--quantiles", campaign, *SMALL))
    metadata = read_model(model)
    bands = json.loads(campaign.read_text())["bands"]
    assert metadata.inputs[0].quantiles == tuple((b["q02"], b["q98"]) for b in bands)
    assert metadata.inputs[0].quantiles[0][1] == 250
    # as from a stack that carries them
    carrying = prepared(lcmap, image, "carrying", "--quantiles", campaign)
    ok(lcmap("train", carrying, "-o", tmp_path / "same.onnx", *SMALL))
    one, other = weights(model), weights(tmp_path / "same.onnx")
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)

    command = ("predict", tmp_path / "own.tif", "-m", model, "-o", tmp_path / "map.tif")
    done = ok(lcmap(*command, "--quantiles", "image"))
    assert "scale this one alike with --quantiles model" in done.stderr
    assert "scale this one" not in ok(lcmap(*command, "--overwrite")).stderr


def test_images_are_scaled_alike_and_a_new_one_as_they_were(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    with rasterio.open(image) as dataset:
        pixels = dataset.read()
    darker = write(tmp_path / "darker.tif", pixels // 2, ("red", "nir"))
    indexes = prepared(lcmap, image, "one"), prepared(lcmap, darker, "two")
    model = tmp_path / "model.onnx"
    ok(lcmap("train", *indexes, "-o", model, *SMALL))
    (model_input,) = read_model(model).inputs
    assert model_input.normalisation == "training-quantiles-2-98"
    own = [np.quantile(of, (0.02, 0.98), axis=(1, 2)).T for of in (pixels, pixels // 2)]
    np.testing.assert_allclose(model_input.quantiles, np.mean(own, axis=0), rtol=1e-6)

    maps = {}
    for name, options in {
        "default": (),
        "model": ("--quantiles", "model"),
        "own": ("--quantiles", "image"),
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.map.tif"
        ok(lcmap("predict", darker, "-m", model, "-o", path, "--probabilities",
                 tmp_path / f"{name}.p.tif", *options))  # fmt: skip
        with rasterio.open(tmp_path / f"{name}.p.tif") as dataset:
            maps[name] = dataset.read()
    np.testing.assert_array_equal(maps["default"], maps["model"])
    assert np.abs(maps["default"] - maps["own"]).max() > 1e-3

    # as from stacks that both carry the mean
    campaign = tmp_path / "mean.json"
    ok(lcmap("prepare", "--quantiles-of", image, darker, "-o", campaign))
    values = json.loads(campaign.read_text())
    for band, (low, high) in zip(values["bands"], model_input.quantiles, strict=True):
        band |= {"q02": low, "q98": high}
    campaign.write_text(json.dumps(values))
    ok(lcmap("train", *indexes, "-o", tmp_path / "same.onnx", "--quantiles", campaign, *SMALL))
    one, other = weights(model), weights(tmp_path / "same.onnx")
    assert all(np.array_equal(one[name], other[name]) for name in one)

    ok(lcmap("train", *indexes, "-o", tmp_path / "own.onnx", "--quantiles", "image", *SMALL))
    assert read_model(tmp_path / "own.onnx").inputs[0].normalisation == "quantiles-2-98"
    with rasterio.open(image) as dataset:
        far = write(tmp_path / "far.tif", dataset.read() // 8 + 200, ("red", "nir"))
    done = ok(lcmap("predict", far, "-m", model, "-o", tmp_path / "far.map.tif"))
    assert "far.tif: its values are far from those of the training images" in done.stderr
    assert "--quantiles image" in done.stderr


@pytest.mark.slow
def test_fine_tuning_keeps_the_quantiles_of_the_model(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    index, first = prepared(lcmap, image, "own"), tmp_path / "first.onnx"
    ok(lcmap("train", index, "-o", first, *SMALL))
    with rasterio.open(image) as dataset:
        darker = write(tmp_path / "darker.tif", dataset.read() // 2, ("red", "nir"))
    other, second = prepared(lcmap, darker, "dark"), tmp_path / "second.onnx"
    tuning = ("train", other, "-o", second, "--init-from", first, "--epochs", 1)
    ok(lcmap(*tuning))
    assert read_model(second).inputs[0].quantiles == read_model(first).inputs[0].quantiles
    ok(lcmap(*tuning, "--quantiles", "training", "--overwrite"))
    assert read_model(second).inputs[0].quantiles != read_model(first).inputs[0].quantiles
    ok(lcmap("train", index, "-o", first, *SMALL, "--quantiles", "image", "--overwrite"))
    ok(lcmap(*tuning, "--overwrite"))
    assert read_model(second).inputs[0].quantiles != read_model(first).inputs[0].quantiles


def test_quantiles_that_cannot_be_are_refused(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    index, model = prepared(lcmap, image, "own"), tmp_path / "model.onnx"
    command = ("train", index, "-o", model, *SMALL, "--quantiles")
    done = lcmap(*command, "model")
    assert (
        done.exit_code == 2 and "there is no model to start from; give --init-from" in done.stderr
    )
    other = write(tmp_path / "other.tif", np.full((1, 96, 96), 9, np.uint8), ("swir",))
    campaign = tmp_path / "campaign.json"
    ok(lcmap("prepare", "--quantiles-of", other, "-o", campaign))
    done = lcmap(*command, campaign)
    assert done.exit_code == 65 and "holds quantiles of swir, " in done.stderr
    assert not model.exists()


def test_a_file_of_quantiles_scales_the_inputs_of_its_bands(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    values = np.random.default_rng(2).integers(100, 3000, (1, 96, 96)).astype(np.uint16)
    side, other = (write(tmp_path / f"{n}.tif", values + n, ("swir",)) for n in (0, 50))
    index, campaign = prepared(lcmap, image, "own", "--side", side), tmp_path / "campaign.json"
    ok(lcmap("prepare", "--quantiles-of", other, "-o", campaign))
    plain = read_training_set([index], scaling="training").inputs
    found = read_training_set([index], TileInputOptions(quantiles=campaign), scaling="training")
    assert found.inputs[0] == plain[0]
    (low, high), (given_low, given_high) = plain[1].quantiles[0], found.inputs[1].quantiles[0]
    assert (given_low, given_high) == pytest.approx((low + 50, high + 50))


def test_a_mosaic_that_an_index_names_is_trained_on(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    side = tmp_path / "side.vrt"
    copy_raster(image, side, driver="VRT")
    index = prepared(lcmap, image, "own", "--side", side, "--allow-vrt")
    ok(lcmap("train", index, "-o", tmp_path / "model.onnx", *SMALL))
    assert [item.kind for item in read_model(tmp_path / "model.onnx").inputs] == ["image"] * 2


def test_a_vrt_that_computes_takes_allow_vrt(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    side = tmp_path / "side.vrt"
    copy_raster(image, side, driver="VRT")
    band = re.compile("<VRTRasterBand ([^>]*)>")
    computed = (
        r'<VRTRasterBand subClass="VRTDerivedRasterBand" \1>'
        "<PixelFunctionType>sum</PixelFunctionType>"
    )
    text = side.read_text()
    assert band.search(text)
    side.write_text(band.sub(computed, text))
    index = prepared(lcmap, image, "own", "--side", side, "--allow-vrt")
    command = ("train", index, "-o", tmp_path / "model.onnx", *SMALL)
    done = lcmap(*command)
    assert done.exit_code == 65 and "side.vrt" in done.stderr and "--allow-vrt" in done.stderr
    ok(lcmap(*command, "--allow-vrt"))
    assert [item.kind for item in read_model(tmp_path / "model.onnx").inputs] == ["image"] * 2


@pytest.mark.parametrize("meaning", ["image", "series"])
def test_what_prepare_was_told_of_a_side_input_holds_for_training(
    lcmap: Lcmap, image: Path, tmp_path: Path, meaning: str
) -> None:
    """A border and a place that the file does not declare, as if it did."""
    values = np.random.default_rng(2).integers(100, 3000, (3, 96, 96)).astype(np.uint16)
    values[:, :, :40] = 0
    seen = {}
    for name in ("declared", "said", "unsaid"):
        side = write(tmp_path / f"{name}_2018-07-05.tif", values)
        options: tuple[object, ...] = ()
        if name != "unsaid":
            with rasterio.open(side, "r+") as dataset:
                dataset.nodata = 0 if name == "declared" else None
                dataset.crs = CRS() if name == "said" else dataset.crs
        if name == "said":
            refused = lcmap("prepare", image, "--tiles", tmp_path / "t.geojson", "--side",
                            f"{side}:{meaning}", "-o", tmp_path / "t.tif")  # fmt: skip
            assert refused.exit_code == 65 and "--assume-crs" in refused.stderr
            options = ("--nodata", 0, "--assume-crs", "EPSG:2154")
        index = prepared(lcmap, image, name, "--side", f"{side}:{meaning}", *options)
        data = read_training_set([index], scaling="training")
        with data.reader() as reader:
            pixels = [SampleSource(reader, data.sides).read(tile) for tile in data.train]
        seen[name] = data, pixels
    (one, ones), (other, others) = seen["declared"], seen["said"]
    assert one.inputs == other.inputs
    assert one.labelled_pixels == other.labelled_pixels < seen["unsaid"][0].labelled_pixels
    for mine, its in zip(ones, others, strict=True):
        assert np.array_equal(mine.labels, its.labels)
        assert np.array_equal(mine.images[1], its.images[1])


def test_crops_are_drawn_around_labels_that_side_inputs_have_too(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    """A side input that covers each tile in part."""
    values = np.random.default_rng(2).integers(1, 255, (1, 96, 96)).astype(np.uint8)
    values[:, np.arange(96) % 16 < 11] = 0
    side = write(tmp_path / "side.tif", values)
    with rasterio.open(side, "r+") as dataset:
        dataset.nodata = 0
    data = read_training_set([prepared(lcmap, image, "own", "--side", f"{side}@0")])
    recipe = replace(DEFAULT, zoom=0.0, sampling=replace(DEFAULT.sampling, balance=1.0, paste=0.0))
    with data.reader() as reader:
        source = SampleSource(reader, data.sides)
        crops = Crops(source, data.train, recipe, 4, 0)
        random = np.random.default_rng(0)
        for place in range(40):
            tile, variation = crops.draw(place % len(data.train), random)
            assert isinstance(variation.window, Focus)
            index = source.index_of(variation.window.code)
            assert (crops.cut(tile, variation).labels == index).any()


def test_label_maps_are_alike_by_their_classes_alone(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    """As `predict` takes them: of any band name and integer type, for training and for test."""
    codes = np.random.default_rng(2).integers(1, 24, (1, 96, 96))
    indexes = []
    for name, dtype in (("OSO 2018", np.uint8), ("OSO 2019", np.uint16)):
        side = write(tmp_path / f"{dtype.__name__}.map.tif", codes.astype(dtype), (name,))
        indexes.append(prepared(lcmap, image, dtype.__name__, "--side", f"{side}:oso23"))
    data = read_training_set(indexes, TileInputOptions(with_test=True))
    with data.reader() as reader:
        read = SampleSource(reader, data.sides).read
        half = len(data.train) // 2
        for one, other in zip(data.train[:half], data.train[half:], strict=True):
            assert np.array_equal(read(one).images[1], read(other).images[1])


def test_two_indexes_that_say_other_things_of_a_side_input_are_refused(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    side = write(tmp_path / "side.tif", np.full((1, 96, 96), 9, np.uint8))
    one = prepared(lcmap, image, "one", "--side", side)
    other = prepared(lcmap, image, "other", "--side", side, "--nodata", 0)
    with pytest.raises(InputMismatchError, match=r"other\.geojson: .*side\.tif was given to it"):
        read_training_set([one, other])


def test_an_undeclared_border_is_to_be_declared_where_it_can_be(
    lcmap: Lcmap, image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`train` has no --nodata: the index was to be made with it."""
    values = np.pad(np.full((1, 64, 64), 9, np.uint8), ((0, 0), (16, 16), (16, 16)))
    side = write(tmp_path / "side.tif", values)
    read_training_set([prepared(lcmap, image, "own", "--side", side)])
    assert "if it is not, prepare it with `nodata=0`" in caplog.text
