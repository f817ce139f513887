"""Files are a function of the arrays, whatever the tiles and threads; which are named is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from lcmap.errors import CannotWriteError, OutputExistsError
from lcmap.graph.padding import padded_halo
from lcmap.inference.map_files import MapFile, map_files
from lcmap.inference.output_files import assemble, assembled_path, named, naming, write_files
from lcmap.inference.resume.work_folder import WorkFolder
from lcmap.inference.tiling import tiles_of
from lcmap.nomenclature import load_nomenclature
from lcmap.progress import silent
from lcmap.raster.grid import Grid
from lcmap.raster.writing import RasterFormat, atomic_raster

FLAIR7 = load_nomenclature("flair7")
SHAPE = (700, 1300)
GRID = Grid(CRS.from_epsg(2154), Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000), SHAPE[1], SHAPE[0])


def create(path, profile):
    return atomic_raster(path, GRID, RasterFormat(**profile), overwrite=True)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random((7, *SHAPE), np.float32)
    codes = rng.integers(0, 8, (SHAPE[0] // 10, SHAPE[1] // 10)).astype(np.uint8)
    return {
        "codes": np.kron(codes, np.ones((10, 10), np.uint8))[None],
        "confidence": np.rint(100 * p.max(axis=0)).astype(np.uint8)[None],
        "probabilities": p,
    }


def files_in(folder: Path) -> list[MapFile]:
    return map_files(FLAIR7, folder / "map.tif", folder / "c.tif", folder / "p.tif")


def finished(
    work: WorkFolder, files: list[MapFile], arrays: dict[str, np.ndarray], tile: int
) -> None:
    """Fill the spool of a run with the tiles of an image."""
    tiles = [tile.output_window for tile in tiles_of(*SHAPE, tile, 8, padded_halo(8, 20))]
    planes = [file.plane for file in files]
    work.begin({"tile": tile}, tiles, planes, before_afresh=lambda: None)
    for number, window in enumerate(tiles):
        parts = {name: values[:, *window.slices] for name, values in arrays.items()}
        work.store(window, parts, {"tile": number})


def test_bytes_do_not_depend_on_tiles_or_threads(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    written = []
    for number, (tile, threads) in enumerate([(96, 1), (300, 2), (2000, "ALL_CPUS"), (512, 4)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = files_in(folder)
        with (
            rasterio.Env(GDAL_NUM_THREADS=threads),
            WorkFolder(folder / "map.tif", resumable=True) as work,
        ):
            finished(work, files, arrays, tile)
            write_files(
                files, work, SHAPE, create, naming(files), {}, lambda: None, silent
            )  # fmt: skip
        written.append([Path(file.path).read_bytes() for file in files])
        assert sorted(path.name for path in folder.iterdir()) == ["c.tif", "map.tif", "p.tif"]
    assert all(again == written[0] for again in written)
    for file in files:
        with rasterio.open(file.path) as dataset:
            np.testing.assert_array_equal(dataset.read(), arrays[file.layer])


def test_progress_counts_every_strip(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    steps: list[tuple[int, int, str]] = []
    files = files_in(tmp_path)
    with WorkFolder(tmp_path / "map.tif", resumable=True) as work:
        finished(work, files, arrays, 400)
        assemble(
            files[2], work.spool, SHAPE, create, work.folder,
            lambda done, total, note="": steps.append((done, total, note)),
        )  # fmt: skip
    assert steps == [(i, 14, "writing probabilities") for i in range(1, 15)]


def test_errors_name_the_file_that_was_asked_for(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    def full(path: Path, **_: Any) -> Any:
        raise CannotWriteError(path, "no space left", "free some")

    files = files_in(tmp_path)
    with WorkFolder(tmp_path / "map.tif", resumable=True) as work:
        finished(work, files, arrays, 2000)
        with pytest.raises(CannotWriteError) as caught:
            assemble(files[1], work.spool, SHAPE, full, work.folder, silent)
    assert str(caught.value) == f"{tmp_path / 'c.tif'}: no space left; free some"


def test_an_output_that_appeared_meanwhile_is_not_replaced(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    files = files_in(tmp_path)

    def refuse() -> None:
        raise OutputExistsError(tmp_path / "c.tif", "exists already")

    with pytest.raises(OutputExistsError), WorkFolder(tmp_path / "map.tif", resumable=True) as work:
        finished(work, files, arrays, 2000)
        write_files(files, work, SHAPE, create, naming(files), {}, refuse, silent)
    assert not (tmp_path / "map.tif").exists() and not (tmp_path / "p.tif").exists()
    assert work.folder.exists()


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[list[MapFile], Path]:
    """Three files of which the probabilities have their name, the others wait for theirs."""
    folder = tmp_path / "unfinished"
    folder.mkdir()
    files = files_in(tmp_path)
    for file in files[:2]:
        assembled_path(folder, file).write_bytes(b"new")
    (tmp_path / "p.tif").write_bytes(b"new")
    return files, folder


def test_a_file_that_left_the_folder_has_its_name(
    tmp_path: Path, waiting: tuple[list[MapFile], Path]
) -> None:
    files, folder = waiting
    wanted = naming(files, cog=False)
    assert named(files, folder, wanted, wanted) == {"probabilities"}
    # across disks a copy stays behind
    (tmp_path / "c.tif").write_bytes(b"new")
    (tmp_path / "map.tif").write_bytes(b"somebody else's")
    assert named(files, folder, wanted, wanted) == {"probabilities", "confidence"}
    (tmp_path / "p.tif").unlink()
    assert named(files, folder, wanted, wanted) == {"confidence"}


@pytest.mark.parametrize(
    "change",
    [
        lambda files: None,
        lambda files: naming(files, cog=True),
        lambda files: naming(files[:2], cog=False),
        lambda files: naming(files_in(Path("/elsewhere")), cog=False),
    ],
)
def test_names_of_another_run_are_not_its_own(
    waiting: tuple[list[MapFile], Path], change: Callable[[list[MapFile]], Any]
) -> None:
    files, folder = waiting
    assert named(files, folder, naming(files, cog=False), change(files)) == set()


def test_a_named_file_that_was_removed_is_made_again(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    files = files_in(tmp_path)
    with WorkFolder(tmp_path / "map.tif", resumable=True) as work:
        finished(work, files, arrays, 2000)
        given = (files, work, SHAPE, create, naming(files), {}, lambda: None, silent)
        write_files(*given)
        before = (tmp_path / "c.tif").read_bytes()
        (tmp_path / "c.tif").unlink()
        write_files(*given)
    assert (tmp_path / "c.tif").read_bytes() == before
