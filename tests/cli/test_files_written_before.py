"""Models and tile indexes that an earlier lcmap wrote are read, and give what they gave then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import Run

from lcmap.dataset.tile_index import read_tile_index
from lcmap.model_file import read_model

BEFORE = Path(__file__).parents[1] / "data" / "written_before"


def codes(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize(
    ("name", "command", "sides"),
    [("image", "predict", ()), ("fusion", "fuse", (f"{BEFORE / 'oso.tif'}:oso23",))],
)
def test_a_model_makes_the_map_that_it_made(
    lcmap: Callable[..., Run], tmp_path: Path, name: str, command: str, sides: tuple[str, ...]
) -> None:
    model, output = BEFORE / f"{name}.onnx", tmp_path / "map.tif"
    done = lcmap(command, BEFORE / "stack.tif", *sides, "-m", model, "-o", output)
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(codes(output), codes(BEFORE / f"{name}_map.tif"))


@pytest.mark.parametrize("name", ["image", "fusion"])
def test_an_index_and_a_model_are_trained_on(
    lcmap: Callable[..., Run], tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(BEFORE, tmp_path / "before")
    index = read_tile_index(folder / f"{name}.tiles.geojson")
    assert len(index.tiles) == 16
    assert [content.title for content in index.sides] == ["labels in oso23"] * (name == "fusion")
    old, new = folder / f"{name}.onnx", tmp_path / "new.onnx"
    done = lcmap(
        "train", index.path, "-o", new, "--init-from", old, "--epochs", "1", "--batch-size", "2"
    )
    assert done.exit_code == 0, done.stderr
    # models did not say of which scale and offset their quantiles are
    inputs = tuple(replace(item, radiometry=()) for item in read_model(new).inputs)
    assert inputs == read_model(old).inputs
