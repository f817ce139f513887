"""Opening one image of `prepare`: a raster file, or a DIMAP product whose tiles are one image.

The mosaic is a GDAL virtual raster (VRT) that lcmap writes itself, in memory, of tiles that have
been opened and checked before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from affine import Affine
from rasterio.io import DatasetReader, MemoryFile

from lcmap.dataset.inputs import InputOptions, RasterInput, open_input, seen_input
from lcmap.errors import NoCrsError, ProductError, UsageError
from lcmap.imagery.dimap import NAMES, Dimap, calibration, find_dimap, is_dimap, read_dimap
from lcmap.imagery.raster_bands import GDAL_TYPES, vrt_document
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.opening import check_placed, open_raster
from lcmap.raster.pipes import display_name
from lcmap.raster.radiometry import (
    LEVEL_TAG,
    TOA,
    NamedRadiometry,
    Radiometry,
    common_radiometry,
    radiometry_of,
)

SCALE = 10_000
"""What reflectance is multiplied by."""

_NODATA = -10_000.0
_WHOLE = 0.01
"""Tolerance, in pixels, of where tiles are on their product's grid."""

logger = logging.getLogger(__name__)


@contextmanager
def open_image(
    given: PathLike, inputs: InputOptions, *, pan: bool = False, reflectance: bool = False
) -> Iterator[RasterInput]:
    """Open an image: a raster as `open_input` does, or a DIMAP product by its XML or folder.

    Of a folder that holds both, the multispectral product is taken, or with `pan` the panchromatic
    one. With `reflectance` its numbers become reflectance × 10 000.

    Raises:
        UsageError: `reflectance` of an image that is no DIMAP product.
        ProductError: a product is not whole or damaged.
        NoCrsError: a product is not orthorectified, and as `open_input`.
        InputMissingError, NotARasterError: as `open_input`.
    """
    if not is_dimap(given):
        if reflectance:
            raise UsageError(
                "`reflectance`",
                f"takes a DIMAP product, and {display_name(given)} is none",
                "drop it",
            )
        with open_input(given, inputs) as image:
            yield image
        return
    product = read_dimap(find_dimap(Path(given), pan=pan))
    document = _mosaic(product, reflectance)
    with MemoryFile(document.encode(), ext=".vrt") as file:
        path = Path(file.name)
        with (
            DatasetReader(file.name, driver=["VRT"]) as dataset,
            seen_input(dataset, path, str(product.path), inputs) as image,
        ):
            yield image


@dataclass(frozen=True)
class _TileImage:
    path: Path
    grid: Grid
    count: int
    dtype: str
    radiometry: tuple[Radiometry, ...]


def _mosaic(product: Dimap, reflectance: bool) -> str:
    """Return a VRT document of a product's tiles, its bands by their meaning.

    Raises:
        ProductError, NoCrsError: as `open_image`.
        InputMismatchError: the tiles' scales or offsets differ.
    """
    tiles = [_tile(path) for _, path in sorted(product.tiles.items())]
    first = tiles[0]
    for tile in tiles[1:]:
        if (tile.count, tile.dtype, tile.grid.crs) != (first.count, first.dtype, first.grid.crs):
            raise ProductError(
                tile.path, f"is not a tile of the same image as {first.path.name}", "copy it again"
            )
    meant = common_radiometry([NamedRadiometry(str(t.path), t.radiometry) for t in tiles])
    grid, offsets = _arranged(tiles)
    ids = _band_ids(product, first.count)
    scales = None
    if reflectance:
        if ids is None:
            raise ProductError(
                product.path, "does not say which band is which", "drop `reflectance`"
            )
        scales = calibration(product, ids)
    document = vrt_document(grid)
    if product.day is not None:
        metadata = ElementTree.SubElement(document, "Metadata")
        ElementTree.SubElement(
            metadata, "MDI", key="ACQUISITION_DATE"
        ).text = product.day.isoformat()
    for number, i in enumerate(_order(ids, first.count), start=1):
        band = ElementTree.SubElement(
            document,
            "VRTRasterBand",
            dataType=GDAL_TYPES["int16" if scales else first.dtype],
            band=str(number),
        )
        if ids is not None:
            ElementTree.SubElement(band, "Description").text = NAMES.get(ids[i], ids[i])
        _add_radiometry(
            band, Radiometry(level=TOA) if scales else replace(meant[i], level=product.level)
        )
        nodata = _NODATA if scales else product.nodata
        if nodata is not None:
            ElementTree.SubElement(band, "NoDataValue").text = repr(nodata)
        for tile, offset in zip(tiles, offsets, strict=True):
            _add_tile(band, tile, offset, i + 1, product.nodata, scales[i] if scales else None)
    return ElementTree.tostring(document, encoding="unicode")


