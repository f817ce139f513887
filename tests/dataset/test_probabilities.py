"""Class probabilities read class by class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_years import write_probabilities, write_years

from lcmap.dataset.inputs import open_input
from lcmap.dataset.probabilities import ClassProbabilities
from lcmap.errors import InputMismatchError
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

FLAIR7 = load_nomenclature("flair7")
WINDOW = Window(3, 5, 20, 30)


def test_a_class_is_its_band(tmp_path: Path) -> None:
    oso = load_nomenclature("oso17")
    p = write_years(tmp_path, classes=oso, gaps=True).probabilities
    with open_input(tmp_path / "p.tif") as raster:
        probabilities = ClassProbabilities(raster)
        for index, code in enumerate(oso.codes):
            found = probabilities.of_class(code, WINDOW)
            np.testing.assert_array_equal(found, p[index][WINDOW.slices])
    assert np.isnan(p).any()


def test_nodata_of_other_programs_is_none(tmp_path: Path) -> None:
    p = np.full((7, 40, 40), 1 / 7, np.float32)
    p[:, 10, 10] = -9999
    write_probabilities(tmp_path / "p.tif", p, FLAIR7)
    with rasterio.open(tmp_path / "p.tif", "r+") as dataset:
        dataset.nodata = -9999
    with open_input(tmp_path / "p.tif") as raster:
        found = ClassProbabilities(raster).of_class(3, WINDOW)
    assert np.isnan(found[7, 5]) and np.isnan(found).sum() == 1


def test_values_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    p = np.full((7, 40, 40), 50, np.float32)
    write_probabilities(tmp_path / "p.tif", p, FLAIR7)
    with (
        open_input(tmp_path / "p.tif") as raster,
        pytest.raises(InputMismatchError, match="values from 50 to 50, probabilities are between"),
    ):
        ClassProbabilities(raster).of_class(3, WINDOW)
