from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_model import write_small_model

from lcmap.dataset.input_reader import one_hot
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.reading import TileReader
from lcmap.dataset.tile_index import TileIndex, read_tile_index
from lcmap.errors import (
    InputMismatchError,
    LcmapError,
    NoLabelledPixelError,
    NomenclatureMismatchError,
)
from lcmap.nomenclature import Nomenclature, load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.label_resampling import LabelsOnGrid
from lcmap.raster.windows import Window
from lcmap.training.samples import SampleSource, read_training_set

MakeIndex = Callable[..., Path]


def test_two_indexes_become_one_set(make_index: MakeIndex) -> None:
    dark = np.full((48, 48), 2, np.uint8)
    data = read_training_set([make_index("a"), make_index("b", codes=dark)])
    assert {tile.image.stem for tile in data.train} == {"a", "b"}
    assert len(data.train) == len(data.validation) == 6
    counts = np.zeros(3)
    for tile in data.train:
        counts += [tile.class_counts.get(code, 0) for code in (2, 5, 9)]
    np.testing.assert_allclose(data.shares, counts / counts.sum())
    assert data.shares[2] == 0 and data.pixels == 6 * 16 * 16
    (model_input,) = data.inputs
    assert (model_input.name, model_input.dtype, model_input.bands) == (
        "image",
        "uint8",
        ("band 1", "band 2"),
    )
    assert model_input.gsd == pytest.approx(1.5, rel=0.01)
    np.testing.assert_allclose(
        model_input.quantiles, TileReader(None).quantiles(data.train[0].image), rtol=1e-9
    )


def test_unlabelled_tiles_are_left_out(make_index: MakeIndex) -> None:
    _, codes = np.ones((2, 1)), np.full((48, 48), 5, np.uint8)
    codes[:16, :16] = 0
    data = read_training_set([make_index(codes=codes)])
    assert len(data.train) == 2 and all(tile.class_counts for tile in data.train)


def refused(error: type[LcmapError], match: str, *paths: Path) -> None:
    with pytest.raises(error, match=match) as caught:
        read_training_set(paths)
    assert "\n" not in str(caught.value) and caught.value.remedy and caught.value.exit_code == 65


def test_nomenclatures_must_agree(make_index: MakeIndex) -> None:
    other = make_index("b", nomenclature=replace(load_nomenclature("flair7"), name="other"),
                       codes=np.full((48, 48), 2, np.uint8))  # fmt: skip
    refused(
        NomenclatureMismatchError,
        "nomenclature other is not that of .*a.tiles",
        make_index("a"),
        other,
    )


def test_bands_must_agree(make_index: MakeIndex) -> None:
    three = np.zeros((3, 48, 48), np.uint8)
    three[:] = np.arange(48)
    refused(InputMismatchError, "bands are band 1, band 2, band 3", make_index("a"),
            make_index("b", three))  # fmt: skip


def test_band_order_must_agree(make_index: MakeIndex) -> None:
    first = make_index("a", band_names=("red", "nir"))
    refused(InputMismatchError, "nir, red", first, make_index("b", band_names=("nir", "red")))


def test_names_of_bands_count_in_any_case_and_where_both_have_some(make_index: MakeIndex) -> None:
    first = make_index("a", band_names=("red", "nir"))
    upper, nameless = make_index("b", band_names=("RED", "NIR")), make_index("c")
    data = read_training_set([nameless, first, upper])
    assert data.inputs[0].bands == ("red", "nir")
    other = make_index("d", band_names=("nir", "red"))
    refused(InputMismatchError, "bands are nir, red, those of", nameless, first, other)
    assert {tile.image.stem for tile in data.train} == {"a", "b", "c"}


@pytest.mark.parametrize("names", [("RED", "NIR"), ()])
def test_the_quantiles_of_a_model_are_kept_for_the_images_that_it_maps(
    make_index: MakeIndex, tmp_path: Path, names: tuple[str, ...]
) -> None:
    quantiles = ((1.0, 2.0), (3.0, 4.0))
    model = write_small_model(tmp_path / "m.onnx", bands=("red", "nir"), quantiles=quantiles,
                              normalisation="training-quantiles-2-98")  # fmt: skip
    (found,) = read_training_set([make_index(band_names=names)], model=model).inputs
    assert found.quantiles == quantiles


def test_an_image_without_a_valid_pixel_has_no_part_in_the_common_quantiles(
    make_index: MakeIndex,
) -> None:
    first, empty = make_index("a"), make_index("b", np.zeros((2, 48, 48), np.uint8), nodata=0)
    (alone,) = read_training_set([first], scaling="training").inputs
    (both,) = read_training_set([first, empty], scaling="training").inputs
    assert both.quantiles == alone.quantiles


def test_dtypes_must_agree(make_index: MakeIndex) -> None:
    deep = np.arange(48 * 48 * 2, dtype=np.uint16).reshape(2, 48, 48)
    refused(InputMismatchError, "is uint16", make_index("a"), make_index("b", deep))


def test_labels_are_needed(make_index: MakeIndex) -> None:
    refused(NoLabelledPixelError, "no labels", make_index(nomenclature=None))


@pytest.mark.parametrize(
    ("splits", "missing"), [(("train", "test"), "validation"), (("validation",), "training")]
)
def test_both_splits_are_needed(
    make_index: MakeIndex, splits: tuple[str, ...], missing: str
) -> None:
    refused(NoLabelledPixelError, f"no labelled tile is for {missing}", make_index(splits=splits))


