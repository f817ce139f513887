"""The rasters that a user means by a folder, a pattern or an index of them."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable
from pathlib import Path

from lcmap.errors import DataError, InputMissingError
from lcmap.paths import PathLike
from lcmap.raster.input_watch import files_in
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.sentinel2.product import is_sentinel2

_SUFFIXES = (".tif", ".tiff", ".jp2", ".img", ".png", ".vrt")
_INDEXES = (".gpkg", ".fgb", ".geojson", ".shp")
_LOCATIONS = ("location", "image")
"""The fields that name a raster: of GDAL's tile indexes, and of lcmap's."""


def raster_files(given: PathLike) -> tuple[Path, ...]:
    """Return the files that a user means by a file, a folder, a pattern with * ? [ ], or an index.

    An index is a vector file with a feature for each raster, as gdaltindex makes one, or a tile
    index of lcmap's. Its rasters keep its order, those of a folder or pattern come by their names.
    The folder of a Sentinel-2 product is one of them, and a folder may hold such instead.

    Raises:
        InputMissingError: a folder or index without rasters, or a pattern that fits no file.
        NotAVectorError: an index cannot be read.
        DataError: a feature of an index names no raster, or it is no index of rasters.
    """
    text = os.fspath(given)
    if text == STANDARD_STREAM:
        return (Path(text),)
    if is_sentinel2(text):
        return (Path(text),)
    if os.path.isdir(text):
        found = files_in(text, _SUFFIXES) or [path for path in files_in(text) if is_sentinel2(path)]
        if not found:
            raise InputMissingError(text, "the folder holds no raster", "name a folder of rasters")
        return tuple(found)
    if glob.has_magic(text) and not os.path.exists(text):
        found = files_in(text)
        if not found:
            raise InputMissingError(text, "no file fits this pattern", "check the path")
        return tuple(found)
    if Path(text).suffix.lower() in _INDEXES and os.path.isfile(text):
        return _indexed(Path(text))
    return (Path(text),)


def would_join(path: PathLike, given: PathLike) -> bool:
    """Tell whether a file at `path` would be one of those that `raster_files` returns."""
    file, text = os.path.realpath(path), os.path.realpath(given)
    if os.path.isdir(text):
        return os.path.dirname(file) == text and file.lower().endswith(_SUFFIXES)
    depth = file.count(os.sep) - text.count(os.sep)
    return (
        glob.has_magic(text)
        and not os.path.exists(text)
        and (depth == 0 or "**" in text)
        and fnmatch.fnmatch(file, text)
    )


def _indexed(index: Path) -> tuple[Path, ...]:
    """Return the rasters of an index, each once; relative paths are from its folder, as GDAL's."""
    # the reader of vector files takes a second to load, and most commands read none
    from lcmap.vector.columns import as_text
    from lcmap.vector.sources import find_layers, read_column

    for layer in find_layers([index]):
        fields = {name.casefold(): name for name in layer.fields}
        for field in _LOCATIONS:
            if field in fields:
                texts = [as_text(value) for value in read_column(layer, fields[field]).tolist()]
                found = dict.fromkeys(index.parent / text for text in texts if text)
                if not found:
                    raise InputMissingError(index, "the index names no raster", "make it again")
                if empty := sum(not text for text in texts):
                    raise DataError(
                        index, f"names no raster in {empty} of its {len(texts)} rows",
                        "make it again with gdaltindex",
                    )  # fmt: skip
                _check_there(found, index)
                return tuple(found)
    raise DataError(
        index,
        f'is no index of rasters: it has no field "{_LOCATIONS[0]}"',
        "make one with gdaltindex, name the rasters, or rasterize labels with lcmap rasterize-ref",
    )


def _check_there(files: Iterable[Path], index: Path) -> None:
    for file in files:
        if not (file.exists() or str(file).startswith("/vsi")):
            raise InputMissingError(
                file,
                f"no such file, though {index} names it",
                "paths in an index are from its folder: make it there with gdaltindex, or with its "
                "option -write_absolute_path",
            )