def _band_ids(product: Dimap, count: int) -> tuple[str, ...] | None:
    """Return the ids of a product's bands; say so where they are a guess, or unknown."""
    ids = product.ids(count)
    if ids is None:
        logger.warning(
            "%s: does not say which band is which; name them with `band_names`", product.path
        )
    elif product.bands is None and count > 1:
        names = ", ".join(NAMES[band] for band in ids)
        logger.warning(
            "%s: does not say which band is which; they are taken for %s", product.path, names
        )
    return ids


def _order(ids: tuple[str, ...] | None, count: int) -> list[int]:
    """Return the places of bands in their files, in the order of `NAMES`; others come last."""
    if ids is None:
        return list(range(count))
    known = list(NAMES)
    return sorted(
        range(count), key=lambda i: known.index(ids[i]) if ids[i] in NAMES else len(known)
    )


def _tile(path: Path) -> _TileImage:
    with open_raster(path) as dataset:
        check_placed(dataset, str(path))
        grid = Grid.of(dataset)
        if grid.crs is None or grid.transform == Affine.identity():
            raise NoCrsError(
                path,
                "is placed on no grid, as products of level SENSOR are",
                "orthorectify the product first, e.g. gdalwarp -rpc DIM_*.XML OUT.tif",
            )
        radiometry = radiometry_of(dataset, str(path))
        return _TileImage(path, grid, dataset.count, str(dataset.dtypes[0]), radiometry)


def _arranged(tiles: list[_TileImage]) -> tuple[Grid, list[tuple[int, int]]]:
    """Return the grid of all tiles together, and the column and row where each begins on it."""
    first = tiles[0]
    back = ~first.grid.transform
    starts = []
    for tile in tiles:
        ours, theirs = first.grid.transform, tile.grid.transform
        col, row = back @ (theirs.c, theirs.f)
        same = all(
            abs(a - b) <= 1e-6 * abs(ours.a)
            for a, b in zip(
                (ours.a, ours.b, ours.d, ours.e),
                (theirs.a, theirs.b, theirs.d, theirs.e),
                strict=True,
            )
        )
        if not same or max(abs(col - round(col)), abs(row - round(row))) > _WHOLE:
            raise ProductError(
                tile.path, f"is not on the same grid as {first.path.name}", "copy it again"
            )
        starts.append((round(col), round(row)))
    west, north = min(col for col, _ in starts), min(row for _, row in starts)
    ends = [
        (col + tile.grid.width, row + tile.grid.height)
        for (col, row), tile in zip(starts, tiles, strict=True)
    ]
    grid = Grid(
        first.grid.crs,
        first.grid.transform @ Affine.translation(west, north),
        width=max(col for col, _ in ends) - west,
        height=max(row for _, row in ends) - north,
    )
    return grid, [(col - west, row - north) for col, row in starts]


def _add_radiometry(band: ElementTree.Element, meant: Radiometry) -> None:
    ElementTree.SubElement(band, "Offset").text = repr(meant.offset)
    ElementTree.SubElement(band, "Scale").text = repr(meant.scale)
    said = ElementTree.SubElement(band, "Metadata")
    ElementTree.SubElement(said, "MDI", key=LEVEL_TAG).text = meant.level


def _add_tile(
    band: ElementTree.Element,
    tile: _TileImage,
    offset: tuple[int, int],
    index: int,
    nodata: float | None,
    scale: tuple[float, float] | None,
) -> None:
    """Add that a band is read from a tile, at the column and row `offset`."""
    reading = ElementTree.SubElement(band, "SimpleSource" if scale is None else "ComplexSource")
    ElementTree.SubElement(reading, "SourceFilename", relativeToVRT="0").text = str(tile.path)
    ElementTree.SubElement(reading, "SourceBand").text = str(index)
    size: dict[str, Any] = {"xSize": str(tile.grid.width), "ySize": str(tile.grid.height)}
    ElementTree.SubElement(reading, "SrcRect", xOff="0", yOff="0", **size)
    ElementTree.SubElement(reading, "DstRect", xOff=str(offset[0]), yOff=str(offset[1]), **size)
    if scale is not None:
        ElementTree.SubElement(reading, "ScaleOffset").text = repr(SCALE * scale[1])
        ElementTree.SubElement(reading, "ScaleRatio").text = repr(SCALE * scale[0])
        if nodata is not None:
            ElementTree.SubElement(reading, "NODATA").text = repr(nodata)
