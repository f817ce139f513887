"""Reading of tiles, against the rasters read whole, from one thread and from many."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import rasterio

from lcmap.dataset import reading
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.reading import IGNORE, TileReader
from lcmap.dataset.tile_index import TileIndex
from lcmap.errors import NotARasterError
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.windows import Window


def test_sample_is_the_window_of_the_rasters(index: TileIndex) -> None:
    assert index.nomenclature is not None
    tile = index.tiles[3]
    with rasterio.open(tile.image) as dataset:
        image = dataset.read()[:, tile.window.slices[0], tile.window.slices[1]]
    assert tile.labels is not None
    with rasterio.open(tile.labels) as dataset:
        codes = dataset.read(1)[tile.window.slices]
    with TileReader(index.nomenclature) as reader:
        sample = reader.read(tile)
    assert sample.image.dtype == np.uint16
    assert (sample.image == image).all()
    assert sample.valid.tolist() == (image != 0).all(axis=0).tolist()
    assert sample.labels is not None
    for place in np.ndindex(codes.shape):
        if codes[place] == 0 or not sample.valid[place]:
            assert sample.labels[place] == IGNORE
        else:
            assert index.nomenclature.codes[sample.labels[place]] == codes[place]
    assert not sample.valid.all()


def test_any_window_can_be_read_instead(index: TileIndex) -> None:
    with TileReader(index.nomenclature) as reader:
        sample = reader.read(index.tiles[0], Window(5, 6, 7, 8))
    assert sample.image.shape == (2, 7, 8)


def test_many_threads_read_what_one_reads(index: TileIndex) -> None:
    tiles = index.tiles * 30
    with TileReader(index.nomenclature) as reader:
        alone = [pickle.dumps(reader.read(tile)) for tile in tiles]
        with ThreadPoolExecutor(4) as threads:
            together = [pickle.dumps(sample) for sample in threads.map(reader.read, tiles)]
    assert alone == together


@pytest.mark.parametrize("most", [1, 48])
def test_one_thread_after_another_opens_no_more_files(
    index: TileIndex, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    opened: list[Any] = []

    class Kept(rasterio.DatasetReader):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            opened.append(self)

    monkeypatch.setattr(reading, "DatasetReader", Kept)
    monkeypatch.setattr(reading, "_MOST_RASTERS", most)
    tile, (content,) = index.tiles[0], index.sides
    with TileReader(index.nomenclature) as reader:
        for _ in range(5):
            with ThreadPoolExecutor(1) as thread:
                thread.submit(reader.read, tile).result()
                thread.submit(reader.side, tile.sides[0], content, tile.image, tile.window).result()
        still = [dataset for dataset in opened if not dataset.closed]
        # the image, its labels, and the side input, of which one at a time was wanted
        assert len(still) == (3 if most == 48 else 2)
        assert most == 1 or len(opened) == 3
    assert all(dataset.closed for dataset in opened)


def test_reader_can_be_used_again_after_closing(index: TileIndex) -> None:
    reader = TileReader(index.nomenclature)
    first = reader.read(index.tiles[0])
    reader.close()
    assert (reader.read(index.tiles[0]).image == first.image).all()
    reader.close()


def test_quantiles_come_from_tags_or_from_the_pixels(index: TileIndex) -> None:
    image = index.tiles[0].image
    with rasterio.open(image) as dataset:
        values = dataset.read()
    valid = (values != 0).all(axis=0)
    with TileReader(None) as reader:
        expected = np.quantile(values[:, valid].astype(float), (0.02, 0.98), axis=1).T
        assert reader.quantiles(image).tolist() == expected.tolist()
    for shift, found in ((0.25, expected + 0.25), (1000.0, expected)):
        with rasterio.open(image, "r+") as dataset:
            write_quantiles(dataset, expected + shift)
        with TileReader(None) as reader:  # what is far from the pixels is not theirs
            assert reader.quantiles(image).tolist() == found.tolist()


def test_a_side_input_is_brought_onto_the_grid_once(
    index: TileIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Counted(InputReader):
        def __init__(self, *arguments: Any) -> None:
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(reading, "InputReader", Counted)
    (side,), (content,) = index.tiles[0].sides, index.sides
    with TileReader(index.nomenclature) as reader:
        for tile in index.tiles[:3]:
            values, valid = reader.side(side, content, tile.image, tile.window)
            assert values.shape[1:] == valid.shape == tile.window[2:]
    assert len(made) == len({tile.image for tile in index.tiles[:3]})


def test_a_raster_that_is_two_side_inputs_is_read_as_each(index: TileIndex) -> None:
    tile, names = index.tiles[0], index.nomenclature
    assert tile.labels is not None and names is not None
    with TileReader(names) as reader:
        for content, channels in ((RasterContent("labels", names), len(names)),
                                  (RasterContent("image"), 1)):  # fmt: skip
            found, _ = reader.side(tile.labels, content, tile.image, tile.window)
            assert len(found) == channels


def test_labels_take_a_nomenclature(index: TileIndex) -> None:
    with TileReader(None) as reader, pytest.raises(ValueError, match="nomenclature"):
        reader.read(index.tiles[0])


def test_damaged_pixels_are_said_with_the_file(index: TileIndex) -> None:
    image = index.tiles[0].image
    content = bytearray(image.read_bytes())
    with rasterio.open(image) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", dm="TIFF", bidx=1))
    content[offset : offset + 200] = bytes(200)
    image.write_bytes(content)
    with (
        TileReader(None) as reader,
        pytest.raises(NotARasterError, match=r"image\.tif: its pixels"),
    ):
        reader.image(image, Window(0, 0, 10, 10))
