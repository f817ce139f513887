"""Outputs are whole or absent."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from lcmap.errors import CannotWriteError, OutputExistsError
from lcmap.raster.classes import ClassTable, read_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.writing import RasterFormat, atomic_path, atomic_raster, check_output

TABLE = ClassTable("example", {1: "bâti", 3: "eau"}, {1: (255, 0, 0), 3: (0, 0, 255)})


def write_map(path: Path, grid: Grid, values: np.ndarray, **options: object) -> None:
    made = RasterFormat(count=1, dtype="uint8", nodata=0, classes=TABLE, **options)  # type: ignore[arg-type]
    with atomic_raster(path, grid, made, overwrite=True) as dataset:
        dataset.write(values, 1)


@pytest.fixture
def values(grid: Grid) -> np.ndarray:
    return np.random.default_rng(0).choice([0, 1, 3], grid.shape).astype("uint8")


@pytest.mark.parametrize("cog", [False, True])
def test_map_has_colours_names_and_overviews_by_mode(
    tmp_path: Path, grid: Grid, values: np.ndarray, cog: bool
) -> None:
    values[:512, :512] = 3
    path = tmp_path / "map.tif"
    write_map(path, grid, values, overviews=True, cog=cog)
    with open_raster(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), values)
        assert Grid.of(dataset).matches(grid)
        assert dataset.overviews(1) == [2, 4]
        assert read_class_table(dataset) == TABLE
        assert dataset.colormap(1)[3] == (0, 0, 255, 255)
        assert dataset.nodata == 0
        assert (dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG") is cog
        assert set(np.unique(dataset.read(1, out_shape=(225, 275)))) <= {0, 1, 3}
    assert os.listdir(tmp_path) == ["map.tif"]


def test_failure_leaves_nothing(tmp_path: Path, grid: Grid) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        atomic_raster(
            tmp_path / "a.tif",
            grid,
            RasterFormat(count=1, dtype="uint8", nodata=0),
            overwrite=False,
        ) as dataset,
    ):
        dataset.write(np.ones(grid.shape, "uint8"), 1)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_what_was_there_stays_until_the_new_file_is_whole(
    tmp_path: Path, grid: Grid, values: np.ndarray
) -> None:
    path = tmp_path / "map.tif"
    write_map(path, grid, values)
    before = path.read_bytes()
    with (
        pytest.raises(KeyboardInterrupt),
        atomic_raster(path, grid, RasterFormat(count=1, dtype="uint8", nodata=0), overwrite=True),
    ):
        raise KeyboardInterrupt
    assert path.read_bytes() == before


def test_existing_output_and_missing_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("old")
    with pytest.raises(OutputExistsError, match="`overwrite`"):
        check_output(tmp_path / "there.txt", overwrite=False)
    check_output(tmp_path / "there.txt", overwrite=True)
    with pytest.raises(CannotWriteError, match="no such folder"):
        check_output(tmp_path / "none" / "a.txt", overwrite=False)
    with pytest.raises(CannotWriteError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_atomic_path_replaces_any_file(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    with atomic_path(target, overwrite=False) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["note.txt"]


def test_file_size_limit_ends_as_cannot_write_and_leaves_nothing(
    tmp_path: Path, grid: Grid
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, grid.shape).astype("uint8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with (
            pytest.raises(CannotWriteError, match=r"a\.tif"),
            atomic_raster(
                tmp_path / "a.tif",
                grid,
                RasterFormat(count=1, dtype="uint8", nodata=None),
                overwrite=False,
            ) as dataset,
        ):
            dataset.write(noise, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
import numpy as np
from affine import Affine
from lcmap.raster.grid import Grid
from lcmap.raster.writing import RasterFormat, atomic_raster
grid = Grid(None, Affine(1, 0, 0, 0, -1, 0), 700, 700)
with atomic_raster(sys.argv[1], grid, RasterFormat(1, "uint8", 0), overwrite=True) as d:
    d.write(np.ones((700, 700), "uint8"), 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sigkill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    target = tmp_path / "map.tif"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()


def test_bands_of_uint8_do_not_become_alpha(tmp_path: Path, grid: Grid) -> None:
    path = tmp_path / "stack.tif"
    with atomic_raster(
        path, grid, RasterFormat(count=4, dtype="uint8", nodata=None), overwrite=False
    ) as d:
        d.write(np.zeros((4, *grid.shape), "uint8"))
    with rasterio.open(path) as dataset:
        assert "alpha" not in [c.name for c in dataset.colorinterp]
        assert (dataset.dataset_mask() == 255).all()
