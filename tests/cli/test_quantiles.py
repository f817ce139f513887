"""By which quantiles images are scaled: their own, the model's, a campaign's; and stale ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_model import BANDS, write_small_model
from support import Run, write_raster

from lcmap.raster.quantile_tags import read_quantiles

Lcmap = Callable[..., Run]


def picture(height: int, width: int) -> np.ndarray:
    """Smooth ground, brighter from left to right, uint8 [4, height, width]."""
    random = np.random.default_rng(3)
    ground = np.kron(random.integers(0, 90, (4, height // 8, width // 8)), np.ones((1, 8, 8)))
    return (ground + np.linspace(10, 140, width)).astype(np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "whole.tif", picture(96, 192), names=BANDS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model.onnx")


def crop(image: Path, name: str, columns: slice) -> Path:
    with rasterio.open(image) as dataset:
        x, y = dataset.transform @ (columns.start, 0)
        return write_raster(
            image.parent / name, dataset.read()[:, :, columns], names=BANDS, corner=(x, y)
        )


def codes(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


def test_parts_are_mapped_as_the_whole_by_the_quantiles_of_all(
    lcmap: Lcmap, tmp_path: Path, image: Path, model: Path
) -> None:
    ok(lcmap("predict", image, "-m", model, "-o", tmp_path / "map.tif"))
    whole = codes(tmp_path / "map.tif")
    parts = [crop(image, "west.tif", slice(0, 96)), crop(image, "east.tif", slice(96, 192))]
    campaign = tmp_path / "campaign.json"
    done = ok(lcmap("prepare", "--quantiles-of", *parts, "-o", campaign))
    assert "quantiles of 2 images: red" in done.stdout
    with rasterio.open(image) as dataset:
        expected = np.quantile(dataset.read().reshape(4, -1), (0.02, 0.98), axis=1).T
    found = json.loads(campaign.read_text())
    np.testing.assert_allclose([[b["q02"], b["q98"]] for b in found["bands"]], expected)
    margin = 16  # what the network sees beyond the cut
    for options, alike in (((), False), (("--quantiles", campaign), True)):
        halves = []
        for part in parts:
            output = tmp_path / f"{part.stem}.map.tif"
            ok(lcmap("predict", part, "-m", model, "-o", output, "--overwrite", *options))
            halves.append(codes(output))
        inside = np.r_[0 : 96 - margin, 96 + margin : 192]
        same = np.array_equal(np.hstack(halves)[:, inside], whole[:, inside])
        assert same == alike


def test_a_folder_and_a_stack_that_carries_the_quantiles_of_a_campaign(
    lcmap: Lcmap, tmp_path: Path, image: Path
) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    part = crop(image, "scenes/east.tif", slice(96, 192))
    crop(image, "scenes/west.tif", slice(0, 96))
    campaign, stack = tmp_path / "campaign.json", tmp_path / "stack.tif"
    ok(lcmap("prepare", "--quantiles-of", folder, "-o", campaign))
    ok(lcmap("prepare", part, "--quantiles", campaign, "-o", stack))
    with rasterio.open(stack) as dataset:
        carried = read_quantiles(dataset)
    expected = [[b["q02"], b["q98"]] for b in json.loads(campaign.read_text())["bands"]]
    np.testing.assert_array_equal(carried, expected)
    again = lcmap("prepare", "--quantiles-of", folder, "-o", campaign)
    assert (again.exit_code, again.stderr) == (0, f"{campaign}: up to date\n")
    refused = lcmap("prepare", "--quantiles-of", folder, "--bands", "1", "-o", tmp_path / "x.json")
    assert refused.exit_code == 2 and "--bands" in refused.stderr
    write_raster(folder / "other.tif", np.ones((3, 8, 8), np.uint8))
    refused = lcmap("prepare", "--quantiles-of", folder, "-o", tmp_path / "x.json")
    assert refused.exit_code == 65 and "other.tif: its bands are" in refused.stderr
    assert not (tmp_path / "x.json").exists()


def test_the_quantiles_of_training_and_a_warning_far_from_them(
    lcmap: Lcmap, tmp_path: Path, image: Path
) -> None:
    trained = ((5.0, 60.0),) * 4
    with_quantiles = write_small_model(tmp_path / "m.onnx", quantiles=trained)
    done = ok(lcmap("predict", image, "-m", with_quantiles, "-o", tmp_path / "a.tif"))
    assert "warning: " in done.stderr and "--quantiles model" in done.stderr
    done = ok(lcmap("predict", image, "-m", with_quantiles, "-o", tmp_path / "b.tif",
                    "--quantiles", "model"))  # fmt: skip
    assert "far from" not in done.stderr
    assert not np.array_equal(codes(tmp_path / "a.tif"), codes(tmp_path / "b.tif"))
    without = write_small_model(tmp_path / "none.onnx")
    refused = lcmap(
        "predict", image, "-m", without, "-o", tmp_path / "c.tif", "--quantiles", "model"
    )
    assert refused.exit_code == 2 and "carries none" in refused.stderr


def test_quantiles_of_other_bands_are_refused(
    lcmap: Lcmap, tmp_path: Path, image: Path, model: Path
) -> None:
    other = write_raster(tmp_path / "rgb.tif", picture(96, 96)[:3], names=BANDS[:3])
    ok(lcmap("prepare", "--quantiles-of", other, "-o", tmp_path / "rgb.json"))
    refused = lcmap("predict", image, "-m", model, "-o", tmp_path / "m.tif",
                    "--quantiles", tmp_path / "rgb.json")  # fmt: skip
    assert refused.exit_code == 65 and "rgb.json: holds quantiles of red" in refused.stderr
    refused = lcmap("predict", image, "-m", model, "-o", tmp_path / "m.tif", "--quantiles", "none")
    assert refused.exit_code == 66


@pytest.mark.parametrize("digest", [True, False])
def test_tags_of_other_pixels_are_computed_again(
    lcmap: Lcmap, tmp_path: Path, image: Path, model: Path, digest: bool
) -> None:
    stack = tmp_path / "stack.tif"
    ok(lcmap("prepare", image, "-o", stack))
    with rasterio.open(stack) as dataset:
        tags, of_bands = dataset.tags(), [dataset.tags(band) for band in dataset.indexes]
        stretched = (dataset.read() // 4 + 150).astype(np.uint8)
    fresh = write_raster(tmp_path / "fresh.tif", stretched, names=BANDS)
    stale = write_raster(tmp_path / "stale.tif", stretched, names=BANDS)
    with rasterio.open(stale, "r+") as dataset:
        if digest:
            dataset.update_tags(**tags)
        for band, values in enumerate(of_bands, start=1):
            dataset.update_tags(band, **values)
    maps = []
    for path in (fresh, stale):
        done = ok(lcmap("predict", path, "-m", model, "-o", tmp_path / f"{path.stem}.map.tif"))
        assert ("not those that the quantiles in its tags" in done.stderr) == (path == stale)
        maps.append(codes(tmp_path / f"{path.stem}.map.tif"))
    np.testing.assert_array_equal(*maps)
    assert (
        "not those" not in ok(lcmap("predict", stack, "-m", model, "-o", tmp_path / "m.tif")).stderr
    )
