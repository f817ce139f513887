"""Pansharpening: the arithmetic against slow references, and stacks of real files on any grids."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import transform
from small_imagery import averaged, bands_in, scene
from support import write_raster

from lcmap.errors import InputMismatchError, OverlapError
from lcmap.imagery.pan_response import Response
from lcmap.imagery.pansharpening import PansharpenedStack, pansharpen
from lcmap.imagery.reduced_pan import local_gains, reduce_pan
from lcmap.imagery.stack import stack
from lcmap.progress import silent
from lcmap.raster.pixel_sample import sample_windows
from lcmap.raster.windows import Window, iter_blocks

CORNER = (721_104.0, 6_249_288.0)
NAMES = ("red", "green", "blue", "nir")
WEIGHTS = (0.4, 0.3, 0.2, 0.1)
VARIANCE = 9000.0


def light(image: NDArray[np.float64]) -> NDArray[np.uint16]:
    """The panchromatic image of a scene, in a radiometry of its own."""
    return np.rint(np.tensordot(WEIGHTS, image, 1) * 7.3 + 210).astype("uint16")[None]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A panchromatic image and bands of four times its pixel size."""
    image = scene()
    return (
        write_raster(tmp_path / "pan.tif", light(image), pixel=1.5),
        write_raster(
            tmp_path / "ms.tif", np.rint(averaged(image)).astype("uint8"), pixel=6.0, names=NAMES
        ),
    )


@contextmanager
def sharpened(pan: Path, *images: Path) -> Iterator[PansharpenedStack]:
    sources = [bands_in(path) for path in images]
    with tempfile.TemporaryDirectory(dir=pan.parent) as folder:
        result = pansharpen(bands_in(pan), sources, sources, Path(folder))
        yield result
        result.close()


def whole(result: PansharpenedStack) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    return result.read(Window(0, 0, *result.grid.shape))


def test_window_with_a_rim_of_one_pixel_is_enough_for_gains() -> None:
    image, valid, tied = some_bands(np.random.default_rng(3))
    whole = local_gains(image[:-1], image[-1], valid, tied, VARIANCE)
    height, width = valid.shape
    for window in iter_blocks(height, width, 5):
        around = window.expanded(1).clipped(height, width)
        part = image[:, *around.slices]
        found = local_gains(part[:-1], part[-1], valid[around.slices], tied, VARIANCE)
        inside = window.shifted(-around.row, -around.col).slices
        np.testing.assert_array_equal(found[:, *inside], whole[:, *window.slices])


def some_bands(
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Response]:
    """Two bands and a reduced panchromatic image, a fifth of their pixels missing."""
    image = random.uniform(0, 1000, (3, 12, 9))
    tied = Response((random.uniform(0.1, 4), random.uniform(0.1, 4)), random.uniform(-9, 300), 1.0)
    return image, random.random((12, 9)) > 0.2, tied


def slow_gain(band: list[float], intensity: list[float], at: tuple[float, float]) -> float:
    """What a band takes of detail, by its definition: of the pixels around, and of the one `at`."""
    mean_band, mean = (sum(v) / len(v) for v in (band, intensity))
    both = zip(band, intensity, strict=True)
    covariance = sum((b - mean_band) * (i - mean) for b, i in both) / len(band)
    variance = sum((i - mean) ** 2 for i in intensity) / len(band)
    ratio = min(max(at[0] / at[1], 0), 4) if at[1] > 0 else 1
    trust = variance / (variance + VARIANCE / 4)
    slope = covariance / variance if variance else 0
    return trust * slope + (1 - trust) * (1 + ratio) / 2


