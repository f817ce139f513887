"""The tile index: which tile of which image is for training, validation or test.

A GeoJSON file (RFC 7946) that opens in a GIS; what concerns all tiles is its member "lcmap".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from rasterio.warp import transform as transform_coordinates

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.side_options import SideOptions
from lcmap.errors import (
    InputMissingError,
    LcmapError,
    TileIndexError,
    UsageError,
)
from lcmap.json_text import parse_json
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.raster.destination import Stream, stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.input_watch import note_input
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.opening import open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.preview.figure import SPLIT_COLORS
from lcmap.raster.usable_crs import no_crs
from lcmap.raster.windows import Window
from lcmap.raster.writing import atomic_path
from lcmap.user_file import read_small
from lcmap.vector.styles import Category, category_style, write_style_beside

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

FORMAT_VERSION = 4

_WGS84 = "EPSG:4326"
_LARGEST = 1 << 27
_SEE_THROUGH = 90
"""Of 255: how opaque the tiles are."""
_DECIMALS = 7  # of a degree: about a centimetre


Side = Path | tuple[Path, ...]
"""A side input: a raster, or the rasters of a series."""


@dataclass(frozen=True)
class IndexedTile:
    """A window of an image with its labels and side inputs, and the split it belongs to.

    `labelled_share` is the share of the window's pixels that carry a label, `class_counts` their
    number by class code.
    """

    image: Path
    labels: Path | None
    sides: tuple[Side, ...]
    window: Window
    split: Split
    labelled_share: float
    class_counts: Mapping[int, int]


@dataclass(frozen=True)
class TileIndex:
    """The tiles of one or more images and how they were split; lengths in pixels.

    `sides` say what each tile's side inputs are, in their order, and `side_options` how they are
    opened. `block_tiles` is the side, in tiles, of the blocks that went to one split together; None
    where tiles were split one by one, and in indexes made before it was kept.
    """

    path: Path
    nomenclature: Nomenclature | None
    sides: tuple[RasterContent, ...]
    tiles: tuple[IndexedTile, ...]
    tile_size: int
    split_method: str
    seed: int
    gap: int
    block_tiles: int | None = None
    side_options: SideOptions = field(default_factory=SideOptions)

    def split(self, name: Split) -> tuple[IndexedTile, ...]:
        """Return the tiles of one split."""
        return tuple(tile for tile in self.tiles if tile.split == name)

    def of_rasters(self, image: Path, labels: Path | None) -> TileIndex:
        """Return the index with all tiles in these rasters."""
        tiles = tuple(replace(tile, image=image, labels=labels) for tile in self.tiles)
        return replace(self, tiles=tiles)


def write_tile_index(index: TileIndex, *, overwrite: bool, within: OutputSet | None = None) -> None:
    """Write a tile index to its `path`; the rasters it names exist already.

    One that is made `within` a set with its rasters gets its name with them.

    Raises:
        UsageError: the path is standard output, from where relative paths lead nowhere.
        NoCrsError: an image has no CRS, so its tiles cannot be drawn on a map.
        OutputExistsError, CannotWriteError: as `atomic_path`.
    """
    check_tile_index_path(index.path)
    folder = os.path.dirname(os.path.abspath(index.path))
    rings = _rings(index.tiles, within.written if within else Path)
    features = [
        {
            "type": "Feature",
            "properties": {
                "image": _relative(tile.image, folder),
                "labels": _relative(tile.labels, folder) if tile.labels else None,
                "sides": [_relative_side(side, folder) for side in tile.sides],
                **tile.window._asdict(),
                "split": tile.split,
                "labelled_share": tile.labelled_share,
                "class_counts": {str(code): n for code, n in sorted(tile.class_counts.items())},
            },
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for tile, ring in zip(index.tiles, rings, strict=True)
    ]
    about = {
        "version": FORMAT_VERSION,
        "nomenclature": index.nomenclature.to_dict() if index.nomenclature else None,
        "sides": [side.to_dict() for side in index.sides],
        "side_options": index.side_options.to_dict(),
        "tile_size": index.tile_size,
        "split": index.split_method,
        "seed": index.seed,
        "gap": index.gap,
        **({"block_tiles": index.block_tiles} if index.block_tiles else {}),
        **current_digest(MEMBER),
    }
    with (
        atomic_path(index.path, overwrite=overwrite, within=within) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        # one feature a line, so that two indexes can be compared line by line
        lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
        file.write('{"type": "FeatureCollection",\n"lcmap": ')
        file.write(json.dumps(about, ensure_ascii=False))
        file.write(f',\n"features": [\n{lines}\n]}}\n')
        replaces = overwrite or (within is not None and within.overwrite)
        others = within.files if within else ()
        write_style_beside(index.path, temporary, _style(), others, overwrite=replaces)


def _style() -> str:
    """Return the style of a tile index: each split in its colour, through which the image shows."""
    categories = [Category(split, split, SPLIT_COLORS[split], _SEE_THROUGH) for split in SPLITS]
    return category_style("split", categories, outlined=True)


def check_tile_index_path(path: PathLike) -> None:
    """Check that a tile index can be written there at all.

    Raises:
        UsageError: standard output, which has no place for its relative paths to start from.
    """
    if stream_at(path) == Stream(1):
        raise UsageError(
            "tile index",
            "cannot go to standard output, for its paths are relative to the file",
            "name a file",
        )


def read_tile_index(path: PathLike) -> TileIndex:
    """Read a tile index and check it against the rasters that it names.

    Raises:
        InputMissingError, DataError: the index, or a raster it names, does not exist; as
            `read_small`.
        TileIndexError: not GeoJSON, not lcmap's, made by a newer lcmap, incomplete, or with a
            window outside its image.
        NotARasterError: a raster it names cannot be opened.
    """
    document = _load_json(path)
    about = document.get("lcmap") if isinstance(document, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("version"), int):
        raise TileIndexError(
            path, "is not a tile index of lcmap", "make one with lcmap prepare --tiles"
        )
    if about["version"] > FORMAT_VERSION:
        raise TileIndexError(
            path,
            f"is of format {about['version']}, made by a newer lcmap than this, which reads up to "
            f"{FORMAT_VERSION}",
            "update lcmap",
        )
    folder = Path(path).parent
    try:
        nomenclature = about["nomenclature"]
        index = TileIndex(
            path=Path(path),
            nomenclature=Nomenclature.from_dict(nomenclature, os.fspath(path))
            if nomenclature
            else None,
            sides=tuple(RasterContent.from_dict(side, path) for side in about.get("sides", ())),
            tiles=tuple(_tile(feature["properties"], folder) for feature in document["features"]),
            tile_size=int(about["tile_size"]),
            split_method=str(about["split"]),
            seed=int(about["seed"]),
            gap=int(about["gap"]),
            block_tiles=int(about["block_tiles"]) if about.get("block_tiles") else None,
            side_options=SideOptions.from_dict(about["side_options"])
            if "side_options" in about  # formats up to 3 have none
            else SideOptions(),
        )
    except LcmapError:
        raise
    except KeyError as error:
        raise TileIndexError(path, f"lacks {error}", "make it again with lcmap prepare") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TileIndexError(
            path, f"is damaged: {error}", "make it again with lcmap prepare"
        ) from error
    if index.tile_size < 1 or index.gap < 0 or (index.block_tiles or 1) < 1:
        raise TileIndexError(
            path,
            f"has tiles of {index.tile_size} px and a gap of {index.gap} px",
            "make it again with lcmap prepare",
        )
    _check(index)
    return index


def _load_json(path: PathLike) -> Any:
    note_input(path)
    content = read_small(path, _LARGEST)
    try:
        return parse_json(content)
    except ValueError as error:
        raise TileIndexError(
            path, "is not JSON", "name a tile index made by lcmap prepare --tiles"
        ) from error


def _tile(properties: Mapping[str, Any], folder: Path) -> IndexedTile:
    split = properties["split"]
    if split not in SPLITS:
        raise ValueError(f"{split!r} is not a split")
    labels = properties["labels"]
    return IndexedTile(
        image=_resolved(properties["image"], folder),
        labels=_resolved(labels, folder) if labels else None,
        sides=tuple(_resolved_side(side, folder) for side in properties["sides"]),
        window=Window(*(int(properties[field]) for field in Window._fields)),
        split=split,
        labelled_share=float(properties["labelled_share"]),
        class_counts={int(code): int(n) for code, n in properties["class_counts"].items()},
    )


def _check(index: TileIndex) -> None:
    """Check every raster once, and that every window is inside its image.

    Side inputs are opened where they are used, by whoever may open a VRT.
    """
    present: set[Path] = set()
    shapes: dict[Path, tuple[int, int]] = {}
    codes = set(index.nomenclature.codes) if index.nomenclature else set()
    for tile in index.tiles:
        if tile.image not in shapes:
            shapes[tile.image] = _shape(tile.image, index.path)
        if len(tile.sides) != len(index.sides):
            raise TileIndexError(
                index.path,
                f"has a tile of {len(tile.sides)} side inputs, not {len(index.sides)}",
                "make it again with lcmap prepare",
            )
        for side, content in zip(tile.sides, index.sides, strict=True):
            if isinstance(side, tuple) != (content.kind == "series"):
                raise TileIndexError(
                    index.path,
                    f"has a side input that is not {content.title}",
                    "make it again with lcmap prepare",
                )
            for raster in set(rasters_of(side)) - present:
                _check_present(raster, index.path)
                present.add(raster)
        if tile.labels and tile.labels not in shapes:
            shapes[tile.labels] = _shape(tile.labels, index.path)
        if tile.labels and shapes[tile.labels] != shapes[tile.image]:
            raise TileIndexError(
                index.path,
                f"names labels {tile.labels} of another size than the image {tile.image}",
                "make it again with lcmap prepare",
            )
        rows, cols = shapes[tile.image]
        if tile.window.clipped(rows, cols) != tile.window or 0 in tile.window[2:]:
            raise TileIndexError(
                index.path,
                f"has a window {tuple(tile.window)} outside the {rows} × {cols} px of {tile.image}",
                "make it again with lcmap prepare",
            )
        unknown = sorted(set(tile.class_counts) - codes)
        if unknown:
            raise TileIndexError(
                index.path,
                f"counts class {unknown[0]}, which its nomenclature does not have",
                "make it again with lcmap prepare",
            )


def _shape(raster: Path, index: Path) -> tuple[int, int]:
    _check_present(raster, index)
    with open_raster(raster) as dataset:
        return Grid.of(dataset).shape


def _check_present(raster: Path, index: Path) -> None:
    if not raster.exists():
        raise InputMissingError(
            raster,
            f"no such file, but {index} names it",
            "keep the index where it is relative to its rasters, or make it again",
        )


def _relative(raster: Path, folder: str) -> str:
    return Path(os.path.relpath(raster, folder)).as_posix()


def _resolved(relative: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / relative))


def rasters_of(side: Side) -> tuple[Path, ...]:
    """Return the rasters of a side input: one, or those of a series."""
    return side if isinstance(side, tuple) else (side,)


def _relative_side(side: Side, folder: str) -> str | list[str]:
    if isinstance(side, tuple):
        return [_relative(raster, folder) for raster in side]
    return _relative(side, folder)


def _resolved_side(relative: str | list[str], folder: Path) -> Side:
    if isinstance(relative, list):
        return tuple(_resolved(raster, folder) for raster in relative)
    return _resolved(relative, folder)


def _rings(
    tiles: tuple[IndexedTile, ...], written: Callable[[Path], Path]
) -> list[list[tuple[float, float]]]:
    """Return each tile's closed ring of (longitude, latitude), counterclockwise.

    `written` says where an image lies now.
    """
    grids: dict[Path, Grid] = {}
    rings = []
    for tile in tiles:
        if tile.image not in grids:
            with open_raster(written(tile.image)) as dataset:
                grids[tile.image] = Grid.of(dataset)
        grid = grids[tile.image]
        if grid.crs is None:
            raise no_crs(os.fspath(tile.image))
        w = tile.window
        corners = [(w.col, w.row), (w.col, w.stop_row), (w.stop_col, w.stop_row)]
        corners += [(w.stop_col, w.row), (w.col, w.row)]
        xs, ys = zip(*(grid.transform @ corner for corner in corners), strict=True)
        longitudes, latitudes = transform_coordinates(grid.crs, _WGS84, xs, ys)
        ring = [
            (round(x, _DECIMALS), round(y, _DECIMALS))
            for x, y in zip(longitudes, latitudes, strict=True)
        ]
        rings.append(ring if _area(ring) > 0 else ring[::-1])
    return rings


def _area(ring: list[tuple[float, float]]) -> float:
    """Return the signed area of a closed ring, positive where it runs counterclockwise."""
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairwise(ring))
