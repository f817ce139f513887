"""What tests of imagery and of warping share: the bands of a file."""

from __future__ import annotations

from pathlib import Path

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.imagery.raster_bands import RasterBands, bands_of


def bands_in(path: Path, *, allow_vrt: bool = False) -> RasterBands:
    """Return what a raster file offers."""
    with open_input(path, InputOptions(allow_vrt=allow_vrt)) as opened:
        return bands_of(opened)
