"""The sheets of a map: a file for each polygon of a vector file, equal to cutting the whole map."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lcmap.errors import DataError, OverlapError, UsageError
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import Sheet
from lcmap.paths import PathLike
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.temporary_folder import temporary_folder
from lcmap.raster.usable_crs import no_crs

if TYPE_CHECKING:
    from lcmap.vector.layer import Features, VectorLayer

_USUAL_FIELD = "name"
_NO_FILE_NAME = frozenset('/\\:*?"<>|')
"""Characters that some system does not let a file's name have."""

logger = logging.getLogger(__name__)


def wanted_sheets(outputs: MapOutputs, grid: Grid, tmpdir: Path | None) -> tuple[Sheet, ...]:
    """Return the sheets that the outputs of a map on this grid are wanted in, if any.

    A sheet is the smallest window of whole pixels that holds its polygon, and ends where the map
    does.

    Raises:
        UsageError: an output is a stream, the field of the names is not known, or one is named
            without sheets; or as `find_layer`.
        InputMissingError, NotAVectorError: the polygons cannot be read.
        NoCrsError: they or the map do not say where on earth they are.
        DataError: there are other geometries than polygons; a sheet has no name, one that no file
            can have, or that of another.
        OverlapError: no sheet has ground of the map.
    """
    if outputs.sheets is None:
        if outputs.sheet_name is not None:
            raise UsageError("`sheet_name`", "there are no sheets", "name them with `sheets`")
        return ()
    for path in outputs.rasters.values():
        if stream_at(path) is not None:
            raise UsageError(
                "`sheets`", "needs outputs in files, to be beside", "name files, and not -"
            )
    sheets = find_sheets(outputs.sheets, outputs.sheet_name, grid, tmpdir)
    logger.info("%s: %d sheets have ground of the map", outputs.sheets, len(sheets))
    return tuple(sheets)


def find_sheets(path: PathLike, field: str | None, grid: Grid, tmpdir: Path | None) -> list[Sheet]:
    """Return the sheets that have ground of a grid, in the order of the file at `path`.

    They are named by a `field`; by default the only one, or that called "name".

    Raises:
        UsageError, InputMissingError, NotAVectorError, NoCrsError, DataError, OverlapError: as
            `wanted_sheets`.
    """
    # the reader of vector files takes a second to load, and most maps have no sheets
    from lcmap.vector.sources import find_layer, indexed_copy, read_features

    if grid.crs is None:
        raise no_crs("the map")
    layer = find_layer(path)
    name = _field(layer, field)
    with temporary_folder(tmpdir) as folder:
        here = indexed_copy(layer, [name], grid.crs, grid.bounds, folder)
        features = read_features(here, [name], grid.bounds)
    features.require_polygons(layer)
    sheets = _named_windows(features, name, grid, path)
    if not sheets:
        raise OverlapError(path, "no sheet has ground of the map", "give sheets of its area")
    return sheets


def _field(layer: VectorLayer, wanted: str | None) -> str:
    """Return the field of a layer that names its sheets."""
    fields = {name.casefold(): name for name in layer.fields}
    listed = ", ".join(layer.fields) or "none"
    if wanted is not None:
        if wanted.casefold() not in fields:
            raise DataError(
                str(layer), f'has no field "{wanted}", but {listed}', "choose with `sheet_name`"
            )
        return fields[wanted.casefold()]
    if len(fields) == 1:
        return next(iter(fields.values()))
    if _USUAL_FIELD not in fields:
        raise UsageError(
            "`sheet_name`", f"is missing: {layer} has the fields {listed}", "name one of them"
        )
    return fields[_USUAL_FIELD]


def _named_windows(features: Features, field: str, grid: Grid, path: PathLike) -> list[Sheet]:
    import shapely

    from lcmap.vector.columns import as_text

    sheets: dict[str, Sheet] = {}
    bounds = shapely.bounds(features.geometries).tolist()
    for value, place in zip(features.columns[field].tolist(), bounds, strict=True):
        window = grid.window_of(place).clipped(*grid.shape)
        if not (window.height and window.width):
            continue
        name = as_text(value)
        if not name:
            raise DataError(path, f'a sheet has no name in "{field}"', "name it, or drop it")
        if name.startswith(".") or not name.isprintable() or _NO_FILE_NAME & set(name):
            raise DataError(path, f"no file can be called as the sheet {name!r}", "rename it")
        if name.casefold() in sheets:
            raise DataError(path, f"has two sheets {name}", "name them apart, with `sheet_name`")
        sheets[name.casefold()] = Sheet(name, len(sheets) + 1, window)
    return list(sheets.values())