@pytest.mark.parametrize("seed", range(3))
def test_gains_are_slopes_of_the_neighbourhood_shrunk_to_the_mean_of_two_methods(
    seed: int,
) -> None:
    image, valid, tied = some_bands(np.random.default_rng(seed))
    found = local_gains(image[:-1], image[-1], valid, tied, VARIANCE)
    assert np.isnan(found[:, ~valid]).all()
    intensity = (image[-1] - tied.offset) / sum(tied.weights)
    for row, col in np.argwhere(valid):
        near = slice(max(row - 1, 0), row + 2), slice(max(col - 1, 0), col + 2)
        shown = valid[near]
        for band, gain in zip(image[:-1], found[:, row, col], strict=True):
            expected = slow_gain(
                band[near][shown].tolist(),
                intensity[near][shown].tolist(),
                (band[row, col], intensity[row, col]),
            )
            assert gain * sum(tied.weights) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def seen_through_optics(image: NDArray[np.float64], nyquist: float) -> NDArray[np.float64]:
    """Pixels of four times the size, whose Gaussian transfer function is `nyquist` there."""
    sigma = 4 * math.sqrt(-2 * math.log(nyquist)) / math.pi
    weights = []
    for length in image.shape[1:]:
        centres = np.arange(2.0, length, 4)[:, None] - (np.arange(length) + 0.5)
        kernel = np.exp(-0.5 * (centres / sigma) ** 2)
        weights.append(kernel / kernel.sum(axis=1, keepdims=True))
    seen: NDArray[np.float64] = np.einsum("ry,byx,cx->brc", weights[0], image, weights[1])
    return seen


@pytest.mark.parametrize("nyquist", [0.2, 0.3, 0.45])
def test_blur_of_the_sensor_is_found_and_undone(tmp_path: Path, nyquist: float) -> None:
    true = scene()
    pan = write_raster(tmp_path / "pan.tif", light(true), pixel=1.5)
    seen = seen_through_optics(true, nyquist)
    ms = write_raster(tmp_path / "ms.tif", np.rint(seen).astype("uint8"), pixel=6.0)
    reduced = reduce_pan(
        replace(bands_in(pan), dtype="float32"), [bands_in(ms)], "float32", tmp_path / "low.tif",
        silent,
    )  # fmt: skip
    expected = seen_through_optics(light(true).astype(float), nyquist)[0, 2:-2, 2:-2]
    means = averaged(light(true))[0, 2:-2, 2:-2]
    with rasterio.open(reduced.bands.path) as dataset:
        found = dataset.read(1)[2:-2, 2:-2]
    assert np.std(found - expected) < 0.25 * np.std(means - expected)
    with sharpened(pan, ms) as result:
        image, _ = whole(result)
    plain = stack([bands_in(ms)], bands_in(pan).grid, Resampling.cubic)
    interpolated, _ = plain.read(Window(0, 0, *plain.grid.shape))
    plain.close()
    for band in range(4):
        left, before = (np.std(true[band] - found[band]) for found in (image, interpolated))
        assert left < (0.6 if NAMES[band] == "nir" else 0.2) * before


def test_common_ground_outside_of_the_sample_is_sharpened(tmp_path: Path) -> None:
    """The blur is estimated on a sample; here its pixels are all missing."""
    image = np.tile(scene(), (1, 6, 7))
    ms = np.rint(averaged(image)).astype("uint8")
    _, height, width = ms.shape
    shown = np.zeros((height, width), bool)
    shown[36:44, 36:44] = True
    for window in sample_windows(height, width):
        assert not shown[window.slices].any()
    pan = write_raster(tmp_path / "pan.tif", light(image), pixel=1.5)
    with sharpened(pan, write_raster(tmp_path / "ms.tif", ms, pixel=6.0, mask=shown)) as result:
        found, valid = result.read(Window(4 * 36, 4 * 36, 32, 32))
    assert valid.all()
    true = image[:3, 144:176, 144:176]
    coarse = ms[:3, 36:44, 36:44].repeat(4, axis=1).repeat(4, axis=2)
    assert np.std(true - found[:3]) < 0.4 * np.std(true - coarse)


