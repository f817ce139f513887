"""A nomenclature in a raster's tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.errors import NomenclatureError
from lcmap.nomenclature import builtin_names, load_nomenclature
from lcmap.nomenclature.tag import NOMENCLATURE_JSON_TAG, nomenclature_tag, read_nomenclature


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "p.tif", np.ones((1, 2, 2), "float32"))


@pytest.mark.parametrize("name", builtin_names())
def test_what_is_written_is_read(raster: Path, name: str) -> None:
    nomenclature = load_nomenclature(name)
    with rasterio.open(raster, "r+") as dataset:
        dataset.update_tags(**nomenclature_tag(nomenclature))
    with rasterio.open(raster) as dataset:
        assert read_nomenclature(dataset, raster) == nomenclature


def test_raster_without_one(raster: Path) -> None:
    with rasterio.open(raster) as dataset:
        assert read_nomenclature(dataset, raster) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", r"p\.tif: its tag LCMAP_NOMENCLATURE_JSON is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"name": "x"}', r"p\.tif: has no classes"),
    ],
)
def test_tag_that_holds_none(raster: Path, text: str, says: str) -> None:
    with rasterio.open(raster, "r+") as dataset:
        dataset.update_tags(**{NOMENCLATURE_JSON_TAG: text})
    with rasterio.open(raster) as dataset, pytest.raises(NomenclatureError, match=says):
        read_nomenclature(dataset, raster)
