"""How images would be scaled among other ground, against quantiles of the pixels themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.reading import TileReader
from lcmap.dataset.tile_index import IndexedTile
from lcmap.training.content_scales import ContentScales
from lcmap.training.samples import SampleSource, read_training_set

MakeIndex = Callable[..., Path]

NUMBERS = (np.arange(512) + 0.5) / 512
STEP = 6 / 1536
"""What values are counted by, of the range between an image's quantiles."""


def image(seed: int, low: int, high: int) -> NDArray[np.uint8]:
    """Return an image [2, 48, 48] whose second band is the first, darker; rows grow brighter."""
    random = np.random.default_rng(seed)
    first = np.linspace(low, high, 48)[:, None] + random.normal(0, 1.5, (48, 48))
    return np.clip([first, 0.5 * first + 20], 0, 255).astype(np.uint8)


def source_of(*indexes: Path) -> tuple[SampleSource, tuple[IndexedTile, ...]]:
    data = read_training_set(indexes)
    return SampleSource(TileReader(data.nomenclature), data.sides), data.train


def pixels(tiles: list[IndexedTile]) -> NDArray[np.float64]:
    with TileReader(None) as reader:
        found = [reader.image(tile.image, tile.window) for tile in tiles]
    return np.concatenate([x[:, valid] for x, valid in found], axis=1).astype(float)


def expected(values: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return gain and offset [2, C] from an image's own scaling to that by these values [C, n]."""
    low, high = np.quantile(values, (0.02, 0.98), axis=1)
    spread = own[:, 1] - own[:, 0]
    return np.stack([spread / (high - low), (own[:, 0] - low) / (high - low)])


def drawn(scales: ContentScales, path: Path, number: int = 0) -> NDArray[np.float32]:
    found = [scales.scales(path, n)[number] for n in NUMBERS]
    return np.array([(item.gain, item.offset) for item in found if item])  # [n, 2, C]


def near(found: NDArray[np.float32], wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
    # a grey level is a fiftieth of a tile's range here, and between two the oracle interpolates
    return (np.abs(found - wanted) < (4 * STEP + 0.03) * wanted[0].max()).all(axis=(1, 2))


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_part_brings_its_own_quantiles_to_0_and_1(
    make_index: MakeIndex, nodata: int | None
) -> None:
    values = image(0, 60, 200)
    if nodata is not None:
        values[:, :, :8] = nodata
    source, tiles = source_of(make_index(image=values, nodata=nodata))
    own = source.quantiles(tiles[0], 0)
    found = drawn(ContentScales(source, tiles, 0), tiles[0].image)
    alone = [near(found, expected(pixels([tile]), own)) for tile in tiles]
    everything = near(found, expected(pixels(list(tiles)), own))
    assert all(each.any() for each in alone) and everything.any()
    # of three tiles, parts are one as often as two or three: the logarithm is uniform
    assert 0.4 < np.logical_or.reduce(alone).mean() < 0.6
    assert 0.1 < everything.mean() < 0.3
    assert (found[:, 0] > 0.95).all(), "a part shows no more than the whole"


def test_half_of_the_scales_are_those_of_two_images_together(make_index: MakeIndex) -> None:
    splits = ("train", *["validation"] * 8)
    one = make_index("one", image=image(0, 60, 120), splits=splits)
    two = make_index("two", image=image(1, 100, 250), splits=splits)
    source, (first, second) = source_of(one, two)
    scales = ContentScales(source, (first, second), 0)
    found = drawn(scales, first.image)
    own = source.quantiles(first, 0)
    alone = near(found, expected(pixels([first]), own))
    together = near(found, expected(pixels([first, second]), own))
    assert (alone ^ together).all()
    assert 0.35 < together.mean() < 0.65
    assert (found[together, 0] < found[alone, 0].mean(axis=0)).all()


def test_ground_of_one_value_scales_nothing(make_index: MakeIndex) -> None:
    flat = image(0, 60, 200)
    flat[:, :16, :16] = 90
    source, tiles = source_of(make_index(image=flat, splits=("train", *["validation"] * 8)))
    found = drawn(ContentScales(source, tiles, 0), tiles[0].image)
    assert (found[:, 0] == 1).all() and (found[:, 1] == 0).all()


def test_label_maps_beside_the_image_are_not_scaled(make_index: MakeIndex, three: object) -> None:
    side = RasterContent("labels", three)  # type: ignore[arg-type]
    source, tiles = source_of(make_index(side=side))
    found = ContentScales(source, tiles, 0).scales(tiles[0].image, 0.5)
    assert found[0] is not None and found[1] is None


@pytest.mark.parametrize("seed", [0, 1])
def test_scales_depend_on_seed_and_tiles_alone(make_index: MakeIndex, seed: int) -> None:
    indexes = make_index("one", image=image(0, 60, 120)), make_index("two")
    source, tiles = source_of(*indexes)
    first = drawn(ContentScales(source, tiles, seed), tiles[0].image)
    scales = ContentScales(source_of(*indexes)[0], tiles, seed)
    scales.scales(tiles[-1].image, 0.5)  # in another order
    assert np.array_equal(first, drawn(scales, tiles[0].image))
    assert not np.array_equal(
        first[:100], drawn(ContentScales(source, tiles, seed + 1), tiles[0].image)[:100]
    )
