from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.reading import TileReader
from lcmap.nomenclature import Nomenclature
from lcmap.raster.windows import Window
from lcmap.training.augmentation import Pixels
from lcmap.training.rare_objects import Paste, RareObjects, draw_pastes, paste_part
from lcmap.training.recipe import Sampling
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set

MakeIndex = Callable[..., Path]


def with_objects() -> tuple[np.ndarray, np.ndarray]:
    """Return an image [1, 48, 48] and codes: an L of code 5 in the first tile, which is whole.

    Of the others one reaches the tile's edge, one is too small, and one is too large.
    """
    codes = np.full((48, 48), 2, np.uint8)
    codes[3:9, 3:5] = codes[7:9, 3:8] = 5  # an L of 18 px, unlike its mirror images
    codes[12:16, 8:13] = 5  # reaches the edge of the tile
    codes[2:4, 12:14] = 5  # 4 px
    codes[18:31, 18:31] = 5  # 13 px wide
    image = (40 + np.arange(48 * 48).reshape(1, 48, 48) % 97).astype(np.uint8)
    return image, codes


@pytest.fixture
def data(make_index: MakeIndex, three: Nomenclature) -> TrainingSet:
    image, codes = with_objects()
    splits = ("train", "validation", "validation", "validation")
    side = RasterContent("labels", three)
    return read_training_set([make_index(image=image, codes=codes, splits=splits, side=side)])


def crop(value: float, side: int = 12) -> Pixels:
    shape = side, side
    valid = np.ones(shape, bool)
    return Pixels(
        (np.full((1, *shape), value, np.float32), np.zeros((3, *shape), np.float32)),
        np.zeros(shape, np.uint8),
        (valid, valid.copy()),
    )


def test_whole_objects_of_rare_classes_are_pasted_with_their_side_inputs(
    data: TrainingSet,
) -> None:
    source = SampleSource(TileReader(data.nomenclature), data.sides)
    objects = RareObjects(source, data.train, Sampling(rare=0.4), 16, 0)
    ground = crop(7.0)
    seen = set()
    for orientation in range(8):
        made = objects.paste(ground, [Paste(0.5, 0.5, 0.3, 0.9, orientation / 8)])
        pasted = made.labels == 1
        seen.add(pasted.tobytes())
        assert pasted.sum() == 18, "the one object that is whole, neither small nor large"
        _, numbers = ndimage.label(pasted)
        assert numbers == 1
        around = ndimage.binary_dilation(pasted, np.ones((3, 3)), iterations=2) & ~pasted
        assert (made.labels[around] == 255).all()
        assert (made.labels[~around & ~pasted] == 0).all()
        # the image: the object's own pixels, then ever more of the ground
        tile = source.read(data.train[0])
        np.testing.assert_allclose(
            np.sort(made.images[0][0][pasted]),
            np.sort(tile.images[0][0][3:9, 3:9][tile.labels[3:9, 3:9] == 1]),
            atol=1e-6,
        )
        assert (made.images[0][0][~around & ~pasted] == 7).all()
        blended = made.images[0][0][around]
        assert ((blended > 0) & (blended < 7)).all()
        # the label map beside it is pasted without a rim
        assert np.array_equal(made.images[1][1] == 1, pasted)
    assert len(seen) == 8
    assert (ground.labels == 0).all() and (ground.images[0] == 7).all()


@pytest.mark.parametrize("sampling", [Sampling(rare=0.1), Sampling(rare=0.0)])
def test_frequent_classes_and_objects_larger_than_the_crop_are_not_pasted(
    data: TrainingSet, sampling: Sampling
) -> None:
    source = SampleSource(TileReader(data.nomenclature), data.sides)
    paste = [Paste(0.5, 0.5, 0.5, 0.5, 0.0)]
    none = RareObjects(source, data.train, sampling, 16, 0)
    assert (none.paste(crop(7.0), paste).labels == 0).all()
    objects = RareObjects(source, data.train, Sampling(rare=0.4), 16, 0)
    assert (objects.paste(crop(7.0, side=5), paste).labels == 0).all()


def test_what_is_not_valid_is_neither_pasted_nor_pasted_on() -> None:
    ground, part = crop(1.0), crop(3.0, side=6)
    mask = np.zeros((6, 6), bool)
    mask[2:4, 2:5] = True
    part.labels[mask] = 2
    ground.valid[0][7] = ground.images[0][0, 7] = False
    part.valid[0][2, 2] = part.images[0][0, 2, 2] = False
    part.valid[1][3, 4] = False
    part.labels[3, 4] = 255
    part.images[1][2][mask & part.valid[1]] = 1
    ground.valid[1][5:8] = False
    paste_part(ground, part, mask, Window(4, 0, 6, 6), ("image", "labels"))
    # row 7 of the ground has no data, one pixel of the object neither
    assert np.argwhere(ground.labels == 2).tolist() == [[6, 3], [6, 4]]
    assert not ground.valid[0][7].any() and (ground.images[0][0, 7] == 0).all()
    assert (ground.images[0][0, 6, 3:5] == 3).all()
    assert ground.valid[1][6].tolist() == [False] * 3 + [True] * 2 + [False] * 7
    assert ground.images[1][2].sum() == 2
    assert ground.valid[0].sum() == 11 * 12


def test_as_many_objects_are_drawn_as_expected() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_pastes(1.5, random) for _ in range(2000)]
    assert np.mean([len(each) for each in drawn]) == pytest.approx(1.5, abs=0.1)
    numbers = np.array([paste for each in drawn for paste in each])
    assert (numbers >= 0).all() and (numbers < 1).all()
    np.testing.assert_allclose(numbers.mean(axis=0), 0.5, atol=0.03)


def test_an_object_is_pasted_on_the_cells_that_it_fills_half_of() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0:4, 0:6] = True  # all of one cell of 4 x 4, half of the next
    mask[4, 0:4] = True  # a quarter of the cell below
    ground = np.zeros((1, 12, 12), np.float32), np.zeros((1, 3, 3), np.float32)
    whole = np.ones((12, 12), bool), np.ones((3, 3), bool)
    pixels = Pixels(ground, np.zeros((12, 12), np.uint8), whole, (0, 2))
    part = Pixels(
        (np.ones((1, 8, 8), np.float32), np.ones((1, 2, 2), np.float32)),
        np.ones((8, 8), np.uint8), (np.ones((8, 8), bool), np.ones((2, 2), bool)), (0, 2),
    )  # fmt: skip
    paste_part(pixels, part, mask, Window(4, 4, 8, 8), ("image", "labels"))
    assert (pixels.labels[4:12, 4:12][mask] == 1).all()
    cells = pixels.images[1][0]
    assert cells[1, 1] == 1 and cells[1, 2] > 0.5
    assert cells[2, 1] == cells[2, 2] == 0 and not cells[0].any() and not cells[:, 0].any()
