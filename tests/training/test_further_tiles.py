"""Images that have test tiles alone are checked and scaled too where their labels are judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_sides import with_side

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import InputMismatchError
from lcmap.training.options import NetworkSize, TileInputOptions, TrainOptions, TrainOutputs
from lcmap.training.recipe import Scaling
from lcmap.training.samples import read_training_set
from lcmap.training.train import train

MakeIndex = Callable[..., Path]
WITH_TEST = TileInputOptions(with_test=True)


def dark() -> np.ndarray:
    """Return an image at half the radiance of that of `make_index`."""
    return np.random.default_rng(5).integers(20, 100, (2, 48, 48), np.uint8)


@pytest.mark.parametrize("scaling", ["image", "training"])
def test_an_image_of_test_tiles_is_scaled_as_the_model_scales(
    make_index: MakeIndex, scaling: Scaling
) -> None:
    indexes = [
        make_index("a"),
        make_index("b", splits=("train", "validation")),
        make_index("tested", dark(), splits=("test",)),
    ]
    without = read_training_set(indexes, scaling=scaling)
    data = read_training_set(indexes, WITH_TEST, scaling=scaling)
    assert data.inputs == without.inputs and data.train == without.train
    assert data.validation == without.validation
    image = read_tile_index(indexes[2]).tiles[0].image
    assert image not in without.quantiles
    with data.reader() as reader, without.reader() as other:
        own = other.quantiles(image)
        expected = own if scaling == "image" else np.array(data.inputs[0].quantiles)
        np.testing.assert_array_equal(reader.quantiles(image), expected)
        assert scaling == "image" or not np.array_equal(own, expected)


@pytest.mark.parametrize("kind", ["image", "series"])
def test_side_inputs_of_test_tiles_are_scaled_as_the_model_scales(
    make_index: MakeIndex, tmp_path: Path, kind: str
) -> None:
    everywhere = [np.ones((48, 48), bool)]
    indexes = []
    for name, splits in (("a", ("train", "validation")), ("tested", ("test",))):
        (tmp_path / name).mkdir()
        index = make_index(name, splits=splits, folder=tmp_path / name)
        indexes.append(with_side(index, RasterContent(kind), everywhere))  # type: ignore[arg-type]
    data = read_training_set(indexes, WITH_TEST, scaling="training")
    side = read_tile_index(indexes[1]).tiles[0].sides[0]
    np.testing.assert_array_equal(data.quantiles[side], data.inputs[1].quantiles)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.ones((3, 48, 48), np.uint8), "its bands are band 1, band 2, band 3, those of .*zone"),
        (np.ones((2, 48, 48), np.uint16), "is uint16, .*zone.tif is uint8"),
    ],
)
def test_another_kind_is_refused_before_training(
    make_index: MakeIndex, tmp_path: Path, image: np.ndarray, problem: str
) -> None:
    image[:] = np.arange(48)
    indexes = [make_index(), make_index("tested", image, splits=("test",), east=100)]
    read_training_set(indexes)  # what only tests does not matter otherwise

    def told(done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px") -> None:
        raise AssertionError("it trains")

    with pytest.raises(InputMismatchError, match=f"tested.tif: {problem}"):
        train(
            indexes,
            TrainOutputs(tmp_path / "m.onnx", suspects=tmp_path / "suspects"),
            TrainOptions(size=NetworkSize(4, 1), epochs=1),
            progress=told,
        )


def test_values_that_mean_something_else_are_refused_where_all_are_scaled_alike(
    make_index: MakeIndex,
) -> None:
    indexes = [make_index("S2A_MSIL2A"), make_index("S2A_MSIL1C", splits=("test",), east=100)]
    read_training_set(indexes, WITH_TEST, scaling="image")
    with pytest.raises(InputMismatchError, match=r"MSIL1C\.tif: is .*the training images is"):
        read_training_set(indexes, WITH_TEST, scaling="training")
