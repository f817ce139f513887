"""Grounds as tile indexes to train on and areas to test on, made once in a folder."""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lcmap.dataset.tile_index import IndexedTile, TileIndex, read_tile_index, write_tile_index
from lcmap.imagery.options import LabelOptions, PrepareOutputs, TileIndexOptions
from lcmap.imagery.prepare import prepare
from lcmap.imagery.tiles import Tiling
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.windows import Window
from trials import berlin
from trials.declaration import Ground, data_folder, digest

DATA = Path(os.environ.get("LCMAP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
"""The folder of all sets of data."""


_SPATIAL_SPLIT = Tiling()


class Area(NamedTuple):
    """An image as one tile, and the windows of it that are tested, which share no pixel."""

    image: IndexedTile
    windows: tuple[Window, ...]


class Fold(NamedTuple):
    """Tile indexes, whose test tiles are not read, and what is tested."""

    indexes: tuple[Path, ...]
    areas: tuple[Area, ...]


def prepare_zones(
    images: Mapping[str, tuple[Path, Path]],
    folder: Path,
    crosswalk: str,
    tiling: Tiling = _SPATIAL_SPLIT,
) -> dict[str, Path]:
    """Stack and tile zones, an image and labels each, in a folder; return the tile indexes.

    What is there is not made again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    indexes = {}
    for zone, (image, labels) in images.items():
        indexes[zone] = folder / f"zone{zone}.tiles.geojson"
        if not indexes[zone].exists():
            prepare(
                [image],
                PrepareOutputs(folder / f"zone{zone}.stack.tif", overwrite=True),
                labels=LabelOptions(labels, crosswalk=crosswalk),
                tiles=TileIndexOptions(indexes[zone], tiling),
            )
    return indexes


def prepare_fold(ground: Ground, fold: str, data: Path, folder: Path) -> Fold:
    """Prepare a fold in a folder, which several processes may do at once.

    `data` is the folder of all sets.
    """
    number = ground.folds.index(fold)
    of_berlin = ground.protocol == "berlin"  # one preparation has all its sensors
    folder = folder / ("berlin" if of_berlin else f"{ground.name}-{digest(ground.identity)}")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "lock"):
        if ground.protocol == "leave-one-zone-out":
            return _zone_left_out(ground, fold, data, folder)
        seed = ground.splits[number]
        if of_berlin:
            return _berlin(ground, seed, data_folder(ground, data), folder)
        indexes = prepare_zones(
            _files(ground, data), folder / f"split{seed}", ground.crosswalk, Tiling(seed=seed)
        )
        return _spatial_split(tuple(indexes.values()))


def _files(ground: Ground, data: Path) -> dict[str, tuple[Path, Path]]:
    where = data_folder(ground, data)
    names = {zone: ground.file_names(zone) for zone in ground.zones}
    return {zone: (where / image, where / labels) for zone, (image, labels) in names.items()}


def _zone_left_out(ground: Ground, zone: str, data: Path, folder: Path) -> Fold:
    """Test one zone whole; train and validate on the others, their test tiles among the training.

    Nothing else would use these, and validation stays apart from them as it is.
    """
    indexes = prepare_zones(_files(ground, data), folder, ground.crosswalk)
    left_out = read_tile_index(indexes.pop(zone))
    joined = []
    for other, path in indexes.items():
        joined.append(folder / f"zone{other}.joined.tiles.geojson")
        if not joined[-1].exists():
            index = read_tile_index(path)
            tiles = tuple(
                dataclasses.replace(tile, split="train") if tile.split == "test" else tile
                for tile in index.tiles
            )
            write_tile_index(
                dataclasses.replace(index, path=joined[-1], tiles=tiles), overwrite=True
            )
    image = _whole(left_out)
    return Fold(tuple(joined), (Area(image, (image.window,)),))


def _spatial_split(indexes: tuple[Path, ...]) -> Fold:
    areas = []
    for path in indexes:
        index = read_tile_index(path)
        windows = tuple(tile.window for tile in index.split("test"))
        if windows:
            areas.append(Area(_whole(index), windows))
    return Fold(indexes, tuple(areas))


def _berlin(ground: Ground, seed: int, data: Path, folder: Path) -> Fold:
    reference = berlin.prepare_reference(data, folder)
    prepared = berlin.prepare_tiles(seed, data, folder / f"split{seed}", reference)
    inputs = {("3.6m",): "fine", ("30m",): "coarse"}.get(ground.sensors, "both")
    return _spatial_split((prepared.indexes[inputs],))


def _whole(index: TileIndex) -> IndexedTile:
    """Return the image of an index as one tile."""
    tile = index.tiles[0]
    with open_raster(tile.image) as dataset:
        window = Window(0, 0, *Grid.of(dataset).shape)
    return dataclasses.replace(tile, window=window)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same path."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
