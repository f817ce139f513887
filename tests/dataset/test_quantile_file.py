"""Quantiles of a campaign, written and read; and what is not such a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.dataset.quantile_file import BandQuantiles, read_quantile_file, write_quantile_file
from lcmap.errors import DataError, InputMismatchError, InputMissingError, OutputExistsError
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.radiometry import Radiometry, write_radiometry

TAGGED = (Radiometry(1e-4, -0.1, "BOA"),) * 3
RGB = BandQuantiles(
    ("red", "green", "blue"), "uint16", np.array([[0.1, 9.0], [2, 3], [5, 5]]), TAGGED
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "campaign.json"
    write_quantile_file(path, RGB, 12, overwrite=False)
    found = read_quantile_file(path)
    assert (found.bands, found.dtype, found.radiometry) == (RGB.bands, RGB.dtype, TAGGED)
    np.testing.assert_array_equal(found.values, RGB.values)
    assert json.loads(path.read_text())["images"] == 12
    with pytest.raises(OutputExistsError):
        write_quantile_file(path, RGB, 12, overwrite=False)


def test_the_tags_of_a_raster_serve_as_well(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "image.tif", np.ones((3, 4, 4), np.uint16), names=("red", "green", "blue")
    )
    with pytest.raises(DataError, match=r"image\.tif: carries no quantiles"):
        read_quantile_file(path)
    with rasterio.open(path, "r+") as dataset:
        write_quantiles(dataset, RGB.values)
        write_radiometry(dataset, TAGGED)
    found = read_quantile_file(path)
    assert (found.bands, found.dtype, found.radiometry) == (RGB.bands, "uint16", TAGGED)
    np.testing.assert_array_equal(found.values, RGB.values)


def test_bands_must_be_the_same() -> None:
    RGB.check_fits(("Red", "GREEN", " blue"), TAGGED, "c.json", "a.tif")
    RGB.check_fits(("band 1", "band 2", "band 3"), TAGGED, "c.json", "a.tif")
    for bands in (("red", "green"), ("blue", "green", "red")):
        with pytest.raises(InputMismatchError, match=r"c\.json: holds quantiles of red, .*a\.tif"):
            RGB.check_fits(bands, TAGGED[: len(bands)], "c.json", "a.tif")


def test_bands_must_mean_the_same() -> None:
    plain = (Radiometry(),) * 3
    with pytest.raises(InputMismatchError, match=r"a\.tif: its band 1 .* that of c\.json has"):
        RGB.check_fits(RGB.bands, plain, "c.json", "a.tif")
    # written before, without scales and offsets
    replace(RGB, radiometry=()).check_fits(RGB.bands, plain, "c.json", "a.tif")


@pytest.mark.parametrize("text", [
    "{", "{}", "[" * 100_000, '{"lcmap_quantiles": 1, "bands": 3, "dtype": "uint8"}',
    '{"lcmap_quantiles": 1, "dtype": "uint8", "bands": []}',
    '{"lcmap_quantiles": 1, "dtype": "uint8", "bands": [{"name": "a", "q02": NaN, "q98": 1}]}',
    '{"lcmap_quantiles": 1, "dtype": "uint8", "bands": [{"name": "a", "q02": 2, "q98": 1}]}',
    '{"lcmap_quantiles": 1, "dtype": "uint8", "bands": '
    '[{"name": "a", "q02": 1, "q98": 2, "scale": "x", "offset": 0}]}',
    '{"lcmap_quantiles": 9, "dtype": "uint8", "bands": [{"name": "a", "q02": 2, "q98": 1}]}',
    '{"type": "FeatureCollection"}',
])  # fmt: skip
def test_what_is_not_a_file_of_quantiles(tmp_path: Path, text: str) -> None:
    path = tmp_path / "campaign.json"
    path.write_text(text)
    with pytest.raises(DataError) as found:
        read_quantile_file(path)
    assert found.value.exit_code == 65
    with pytest.raises(InputMissingError):
        read_quantile_file(tmp_path / "none.json")