def test_true_image_is_found_better_than_by_interpolation(pair: tuple[Path, Path]) -> None:
    pan, ms = pair
    true = scene()
    with sharpened(pan, ms) as result:
        image, valid = whole(result)
    assert valid.all()
    assert (result.dtype, result.names, result.nodata, result.masked) == (
        "uint8", NAMES, None, False,
    )  # fmt: skip
    plain = stack([bands_in(ms)], bands_in(pan).grid, Resampling.cubic)
    interpolated, _ = plain.read(Window(0, 0, *plain.grid.shape))
    plain.close()
    for band in range(4):
        left, before = (np.std(true[band] - found[band]) for found in (image, interpolated))
        assert left < (0.6 if NAMES[band] == "nir" else 0.3) * before


def test_broad_tones_stay_where_the_panchromatic_image_sees_other_light(tmp_path: Path) -> None:
    """It sees light that no band does, worth up to 200 of their units."""
    image = scene()
    other = np.linspace(0, 1500, 96)[None, None]
    pan = write_raster(tmp_path / "pan.tif", light(image) + other.astype("uint16"), pixel=1.5)
    ms = write_raster(tmp_path / "ms.tif", np.rint(averaged(image)).astype("uint8"), pixel=6.0)
    with sharpened(pan, ms) as result:
        found, _ = whole(result)
    assert np.abs(averaged(found, 24) - averaged(image, 24)).max() < 5


