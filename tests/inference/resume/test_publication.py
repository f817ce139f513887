"""Files are a function of the arrays, whatever the tiles and threads; which are named is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from lcmap.errors import CannotWriteError
from lcmap.graph.halo import padded_halo
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import OutputFiles, output_files
from lcmap.inference.resume import publication
from lcmap.inference.resume.journal import Record
from lcmap.inference.resume.publication import (
    already_named,
    make_file,
    naming_record,
)
from lcmap.inference.resume.resumable_map import ResumableMap
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.tiling import tiles_of
from lcmap.nomenclature import load_nomenclature
from lcmap.progress import silent
from lcmap.raster.grid import Grid

FLAIR7 = load_nomenclature("flair7")
SHAPE = (700, 1300)
GRID = Grid(CRS.from_epsg(2154), Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000), SHAPE[1], SHAPE[0])


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


def files_in(folder: Path, **options: Any) -> OutputFiles:
    paths = (folder / name for name in ("map.tif", "c.tif", "p.tif"))
    return output_files(MapOutputs(*paths, **options), FLAIR7, (), {"LCMAP_MODEL": "m.onnx"})


def stored(folder: Path, files: OutputFiles, arrays: dict[str, np.ndarray]) -> TileStore:
    tiles = [tile.output_window for tile in tiles_of(*SHAPE, 400, 8, padded_halo(8, 20))]
    store = TileStore(folder, tiles, files.groups)
    for window in tiles:
        store.write(window, {name: a[:, *window.slices] for name, a in arrays.items()})
    return store


def test_bytes_do_not_depend_on_tiles_or_threads(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    written = []
    for tile, threads in [(96, 1), (300, 2), (2000, None), (512, 4)]:
        folder = tmp_path / str(tile)
        folder.mkdir()
        files = files_in(folder)
        windows = [tile.output_window for tile in tiles_of(*SHAPE, tile, 8, padded_halo(8, 20))]
        with ResumableMap(files, GRID, {"tile": tile}, windows) as work:
            for number, window in work.pending(windows):
                work.store(number, {n: a[:, *window.slices] for n, a in arrays.items()})
            work.publish({}, threads=threads)
        written.append([Path(raster.path).read_bytes() for raster in files.rasters])
        assert sorted(path.name for path in folder.iterdir()) == [
            "c.tif", "map.qml", "map.tif", "map.tif.aux.xml", "p.tif",
        ]  # fmt: skip
    assert all(again == written[0] for again in written)
    for raster in files.rasters:
        with rasterio.open(raster.path) as dataset:
            np.testing.assert_array_equal(dataset.read(), arrays[raster.group.name])
            assert dataset.tags()["LCMAP_MODEL"] == "m.onnx"


def test_progress_counts_every_strip(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    steps: list[tuple[int, int, str]] = []
    files = files_in(tmp_path)
    store = stored(tmp_path, files, arrays)
    make_file(
        files.rasters[2], store, GRID, tmp_path,
        lambda done, total, note="", **_: steps.append((done, total, note)),
    )  # fmt: skip
    store.close()
    assert steps == [(i, 14, "writing probabilities") for i in range(1, 15)]


def test_errors_name_the_file_that_was_asked_for(
    tmp_path: Path, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> Any:
        raise CannotWriteError(path, "no space left", "free some")

    monkeypatch.setattr(publication, "atomic_raster", full)
    folder = tmp_path / "work"
    folder.mkdir()
    files = files_in(tmp_path, qml=True)
    store = stored(folder, files, arrays)
    for file in files.rasters:
        with pytest.raises(CannotWriteError) as caught:
            make_file(file, store, GRID, folder, silent)
        assert str(caught.value) == f"{file.path}: no space left; free some"
    store.close()


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[OutputFiles, Path, Record]:
    """Five files of which the style has its name, the others wait for theirs."""
    folder = tmp_path / "work"
    folder.mkdir()
    files = files_in(tmp_path, qml=True)
    for file in files.in_naming_order:
        (folder / file.waiting).write_bytes(b"new")
    record = naming_record(files, folder, {})
    (folder / "codes.qml").rename(tmp_path / "map.qml")
    return files, folder, record


def test_a_file_that_left_the_folder_has_its_name(
    tmp_path: Path, waiting: tuple[OutputFiles, Path, Record]
) -> None:
    files, folder, record = waiting
    assert already_named(files, folder, [record]) == {"codes.qml"}
    # across disks a copy stays behind
    (tmp_path / "c.tif").write_bytes(b"new")
    (tmp_path / "map.tif").write_bytes(b"somebody else's")
    assert already_named(files, folder, [record]) == {"codes.qml", "confidence.tif"}
    (tmp_path / "map.qml").write_bytes(b"another")
    assert already_named(files, folder, [record]) == {"confidence.tif"}


def test_names_of_another_run_are_not_its_own(
    tmp_path: Path, waiting: tuple[OutputFiles, Path, Record]
) -> None:
    files, folder, record = waiting
    others = [
        files_in(tmp_path, qml=False),
        files_in(tmp_path, qml=True, cog=True),
        files_in(Path("/elsewhere"), qml=True),
        output_files(MapOutputs(tmp_path / "map.tif", qml=True), FLAIR7, (), {}),
    ]
    for naming in (None, *(other.naming for other in others)):
        assert already_named(files, folder, [record | {"naming": naming}]) == set()


SIGNALLED = """
import signal, sys
from pathlib import Path
from types import SimpleNamespace
from lcmap.inference.resume import publication
from lcmap.interruption import working

def signalled(*given, move=publication.move_into_place):
    signal.raise_signal(signal.SIGTERM)
    move(*given)

publication.move_into_place = signalled
waiting, *paths = map(Path, sys.argv[1:])
try:
    with working():
        files = [SimpleNamespace(waiting=path.name, path=path) for path in paths]
        publication.give_names(files, waiting)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_amid_the_names_comes_after_the_last(tmp_path: Path) -> None:
    """As where the map goes into a stream and the rest into files: no other run would go on.

    In a process of its own, which a signal may end.
    """
    names = ("map.tif", "confidence.tif", "map.qml")
    waiting = tmp_path / "waiting"
    waiting.mkdir()
    for name in names:
        (waiting / name).write_bytes(b"map")
    run = subprocess.run(
        [sys.executable, "-c", SIGNALLED, waiting, *(tmp_path / name for name in names)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "interrupted\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*names, "waiting"))
    assert not any(waiting.iterdir())
