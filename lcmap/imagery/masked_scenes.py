"""The part of a scene that a grid needs, written to temporary files as masked reflectance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from lcmap.imagery.raster_bands import RasterBands
from lcmap.raster.alignment import footprint
from lcmap.raster.grid import Grid
from lcmap.raster.radiometry import Radiometry
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import write_error
from lcmap.sentinel2.bands import RESOLUTIONS
from lcmap.sentinel2.masking import CHUNK, NODATA, MaskedBands, by_resolution, opened_bands
from lcmap.sentinel2.scene import Scene

_BLOCK = 256


def write_masked_scene(
    scene: Scene,
    bands: Sequence[str],
    target: Grid,
    folder: Path,
    number: int,
) -> list[RasterBands]:
    """Write the masked reflectance of what a grid needs of a scene; return it as sources.

    There is a file for each resolution in `folder`, its name begun with the scene's `number`. The
    sources have the bands as named in `bands`, int16, in the order of the files.

    Raises:
        InputMissingError, NotARasterError: a file of the scene cannot be read.
        CannotWriteError: no space left in the folder.
    """
    sources = []
    for names in by_resolution(bands):
        path = folder / f"{number:04d}_{RESOLUTIONS[names[0]]}m.tif"
        with opened_bands(scene, names) as opened:
            window = footprint(opened.grid, target)
            _write(opened, window, path)
        sources.append(
            RasterBands(
                path=path,
                name=scene.name,
                grid=opened.grid.subgrid(window),
                indexes=tuple(range(1, len(names) + 1)),
                names=names,
                dtype="int16",
                nodata=float(NODATA),
                masked=False,
                radiometry=(Radiometry(level=scene.level),) * len(names),
            )
        )
    return sources


def _write(bands: MaskedBands, window: Window, path: Path) -> None:
    part = bands.grid.subgrid(window)
    profile = {
        "driver": "GTiff",
        "width": part.width,
        "height": part.height,
        "count": len(bands.names),
        "dtype": "int16",
        "nodata": NODATA,
        "crs": part.crs,
        "transform": part.transform,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 2,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "interleave": "band",
        "bigtiff": "IF_SAFER",
    }
    try:
        with rasterio.open(path, "w", **profile) as output:
            for block in iter_blocks(part.height, part.width, CHUNK):
                values = bands.read(block.shifted(window.row, window.col))
                output.write(values, window=block.ranges)
    except RasterioError as error:
        raise write_error(path.parent, path, error) from error