def test_radiometry_of_the_panchromatic_image_does_not_matter(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    pan, ms = pair
    with sharpened(pan, ms) as result:
        expected, _ = whole(result)
    (tmp_path / "other").mkdir()
    values = light(scene()).astype("float32") * 0.5 + 1000
    with sharpened(write_raster(tmp_path / "other/pan.tif", values, pixel=1.5), ms) as result:
        found, _ = whole(result)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("block", [41, 64])
@pytest.mark.parametrize("epsg", [2154, 32631])
def test_pixels_do_not_depend_on_their_block(tmp_path: Path, block: int, epsg: int) -> None:
    """On grids that share no line, with nodata in both."""
    image = scene()
    ms = np.rint(averaged(image)).astype("uint16")
    ms[:, 5:7, 9] = 0
    corner = (CORNER[0] - 4.3, CORNER[1] + 7.1)
    if epsg != 2154:
        xs, ys = transform("EPSG:2154", f"EPSG:{epsg}", *([value] for value in corner))
        corner = (xs[0], ys[0])
    values = light(image)
    values[0, 60:64, 30:33] = 65535
    pan_path = write_raster(tmp_path / "pan.tif", values, pixel=1.5, nodata=65535)
    ms_path = write_raster(tmp_path / "ms.tif", ms, pixel=6.0, corner=corner, epsg=epsg, nodata=0)
    with sharpened(pan_path, ms_path) as result:
        expected, expected_valid = whole(result)
        assert expected_valid.mean() > 0.5
        assert not expected_valid[60:64, 30:33].any()
        for window in iter_blocks(*result.grid.shape, block):
            found, valid = result.read(window)
            assert np.array_equal(found, expected[:, *window.slices])
            assert np.array_equal(valid, expected_valid[window.slices])
    assert (expected[:, ~expected_valid] == 0).all()
    assert (expected[:, expected_valid] != 0).all()


def test_common_ground_is_valid(tmp_path: Path) -> None:
    """The bands begin 30 m further east and 48 m further north than the panchromatic image."""
    image = scene()
    pan = write_raster(tmp_path / "pan.tif", light(image), pixel=1.5)
    ms = write_raster(
        tmp_path / "ms.tif", np.rint(averaged(image)).astype("uint8"), pixel=6.0,
        corner=(CORNER[0] + 30, CORNER[1] + 48),
    )  # fmt: skip
    with sharpened(pan, ms) as result:
        _, valid = whole(result)
    expected = np.zeros_like(valid)
    expected[:-32, 20:] = True
    assert np.array_equal(valid, expected)
    assert result.masked
    assert result.nodata is None


def test_masks_are_heeded_and_zeros_stay_values(tmp_path: Path) -> None:
    image = scene().copy()
    image[:, :40] = 0
    shown, lit = np.ones((120, 96), bool), np.ones((30, 24), bool)
    shown[:, :10] = False
    lit[20:] = False
    pan = write_raster(tmp_path / "pan.tif", light(image), pixel=1.5, mask=shown)
    ms = write_raster(
        tmp_path / "ms.tif", np.rint(averaged(image)).astype("uint8"), pixel=6.0, mask=lit
    )
    with sharpened(pan, ms) as result:
        found, valid = whole(result)
    expected = shown & lit.repeat(4, axis=0).repeat(4, axis=1)
    assert np.array_equal(valid, expected)
    assert (found[:, :30, 10:] == 0).all()


def test_bands_in_files_of_their_own_are_sharpened_alike(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    pan, ms = pair
    with sharpened(pan, ms) as result:
        expected, _ = whole(result)
    (tmp_path / "parts").mkdir()
    bands = np.rint(averaged(scene())).astype("uint8")
    files = [
        write_raster(tmp_path / f"parts/{name}.tif", band[None], pixel=6.0)
        for name, band in zip(NAMES, bands, strict=True)
    ]
    with sharpened(pan, *files) as result:
        found, _ = whole(result)
    assert result.names == NAMES
    assert np.array_equal(found, expected)


def test_chosen_band_is_what_it_is_among_all(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pan, ms = pair
    source = bands_in(ms)
    with sharpened(pan, ms) as result:
        expected, _ = whole(result)
    folder = tmp_path / "chosen"
    folder.mkdir()
    result = pansharpen(bands_in(pan), [source], [source.chosen([3, 0])], folder)
    found, _ = whole(result)
    result.close()
    assert result.names == ("nir", "red")
    assert np.array_equal(found, expected[[3, 0]])


def test_several_bands_are_no_panchromatic_image(pair: tuple[Path, Path]) -> None:
    _, ms = pair
    with pytest.raises(InputMismatchError, match=r"ms\.tif: has 4 bands"), sharpened(ms, ms):
        pass


def test_panchromatic_image_named_the_wrong_way_round(pair: tuple[Path, Path]) -> None:
    pan, ms = pair
    coarse = write_raster(ms.parent / "b4.tif", np.ones((1, 30, 24), "uint8"), pixel=6.0)
    says = r"b4\.tif: does not have finer pixels than .*pan\.tif; name the finer image"
    with pytest.raises(InputMismatchError, match=says), sharpened(coarse, pan):
        pass
    with (
        pytest.raises(InputMismatchError, match="does not have finer pixels"),
        sharpened(coarse, ms),
    ):
        pass


def test_no_common_ground(pair: tuple[Path, Path]) -> None:
    pan, ms = pair
    far = write_raster(
        ms.parent / "far.tif", np.ones((1, 30, 24), "uint8"), pixel=6.0, corner=(1e5, 6e6)
    )
    says = r"far\.tif: covers no ground of .*pan\.tif"
    with pytest.raises(OverlapError, match=says), sharpened(pan, far):
        pass


def test_no_pixel_valid_in_both(tmp_path: Path) -> None:
    image = scene()
    values, bands = light(image), np.rint(averaged(image)).astype("uint8")
    values[:, 60:], bands[:, :15] = 0, 0
    pan = write_raster(tmp_path / "pan.tif", values, pixel=1.5, nodata=0)
    ms = write_raster(tmp_path / "ms.tif", bands, pixel=6.0, nodata=0)
    says = r"has no valid pixel where .*ms\.tif has one"
    with pytest.raises(OverlapError, match=says), sharpened(pan, ms):
        pass


def test_image_of_something_else(pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    _, ms = pair
    values = 4000 - light(scene())
    other = write_raster(ms.parent / "other.tif", values, pixel=1.5)
    says = r"other\.tif: shows nothing of what .*ms\.tif"
    with pytest.raises(InputMismatchError, match=says), sharpened(other, ms):
        pass
    noise = np.random.default_rng(0).normal(0, 1000, (1, 30, 24)).repeat(4, 1).repeat(4, 2)
    values = (light(scene()) + noise).astype("float32")
    with sharpened(write_raster(ms.parent / "noisy.tif", values, pixel=1.5), ms):
        assert "% of it only; is it of the same ground and date?" in caplog.text
