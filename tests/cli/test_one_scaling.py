"""The same image alone on another's grid, and as a side input: the network sees the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.warp import transform
from support import Run, write_raster

from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import open_input
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

Lcmap = Callable[..., Run]

NODATA = -10_000


def _seen(path: Path, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a network takes of an image on a grid, and where it is valid."""
    with open_input(path) as image:
        quantiles = image.quantiles()
        reader = InputReader(image.dataset, grid, image.content, quantiles, image.name)
        return reader.read(Window(0, 0, grid.height, grid.width))


@pytest.mark.parametrize("epsg", [2154, 32631], ids=["same CRS", "other CRS"])
def test_a_sensor_alone_and_in_fusion_is_the_same_image(
    lcmap: Lcmap, tmp_path: Path, epsg: int
) -> None:
    rng = np.random.default_rng(0)
    # 80 m beyond the corner of SPOT, at 721 104, 6 249 288 in Lambert-93
    xs, ys = transform("EPSG:2154", f"EPSG:{epsg}", [721_024.0], [6_249_368.0])
    corner = (xs[0], ys[0])
    sentinel2 = rng.integers(200, 4000, (3, 60, 60)).astype(np.int16)
    sentinel2[:, 10:13, 4:9] = NODATA
    sentinel2[1, 20, 20] = NODATA
    s2, spot, campaign, alone = (
        tmp_path / name for name in ("s2.tif", "spot.tif", "s2.json", "alone.stack.tif")
    )
    write_raster(s2, sentinel2, pixel=10, corner=corner, epsg=epsg, nodata=NODATA,
                 names=("B2", "B3", "B4"))  # fmt: skip
    panchromatic = rng.integers(1, 255, (1, 100, 110)).astype(np.uint8)
    write_raster(spot, panchromatic, pixel=1.5)
    run = lcmap("prepare", "--quantiles-of", s2, "-o", campaign)
    assert run.exit_code == 0, run.stderr
    run = lcmap("prepare", s2, "--like", spot, "--resampling", "bilinear", "--quantiles", campaign,
                "-o", alone)  # fmt: skip
    assert run.exit_code == 0, run.stderr
    with open_input(spot) as image:
        grid = image.grid
    (in_fusion, there), (found, valid) = _seen(s2, grid), _seen(alone, grid)
    assert np.array_equal(valid, there) and not valid.all()
    with open_input(s2) as image:
        spread = np.diff(image.quantiles(), axis=1)[..., None]
    # the stack holds whole numbers
    assert (np.abs(found - in_fusion) * spread)[:, valid].max() <= 0.5 + 0.02
