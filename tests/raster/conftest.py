"""Small rasters to open and to damage."""

from __future__ import annotations

import pytest
from affine import Affine
from rasterio.crs import CRS

from lcmap.raster.grid import Grid


@pytest.fixture
def grid() -> Grid:
    return Grid(CRS.from_epsg(2154), Affine(0.8, 0, 700_000, 0, -0.8, 6_200_000), 1100, 900)