def test_all_unlabelled_is_refused(make_index: MakeIndex) -> None:
    refused(NoLabelledPixelError, "no labelled tile is for training",
            make_index(codes=np.zeros((48, 48), np.uint8)))  # fmt: skip


def test_nan_pixels_become_zero_and_lose_their_label(make_index: MakeIndex) -> None:
    image = np.random.default_rng(0).normal(size=(2, 48, 48)).astype(np.float32)
    image[1, 3, 4] = np.nan
    image[0, 5, 6] = np.inf
    index = make_index(image=image)
    source = SampleSource(TileReader(read_tile_index(index).nomenclature))
    pixels = source.read(read_tile_index(index).tiles[0])
    assert np.isfinite(pixels.images[0]).all()
    for row, col in ((3, 4), (5, 6)):
        assert (pixels.images[0][:, row, col] == 0).all()
        assert pixels.labels[row, col] == 255 and not pixels.valid[0][row, col]
    assert (pixels.labels == 255).sum() == 2


@pytest.mark.parametrize("cache_bytes", [0, 3000, 1 << 20])
def test_windows_are_the_same_with_and_without_a_cache(
    make_index: MakeIndex, cache_bytes: int
) -> None:
    index = read_tile_index(make_index())
    source = SampleSource(TileReader(index.nomenclature), cache_bytes=cache_bytes)
    whole = SampleSource(TileReader(index.nomenclature))
    for tile in index.tiles * 2:
        window = Window(3, 5, 8, 10)
        found, expected = source.read(tile, window), whole.read(tile)
        assert np.array_equal(found.images[0], expected.images[0][:, 3:11, 5:15])
        assert np.array_equal(found.labels, expected.labels[3:11, 5:15])


@pytest.mark.parametrize("labelled", [False, True])
def test_a_tile_has_its_own_labels_whatever_was_read_of_its_ground_before(
    make_index: MakeIndex, three: Nomenclature, labelled: bool
) -> None:
    tile = read_tile_index(make_index()).tiles[0]
    other = make_index("other", codes=np.full((48, 48), three.codes[0], np.uint8))
    labels = read_tile_index(other).tiles[0].labels
    with TileReader(three) as reader:
        expected = SampleSource(reader).labels(tile)
        source = SampleSource(reader)
        before = source.read(replace(tile, labels=labels if labelled else None)).labels
        np.testing.assert_array_equal(source.read(tile).labels, expected)
        np.testing.assert_array_equal(source.labels(tile), expected)
    assert not np.array_equal(before, expected)


def with_unaligned_tiles(path: Path) -> TileIndex:
    """An index whose tiles begin and end anywhere, as those beside a gap do."""
    index = read_tile_index(path)
    tiles = [
        replace(tile, window=Window(tile.window.row + 1, tile.window.col, 13, 14))
        for tile in index.tiles
    ]
    return replace(index, tiles=tuple(tiles))


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_side_is_read_on_its_cells_and_tiles_with_the_whole_of_theirs(
    make_index: MakeIndex, three: Nomenclature, cache_bytes: int
) -> None:
    side = RasterContent("labels", three, 2)
    index = with_unaligned_tiles(make_index(side=side))
    with rasterio.open(index.tiles[0].sides[0]) as dataset:
        codes = LabelsOnGrid(
            dataset, Grid.of(dataset).coarsened(2), "labels", three.check_labels
        ).read(Window(0, 0, 12, 12))
        pixel_labels = three.code_to_index[dataset.read(1)]
    expected, _ = one_hot(codes, three)
    with TileReader(three) as reader:
        source = SampleSource(reader, index.sides, cache_bytes)
        assert (source.levels, source.alignment) == ((0, 2), 4)
        for tile in index.tiles:
            w, whole = tile.window, source.window(tile)
            assert whole == Window(w.row - 1, w.col, 16, 16)
            pixels = source.read(tile)
            assert pixels.levels == (0, 2)
            np.testing.assert_array_equal(pixels.images[1], expected[:, *whole.coarsened(2).slices])
            np.testing.assert_array_equal(
                pixels.labels[source.inside(tile)], pixel_labels[w.slices]
            )
            assert (pixels.labels == 255).sum() == 16 * 16 - 13 * 14
            part = source.read(tile, Window(4, 8, 8, 8))
            np.testing.assert_array_equal(part.images[1], pixels.images[1][:, 1:3, 2:4])
            np.testing.assert_array_equal(part.labels, pixels.labels[4:12, 8:16])


def test_levels_must_agree_unless_all_are_on_the_pixels(
    make_index: MakeIndex, three: Nomenclature
) -> None:
    paths = [
        make_index(f"zone{level}", side=RasterContent("labels", three, level)) for level in (2, 1)
    ]
    refused(
        InputMismatchError,
        "has labels in three on cells of 2 px beside the image, .*zone2.* has labels in three on "
        "cells of 4 px beside the image; prepare both with the same levels of `sides`, as @2",
        *paths,
    )
    assert [one.level for one in read_training_set(paths[:1]).inputs] == [0, 2]
    data = read_training_set(paths, coarse=False)
    assert [one.level for one in data.inputs] == [0, 0]
    assert data.sides == (RasterContent("labels", three),)
