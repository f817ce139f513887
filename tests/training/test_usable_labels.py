"""A label counts where all inputs have data, whatever the tile index says of the image alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_sides import with_side

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import NoLabelledPixelError
from lcmap.raster.input_watch import watched_inputs
from lcmap.raster.windows import Window
from lcmap.training.absent_classes import absent_classes
from lcmap.training.class_draw import ClassDraw
from lcmap.training.final import with_validation_tiles
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set

MakeIndex = Callable[..., Path]
SPLITS = ("train", "train", "validation")  # columns of tiles
CODES = (2, 5, 9)


def patches() -> NDArray[np.uint8]:
    """Return codes [48, 48] of all three classes, mixed in every tile."""
    return np.random.default_rng(1).choice(np.array(CODES, np.uint8), (48, 48))


def counted(codes: NDArray[np.uint8], windows: Sequence[Window]) -> NDArray[np.int64]:
    """Return how often each class occurs in windows, by hand."""
    return sum(  # type: ignore[return-value]
        (np.bincount(codes[w.slices].ravel(), minlength=10)[list(CODES)] for w in windows),
        np.zeros(3, np.int64),
    )


def in_tiles(data: TrainingSet) -> list[list[int]]:
    return [[tile.class_counts.get(code, 0) for code in CODES] for tile in data.train]


def test_a_label_counts_where_the_side_has_data(
    make_index: MakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    codes = patches()
    cloudless = np.random.default_rng(3).random((48, 48)) < 0.5
    cloudless[:16, :16] = False  # a tile without
    index = make_index(codes=codes, splits=SPLITS)
    before = read_training_set([index])
    with_side(index, RasterContent("image"), [cloudless])
    with caplog.at_level(logging.INFO):
        data = read_training_set([index])
    usable = np.where(cloudless, codes, 0)
    windows = [tile.window for tile in data.train]
    assert windows == [t.window for t in before.train if t.window[:2] != (0, 0)]
    expected = [counted(usable, [window]).tolist() for window in windows]
    assert in_tiles(data) == expected
    np.testing.assert_allclose(data.shares, np.sum(expected, axis=0) / np.sum(expected))
    assert data.labelled_pixels == np.sum(expected)
    assert data.train[0].labelled_share == pytest.approx(sum(expected[0]) / 256)
    lost = (48 * 48) - sum(t.labelled_share * 256 for t in data.train + data.validation)
    assert f"{lost:.0f} of 2304 labelled pixels do not count: a side input has no data there" in (
        caplog.text
    )
    both = with_validation_tiles(data)
    np.testing.assert_allclose(
        both.shares * both.labelled_pixels, counted(usable, [Window(0, 0, 48, 48)])
    )


def test_what_counts_is_what_is_read(make_index: MakeIndex) -> None:
    random = np.random.default_rng(4)
    dates = [random.random((48, 48)) < 0.3 for _ in range(2)]
    for n, (content, has_data) in enumerate(
        (
            (RasterContent("series"), dates),
            (RasterContent("series", level=1), dates),
            (RasterContent("image", level=2), [np.kron(dates[0][:6, :6], np.ones((8, 8), bool))]),
        )
    ):
        index = make_index(f"zone{n}", codes=patches(), splits=SPLITS)
        data = read_training_set([with_side(index, content, has_data)])
        if content == RasterContent("series"):
            usable = np.where(dates[0] | dates[1], patches(), 0)
            windows = [tile.window for tile in data.train]
            assert in_tiles(data) == [counted(usable, [window]).tolist() for window in windows]
        with data.reader() as reader:
            source = SampleSource(reader, data.sides)
            for tile, found in zip(data.train, in_tiles(data), strict=True):
                labels = source.read(tile).labels
                assert found == np.bincount(labels[labels != 255], minlength=3).tolist()
                assert 0 < sum(found) < 256


def test_a_class_on_which_no_side_has_data_is_absent(
    make_index: MakeIndex, caplog: pytest.LogCaptureFixture
) -> None:
    codes = patches()
    index = make_index(codes=codes, splits=SPLITS)
    data = read_training_set([with_side(index, RasterContent("image"), [codes != 9])])
    assert absent_classes(data, None) == (2,)
    assert "no training tile has never: the model never predicts it" in caplog.messages
    draw, random = ClassDraw(data.train, 0.0), np.random.default_rng(0)
    assert {draw.draw(random)[1].code for _ in range(100)} == {2, 5}


@pytest.mark.parametrize(("split", "column"), [("validation", 2), ("training", 0)])
def test_a_split_without_a_usable_label_is_refused(
    make_index: MakeIndex, split: str, column: int
) -> None:
    has_data = np.ones((48, 48), bool)
    has_data[:, 32 if column else 0 : 48 if column else 32] = False
    index = with_side(make_index(splits=SPLITS), RasterContent("image"), [has_data])
    with pytest.raises(
        NoLabelledPixelError,
        match=rf"zone.tiles.geojson: no label for {split} is where all side inputs have data; "
        r"give `sides` that cover its tiles, or prepare without `sides`",
    ):
        read_training_set([index])


@pytest.mark.parametrize("split", ["validation", "training"])
def test_labels_that_went_since_the_index_was_made_are_noticed(
    make_index: MakeIndex, split: str
) -> None:
    index = make_index(splits=SPLITS)
    codes = np.full((48, 48), 5, np.uint8)
    codes[:, 32:] *= split != "validation"
    codes[:, :32] *= split != "training"
    with rasterio.open(index.with_name("zone.labels.tif"), "r+") as dataset:
        dataset.write(codes, 1)
    with pytest.raises(NoLabelledPixelError, match=f"counts labels for {split}, and the label"):
        read_training_set([index])


def test_to_count_changes_neither_sets_without_sides_nor_what_checkpoints_are_of(
    make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lcmap.training import samples

    index = make_index(splits=SPLITS)
    beside = with_side(make_index("b", splits=SPLITS), RasterContent("image"), [patches() < 9])
    digests: list[Any] = []
    for counts in (True, False):
        if not counts:
            monkeypatch.setattr(samples, "_usable", lambda data, *_: data)
        for path in (index, beside):
            with watched_inputs() as watch:
                data = read_training_set([path])
                digests.append(watch.digest())
            if path == index:
                assert data.train == tuple(read_tile_index(index).split("train"))
    assert digests[:2] == digests[2:]
